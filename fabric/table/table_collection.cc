#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"
#include "fabric/table/apply_task.h"
#include "fabric/table/late_writes.h"
#include "fabric/table/row_task.h"
#include "fabric/table/table_definition.h"
#include "fabric/table/table_store.h"

/// Tombstones: who needs them, and when they go. A delete must not come back, so a tombstone stays
///
///   - as long as a copy from a backup may come (setting tombstones_kept_ms), and
///   - until every node that has the table said that it has the delete. Where rows are written at both ends,
///   what
///     counts is what a node said in its own feed (ChangesEntry::seen): everything that it wrote without
///     knowing of the delete is here then.
///
/// The core waits no longer than tombstones_kept_max_ms. Who comes later takes the core's state by a snapshot
/// (TableSink::Resume), and what it wrote to rows that are gone is listed (late_writes.h).
namespace selvage::table {
namespace {

constexpr int64_t kDayMs = 86'400'000;
constexpr int64_t kKeptDefaultMs = 7 * kDayMs;
constexpr int64_t kKeptMaxDefaultMs = 60 * kDayMs;
/// Tombstones that one task collects.
constexpr size_t kCollectedAtATime = 500;
constexpr size_t kLookedAtOnce = 5'000;
constexpr size_t kHeldTombstone = 256;  // bytes in memory, about

int64_t KeptMs(const v1::TableSettings& settings) {
  return settings.tombstones_kept_ms() > 0 ? settings.tombstones_kept_ms() : kKeptDefaultMs;
}
int64_t KeptMaxMs(const v1::TableSettings& settings) {
  const int64_t max =
      settings.tombstones_kept_max_ms() > 0 ? settings.tombstones_kept_max_ms() : kKeptMaxDefaultMs;
  return std::max(max, KeptMs(settings));
}

class CollectTask : public RowTask {
 public:
  CollectTask(TableStore& store, std::shared_ptr<Table> table, RowOverlay::Held held,
              std::vector<std::string> keys, TombstoneHold hold)
      : RowTask(store, std::move(table), std::move(held), keys.size() * kHeldTombstone, DiskCharge()),
        keys_(std::move(keys)),
        hold_(std::move(hold)) {}

 private:
  absl::Status Change() override {
    for (const std::string& key : keys_) {
      if (IsDamaged(key)) continue;
      const Row& row = Current(key);
      const RowIndexed indexed = IndexOf(row);
      // It may have been written again since it was looked for.
      if (!indexed.tombstone || !hold_.IsNeededByNobody(row, indexed.newest())) continue;
      // It takes what is written until then.
      if (row.expiry && row.expiry->at_ms && *row.expiry->at_ms > now_ms()) continue;
      horizon_ = std::max(horizon_, indexed.newest() + 1);
      const Hlc time = TimeOfTombstone(row, indexed.newest() >= hold_.seen_before);
      // A clock that was ahead must not make late what is written from now on.
      collected_ = std::max(collected_, std::min(time, Hlc::AtMs(now_ms())));
      Replace(key, Row());
    }
    return absl::OkStatus();
  }
  void StageBeside(WriteBatch& batch) override { StageCollected(batch, horizon_, collected_); }
  void Done(const absl::Status&) override {}

