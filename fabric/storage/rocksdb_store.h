#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fabric/storage/kv_store.h"

namespace rocksdb {
class ColumnFamilyHandle;
class DB;
class Env;
class FileSystem;
struct LiveFileMetaData;
}  // namespace rocksdb

namespace selvage {

namespace internal {
class FailStop;
class HoleSkipping;
}  // namespace internal

struct RocksDbOptions {
  std::filesystem::path path = {};  ///< directory of the database, its own: nothing else may lie there
  bool create_if_missing = true;
  /// Memory that gathers writes before they go to a file. Up to two are held, and each grows by at most one
  /// batch beyond it; the other families add at most 2 MiB each.
  size_t write_buffer_bytes = 8u << 20;
  size_t block_cache_bytes =
      8u << 20;  ///< blocks, indexes and filters of tables; not the large values of logs
  uint64_t max_wal_bytes = 32u << 20;  ///< write-ahead log kept, and so replayed at open, at most
  int max_open_files = 256;
  /// Where files are read and written; the operating system's when absent.
  std::shared_ptr<rocksdb::FileSystem> file_system = nullptr;
  /// Runs once, with the first error after which the store takes no more writes: the node must stop. Called
  /// on a thread of the engine or of the writer; must not block or call the store.
  std::function<void(const absl::Status&)> on_background_error = nullptr;
};

/// The store of the daemons: RocksDB, set up for logs of large values in little memory.
///
/// A failed write, sync, flush or compaction is final (fail-stop): nothing is retried and every later Write
/// fails with the same error, since what a failed sync left on the disk is unknown. Reads still work.
///
/// Damage is not a failure. A damaged value of a log hits that entry alone. A damaged block of a table hits
/// the few neighbours that lie in it: keys in it that are written again can be read by Get and by Seek, but a
/// cursor that steps into the block, or seeks backwards across it, fails as before. No compaction gets past
/// the block either, until MendTables has taken it out of the table.
class RocksDbStore : public KvStore {
 public:
  /// Errors: kNotFound "store_missing"; kFailedPrecondition "not_a_store" (other files lie there),
  /// "store_locked" (a retry helps), "store_format_newer"; kDataLoss "store_damaged"; kResourceExhausted
  /// "disk_full"; kInternal.
  static absl::StatusOr<std::unique_ptr<RocksDbStore>> Open(RocksDbOptions options);
  /// No call may be running; call CancelReclaim first.
  ~RocksDbStore() override;

  std::unique_ptr<WriteBatch> NewBatch() override;
  absl::Status Write(WriteBatch& batch, bool sync) override;
  absl::StatusOr<std::optional<std::string>> Get(Family family, std::string_view key) override;
  std::unique_ptr<Cursor> Scan(Family family, std::string_view from, std::string_view to) override;
  std::vector<std::unique_ptr<Cursor>> ScanTogether(const std::vector<KeySpan>& spans) override;
  /// One at a time; others wait. Writers go on meanwhile. Blob files that are garbage as a whole go at once;
  /// of the others, the old ones are rewritten where that frees at least half of what it copies. kDataLoss
  /// when a damaged value is in the way: nothing is lost by that, and the store goes on. kCancelled after
  /// CancelReclaim.
  absl::Status Reclaim(Family family, std::string_view from, std::string_view to) override;
  /// Blocks allocated to the files, not their lengths: the write-ahead log is allocated ahead of its length,
  /// and that space is as gone from the volume as any. Looks at each file only when something may have
  /// changed since the last call.
  absl::StatusOr<uint64_t> FileBytes() override;
  absl::StatusOr<uint64_t> FreeBytes() override;

  /// The damage that a compaction met in a table, if one did since the start and the table is not mended. The
  /// store goes on without compacting by itself, so space is not given back where the table is in the way,
  /// and reads get slower.
  absl::Status table_damage() const;

  /// What is alive of the log family in [from, to), where all of it can be read; else kDataLoss.
  using FindLive = std::function<absl::StatusOr<LiveKeys>(std::string_view from, std::string_view to)>;
  /// Takes damaged blocks out of their tables, so that compactions get past them and go on by themselves:
  /// once nothing is alive any more that only such a block holds. Where nothing is known to be damaged it
  /// looks for it, by compacting everything. May take long; writers go on meanwhile.
  ///
  /// A table that refers to large values, or of which the first block or the index is damaged, is replaced as
  /// a whole: not at level 0, and not while more than 64 MiB are alive in its range.
  ///
  /// Errors: kDataLoss while something damaged was not written anew yet, or given up, or where a table cannot
  /// be mended; all is as before then, and later it may succeed. kCancelled after CancelReclaim.
  absl::Status MendTables(const FindLive& find_live);

  /// Ends a running Reclaim soon, and every later one at once: for a clean stop. Any thread.
  void CancelReclaim();

 private:
  explicit RocksDbStore(RocksDbOptions options);
  absl::Status OpenDatabase();
  absl::StatusOr<uint64_t> CountFileBytes() const;
  void StopCompacting();
  /// One table, by the number of its file.
  absl::Status MendTable(Family family, uint64_t file, const FindLive& find_live)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(reclaim_mutex_);
  /// Writes everything anew that is alive in the table's range, and drops the table.
  absl::Status ReplaceTable(Family family, const rocksdb::LiveFileMetaData& table, const FindLive& find_live)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(reclaim_mutex_);
  /// What is alive, by looking at every key. While nobody writes.
  absl::StatusOr<LiveKeys> ScanLive(Family family, std::string_view from, std::string_view to)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  /// Writes anew, durably, what is alive in [from, to), or of it the first key alone. Writes nothing where
  /// some of it cannot be read.
  absl::Status WriteAnew(Family family, std::string_view from, std::string_view to, const FindLive& find_live,
                         bool first_only) ABSL_LOCKS_EXCLUDED(write_mutex_);
  absl::Status CompactAll(Family family) ABSL_EXCLUSIVE_LOCKS_REQUIRED(reclaim_mutex_);
  rocksdb::Env& env() const;
  rocksdb::ColumnFamilyHandle* Handle(Family family) const { return handles_[static_cast<size_t>(family)]; }

  const RocksDbOptions options_;
  const std::unique_ptr<rocksdb::Env> own_env_;  ///< over options_.file_system, when there is one
  const std::shared_ptr<internal::FailStop> fail_stop_;
  std::unique_ptr<rocksdb::DB> db_;
  std::array<rocksdb::ColumnFamilyHandle*, std::size(kAllFamilies)> handles_{};
  std::array<std::shared_ptr<internal::HoleSkipping>, std::size(kAllFamilies)> skipping_;
  absl::Mutex reclaim_mutex_;  // before write_mutex_
  absl::Mutex write_mutex_;    // held while the store writes
  std::atomic<bool> reclaim_cancelled_{false};
  std::atomic<bool> compacts_{true};
  std::atomic<uint64_t> writes_{0};

  /// What FileBytes found when it counted last.
  struct Counted {
    uint64_t bytes = 0;
    uint64_t writes = 0;   ///< `writes_` before it
    absl::Time changed;    ///< when a file came or went last, before it
    bool may_grow = true;  ///< the engine may have been at work at a file meanwhile
  };
  absl::Mutex count_mutex_;
  Counted counted_ ABSL_GUARDED_BY(count_mutex_);
};

}  // namespace selvage
