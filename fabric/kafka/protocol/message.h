#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "fabric/kafka/protocol/header.h"
#include "fabric/kafka/protocol/wire.h"

namespace selvage::kafka {

/// Reads the body of a message, as its header said. Errors: "malformed_request" or "malformed_response",
/// naming the field; "unsupported_version". Bytes behind the body are left unread. Records share the frame;
/// all else is copied.
template <class Message>
absl::StatusOr<Message> Decode(Reader& in, int16_t version);

/// Appends the body. Fields that the version does not have are left out, and null becomes empty where the
/// version has no null; a field that is too long for the protocol makes Writer::Finish fail. The codec must
/// know the version.
template <class Message>
void Encode(const Message& message, int16_t version, Writer& out);

/// A whole request frame with its size prefix.
template <class Request>
absl::StatusOr<std::vector<Bytes>> EncodeRequest(const RequestHeader& header, const Request& request) {
  Writer out;
  EncodeRequestHeader(header, out);
  Encode(request, header.api_version, out);
  return std::move(out).Finish();
}

/// A whole response frame with its size prefix.
template <class Response>
absl::StatusOr<std::vector<Bytes>> EncodeResponse(int16_t version, int32_t correlation_id,
                                                  const Response& response) {
  Writer out;
  EncodeResponseHeader(Response::kApi, version, correlation_id, out);
  Encode(response, version, out);
  return std::move(out).Finish();
}

}  // namespace selvage::kafka
