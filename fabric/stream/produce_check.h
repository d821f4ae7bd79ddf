#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "fabric/stream/record_batch.h"
#include "selvage/v1/stream.pb.h"

namespace selvage {

/// True for streams of which only the newest record of each key is kept.
bool IsCompacted(const v1::StreamSettings& settings);

/// The largest batch that may be written to a stream: the node's limit, or less where the stream says so.
size_t BatchBytesMax(const v1::StreamSettings& settings, size_t node_max);

/// What a node checks of a producer's batch before Log::Append: ValidateProducedBatch and, for a compacted
/// stream, that every record has a key; for this it is decompressed. Errors: those of ValidateProducedBatch
/// and DecodeRecords; "keyless_record" (kInvalidArgument).
absl::StatusOr<BatchHeader> CheckProducedBatch(std::string_view batch, const v1::StreamSettings& settings,
                                               size_t node_max);

/// Which records of a batch that CheckProducedBatch refused as "keyless_record" have no key: their places in
/// the batch, from 0.
std::vector<int32_t> KeylessRecords(std::string_view batch);

/// Room in the commit queue (Committer::AwaitRoom) that Log::Append takes for a batch of this size.
inline size_t AppendQueueBytes(size_t batch_bytes) {
  constexpr size_t kOverhead = 256;
  return batch_bytes + kOverhead;
}

}  // namespace selvage
