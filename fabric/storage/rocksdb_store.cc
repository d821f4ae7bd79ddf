#include "fabric/storage/rocksdb_store.h"

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/write_batch.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "fabric/base/check.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "fabric/storage/blob_collector.h"
#include "fabric/storage/engine_checksum.h"
#include "fabric/storage/rocksdb_internal.h"
#include "fabric/storage/rocksdb_options.h"
#include "fabric/storage/table_mending.h"
#include "fabric/telemetry/log.h"

namespace selvage {

using internal::FailStop;
using internal::ToError;
using internal::ToSlice;
using internal::ToView;

namespace {

/// Without a file that came or went for so long, the engine is not at work in the background.
constexpr absl::Duration kQuiet = absl::Minutes(1);

class Batch : public WriteBatch {
 public:
  using Handles = std::array<rocksdb::ColumnFamilyHandle*, std::size(kAllFamilies)>;
  explicit Batch(const Handles& handles) : handles_(handles) {}

  void Put(Family family, std::string_view key, std::initializer_list<std::string_view> parts) override {
    std::vector<rocksdb::Slice> slices;
    slices.reserve(parts.size());
    for (std::string_view part : parts) slices.push_back(ToSlice(part));
    const rocksdb::Slice key_slice = ToSlice(key);
    Check(batch_.Put(Handle(family), rocksdb::SliceParts(&key_slice, 1),
                     rocksdb::SliceParts(slices.data(), static_cast<int>(slices.size()))));
  }
  void Delete(Family family, std::string_view key) override {
    Check(batch_.Delete(Handle(family), ToSlice(key)));
  }
  void DeleteRange(Family family, std::string_view from, std::string_view to) override {
    if (from >= to) return;  // RocksDB would refuse the whole batch
    Check(batch_.DeleteRange(Handle(family), ToSlice(from), ToSlice(to)));
  }
  size_t ByteSize() const override { return batch_.GetDataSize(); }
  bool Empty() const override { return batch_.Count() == 0; }
  void Clear() override {
    // The memory is kept for the next group, unless one huge value made it huge.
    if (batch_.GetDataSize() > kKeptBytes) {
      batch_ = rocksdb::WriteBatch();
    } else {
      batch_.Clear();
    }
  }

  rocksdb::WriteBatch& rep() { return batch_; }

 private:
  static constexpr size_t kKeptBytes = 16u << 20;

  rocksdb::ColumnFamilyHandle* Handle(Family family) const { return handles_[static_cast<size_t>(family)]; }
  /// A batch in memory refuses only keys or values of 4 GiB and more.
  static void Check(const rocksdb::Status& status) { SELVAGE_CHECK(status.ok()); }

  const Handles handles_;
  rocksdb::WriteBatch batch_;
};

class RocksDbCursor : public Cursor {
 public:
  using Snapshot = std::shared_ptr<const rocksdb::Snapshot>;
  /// Of now without a snapshot.
  RocksDbCursor(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family, std::string_view from,
                std::string_view to, Snapshot snapshot = nullptr)
      : from_(from), to_(to), from_slice_(from_), to_slice_(to_), snapshot_(std::move(snapshot)) {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_.get();
    options.iterate_lower_bound = &from_slice_;
    options.iterate_upper_bound = &to_slice_;
    it_.reset(db.NewIterator(options, family));
  }

  void Seek(std::string_view key) override { it_->Seek(ToSlice(key)); }
  void SeekForPrev(std::string_view key) override { it_->SeekForPrev(ToSlice(key)); }
  void Next() override {
    SELVAGE_CHECK(it_->Valid());
    it_->Next();
  }
  void Prev() override {
    SELVAGE_CHECK(it_->Valid());
    it_->Prev();
  }
  bool Valid() const override { return it_->Valid(); }
  std::string_view key() const override {
    SELVAGE_CHECK(it_->Valid());
    return ToView(it_->key());
  }
  std::string_view value() const override {
    SELVAGE_CHECK(it_->Valid());
    return ToView(it_->value());
  }
  absl::Status status() const override { return ToError(it_->status(), "reading the store"); }

