#include <fmt/format.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/metadata.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/storage/rocksdb_internal.h"
#include "fabric/storage/rocksdb_options.h"
#include "fabric/storage/rocksdb_store.h"
#include "fabric/storage/table_mending.h"

namespace selvage {

using internal::TableHole;
using internal::ToError;
using internal::ToSlice;

namespace {

/// What is written anew at once; it goes through memory.
constexpr size_t kAnewBytesMax = 64u << 20;

absl::Status NotMended(std::string_view why) {
  return MakeError(absl::StatusCode::kDataLoss, "table_not_mended",
                   fmt::format("a damaged table stays as it is: {}", why),
                   "it is tried again; retention makes what lies there less");
}

std::optional<rocksdb::LiveFileMetaData> FindLiveTable(rocksdb::DB& db, uint64_t file) {
  std::vector<rocksdb::LiveFileMetaData> tables;
  db.GetLiveFilesMetaData(&tables);
  for (rocksdb::LiveFileMetaData& table : tables) {
    if (table.file_number == file) return std::move(table);
  }
  return std::nullopt;
}

/// Whether a table that is older than this one, or as old, may hold something of the hole. A compaction of a
/// table of level 0 reads those, too, and skips the same stretch of them.
bool HasOlder(rocksdb::DB& db, const rocksdb::LiveFileMetaData& of, const TableHole& hole) {
  std::vector<rocksdb::LiveFileMetaData> tables;
  db.GetLiveFilesMetaData(&tables);
  return std::any_of(tables.begin(), tables.end(), [&](const rocksdb::LiveFileMetaData& table) {
    const bool may_be_older = table.level == 0 ? of.level == 0 : table.level > of.level;
    return table.column_family_name == of.column_family_name && table.file_number != of.file_number &&
           may_be_older && table.smallestkey < hole.behind && hole.before < table.largestkey;
  });
}

}  // namespace

absl::StatusOr<LiveKeys> RocksDbStore::ScanLive(Family family, std::string_view from, std::string_view to) {
  LiveKeys live;
  live.closed.emplace_back(from, to);
  const auto cursor = Scan(family, from, to);
  // Seeks reach what was written anew over a damaged block, steps do not.
  for (cursor->Seek(from); cursor->Valid(); cursor->Seek(live.keys.back() + '\0')) {
    live.keys.emplace_back(cursor->key());
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  return live;
}

absl::Status RocksDbStore::WriteAnew(Family family, std::string_view from, std::string_view to,
                                     const FindLive& find_live, bool first_only) {
  std::optional<LiveKeys> live;
  if (family == Family::kLog) {
    SELVAGE_ASSIGN_OR_RETURN(live, find_live(from, to));
  }
  absl::MutexLock lock(&write_mutex_);
  SELVAGE_RETURN_IF_ERROR(fail_stop_->status());
  if (!live) {
    SELVAGE_ASSIGN_OR_RETURN(live, ScanLive(family, from, to));
  }
  if (first_only) *live = {.keys = {std::string(from)}, .closed = {}};
  rocksdb::WriteBatch batch;
  rocksdb::Status staged;
  // What was deleted there stays deleted, whatever becomes of its tombstones. One tombstone over all of it is
  // what lets seeks step across the damage.
  for (const auto& [begin, end] : live->closed) {
    if (staged.ok()) staged = batch.DeleteRange(Handle(family), ToSlice(begin), ToSlice(end));
  }
  for (const std::string& key : live->keys) {
    SELVAGE_ASSIGN_OR_RETURN(const std::optional<std::string> value, Get(family, key));
    if (!value) continue;  // deleted
    if (staged.ok()) staged = batch.Put(Handle(family), ToSlice(key), ToSlice(*value));
    if (batch.GetDataSize() > kAnewBytesMax) {
      return NotMended("too much around the damage would have to be written anew");
    }
  }
  rocksdb::WriteOptions options;
  options.sync = true;
  if (staged.ok()) staged = db_->Write(options, &batch);
  ++writes_;
  return staged.ok() ? absl::OkStatus() : fail_stop_->Fail(ToError(staged, "writing to the store"));
}

absl::Status RocksDbStore::MendTable(Family family, uint64_t file, const FindLive& find_live) {
  const std::optional<rocksdb::LiveFileMetaData> table = FindLiveTable(*db_, file);
  if (!table) return absl::OkStatus();
  const std::string path = table->directory + "/" + table->relative_filename;
  const absl::StatusOr<std::vector<TableHole>> holes = internal::FindHoles(env(), path, table->largestkey);
  if (holes.ok() && holes->empty()) return absl::OkStatus();
  if (!holes.ok() || table->oldest_blob_file_number != 0) {
    if (!holes.ok() && !absl::IsDataLoss(holes.status())) return holes.status();
    return ReplaceTable(family, *table, find_live);
  }
  for (const TableHole& hole : *holes) {
    // Without older tables below it nothing but that key is lost, and nothing comes to light.
    const bool first_only = !HasOlder(*db_, *table, hole);
    SELVAGE_RETURN_IF_ERROR(WriteAnew(family, hole.before, hole.behind, find_live, first_only));
  }
  rocksdb::CompactionOptions compact;
  compact.compression = rocksdb::kDisableCompressionOption;  // the family's
  compact.output_file_size_limit = db_->GetOptions(Handle(family)).target_file_size_base;
  internal::HoleSkipping& skipping = *skipping_[static_cast<size_t>(family)];
  skipping.Skip(*holes);
  const rocksdb::Status compacted =
      db_->CompactFiles(compact, Handle(family), {table->relative_filename}, std::max(table->level, 1));
  skipping.SkipNothing();
  return ToError(compacted, "taking a damaged block out of a table");
}

absl::Status RocksDbStore::ReplaceTable(Family family, const rocksdb::LiveFileMetaData& table,
                                        const FindLive& find_live) {
  if (table.level == 0) return NotMended("it is at level 0 and cannot be taken out");
  const std::string to = table.largestkey + '\0';
  SELVAGE_RETURN_IF_ERROR(WriteAnew(family, table.smallestkey, to, find_live, /*first_only=*/false));
  // Tables below level 0 that lie in the range as a whole. None of them holds what was just written: without
  // compactions that comes no further than level 0. Values that only this table referred to are not counted
  // as garbage; their files go when they are the oldest.
  const rocksdb::Slice first = ToSlice(table.smallestkey);
  const rocksdb::Slice last = ToSlice(table.largestkey);
  const rocksdb::Status deleted =
      rocksdb::DeleteFilesInRange(db_.get(), Handle(family), &first, &last, /*include_end=*/true);
  if (!deleted.ok()) return fail_stop_->Fail(ToError(deleted, "dropping a damaged table"));
  return FindLiveTable(*db_, table.file_number) ? NotMended("a compaction has it") : absl::OkStatus();
}

absl::Status RocksDbStore::CompactAll(Family family) {
  rocksdb::CompactRangeOptions compact = internal::CompactKeysOnly(reclaim_cancelled_);
  compact.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  return ToError(db_->CompactRange(compact, Handle(family), nullptr, nullptr), "compacting everything");
}

absl::Status RocksDbStore::MendTables(const FindLive& find_live) {
  absl::MutexLock lock(&reclaim_mutex_);
  // Nothing may carry what is written anew into the tables that are mended.
  if (compacts_.exchange(false)) StopCompacting();
  absl::Status first;
  const auto suspects = fail_stop_->suspects();
  for (Family family : kAllFamilies) {
    const auto of_family = suspects.find(internal::ColumnFamilyName(family));
    if (of_family == suspects.end()) continue;
    for (uint64_t file : of_family->second) first.Update(MendTable(family, file, find_live));
  }
  // Which reads every table.
  for (Family family : kAllFamilies) {
    if (first.ok()) first.Update(CompactAll(family));
  }
  const bool damaged = !fail_stop_->table_damage().ok();
  if (first.ok() || !damaged) {
    fail_stop_->ForgetTableDamage();
    compacts_ = true;
    const rocksdb::Status enabled = db_->EnableAutoCompaction({handles_.begin(), handles_.end()});
    if (!enabled.ok()) return fail_stop_->Fail(ToError(enabled, "turning automatic compactions on"));
  }
  return first;
}

}  // namespace selvage
