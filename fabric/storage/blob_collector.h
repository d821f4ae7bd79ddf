#pragma once

#include <rocksdb/db.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

/// Frees the blob files of which only a part is still in use. Private to the RocksDB store.
namespace selvage::internal {

struct BlobFile {
  uint64_t number = 0;  ///< a higher number is a younger file
  uint64_t bytes = 0;
  uint64_t garbage_bytes = 0;
};

/// How many of the oldest of `files` (sorted by number) to rewrite together: the ones for which the bytes
/// freed most outweigh the bytes copied, a freed byte counting as two copied ones. So copying never costs
/// more than twice what it frees, and at most a third of the files' bytes is garbage that stays. At most
/// `copy_bytes_max` are copied at a time; 0 when nothing pays.
size_t PlanCollection(const std::vector<BlobFile>& files, uint64_t copy_bytes_max);

/// Rewrites old blob files of the family in small steps for as long as it pays. `free_bytes` tells the space
/// left on the volume: a step makes its copies before it frees anything, and must not be what fills the disk.
absl::Status CollectBlobs(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family, std::atomic<bool>& cancelled,
                          const std::function<absl::StatusOr<uint64_t>()>& free_bytes);

}  // namespace selvage::internal
