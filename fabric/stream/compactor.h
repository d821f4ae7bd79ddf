#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/base/ids.h"
#include "fabric/stream/record_batch.h"

/// Which records of a compacted stream stay: pure decisions over batches (docs/streams.md, "Compacted
/// streams").
namespace selvage {

/// The newest offset of each key of a stretch of a log. Keys are known by 128 bits of hash, so that a key
/// takes the same room whatever its size. Not thread-safe.
class KeyOffsets {
 public:
  /// Full at so many keys; the batch that makes it full is still taken whole.
  explicit KeyOffsets(size_t keys_max) : keys_max_(keys_max) {}

  bool full() const { return newest_.size() >= keys_max_; }
  size_t size() const { return newest_.size(); }
  /// Takes the keys of a batch; batches come in order of offsets. Errors: those of DecodeRecords; what was
  /// taken before the fault stays.
  absl::Status Take(std::string_view batch);
  /// A record of this key at this offset has a newer one behind it.
  bool Superseded(std::string_view key, Offset offset) const;

 private:
  using Hash = std::pair<uint64_t, uint64_t>;
  static Hash HashOf(std::string_view key);

  const size_t keys_max_;
  absl::flat_hash_map<Hash, Offset> newest_;
};

/// What a compacted batch became.
struct CompactedBatch {
  int32_t dropped = 0;               ///< records; 0: the batch stays as it is
  std::optional<std::string> batch;  ///< the records that stay; nothing when none does, or all do
};

/// Drops the records that `newest` knows a newer one of and, if `drop_tombstones`, those without a value.
/// Records without a key stay. The new batch covers the same offsets as the old one, with the same codec and
/// the same producer, epoch and times; each record keeps its offset. Errors: those of DecodeRecords.
absl::StatusOr<CompactedBatch> CompactBatch(std::string_view batch, const KeyOffsets& newest,
                                            bool drop_tombstones);

}  // namespace selvage
