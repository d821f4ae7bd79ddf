#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/wire.h"

namespace selvage::kafka {

/// What comes before the body of every request.
struct RequestHeader {
  int16_t api_key = 0;
  int16_t api_version = 0;
  int32_t correlation_id = 0;
  std::optional<std::string> client_id;

  bool operator==(const RequestHeader&) const = default;
};

/// Reads the header and leaves the reader at the body. When the codec does not know the API or the version,
/// what the rest of the header looks like is not known either: then only the first three fields are read and
/// the body must not be. They are enough to answer an ApiVersions request of a version that is too new.
absl::StatusOr<RequestHeader> DecodeRequestHeader(Reader& in);
/// Whether DecodeRequestHeader reads the whole header, so that the body can be decoded.
bool IsKnown(const RequestHeader& header);
/// The codec must know the API and its version.
void EncodeRequestHeader(const RequestHeader& header, Writer& out);

/// The header of an ApiVersions response is the same in all versions: it is read before the version is agreed
/// on.
void EncodeResponseHeader(ApiKey key, int16_t version, int32_t correlation_id, Writer& out);
/// Returns the correlation id and leaves the reader at the body.
absl::StatusOr<int32_t> DecodeResponseHeader(ApiKey key, int16_t version, Reader& in);

}  // namespace selvage::kafka
