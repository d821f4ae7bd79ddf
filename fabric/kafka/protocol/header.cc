#include "fabric/kafka/protocol/header.h"

#include "fabric/base/check.h"
#include "fabric/base/error.h"

namespace selvage::kafka {
namespace {

// Tagged fields of a header: there are none that we know.
void SkipTags(Reader& in) {
  in.Name("tagged fields");
  for (uint32_t left = in.Varint(); left > 0 && in.ok(); --left) {
    in.Varint();
    in.Take(in.Varint());
  }
}

// The length is of 16 bits in all versions, also in those whose bodies have compact lengths.
std::optional<std::string> ReadClientId(Reader& in) {
  in.Name("client_id");
  const auto size = in.Int<int16_t>();
  if (size == -1) return std::nullopt;
  if (size < 0) in.Fail("its length is negative");
  if (!in.ok()) return std::nullopt;
  return std::string(in.Take(static_cast<size_t>(size)));
}

bool HasFlexibleHeader(ApiKey key, int16_t version) {
  return key != ApiKey::kApiVersions && ApiOf(key).Flexible(version);
}

}  // namespace

absl::StatusOr<RequestHeader> DecodeRequestHeader(Reader& in) {
  RequestHeader header;
  in.Name("api_key");
  header.api_key = in.Int<int16_t>();
  in.Name("api_version");
  header.api_version = in.Int<int16_t>();
  in.Name("correlation_id");
  header.correlation_id = in.Int<int32_t>();
  if (in.ok() && IsKnown(header)) {
    header.client_id = ReadClientId(in);
    if (FindApi(header.api_key)->Flexible(header.api_version)) SkipTags(in);
  }
  SELVAGE_RETURN_IF_ERROR(in.Finish("malformed_request", "request header"));
  return header;
}

bool IsKnown(const RequestHeader& header) {
  const Api* api = FindApi(header.api_key);
  return api != nullptr && api->Knows(header.api_version);
}

void EncodeRequestHeader(const RequestHeader& header, Writer& out) {
  SELVAGE_CHECK(IsKnown(header));
  out.Int(header.api_key);
  out.Int(header.api_version);
  out.Int(header.correlation_id);
  if (!header.client_id) {
    out.Int<int16_t>(-1);
  } else if (header.client_id->size() > kStringMax) {
    out.Fail("client_id", "a string of more than 32,767 bytes");
  } else {
    out.Int(static_cast<int16_t>(header.client_id->size()));
    out.Append(*header.client_id);
  }
  if (FindApi(header.api_key)->Flexible(header.api_version)) out.Varint(0);
}

void EncodeResponseHeader(ApiKey key, int16_t version, int32_t correlation_id, Writer& out) {
  out.Int(correlation_id);
  if (HasFlexibleHeader(key, version)) out.Varint(0);
}

absl::StatusOr<int32_t> DecodeResponseHeader(ApiKey key, int16_t version, Reader& in) {
  in.Name("correlation_id");
  const auto correlation_id = in.Int<int32_t>();
  if (HasFlexibleHeader(key, version)) SkipTags(in);
  SELVAGE_RETURN_IF_ERROR(in.Finish("malformed_response", "response header"));
  return correlation_id;
}

}  // namespace selvage::kafka
