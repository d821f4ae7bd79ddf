#include "fabric/stream/record_format.h"

#include <fmt/format.h>

#include <limits>

#include "fabric/base/error.h"

namespace selvage::record_format {
namespace {

/// Takes an unsigned LEB128 integer of at most `bits` bits off the front of `in`.
bool TakeUnsigned(std::string_view& in, int bits, uint64_t& value) {
  value = 0;
  size_t at = 0;
  for (int shift = 0; shift < bits && at < in.size(); shift += 7) {
    const auto byte = static_cast<uint8_t>(in[at++]);
    const uint64_t part = byte & 0x7f;
    if (bits - shift < 7 && (part >> (bits - shift)) != 0) return false;
    value |= part << shift;
    if (byte < 0x80) {
      in.remove_prefix(at);
      return true;
    }
  }
  return false;
}

/// Kafka's "varint" and "varlong": zigzag, so that small negative numbers are short.
template <class Int>
bool TakeVarint(std::string_view& in, Int& value) {
  uint64_t raw;
  if (!in.empty() && static_cast<uint8_t>(in[0]) < 0x80) {  // most are a single byte
    raw = static_cast<uint8_t>(in[0]);
    in.remove_prefix(1);
  } else if (!TakeUnsigned(in, std::numeric_limits<Int>::digits + 1, raw)) {
    return false;
  }
  value = static_cast<Int>((raw >> 1) ^ (~(raw & 1) + 1));
  return true;
}

/// A length and as many bytes; the length -1 means null.
bool TakeNullable(std::string_view& in, std::optional<std::string_view>& bytes) {
  int32_t size;
  if (!TakeVarint(in, size) || size < -1) return false;
  if (size == -1) {
    bytes.reset();
    return true;
  }
  if (static_cast<size_t>(size) > in.size()) return false;
  bytes = in.substr(0, static_cast<size_t>(size));
  in.remove_prefix(static_cast<size_t>(size));
  return true;
}

/// Takes the next record, whose offset delta lies from `lowest` to `highest`. Returns what is wrong with it,
/// or nothing.
std::string_view TakeRecord(std::string_view& in, int32_t lowest, int32_t highest, RecordView& record) {
  const std::string_view before = in;
  int32_t size;
  if (!TakeVarint(in, size) || size < 0 || static_cast<size_t>(size) > in.size()) {
    return "its length runs past the end of the batch";
  }
  std::string_view body = in.substr(0, static_cast<size_t>(size));
  in.remove_prefix(static_cast<size_t>(size));
  record.bytes = before.substr(0, before.size() - in.size());

  if (body.empty()) return "it is empty";
  body.remove_prefix(1);  // the record's attributes, which have no meaning in v2
  if (!TakeVarint(body, record.timestamp_delta)) return "its timestamp is malformed";
  if (!TakeVarint(body, record.offset_delta)) return "its offset is malformed";
  if (record.offset_delta < lowest || record.offset_delta > highest)
    return "its offset does not follow the one before";
  if (!TakeNullable(body, record.key)) return "its key runs past the end of the record";
  if (!TakeNullable(body, record.value)) return "its value runs past the end of the record";
  if (!TakeVarint(body, record.header_count) || record.header_count < 0)
    return "its header count is malformed";

  record.headers = body;
  for (int32_t i = 0; i < record.header_count; ++i) {
    HeaderView header;
    if (!TakeHeader(body, header)) return "its headers are malformed";
  }
  if (!body.empty()) return "its length is not that of its fields";
  return {};
}

absl::Status InvalidRecord(std::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_record", message,
                   "the producer encoded the batch wrongly; update or replace the client");
}

}  // namespace

bool TakeHeader(std::string_view& in, HeaderView& header) {
  std::optional<std::string_view> key;
  if (!TakeNullable(in, key) || !key.has_value() || !TakeNullable(in, header.value)) return false;
  header.key = *key;
  return true;
}

absl::Status ForEachRecord(std::string_view records, int32_t count, int32_t last_offset_delta,
                           absl::FunctionRef<void(const RecordView&)> visit) {
  RecordView record;
  int32_t lowest = 0;
  for (int32_t i = 0; i < count; ++i, lowest = record.offset_delta + 1) {
    // There must be room behind it for those that follow.
    const int32_t highest = last_offset_delta - (count - 1 - i);
    const std::string_view fault = TakeRecord(records, lowest, highest, record);
    if (!fault.empty()) return InvalidRecord(fmt::format("record {} of {}: {}", i + 1, count, fault));
    visit(record);
  }
  if (!records.empty()) {
    return InvalidRecord(
        fmt::format("{} bytes follow the {} records the batch announces", records.size(), count));
  }
  return absl::OkStatus();
}

}  // namespace selvage::record_format
