#include "fabric/table/table_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/canary.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"
#include "fabric/table/row_format.h"
#include "fabric/table/row_task.h"
#include "selvage/v1/store.pb.h"

namespace selvage::table {
namespace {

/// The clock's floor is raised by so much at a time: one write covers what comes in that time.
constexpr int64_t kFloorAheadMs = 10'000;

absl::Status UnknownTable(const std::string& table) {
  return MakeError(absl::StatusCode::kNotFound, "unknown_table", fmt::format("there is no table {}", table),
                   "see selvagectl table list");
}

template <class Document>
absl::StatusOr<std::optional<Document>> ReadDocument(KvStore& store, std::string_view key,
                                                     std::string_view what) {
  SELVAGE_ASSIGN_OR_RETURN(const auto stored, store.Get(Family::kMeta, key));
  if (!stored) return std::nullopt;
  Document document;
  if (!document.ParseFromString(*stored)) return DamagedMeta(what);
  return std::optional<Document>(std::move(document));
}

absl::StatusOr<FeedEpochs> EpochsOf(const v1::StoredFeedEpochs& stored) {
  std::vector<FeedEpochs::Epoch> epochs;
  for (const auto& epoch : stored.epochs()) {
    const auto id = FeedEpoch::FromBytes(epoch.id());
    if (!id) return DamagedMeta("list of feed epochs");
    epochs.push_back({*id, epoch.first()});
  }
  return FeedEpochs(std::move(epochs));
}

v1::StoredFeedEpochs Stored(const FeedEpochs& epochs) {
  v1::StoredFeedEpochs stored;
  for (const auto& [id, first] : epochs.epochs()) {
    auto* epoch = stored.add_epochs();
    epoch->set_id(id.bytes());
    epoch->set_first(first);
  }
  return stored;
}

std::string Stored(const TableCounts& counts) {
  v1::StoredTableCounts stored;
  stored.set_rows(counts.rows);
  stored.set_tombstones(counts.tombstones);
  stored.set_bytes(counts.bytes);
  return stored.SerializeAsString();
}

void Count(TableCounts& counts, const RowIndexed& row, bool stored) {
  if (row.bytes == 0) return;
  const uint64_t one = stored ? 1 : -uint64_t{1};
  (row.tombstone ? counts.tombstones : counts.rows) += one;
  counts.bytes += stored ? row.bytes : -uint64_t{row.bytes};
}

/// Brings one index from what it had of a row to what it is to have.
void StageIndex(WriteBatch& batch, FeedIndex index, TableNumber table, std::string_view key,
                std::optional<uint64_t> before, std::optional<uint64_t> now) {
  if (before == now) return;
  const bool named = index != FeedIndex::kExpiry;  // else the key itself holds the row's
  const auto feed_key = [&](uint64_t number) {
    return FeedKey(index, table, number, named ? std::string_view() : key);
  };
  if (before) batch.Delete(Family::kFeed, feed_key(*before));
  if (now) batch.Put(Family::kFeed, feed_key(*now), {named ? key : std::string_view()});
}

std::optional<uint64_t> TombstoneSequence(const RowIndexed& row) {
  return row.tombstone ? std::optional(row.newest()) : std::nullopt;
}

std::optional<uint64_t> ExpiryNumber(const RowIndexed& row) {
  // Times before 1970 are past in any case.
  if (!row.expires_at_ms) return std::nullopt;
  return static_cast<uint64_t>(std::max<int64_t>(*row.expires_at_ms, 0));
}

}  // namespace

TableStore::TableStore(TableEnvironment env, Options options)
    : env_(env),
      options_(std::move(options)),
      overlay_(env.store),
      clock_(Hlc(), {kClockMarginMs, kFloorAheadMs}) {}

TableStore::~TableStore() = default;

int64_t TableStore::now_ms() const {
  return absl::ToUnixMillis(env_.clock.Wall());
}

absl::Status TableStore::Open() {
  SELVAGE_ASSIGN_OR_RETURN(const uint64_t first, Load());
  return BeginEpoch(first);
}

absl::StatusOr<uint64_t> TableStore::Load() {
  SELVAGE_ASSIGN_OR_RETURN(const auto epochs, ReadDocument<v1::StoredFeedEpochs>(env_.store, kFeedEpochsKey,
                                                                                 "list of feed epochs"));
  SELVAGE_ASSIGN_OR_RETURN(const auto clock,
                           ReadDocument<v1::StoredTableClock>(env_.store, kTableClockKey, "clock of tables"));
  SELVAGE_ASSIGN_OR_RETURN(const auto next_table, env_.store.Get(Family::kMeta, kNextTableKey));
  if (next_table && next_table->size() != sizeof(uint32_t)) return DamagedMeta("number of the next table");

  absl::MutexLock lock(&mutex_);
  if (epochs) {
    SELVAGE_ASSIGN_OR_RETURN(epochs_, EpochsOf(*epochs));
  }
  if (next_table) next_table_ = LoadBig<uint32_t>(next_table->data());
  if (clock) clock_ = HlcClock(Hlc(clock->floor()), {kClockMarginMs, kFloorAheadMs});
  uint64_t first = clock ? clock->next_sequence() : 1;
  if (!epochs_.epochs().empty()) first = std::max(first, epochs_.epochs().back().first);

  auto documents = env_.store.Scan(Family::kMeta, kTablePrefix, PrefixEnd(kTablePrefix));
  for (documents->Seek(kTablePrefix); documents->Valid(); documents->Next()) {
    v1::StoredTable stored;
    const std::string_view number = documents->key().substr(kTablePrefix.size());
    if (number.size() != sizeof(uint32_t) || !stored.ParseFromString(std::string(documents->value()))) {
      return DamagedMeta("list of tables");
    }
    auto table = std::make_shared<Table>();
    table->number = TableNumber(LoadBig<uint32_t>(number.data()));
    table->definition = stored.definition();
    table->staged_definition = stored.definition();
    table->horizon = stored.horizon();
    table->collected = Hlc(stored.collected());
    table->next_index = std::max(stored.next_index(), 1u);
    SELVAGE_ASSIGN_OR_RETURN(table->staged, ReadCounts(table->number));
    table->published = table->staged;
    // The newest change that is still the newest of some field.
    const std::string feed = FeedKeys(FeedIndex::kSequence, table->number);
    auto newest = env_.store.Scan(Family::kFeed, feed, EndOfPrefix(feed));
    newest->SeekForPrev(EndOfPrefix(feed));
    if (newest->Valid()) first = std::max(first, NumberOfFeedKey(newest->key()) + 1);
    SELVAGE_RETURN_IF_ERROR(newest->status());
    LoadCapture(*table, stored.capture());
    SELVAGE_RETURN_IF_ERROR(LoadLists(*table));
    SELVAGE_RETURN_IF_ERROR(LoadIndexes(*table));
    SELVAGE_RETURN_IF_ERROR(LoadReaders(*table));
    numbered_[table->number] = table;
    tables_[table->definition.name()] = std::move(table);
  }
  SELVAGE_RETURN_IF_ERROR(documents->status());
  SELVAGE_RETURN_IF_ERROR(LoadTimes());
  return first;
}

absl::Status TableStore::LoadLists(Table& table) {
  const auto scan = [&](FeedIndex index) {
    const std::string keys = FeedKeys(index, table.number);
    return env_.store.Scan(Family::kFeed, keys, EndOfPrefix(keys));
  };
  auto conflicts = scan(FeedIndex::kConflict);
  conflicts->SeekForPrev(EndOfPrefix(FeedKeys(FeedIndex::kConflict, table.number)));
  if (conflicts->Valid()) table.next_conflict = NumberOfFeedKey(conflicts->key()) + 1;
  SELVAGE_RETURN_IF_ERROR(conflicts->status());
  // At most kQuarantinedMax.
  auto ahead = scan(FeedIndex::kAhead);
  for (ahead->Seek(""); ahead->Valid(); ahead->Next()) {
    ++table.quarantined;
    table.waiting.insert(NumberOfAheadKey(ahead->key()));
    table.next_quarantined = std::max(table.next_quarantined, NumberOfAheadKey(ahead->key()) + 1);
  }
  return ahead->status();
}

absl::StatusOr<TableCounts> TableStore::ReadCounts(TableNumber table) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto stored, ReadDocument<v1::StoredTableCounts>(
                                                  env_.store, TableCountsKey(table), "count of rows"));
  if (!stored) return TableCounts();
  return TableCounts{stored->rows(), stored->tombstones(), stored->bytes()};
}