  const std::vector<std::string> keys_;
  const TombstoneHold hold_;
  uint64_t horizon_ = 0;
  Hlc collected_;
};

v1::StoredTableReader Stored(const TableReader& reader) {
  v1::StoredTableReader stored;
  stored.set_store_id(reader.store.bytes());
  stored.set_epoch(reader.acknowledged.epoch.bytes());
  stored.set_sequence(reader.acknowledged.sequence);
  stored.set_moved_ms(reader.moved_ms);
  stored.set_sent(reader.sent);
  stored.set_sent_as(reader.sent_as.bytes());
  stored.set_sent_here(reader.sent_here);
  return stored;
}

v1::StoredFeedTimes Stored(const FeedTimes& times) {
  v1::StoredFeedTimes stored;
  for (const FeedTimes::Note& note : times.notes()) {
    auto* one = stored.add_notes();
    one->set_at_ms(note.at_ms);
    one->set_sequence(note.sequence);
  }
  return stored;
}

}  // namespace

bool TombstoneHold::IsNeededByNobody(const Row& tombstone, uint64_t newest) const {
  if (newest < before) return true;
  if (newest >= from_source_before || source.none()) return false;
  bool all = true;
  ForEachWrite(tombstone, [&](const Write& write) { all = all && write.via == source; });
  return all;
}

absl::Status TableStore::LoadTimes() {
  SELVAGE_ASSIGN_OR_RETURN(const auto bytes, env_.store.Get(Family::kMeta, kFeedTimesKey));
  if (!bytes) return absl::OkStatus();
  v1::StoredFeedTimes stored;
  if (!stored.ParseFromString(*bytes)) return DamagedMeta("times of the change feed");
  std::vector<FeedTimes::Note> notes;
  for (const auto& note : stored.notes()) notes.push_back({note.at_ms(), note.sequence()});
  times_ = FeedTimes(notes);
  return absl::OkStatus();
}

absl::Status TableStore::LoadReaders(Table& table) const {
  const std::string keys = TableReaderKeys(table.number);
  auto cursor = env_.store.Scan(Family::kMeta, keys, EndOfPrefix(keys));
  for (cursor->Seek(keys); cursor->Valid(); cursor->Next()) {
    v1::StoredTableReader stored;
    if (!stored.ParseFromString(std::string(cursor->value()))) return DamagedMeta("reader of a table");
    Table::Reader& reader = table.readers[std::string(cursor->key().substr(keys.size()))];
    reader.store = StoreId::FromBytes(stored.store_id()).value_or(StoreId());
    reader.acknowledged = {FeedEpoch::FromBytes(stored.epoch()).value_or(FeedEpoch()), stored.sequence()};
    reader.moved_ms = stored.moved_ms();
    reader.sent = stored.sent();
    reader.sent_as = StoreId::FromBytes(stored.sent_as()).value_or(StoreId());
    reader.sent_here = stored.sent_here();
    reader.stored = true;
  }
  return cursor->status();
}

void TableStore::NoteReader(const std::string& name, const std::string& node, const StoreId& store,
                            uint64_t acknowledged) {
  absl::MutexLock lock(&mutex_);
  const auto found = tables_.find(name);
  if (found == tables_.end()) return;
  Table& table = *found->second;
  const FeedPosition at{epochs_.current(), acknowledged};
  Table::Reader& reader = table.readers[node];
  if (reader.store == store && reader.acknowledged == at) return;
  reader.store = store;
  reader.acknowledged = at;
  reader.sent = std::max(reader.sent, acknowledged);
  const StoreId own = options_.store_id();
  if (std::exchange(reader.sent_as, own) != own) reader.sent_here = 0;
  reader.sent_here = std::max(reader.sent_here, acknowledged);
  reader.moved_ms = now_ms();
  reader.stored = false;
}

uint64_t TableStore::SentTo(const std::string& name, const std::string& node) const {
  absl::MutexLock lock(&mutex_);
  const auto found = tables_.find(name);
  if (found == tables_.end()) return 0;
  const auto reader = found->second->readers.find(node);
  if (reader == found->second->readers.end()) return 0;
  return reader->second.sent_as == options_.store_id() ? reader->second.sent_here : 0;
}

absl::StatusOr<std::map<std::string, TableReader>> TableStore::Readers(const std::string& name) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  absl::MutexLock lock(&mutex_);
  return std::map<std::string, TableReader>(table->readers.begin(), table->readers.end());
}

absl::Status TableStore::ForgetReader(const std::string& name, const std::string& node) {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  SELVAGE_RETURN_IF_ERROR(Commit(env_.committer, [&](WriteBatch& batch) {
    absl::MutexLock lock(&mutex_);
    const auto found = table->readers.find(node);
    if (found == table->readers.end()) {
      return MakeError(absl::StatusCode::kNotFound, "unknown_reader",
                       fmt::format("no node {} reads table {}", node, name), "see selvagectl table describe");
    }
    batch.Delete(Family::kMeta, TableReaderKeys(table->number) + node);
    table->readers.erase(found);
    return absl::OkStatus();
  }));
  table->next_collect_ms = INT64_MIN;
  return absl::OkStatus();
}