 private:
  // The iterator refers to the bounds.
  const std::string from_;
  const std::string to_;
  const rocksdb::Slice from_slice_;
  const rocksdb::Slice to_slice_;
  const Snapshot snapshot_;
  std::unique_ptr<rocksdb::Iterator> it_;
};

/// Files that a creation cut short leaves behind, and what a fresh volume holds.
bool MayLieInNewStore(std::string_view name) {
  static constexpr std::string_view kNames[] = {".", "..", "LOCK", "IDENTITY", "lost+found"};
  static constexpr std::string_view kPrefixes[] = {"LOG", "MANIFEST-", "OPTIONS-"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames) ||
         std::any_of(std::begin(kPrefixes), std::end(kPrefixes),
                     [&](std::string_view prefix) { return name.substr(0, prefix.size()) == prefix; }) ||
         (name.size() > 6 && name.substr(name.size() - 6) == ".dbtmp");
}

/// Makes the directory and those above it, and returns after their entries are on stable storage: a power cut
/// must not take a directory away under files that were synced.
absl::Status MakeDurableDirectory(rocksdb::Env& env, const std::filesystem::path& path) {
  const std::filesystem::path wanted = std::filesystem::absolute(path).lexically_normal();
  std::filesystem::path directory = wanted.root_path();
  for (const std::filesystem::path& name : wanted.relative_path()) {
    if (name.empty()) continue;  // after a trailing slash
    const std::filesystem::path parent = std::exchange(directory, directory / name);
    const bool there = env.FileExists(directory.string()).ok();
    rocksdb::Status made = there ? rocksdb::Status::OK() : env.CreateDirIfMissing(directory.string());
    std::unique_ptr<rocksdb::Directory> entries;
    if (made.ok()) made = env.NewDirectory(parent.string(), &entries);
    if (made.ok()) made = entries->Fsync();
    // One that was there may have been made by a start that was cut short, but also be nobody's to sync.
    if (!made.ok() && !there) return ToError(made, fmt::format("creating {}", directory.string()));
  }
  return absl::OkStatus();
}

/// RocksDB would make a database in any directory, and delete there what it takes for its own leftovers.
absl::Status PrepareNewStore(rocksdb::Env& env, const std::filesystem::path& path, bool create_if_missing) {
  if (!create_if_missing) {
    return MakeError(absl::StatusCode::kNotFound, "store_missing",
                     fmt::format("there is no store in {}", path.string()),
                     "check the path of the data directory");
  }
  std::vector<std::string> children;
  const rocksdb::Status listed = env.GetChildren(path.string(), &children);
  const auto foreign = std::find_if_not(children.begin(), children.end(), MayLieInNewStore);
  if (listed.ok() && foreign != children.end()) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "not_a_store",
        fmt::format("{} is not a store, but holds other files (such as {})", path.string(), *foreign),
        "give the node a directory of its own; if this one held a store, its file CURRENT is lost");
  }
  return MakeDurableDirectory(env, path);
}

absl::Status FormatError(const std::filesystem::path& path, std::string_view what) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "store_format_newer",
      fmt::format("the store in {} has a format this program does not know: {}", path.string(), what),
      "start the newer version of Selvage that wrote this store");
}

/// A family that this program does not know was made by a newer one.
absl::Status CheckFamilies(const rocksdb::DBOptions& db, const std::filesystem::path& path) {
  std::vector<std::string> names;
  const rocksdb::Status listed = rocksdb::DB::ListColumnFamilies(db, path.string(), &names);
  if (!listed.ok()) return absl::OkStatus();  // opening meets the same error and tells it better
  for (const std::string& name : names) {
    const bool known = std::any_of(std::begin(kAllFamilies), std::end(kAllFamilies),
                                   [&](Family family) { return name == internal::ColumnFamilyName(family); });
    if (!known) return FormatError(path, fmt::format("table \"{}\"", name));
  }
  return absl::OkStatus();
}

bool IsAboutRights(const std::string& text) {
  for (const std::errc error :
       {std::errc::permission_denied, std::errc::operation_not_permitted, std::errc::read_only_file_system}) {
    if (text.find(std::make_error_code(error).message()) != std::string::npos) return true;
  }
  return false;
}

absl::Status OpenError(const rocksdb::Status& status, const std::filesystem::path& path) {
  const std::string text = status.ToString();
  if (status.IsIOError() && IsAboutRights(text)) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "data_dir_unusable",
        fmt::format("the store in {} may not be read and written by this user: {}", path.string(), text),
        "give the files to the user that this process runs as, on a volume that can be written");
  }
  if (status.IsIOError() && text.find("/LOCK") != std::string::npos) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "store_locked",
        fmt::format("the store in {} is in use by another process, or its lock cannot be taken: {}",
                    path.string(), text),
        "stop the other process, or give this node a directory of its own", Retry::kYes);
  }
  if (status.IsCorruption()) {
    return MakeError(
        absl::StatusCode::kDataLoss, "store_damaged",
        fmt::format("the store in {} is damaged: {}", path.string(), text),
        "check the disk; restore the store from a backup, or start empty and let the replica fill it");
  }
  if (status.IsNotSupported() || status.IsInvalidArgument()) return FormatError(path, text);
  return Annotate(ToError(status, "opening"), fmt::format("the store in {}", path.string()));
}

