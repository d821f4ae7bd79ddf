#include "fabric/stream/produce_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"
#include "fabric/stream/record_format.h"

namespace selvage {

bool IsCompacted(const v1::StreamSettings& settings) {
  return settings.cleanup() == v1::CLEANUP_COMPACT || settings.cleanup() == v1::CLEANUP_COMPACT_DELETE;
}

size_t BatchBytesMax(const v1::StreamSettings& settings, size_t node_max) {
  return settings.max_batch_bytes() == 0 ? node_max : std::min<size_t>(node_max, settings.max_batch_bytes());
}

absl::StatusOr<BatchHeader> CheckProducedBatch(std::string_view batch, const v1::StreamSettings& settings,
                                               size_t node_max) {
  SELVAGE_ASSIGN_OR_RETURN(const BatchHeader header,
                           ValidateProducedBatch(batch, BatchBytesMax(settings, node_max)));
  if (!IsCompacted(settings)) return header;
  int32_t keyless = 0;
  SELVAGE_RETURN_IF_ERROR(record_format::VisitRecords(
      batch, kDecodedBytesMax,
      [&](const BatchHeader&, const record_format::RecordView& record) { keyless += !record.key; }));
  if (keyless == 0) return header;
  return MakeError(absl::StatusCode::kInvalidArgument, "keyless_record",
                   fmt::format("{} of {} records have no key, and the stream is compacted by key", keyless,
                               header.record_count),
                   "give every record a key, or write to a stream that is not compacted");
}

std::vector<int32_t> KeylessRecords(std::string_view batch) {
  std::vector<int32_t> keyless;
  int32_t at = 0;
  const absl::Status read = record_format::VisitRecords(
      batch, kDecodedBytesMax, [&](const BatchHeader&, const record_format::RecordView& record) {
        if (!record.key) keyless.push_back(at);
        ++at;
      });
  if (!read.ok()) keyless.clear();
  return keyless;
}

}  // namespace selvage