absl::Status TableStore::StoreReaders() {
  for (const auto& table : Tables()) {
    std::map<std::string, TableReader> moved;
    {
      absl::MutexLock lock(&mutex_);
      for (auto& [node, reader] : table->readers) {
        if (!std::exchange(reader.stored, true)) moved.emplace(node, reader);
      }
    }
    if (moved.empty()) continue;
    SELVAGE_RETURN_IF_ERROR(Commit(env_.committer, [&](WriteBatch& batch) {
      if (table->dropped) return absl::OkStatus();
      absl::MutexLock lock(&mutex_);
      for (const auto& [node, reader] : moved) {
        if (!table->readers.contains(node)) continue;  // let go meanwhile
        batch.Put(Family::kMeta, TableReaderKeys(table->number) + node, {Stored(reader).SerializeAsString()});
      }
      return absl::OkStatus();
    }));
  }
  return absl::OkStatus();
}

absl::Status TableStore::TellWhatWasRead() {
  read_further_ = false;
  const std::vector<v1::TableDefinition> all = All();
  const bool two_ways = std::any_of(all.begin(), all.end(), [](const v1::TableDefinition& definition) {
    return definition.direction() == v1::TABLE_BOTH;
  });
  if (!two_ways) return absl::OkStatus();
  // One place in the feed in which nothing changed: the core is sent it, and with it what was read here.
  return Commit(
      env_.committer,
      [&](WriteBatch& batch) {
        ++next_sequence_;
        StageClock(batch);
        return absl::OkStatus();
      },
      [&](const absl::Status& status) {
        if (!status.ok()) return;
        // What this group changed as well is told before it lies below the end.
        Publish();
        // Nobody is woken: links look at their ends now and then.
        absl::MutexLock lock(&mutex_);
        published_end_ = next_sequence_;
      });
}

absl::StatusOr<uint64_t> TableStore::Horizon(const std::string& name) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  absl::MutexLock lock(&mutex_);
  return table->horizon;
}

absl::StatusOr<TombstoneHold> TableStore::HoldOf(const std::string& name) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  return HoldOf(*table, now_ms());
}

absl::StatusOr<uint64_t> TableStore::SeenBy(const Table& table, const TableReader& reader) const {
  FeedPosition has = reader.acknowledged;
  v1::TableDirection direction = v1::TABLE_DIRECTION_UNSPECIFIED;
  {
    absl::MutexLock lock(&mutex_);
    direction = table.definition.direction();
  }
  if (direction == v1::TABLE_BOTH) {
    SELVAGE_ASSIGN_OR_RETURN(const auto stored, env_.store.Get(Family::kMeta, TableCursorKeys(table.number) +
                                                                                  reader.store.bytes()));
    has = {};
    if (stored) {
      SELVAGE_ASSIGN_OR_RETURN(const TableCursor cursor, CursorOf(*stored));
      has = cursor.seen;
    }
  }
  absl::MutexLock lock(&mutex_);
  return epochs_.Resume(has.epoch, has.sequence).value_or(0);
}

