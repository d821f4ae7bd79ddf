#include "fabric/storage/rocksdb_options.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <memory>

#include "fabric/storage/engine_log.h"

namespace selvage::internal {
namespace {

constexpr size_t kMiB = 1u << 20;

}  // namespace

std::string ColumnFamilyName(Family family) {
  return family == Family::kMeta ? rocksdb::kDefaultColumnFamilyName : std::string(FamilyName(family));
}

rocksdb::DBOptions MakeDbOptions(const RocksDbOptions& options) {
  rocksdb::DBOptions db;
  db.create_if_missing = options.create_if_missing;
  db.create_missing_column_families = true;

  // Recovery is a prefix of what was written, up to the first damage; whether that prefix holds all that was
  // acknowledged is the open check's question. Errors are never retried behind our back.
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  db.manual_wal_flush = false;
  db.max_bgerror_resume_count = 0;

  // All families share one write-ahead log, which is freed only when each of them has flushed: without a
  // limit a quiet family would hold it for ever. It also bounds the replay after a crash.
  db.max_total_wal_size = options.max_wal_bytes;

  // Opening must not cost more when more is stored: no visit to every file, and a short manifest to read.
  db.skip_stats_update_on_db_open = true;
  db.skip_checking_sst_file_sizes_on_db_open = true;
  db.max_manifest_file_size = 4 * kMiB;
  db.max_open_files = options.max_open_files;

  // Write-back of flushed files is spread out, so that the sync of a commit does not queue behind it.
  db.bytes_per_sync = kMiB;

  db.max_background_jobs = 2;
  db.avoid_unnecessary_blocking_io = true;  // whoever drops a cursor does not wait for files to be deleted
  db.info_log = std::make_shared<EngineLog>();
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  return db;
}

rocksdb::ColumnFamilyOptions MakeFamilyOptions(Family family, const RocksDbOptions& options,
                                               const std::shared_ptr<rocksdb::Cache>& cache,
                                               const std::shared_ptr<HoleSkipping>& skipping) {
  rocksdb::ColumnFamilyOptions cf;
  cf.compaction_filter_factory = skipping;
  // Logs and feeds are read by seeking, and meta and group are small enough to be cached whole: no filters.
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;
  if (family == Family::kRow) {
    // Rows are looked up one by one, also those that are not there. Filters and indexes of many rows do not
    // fit into the cache: they are read in parts.
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
    table.partition_filters = true;
  }
  cf.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  cf.compression = rocksdb::kNoCompression;  // batches come compressed by their producers
  cf.compaction_style = rocksdb::kCompactionStyleLevel;

  // Each family bounds its own buffers. One limit over both would flush the family with the oldest data,
  // which is nearly always a quiet one with next to nothing in it.
  cf.max_write_buffer_number = 2;
  if (family == Family::kRow || family == Family::kFeed) {
    cf.write_buffer_size = std::min(options.write_buffer_bytes, 4 * kMiB);
    cf.target_file_size_base = 8 * kMiB;
    cf.max_bytes_for_level_base = 32 * kMiB;
    return cf;
  }
  if (family != Family::kLog) {
    cf.write_buffer_size = std::min(options.write_buffer_bytes, 1 * kMiB);
    cf.target_file_size_base = 2 * kMiB;
    cf.max_bytes_for_level_base = 8 * kMiB;
    return cf;
  }

  cf.write_buffer_size = options.write_buffer_bytes;
  cf.target_file_size_base = 16 * kMiB;
  cf.max_bytes_for_level_base = 64 * kMiB;
  // Large values stay where the flush put them; compaction moves only their keys. It never relocates values
  // by itself, since a log is mostly trimmed from its old end, where whole blob files become garbage: Reclaim
  // relocates where that pays (see BlobCollector).
  cf.enable_blob_files = true;
  cf.min_blob_size = 4096;
  cf.blob_compression_type = rocksdb::kNoCompression;
  cf.enable_blob_garbage_collection = false;
  // The tables at level 0 are tiny then (keys and references), so many of them may wait while Reclaim runs
  // before writers have to.
  cf.level0_slowdown_writes_trigger = 64;
  cf.level0_stop_writes_trigger = 128;
  return cf;
}

rocksdb::CompactRangeOptions CompactKeysOnly(std::atomic<bool>& cancelled) {
  rocksdb::CompactRangeOptions compact;
  compact.exclusive_manual_compaction = false;
  // As without a filter: that of HoleSkipping is not there but while a table is mended.
  compact.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kSkip;
  compact.blob_garbage_collection_policy = rocksdb::BlobGarbageCollectionPolicy::kDisable;
  compact.canceled = &cancelled;
  return compact;
}

}  // namespace selvage::internal