/// Nothing may be written with a checksum that others would find wrong; a slow one is only worth a word.
absl::Status CheckChecksum() {
  static const absl::StatusOr<internal::EngineChecksum> checked = [] {
    auto found = internal::CheckEngineChecksum();
    if (found.ok() && *found == internal::EngineChecksum::kSlow) {
      LogWarning(
          "the storage engine computes its checksums by table: it works, but takes more processor time");
    }
    return found;
  }();
  return checked.status();
}

}  // namespace

RocksDbStore::RocksDbStore(RocksDbOptions options)
    : options_(std::move(options)),
      own_env_(options_.file_system ? rocksdb::NewCompositeEnv(options_.file_system) : nullptr),
      fail_stop_(std::make_shared<FailStop>(options_.on_background_error)) {}

rocksdb::Env& RocksDbStore::env() const {
  return own_env_ ? *own_env_ : *rocksdb::Env::Default();
}

absl::StatusOr<std::unique_ptr<RocksDbStore>> RocksDbStore::Open(RocksDbOptions options) {
  std::unique_ptr<RocksDbStore> store(new RocksDbStore(std::move(options)));
  SELVAGE_RETURN_IF_ERROR(store->OpenDatabase());
  return store;
}

absl::Status RocksDbStore::OpenDatabase() {
  SELVAGE_RETURN_IF_ERROR(CheckChecksum());
  const std::filesystem::path& path = options_.path;
  rocksdb::DBOptions db_options = internal::MakeDbOptions(options_);
  db_options.env = &env();
  db_options.listeners.push_back(fail_stop_);
  if (env().FileExists((path / "CURRENT").string()).IsNotFound()) {
    SELVAGE_RETURN_IF_ERROR(PrepareNewStore(env(), path, options_.create_if_missing));
  } else {
    SELVAGE_RETURN_IF_ERROR(CheckFamilies(db_options, path));
  }

  // One shard: at this size, shards would be too small for the index blocks they hold.
  auto cache = rocksdb::NewLRUCache(options_.block_cache_bytes, /*num_shard_bits=*/0);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (Family family : kAllFamilies) {
    auto& skipping = skipping_[static_cast<size_t>(family)];
    skipping = std::make_shared<internal::HoleSkipping>();
    families.emplace_back(internal::ColumnFamilyName(family),
                          internal::MakeFamilyOptions(family, options_, cache, skipping));
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status opened = rocksdb::DB::Open(db_options, path.string(), families, &handles, &db);
  if (!opened.ok()) return OpenError(opened, path);
  db_.reset(db);
  std::copy(handles.begin(), handles.end(), handles_.begin());
  return fail_stop_->status();
}

RocksDbStore::~RocksDbStore() {
  if (db_ == nullptr) return;
  for (auto* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
  db_->Close();
}

std::unique_ptr<WriteBatch> RocksDbStore::NewBatch() {
  return std::make_unique<Batch>(handles_);
}

absl::Status RocksDbStore::Write(WriteBatch& batch, bool sync) {
  auto* ours = dynamic_cast<Batch*>(&batch);
  SELVAGE_CHECK(ours != nullptr);
  SELVAGE_RETURN_IF_ERROR(fail_stop_->status());
  rocksdb::WriteOptions options;
  options.sync = sync;
  absl::MutexLock lock(&write_mutex_);
  const rocksdb::Status written = db_->Write(options, &ours->rep());
  ++writes_;
  if (!written.ok()) return fail_stop_->Fail(ToError(written, "writing to the store"));
  if (!fail_stop_->table_damage().ok() && compacts_.exchange(false)) StopCompacting();
  return absl::OkStatus();
}

/// A compaction that met damage would be tried again every second, in vain; and its input would count towards
/// the number of tables at which writers have to wait. Without automatic compactions there is no such number.
void RocksDbStore::StopCompacting() {
  for (auto* family : handles_) {
    const rocksdb::Status set = db_->SetOptions(family, {{"disable_auto_compactions", "true"}});
    if (!set.ok()) (void)fail_stop_->Fail(ToError(set, "turning automatic compactions off"));
  }
}

absl::Status RocksDbStore::table_damage() const {
  return fail_stop_->table_damage();
}

absl::StatusOr<std::optional<std::string>> RocksDbStore::Get(Family family, std::string_view key) {
  std::string value;
  const rocksdb::Status got = db_->Get(rocksdb::ReadOptions(), Handle(family), ToSlice(key), &value);
  if (got.IsNotFound()) return std::optional<std::string>();
  if (!got.ok()) return ToError(got, "reading the store");
  return std::optional<std::string>(std::move(value));
}

std::unique_ptr<Cursor> RocksDbStore::Scan(Family family, std::string_view from, std::string_view to) {
  return std::make_unique<RocksDbCursor>(*db_, Handle(family), from, to);
}

std::vector<std::unique_ptr<Cursor>> RocksDbStore::ScanTogether(const std::vector<KeySpan>& spans) {
  const RocksDbCursor::Snapshot snapshot(
      db_->GetSnapshot(), [db = db_.get()](const rocksdb::Snapshot* taken) { db->ReleaseSnapshot(taken); });
  std::vector<std::unique_ptr<Cursor>> cursors;
  cursors.reserve(spans.size());
  for (const auto& [family, from, to] : spans) {
    cursors.push_back(std::make_unique<RocksDbCursor>(*db_, Handle(family), from, to, snapshot));
  }
  return cursors;
}

absl::Status RocksDbStore::Reclaim(Family family, std::string_view from, std::string_view to) {
  if (from >= to) return absl::OkStatus();
  absl::MutexLock lock(&reclaim_mutex_);
  // Compaction drops the deleted keys and counts their values as garbage of the blob files; files that are
  // garbage as a whole go with it. The tables hold keys and references only, so this is cheap.
  // DeleteFilesInRange is not used before it: it drops tables without counting, and may drop a tombstone
  // while a key it covers lives on in a table that reaches beyond the range.
  rocksdb::CompactRangeOptions compact = internal::CompactKeysOnly(reclaim_cancelled_);
  const rocksdb::Slice first = ToSlice(from);
  const rocksdb::Slice last = ToSlice(to);
  const rocksdb::Status compacted = db_->CompactRange(compact, Handle(family), &first, &last);
  if (!compacted.ok()) return ToError(compacted, "compacting a trimmed range");
  // All families share one write-ahead log: what a quiet one has not flushed holds on to files of it.
  const rocksdb::Status flushed = db_->Flush(rocksdb::FlushOptions(), {handles_.begin(), handles_.end()});
  if (!flushed.ok()) return ToError(flushed, "flushing, to free the write-ahead log");
  if (family != Family::kLog) return absl::OkStatus();

  fail_stop_->CopyingValues(true);
  absl::Status collected =
      internal::CollectBlobs(*db_, Handle(family), reclaim_cancelled_, [this] { return FreeBytes(); });
  fail_stop_->CopyingValues(false);
  return collected;
}

void RocksDbStore::CancelReclaim() {
  reclaim_cancelled_ = true;
}

absl::StatusOr<uint64_t> RocksDbStore::FileBytes() {
  absl::MutexLock lock(&count_mutex_);
  Counted now;
  now.writes = writes_;
  struct stat directory;
  if (::stat(options_.path.c_str(), &directory) == 0) now.changed = absl::TimeFromTimespec(directory.st_mtim);
  // A flush or a compaction under way makes its files grow; at its end some come and some go.
  now.may_grow = absl::AbsDuration(SystemClock().Wall() - now.changed) < kQuiet;
  const bool same = now.writes == counted_.writes && now.changed == counted_.changed && !counted_.may_grow;
  if (same) return counted_.bytes;
  SELVAGE_ASSIGN_OR_RETURN(now.bytes, CountFileBytes());
  counted_ = now;
  return now.bytes;
}

absl::StatusOr<uint64_t> RocksDbStore::CountFileBytes() const {
  uint64_t bytes = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator it(options_.path, error), end; !error && it != end;
       it.increment(error)) {
    struct stat info;
    // Files come and go meanwhile.
    if (::lstat(it->path().c_str(), &info) == 0) bytes += static_cast<uint64_t>(info.st_blocks) * 512;
  }
  if (error) {
    return MakeError(absl::StatusCode::kInternal, "io_error",
                     fmt::format("cannot list {}: {}", options_.path.string(), error.message()));
  }
  return bytes;
}

absl::StatusOr<uint64_t> RocksDbStore::FreeBytes() {
  struct statvfs volume;
  if (::statvfs(options_.path.c_str(), &volume) != 0) {
    return MakeError(absl::StatusCode::kInternal, "io_error",
                     fmt::format("cannot tell the space left in {}: {}", options_.path.string(),
                                 std::generic_category().message(errno)));
  }
  return uint64_t{volume.f_bavail} * volume.f_frsize;
}

}  // namespace selvage