absl::Status TableStore::BeginEpoch(uint64_t first) {
  FeedEpochs epochs;
  {
    absl::MutexLock lock(&mutex_);
    epochs = epochs_;
  }
  epochs.Begin(FeedEpoch::Mint(env_.random), first);
  return Commit(
      env_.committer,
      [&](WriteBatch& batch) {
        next_sequence_ = first;
        counting_ = epochs.current();
        batch.Put(Family::kMeta, kFeedEpochsKey, {Stored(epochs).SerializeAsString()});
        return absl::OkStatus();
      },
      [&](const absl::Status& status) {
        if (!status.ok()) return;
        absl::MutexLock lock(&mutex_);
        epochs_ = epochs;
        published_end_ = first;
      });
}

std::vector<v1::TableDefinition> TableStore::All() const {
  absl::MutexLock lock(&mutex_);
  std::vector<v1::TableDefinition> all;
  all.reserve(tables_.size());
  for (const auto& [name, table] : tables_) all.push_back(table->definition);
  return all;
}

std::optional<v1::TableDefinition> TableStore::Find(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  const auto found = tables_.find(name);
  if (found == tables_.end()) return std::nullopt;
  return found->second->definition;
}

absl::StatusOr<std::shared_ptr<TableStore::Table>> TableStore::TableNamed(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  const auto found = tables_.find(name);
  if (found == tables_.end()) return UnknownTable(name);
  return found->second;
}