absl::StatusOr<TombstoneHold> TableStore::HoldOf(const Table& table, int64_t now) const {
  v1::TableDefinition definition;
  std::map<std::string, TableReader> readers;
  TombstoneHold hold;
  uint64_t kept_max = 0;
  {
    absl::MutexLock lock(&mutex_);
    definition = table.definition;
    readers.insert(table.readers.begin(), table.readers.end());
    hold.before = times_.ReachedBy(now - KeptMs(definition.settings()));
    kept_max = table.published.tombstones > kTombstonesMax
                   ? hold.before
                   : times_.ReachedBy(now - KeptMaxMs(definition.settings()));
  }
  const v1::TableDirection direction = definition.direction();
  const bool is_read =
      direction == v1::TABLE_BOTH || direction == (options_.is_edge ? v1::TABLE_UP : v1::TABLE_DOWN);
  // Edges that write one row do not know of each other's deletes, and may send theirs late.
  const bool shared_up =
      direction == v1::TABLE_UP && !options_.is_edge && !HasPrefixOfEdge(definition.settings());
  if (shared_up) hold.before = 0;
  if (is_read && options_.is_edge && readers.empty()) readers["core"] = {};
  if (is_read && !Planted(Canary::kCollectUnseen)) {
    for (const auto& [node, reader] : readers) {
      SELVAGE_ASSIGN_OR_RETURN(const uint64_t seen, SeenBy(table, reader));
      if (options_.is_edge) {
        hold.source = reader.store;
        hold.from_source_before = hold.before;
      }
      if (seen >= hold.before) continue;
      hold.before = seen;
      hold.node = node;
      hold.since_ms = reader.moved_ms;
    }
  }
  // What an edge deleted is kept until the core has it, whatever that takes.
  hold.seen_before = hold.before;
  if (!options_.is_edge) hold.before = std::max(hold.before, kept_max);
  return hold;
}

absl::Status TableStore::NoteTime(int64_t now) {
  int64_t kept_ms = kKeptDefaultMs;
  for (const v1::TableDefinition& definition : All())
    kept_ms = std::min(kept_ms, KeptMs(definition.settings()));
  next_note_ms_ = now + std::max<int64_t>(kept_ms / 64, 1);
  FeedTimes times;
  {
    absl::MutexLock lock(&mutex_);
    times_.Add({now, published_end_});
    times = times_;
  }
  return Commit(env_.committer, [&](WriteBatch& batch) {
    batch.Put(Family::kMeta, kFeedTimesKey, {Stored(times).SerializeAsString()});
    return absl::OkStatus();
  });
}

absl::Status TableStore::CollectTombstones(const std::shared_ptr<Table>& table) {
  const int64_t now = now_ms();
  uint64_t tombstones = 0;
  int64_t kept_ms = 0;
  {
    absl::MutexLock lock(&mutex_);
    tombstones = table->published.tombstones;
    kept_ms = KeptMs(table->definition.settings());
  }
  table->next_collect_ms = now + std::min(kCollectEveryMs, std::max<int64_t>(kept_ms / 64, 1));
  if (tombstones == 0) return absl::OkStatus();
  // Or the clock was ahead.
  if (next_note_ms_ <= now || next_note_ms_ - now > kept_ms) SELVAGE_RETURN_IF_ERROR(NoteTime(now));
  SELVAGE_ASSIGN_OR_RETURN(const TombstoneHold hold, HoldOf(*table, now));
  std::vector<std::string> keys;
  const std::string index = FeedKeys(FeedIndex::kTombstone, table->number);
  const uint64_t upto = std::max(hold.before, hold.from_source_before);
  auto cursor = env_.store.Scan(Family::kFeed, index, FeedKey(FeedIndex::kTombstone, table->number, upto));
  size_t looked_at = 0;
  for (cursor->Seek(index); cursor->Valid() && keys.size() < kCollectedAtATime && looked_at < kLookedAtOnce;
       cursor->Next()) {
    ++looked_at;
    const std::string key(cursor->value());
    const uint64_t newest = NumberOfFeedKey(cursor->key());
    if (newest >= hold.before) {
      SELVAGE_ASSIGN_OR_RETURN(const Row tombstone, ReadRow(*table, key));
      if (!HasParts(tombstone) || !hold.IsNeededByNobody(tombstone, newest)) continue;
    }
    keys.push_back(key);
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  if (keys.empty()) return absl::OkStatus();
  if (keys.size() == kCollectedAtATime) table->next_collect_ms = now;
  SELVAGE_ASSIGN_OR_RETURN(RowOverlay::Held held, overlay_.Hold(table->number, {keys.begin(), keys.end()}));
  SELVAGE_RETURN_IF_ERROR(CommitAndWait(
      env_.committer, std::make_unique<CollectTask>(*this, table, std::move(held), std::move(keys), hold)));
  return absl::OkStatus();
}

}  // namespace selvage::table
