#pragma once

#include <cstddef>
#include <string_view>

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

/// Room in the commit queue (Committer::AwaitRoom) that Log::Append takes for a batch of this size.
inline size_t AppendQueueBytes(size_t batch_bytes) {
  constexpr size_t kOverhead = 256;
  return batch_bytes + kOverhead;
}

}  // namespace selvage