absl::Status TableStore::Create(const v1::TableDefinition& definition, const Also& also) {
  auto table = std::make_shared<Table>();
  table->definition = definition;
  table->next_expiry_ms = INT64_MAX;
  table->next_ahead_ms = INT64_MAX;
  return Commit(
      env_.committer,
      [&](WriteBatch& batch) {
        absl::MutexLock lock(&mutex_);
        // Also those that this group makes: two that are made at once have one name only once.
        const bool taken = std::any_of(numbered_.begin(), numbered_.end(), [&](const auto& entry) {
          return !entry.second->dropped && entry.second->definition.name() == definition.name();
        });
        if (taken) {
          return MakeError(absl::StatusCode::kAlreadyExists, "table_exists",
                           fmt::format("there is a table {} already", definition.name()));
        }
        table->number = TableNumber(next_table_++);
        // Below what can be read: sequences that changed nothing may lie between.
        table->horizon = published_end_;
        std::string next;
        AppendBig<uint32_t>(next, next_table_);
        batch.Put(Family::kMeta, kNextTableKey, {next});
        table->staged_definition = definition;
        StageDefinition(batch, *table);
        numbered_[table->number] = table;
        also(batch);
        return absl::OkStatus();
      },
      [&](const absl::Status& status) {
        if (!status.ok()) return;
        absl::MutexLock lock(&mutex_);
        tables_[definition.name()] = table;
        ++changes_;
      });
}

absl::Status TableStore::Set(const v1::TableDefinition& definition, const Also& also) {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(definition.name()));
  return Commit(
      env_.committer,
      [&](WriteBatch& batch) {
        if (table->dropped) return UnknownTable(definition.name());
        absl::MutexLock lock(&mutex_);
        table->staged_definition = definition;
        StageDefinition(batch, *table);
        also(batch);
        return absl::OkStatus();
      },
      [&](const absl::Status& status) {
        if (!status.ok()) return;
        absl::MutexLock lock(&mutex_);
        table->definition = definition;
        ++changes_;
      });
}

