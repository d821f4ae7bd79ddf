#include "fabric/table/captured_change.h"

#include <fmt/format.h>

namespace selvage::table {
namespace {

constexpr std::string_view kNull = "null";

std::string HexOf(const StoreId& store) {
  return store.none() ? std::string() : store.hex();
}

}  // namespace

std::string_view CaptureReasonName(CaptureReason reason) {
  switch (reason) {
    case CaptureReason::kWrite:
      return "write";
    case CaptureReason::kMerge:
      return "merge";
    case CaptureReason::kRelease:
      return "release";
    case CaptureReason::kSweep:
      return "sweep";
    case CaptureReason::kExpiry:
      return "expiry";
  }
  return "unknown";
}

Record RecordOf(const CapturedChange& change, int64_t now_ms) {
  const std::string_view reason = CaptureReasonName(change.reason);
  const std::string store = HexOf(change.stamp.node);
  const std::string time_ms = std::to_string(change.stamp.hlc.ms());
  Record record;
  record.timestamp = now_ms;
  record.key = change.key;
  if (!change.after && change.reason != CaptureReason::kSweep) {
    record.headers = {{"reason", std::string(reason)},
                      {"store", store},
                      {"time_ms", time_ms},
                      {"before", change.before.value_or(std::string(kNull))}};
    return record;
  }
  // The names in the order of their bytes, as in all JSON of tables.
  record.value =
      fmt::format(R"({{"after":{},"before":{},"reason":"{}","store":"{}","time_ms":{}}})",
                  change.after ? std::string_view(*change.after) : kNull,
                  change.before ? std::string_view(*change.before) : kNull, reason, store, time_ms);
  return record;
}

}  // namespace selvage::table
