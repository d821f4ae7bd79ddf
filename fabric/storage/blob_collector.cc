#include "fabric/storage/blob_collector.h"

#include <rocksdb/metadata.h>

#include <algorithm>
#include <optional>
#include <string>

#include "fabric/base/error.h"
#include "fabric/storage/rocksdb_internal.h"

namespace selvage::internal {
namespace {

/// What one step copies at most: small, so that other compactions get their turn, and a stop need not wait.
constexpr uint64_t kStepBytes = 64u << 20;

std::vector<BlobFile> ListBlobFiles(const rocksdb::ColumnFamilyMetaData& meta) {
  std::vector<BlobFile> files;
  files.reserve(meta.blob_files.size());
  for (const auto& file : meta.blob_files) {
    files.push_back({file.blob_file_number, file.total_blob_bytes, file.garbage_blob_bytes});
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
  return files;
}

struct KeyRange {
  std::string first;
  std::string last;  ///< inclusive
};

/// The keys of all tables that may refer to blob files up to `blob_number`.
std::optional<KeyRange> RangeReferringTo(const rocksdb::ColumnFamilyMetaData& meta, uint64_t blob_number) {
  std::optional<KeyRange> range;
  for (const auto& level : meta.levels) {
    for (const auto& table : level.files) {
      if (table.oldest_blob_file_number == 0 || table.oldest_blob_file_number > blob_number) continue;
      if (!range) {
        range = KeyRange{table.smallestkey, table.largestkey};
      } else {
        range->first = std::min(range->first, table.smallestkey);
        range->last = std::max(range->last, table.largestkey);
      }
    }
  }
  return range;
}

}  // namespace

size_t PlanCollection(const std::vector<BlobFile>& files, uint64_t copy_bytes_max) {
  size_t best = 0;
  int64_t best_gain = 0;
  int64_t gain = 0;
  uint64_t copied = 0;
  for (size_t i = 0; i < files.size(); ++i) {
    const uint64_t live = files[i].bytes - std::min(files[i].bytes, files[i].garbage_bytes);
    copied += live;
    if (copied > copy_bytes_max) break;
    gain += 2 * static_cast<int64_t>(files[i].garbage_bytes) - static_cast<int64_t>(live);
    if (gain > best_gain) {
      best_gain = gain;
      best = i + 1;
    }
  }
  return best;
}

absl::Status CollectBlobs(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family, std::atomic<bool>& cancelled,
                          const std::function<absl::StatusOr<uint64_t>()>& free_bytes) {
  uint64_t last_done = 0;
  for (;;) {
    SELVAGE_ASSIGN_OR_RETURN(const uint64_t free, free_bytes());
    rocksdb::ColumnFamilyMetaData meta;
    db.GetColumnFamilyMetaData(family, &meta);
    const std::vector<BlobFile> files = ListBlobFiles(meta);
    const size_t count = PlanCollection(files, std::min(kStepBytes, free / 4));
    // A file that a step did not free, for a cursor may hold it, would be planned again and again.
    if (count == 0 || files[count - 1].number <= last_done) return absl::OkStatus();
    last_done = files[count - 1].number;

    const auto range = RangeReferringTo(meta, last_done);
    if (!range) return absl::OkStatus();
    rocksdb::CompactRangeOptions compact;
    compact.exclusive_manual_compaction = false;
    compact.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
    compact.blob_garbage_collection_policy = rocksdb::BlobGarbageCollectionPolicy::kForce;
    // RocksDB takes the oldest files as a share of all; the half keeps rounding from losing one.
    compact.blob_garbage_collection_age_cutoff =
        std::min(1.0, (static_cast<double>(count) + 0.5) / static_cast<double>(files.size()));
    compact.canceled = &cancelled;
    const rocksdb::Slice first = range->first;
    const rocksdb::Slice last = range->last;
    const rocksdb::Status done = db.CompactRange(compact, family, &first, &last);
    if (!done.ok()) return ToError(done, "rewriting blob files");
  }
}

}  // namespace selvage::internal