void TableStore::StageDrop(WriteBatch& batch, Table& table) {
  const auto drop = [&](Family family, const std::string& keys) {
    batch.DeleteRange(family, keys, EndOfPrefix(keys));
  };
  table.dropped = true;
  // What earlier tasks of this group changed is written before it is deleted, not after.
  StageChanges(batch);
  StageClock(batch);
  batch.Delete(Family::kMeta, TableKey(table.number));
  batch.Delete(Family::kMeta, TableCountsKey(table.number));
  drop(Family::kMeta, TableCursorKeys(table.number));
  drop(Family::kMeta, TableReaderKeys(table.number));
  drop(Family::kMeta, TableIndexKeys(table.number));
  drop(Family::kRow, RowKeys(table.number));
  drop(Family::kRow, OwnedStateKeys(table.number));
  for (const FeedIndex index : kFeedIndexes) drop(Family::kFeed, FeedKeys(index, table.number));
  table.staged_indexes.clear();
  HoldIndexes(table);
  numbered_.erase(table.number);
}

absl::Status TableStore::Drop(const std::string& name, const Also& also) {
  if (const auto definition = Find(name); definition && !definition->view().empty()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "view_table",
                     fmt::format("table {} is that of view {}", name, definition->view()),
                     fmt::format("selvagectl view drop {} drops both", definition->view()));
  }
  return DropOwned(name, also);
}

absl::Status TableStore::DropOwned(const std::string& name, const Also& also) {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  SELVAGE_RETURN_IF_ERROR(Commit(
      env_.committer,
      [&](WriteBatch& batch) {
        if (table->dropped) return UnknownTable(name);
        StageDrop(batch, *table);
        also(batch);
        return absl::OkStatus();
      },
      [&](const absl::Status& status) {
        if (!status.ok()) return;
        absl::MutexLock lock(&mutex_);
        tables_.erase(name);
        ++changes_;
      }));
  const std::string rows = RowKeys(table->number);
  return env_.store.Reclaim(Family::kRow, rows, EndOfPrefix(rows));
}

absl::Status TableStore::Replace(const std::string& name, const std::string& by, const Also& also) {
  SELVAGE_ASSIGN_OR_RETURN(const auto old, TableNamed(name));
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(by));
  return Commit(
      env_.committer,
      [&](WriteBatch& batch) {
        if (old->dropped) return UnknownTable(name);
        if (table->dropped) return UnknownTable(by);
        StageDrop(batch, *old);
        also(batch);
        absl::MutexLock lock(&mutex_);
        table->staged_definition.set_name(name);
        table->horizon = next_sequence_;
        if (old->captured) table->capture_stopped = "the rows were made anew";
        StageDefinition(batch, *table);
        return absl::OkStatus();
      },
      [&](const absl::Status& status) {
        if (!status.ok()) return;
        absl::MutexLock lock(&mutex_);
        table->definition.set_name(name);
        tables_.erase(by);
        tables_[name] = table;
        ++changes_;
      });
}

absl::StatusOr<TableFacts> TableStore::Facts(const std::string& name) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  absl::MutexLock lock(&mutex_);
  return FactsOf(*table);
}

std::map<std::string, TableFacts> TableStore::AllFacts() const {
  absl::MutexLock lock(&mutex_);
  std::map<std::string, TableFacts> all;
  for (const auto& [name, table] : tables_) all.emplace(name, FactsOf(*table));
  return all;
}

TableFacts TableStore::FactsOf(const Table& table) const {
  TableFacts facts{.counts = table.published,
                   .end = {epochs_.current(), published_end_},
                   .quarantined = table.quarantined,
                   .conflicts_listed = table.next_conflict,
                   .capture = {table.captured, table.capture_stopped},
                   .damaged = {}};
  for (const auto& [key, refused] : table.damaged) facts.damaged.push_back(key);
  return facts;
}

FeedPosition TableStore::End() const {
  absl::MutexLock lock(&mutex_);
  return {epochs_.current(), published_end_};
}

int TableStore::Watch(std::function<void()> changed) {
  absl::MutexLock lock(&watch_mutex_);
  watchers_[next_watcher_] = std::move(changed);
  watchers_of_all_.insert(next_watcher_);
  return next_watcher_++;
}

int TableStore::WatchRows(const std::string& table, const std::string& prefix,
                          std::function<void()> changed) {
  const int handle = [&] {
    absl::MutexLock lock(&watch_mutex_);
    watchers_[next_watcher_] = std::move(changed);
    return next_watcher_++;
  }();
  absl::MutexLock lock(&mutex_);
  lanes_.Open(handle, table, prefix, published_end_);
  return handle;
}

uint64_t TableStore::EndOf(int watch) const {
  absl::MutexLock lock(&mutex_);
  return lanes_.End(watch, published_end_);
}

void TableStore::Unwatch(int handle) {
  {
    absl::MutexLock lock(&watch_mutex_);
    watchers_.erase(handle);
    watchers_of_all_.erase(handle);
  }
  absl::MutexLock lock(&mutex_);
  lanes_.Close(handle);
}

std::vector<std::shared_ptr<TableStore::Table>> TableStore::Tables() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<Table>> tables;
  tables.reserve(tables_.size());
  for (const auto& [name, table] : tables_) tables.push_back(table);
  return tables;
}

FeedEpochs TableStore::epochs() const {
  absl::MutexLock lock(&mutex_);
  return epochs_;
}

void TableStore::StageChanges(WriteBatch& batch) {
  std::map<TableNumber, std::shared_ptr<Table>> changed;
  for (RowOverlay::Entry* entry : overlay_.TakeDirty()) {
    entry->dirty = false;
    const auto table = numbered_.find(entry->table);
    if (table == numbered_.end()) continue;  // dropped by this group
    StageRow(batch, *table->second, *entry);
    changed[entry->table] = table->second;
  }
  StageEntries(batch);
  if (changed.empty()) return;
  for (const auto& [number, table] : changed) {
    batch.Put(Family::kMeta, TableCountsKey(number), {Stored(table->staged)});
    unpublished_.push_back(table);
  }
  StageClock(batch);
}

void TableStore::StageRow(WriteBatch& batch, Table& table, RowOverlay::Entry& entry) {
  RowIndexed now = IndexOf(entry.row);
  const RowIndexed& before = entry.indexed;
  const std::string key = RowKey(table.number, entry.key);
  if (now.sequences.empty()) {
    batch.Delete(Family::kRow, key);
    if (!table.staged_definition.view().empty()) {
      batch.Delete(Family::kRow, OwnedStateKey(table.number, entry.key));
    }
  } else {
    const std::string row = EncodeRow(entry.row);
    now.bytes = key.size() + row.size();
    batch.Put(Family::kRow, key, {row});
  }
  const auto feed_key = [&](uint64_t sequence) {
    return FeedKey(FeedIndex::kSequence, table.number, sequence);
  };
  for (const uint64_t sequence : before.sequences) {
    const bool stands = std::binary_search(now.sequences.begin(), now.sequences.end(), sequence);
    if (stands && !Planted(Canary::kDeleteStandingRecord)) continue;
    batch.Delete(Family::kFeed, feed_key(sequence));
  }
  for (const uint64_t sequence : now.sequences) {
    if (std::binary_search(before.sequences.begin(), before.sequences.end(), sequence)) continue;
    batch.Put(Family::kFeed, feed_key(sequence), {entry.key});
    table.unpublished.emplace_back(sequence, entry.key);
  }
  StageIndex(batch, FeedIndex::kTombstone, table.number, entry.key, TombstoneSequence(before),
             TombstoneSequence(now));
  StageIndex(batch, FeedIndex::kExpiry, table.number, entry.key, ExpiryNumber(before), ExpiryNumber(now));
  now.entries = IndexEntriesOf(table.number, *overlay_.IndexesOf(table.number), entry.key, entry.row);
  NoteEntries(before.entries, now.entries);
  if (now.expires_at_ms) table.staged_expiry_ms = std::min(table.staged_expiry_ms, *now.expires_at_ms);
  Count(table.staged, before, false);
  Count(table.staged, now, true);
  entry.indexed = std::move(now);
}

void TableStore::NoteEntries(const std::vector<std::string>& before, const std::vector<std::string>& now) {
  if (Planted(Canary::kIndexNotWithRow) && !before.empty()) return;
  for (const std::string& entry : before) {
    if (!std::binary_search(now.begin(), now.end(), entry)) entries_.push_back({entry, false});
  }
  for (const std::string& entry : now) {
    if (!std::binary_search(before.begin(), before.end(), entry)) entries_.push_back({entry, true});
  }
}

void TableStore::StageEntries(WriteBatch& batch) {
  std::sort(entries_.begin(), entries_.end());
  for (const auto& [entry, stands] : entries_) {
    if (stands) {
      batch.Put(Family::kFeed, entry, {});
    } else {
      batch.Delete(Family::kFeed, entry);
    }
  }
  entries_.clear();
}

void TableStore::StageClock(WriteBatch& batch) {
  const Hlc floor = clock_.FloorDue().value_or(clock_.floor());
  v1::StoredTableClock stored;
  stored.set_floor(floor.packed());
  // Peers may read up to there. After a restart the feed must not end before that, also where no record is
  // left at its end: they would take this store for one that was set back.
  stored.set_next_sequence(next_sequence_);
  batch.Put(Family::kMeta, kTableClockKey, {stored.SerializeAsString()});
  // In this batch, or the store has failed.
  clock_.FloorPersisted(floor);
}

void TableStore::StageDefinition(WriteBatch& batch, const Table& table) {
  v1::StoredTable stored;
  *stored.mutable_definition() = table.staged_definition;
  stored.set_horizon(table.horizon);
  stored.set_collected(table.collected.packed());
  if (table.capture_log != nullptr || !table.capture_stopped.empty()) {
    v1::StoredCapture& capture = *stored.mutable_capture();
    capture.set_on(table.capture_log != nullptr);
    capture.set_time_ms(table.capture_ms);
    capture.set_stopped(table.capture_stopped);
  }
  stored.set_next_index(table.next_index);
  batch.Put(Family::kMeta, TableKey(table.number), {stored.SerializeAsString()});
}

void TableStore::Publish() {
  const std::vector<std::shared_ptr<Table>> tables = std::exchange(unpublished_, {});
  if (tables.empty()) return;
  std::vector<int> concerned;
  {
    absl::MutexLock lock(&mutex_);
    published_end_ = next_sequence_;
    for (const auto& table : tables) {
      table->published = table->staged;
      // Not before: who scans for what is due would not find it yet, and take it for done.
      const int64_t expires_ms = std::exchange(table->staged_expiry_ms, INT64_MAX);
      LowerTo(table->next_expiry_ms, expires_ms);
      LowerTo(table->next_capture_ms, expires_ms);
      std::vector<FeedLanes::Change> changes = std::exchange(table->unpublished, {});
      std::sort(changes.begin(), changes.end());
      if (Planted(Canary::kNoteFirstChange)) changes.resize(std::min<size_t>(changes.size(), 1));
      const std::vector<int> readers = lanes_.Note(table->definition.name(), changes);
      concerned.insert(concerned.end(), readers.begin(), readers.end());
    }
  }
  absl::MutexLock lock(&watch_mutex_);
  concerned.insert(concerned.end(), watchers_of_all_.begin(), watchers_of_all_.end());
  for (const int handle : concerned) {
    if (const auto watcher = watchers_.find(handle); watcher != watchers_.end()) watcher->second();
  }
}

}  // namespace selvage::table
