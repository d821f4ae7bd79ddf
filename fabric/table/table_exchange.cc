#include "fabric/table/table_exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"
#include "fabric/table/apply_task.h"
#include "fabric/table/table_store.h"

namespace selvage::table {
namespace {

/// Feed records, or rows of a snapshot, that are looked at for one piece, wanted or not: reading must not
/// hold up a link for long.
constexpr size_t kLookedAtMax = 5'000;
/// Rows that one task sweeps.
constexpr size_t kSweptAtATime = 2'000;
constexpr size_t kHeldRow = 256;  // bytes in memory, about
/// Of stored changes that one list shows.
constexpr size_t kListedBytesMax = 16u << 20;

/// RowChange::known of a change with this sequence: some part came from there, or went there before.
bool IsKnownTo(const StoreId& peer, const Row& row, uint64_t sequence) {
  bool known = row.shared;
  ForEachWrite(row, [&](const Write& write) { known |= write.via == peer || write.sequence < sequence; });
  return known;
}

}  // namespace

void TableStore::Apply(const std::string& name, Incoming incoming, ApplyDone done) {
  const absl::Status submitted = SubmitApply(name, std::move(incoming), done);
  if (!submitted.ok()) done(submitted);
}

bool TableStore::OnlyReads(const Table& table) const {
  absl::MutexLock lock(&mutex_);
  return table.definition.direction() == (options_.is_edge ? v1::TABLE_DOWN : v1::TABLE_UP);
}

absl::Status TableStore::SubmitApply(const std::string& name, Incoming incoming, const ApplyDone& done) {
  SELVAGE_ASSIGN_OR_RETURN(auto table, TableNamed(name));
  SELVAGE_RETURN_IF_ERROR(CheckIncarnation(*table, incoming.incarnation));
  ApplyTask::What what;
  what.only_reads = OnlyReads(*table);
  if (incoming.sweep) {
    SELVAGE_ASSIGN_OR_RETURN(what.swept, SweepMost(table, incoming));
  }
  SELVAGE_ASSIGN_OR_RETURN(what.left, LeftAfter(*table, incoming));
  std::vector<std::string_view> keys(what.swept.begin(), what.swept.end());
  size_t bytes = incoming.bytes;
  for (const RowChange& change : incoming.changes) {
    keys.push_back(change.key);
    bytes += kHeldRow + change.key.size();
  }
  bytes = WithCapture(*table, bytes);
  // A cursor that moves, and a sweep, are small.
  SELVAGE_ASSIGN_OR_RETURN(DiskCharge charge, incoming.changes.empty() ? env_.budget.AdmitFromReserve(bytes)
                                                                       : env_.budget.Admit(bytes));
  RowOverlay::Keys replaceable = KeysOfWholeRows(incoming, what.only_reads);
  if (what.only_reads) replaceable.insert(what.swept.begin(), what.swept.end());
  SELVAGE_ASSIGN_OR_RETURN(RowOverlay::Held held, overlay_.Hold(table->number, keys, replaceable));
  what.incoming = std::move(incoming);
  if (Planted(Canary::kCursorBeforeRows)) {
    const auto batch = env_.store.NewBatch();
    const std::string key = TableCursorKeys(table->number) + what.incoming.peer.bytes();
    batch->Put(Family::kMeta, key, {Stored(what.incoming.cursor).SerializeAsString()});
    SELVAGE_RETURN_IF_ERROR(env_.store.Write(*batch, /*sync=*/true));
  }
  return env_.committer.Submit(std::make_unique<ApplyTask>(*this, std::move(table), std::move(held), bytes,
                                                           std::move(charge), std::move(what), done),
                               Committer::Limit::kNone);
}

absl::Status TableStore::CheckIncarnation(const Table& table, const Incarnation& incarnation) const {
  absl::MutexLock lock(&mutex_);
  if (table.definition.incarnation() == incarnation.bytes()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, "table_changed",
                   fmt::format("table {} was made again", table.definition.name()), "", Retry::kYes);
}

absl::StatusOr<std::vector<std::string>> TableStore::SweepMost(const std::shared_ptr<Table>& table,
                                                               const Incoming& incoming) {
  std::vector<std::string> listed;
  listed.reserve(incoming.changes.size());
  for (const RowChange& change : incoming.changes) listed.push_back(change.key);
  std::sort(listed.begin(), listed.end());
  const std::string rows = RowKeys(table->number);
  const std::string from = RowKey(table->number, incoming.sweep->from);
  const std::string to =
      incoming.sweep->upto ? RowKey(table->number, *incoming.sweep->upto) : EndOfPrefix(rows);
  std::vector<std::string> swept;
  if (from >= to) return swept;
  auto cursor = env_.store.Scan(Family::kRow, from, to);
  for (cursor->Seek(from); cursor->Valid(); cursor->Next()) {
    std::string key(cursor->key().substr(rows.size()));
    if (std::binary_search(listed.begin(), listed.end(), key)) continue;
    if (swept.size() == kSweptAtATime) {
      SELVAGE_RETURN_IF_ERROR(SweepNow(table, incoming, std::exchange(swept, {})));
    }
    swept.push_back(std::move(key));
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  return swept;
}

absl::Status TableStore::SweepNow(const std::shared_ptr<Table>& table, const Incoming& incoming,
                                  std::vector<std::string> swept) {
  ApplyTask::What what;
  what.only_reads = OnlyReads(*table);
  RowOverlay::Keys replaceable;
  if (what.only_reads) replaceable.insert(swept.begin(), swept.end());
  SELVAGE_ASSIGN_OR_RETURN(RowOverlay::Held held,
                           overlay_.Hold(table->number, {swept.begin(), swept.end()}, replaceable));
  const size_t bytes = swept.size() * kHeldRow;
  what.incoming.peer = incoming.peer;
  what.incoming.fence = incoming.fence;
  what.incoming.sweep = incoming.sweep;
  what.swept = std::move(swept);
  what.moves_cursor = false;
  return CommitAndWait(env_.committer,
                       std::make_unique<ApplyTask>(*this, table, std::move(held), bytes, DiskCharge(),
                                                   std::move(what), [](const absl::Status&) {}));
}

absl::StatusOr<std::optional<TableCursor>> TableStore::Cursor(const std::string& name,
                                                              const StoreId& peer) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  std::string key = TableCursorKeys(table->number);
  if (!Planted(Canary::kMoveForeignCursor)) key += peer.view();
  SELVAGE_ASSIGN_OR_RETURN(const auto stored, env_.store.Get(Family::kMeta, key));
  if (!stored) return std::nullopt;
  SELVAGE_ASSIGN_OR_RETURN(TableCursor cursor, CursorOf(*stored));
  return std::optional(std::move(cursor));
}

absl::StatusOr<std::map<StoreId, TableCursor>> TableStore::Cursors(const std::string& name) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  const std::string keys = TableCursorKeys(table->number);
  std::map<StoreId, TableCursor> cursors;
  auto stored = env_.store.Scan(Family::kMeta, keys, EndOfPrefix(keys));
  for (stored->Seek(keys); stored->Valid(); stored->Next()) {
    const auto peer = StoreId::FromBytes(stored->key().substr(keys.size()));
    if (!peer) return DamagedMeta("position in the feed of a table");
    SELVAGE_ASSIGN_OR_RETURN(cursors[*peer], CursorOf(stored->value()));
  }
  SELVAGE_RETURN_IF_ERROR(stored->status());
  return cursors;
}

void TableStore::StageForgetCursors(WriteBatch& batch) const {
  batch.DeleteRange(Family::kMeta, kTableCursorPrefix, PrefixEnd(kTableCursorPrefix));
}

absl::StatusOr<uint64_t> TableStore::StoredEnd() const {
  // Of the newest write there is, which may not be published yet.
  SELVAGE_ASSIGN_OR_RETURN(const auto stored, env_.store.Get(Family::kMeta, kTableClockKey));
  v1::StoredTableClock clock;
  if (stored && !clock.ParseFromString(*stored)) return DamagedMeta("clock of tables");
  return std::max(clock.next_sequence(), End().sequence);
}

absl::StatusOr<FeedPiece> TableStore::ReadFeed(const std::string& name, const FeedReader& reader,
                                               uint64_t from, size_t bytes_max) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  // Before the end: what was written without knowing of it lies below the end then.
  SELVAGE_ASSIGN_OR_RETURN(const auto read, Cursor(name, reader.peer));
  // What is synced is in the store before the end is published: none of it is missed below the end.
  FeedPiece piece{"", End().sequence};
  if (from >= piece.to) return FeedPiece{"", from};
  // What waits for its time has not been seen yet.
  if (read && read->intervals == 0 && table->quarantined == 0) piece.seen = read->feed;
  const auto check_horizon = [&]() -> absl::Status {
    absl::MutexLock lock(&mutex_);
    if (options_.is_edge || from == 0 || from >= table->horizon) return absl::OkStatus();
    return MakeError(absl::StatusCode::kOutOfRange, "position_expired",
                     fmt::format("deletes of table {} are forgotten that come after sequence {}", name, from),
                     "the table is sent anew", Retry::kYes);
  };
  SELVAGE_RETURN_IF_ERROR(check_horizon());
  const uint64_t sent = [&] {
    absl::MutexLock lock(&mutex_);
    uint64_t highest = 0;
    for (const auto& [node, one] : table->readers) highest = std::max(highest, one.sent);
    return highest;
  }();
  const std::vector<FeedLanes::Range> ranges = [&] {
    absl::MutexLock lock(&mutex_);
    return lanes_.Ranges(reader.watch, from, piece.to);
  }();
  if (ranges.empty()) {
    SELVAGE_ASSIGN_OR_RETURN(piece.source_end, StoredEnd());
    return piece;
  }
  ChangesWriter changes;
  size_t looked_at = 0;
  auto range = ranges.begin();
  const auto key_of = [&](uint64_t sequence) {
    return FeedKey(FeedIndex::kSequence, table->number, sequence);
  };
  auto cursor = env_.store.Scan(Family::kFeed, key_of(range->first), key_of(ranges.back().end));
  SELVAGE_ASSIGN_OR_RETURN(piece.source_end, StoredEnd());
  cursor->Seek(key_of(range->first));
  while (cursor->Valid()) {
    const uint64_t sequence = NumberOfFeedKey(cursor->key());
    while (sequence >= range->end) ++range;
    if (sequence < range->first) {
      cursor->Seek(key_of(range->first));
      continue;
    }
    if (changes.size() >= bytes_max || ++looked_at > kLookedAtMax) {
      if (!Planted(Canary::kAdvancePastUnread)) piece.to = sequence;
      piece.seen = {};
      break;
    }
    const std::string key(cursor->value());
    cursor->Next();
    if (!std::string_view(key).starts_with(reader.prefix)) continue;
    SELVAGE_ASSIGN_OR_RETURN(const Row row, ReadRow(*table, key));
    StoreId except = sequence < reader.full_to ? StoreId() : reader.peer;
    if (Planted(Canary::kFilterDespiteFullTo)) except = reader.peer;
    if (Planted(Canary::kEchoChange)) except = StoreId();
    if (auto change = PartsAt(row, sequence, except)) {
      changes.Add({key, *std::move(change), IsKnownTo(reader.peer, row, sequence) || sequence < sent});
    }
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  // Some may have gone while they were looked for.
  SELVAGE_RETURN_IF_ERROR(check_horizon());
  piece.rows = std::move(changes).Take();
  return piece;
}

absl::StatusOr<SnapshotPiece> TableStore::ReadSnapshot(const std::string& name, const SnapshotOf& wanted,
                                                       std::string_view from, size_t bytes_max) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  const size_t key_at = RowKeys(table->number).size();
  const std::string all = RowKey(table->number, wanted.prefix);
  const std::string first = std::max(all, RowKey(table->number, from));
  // Before the rows are read: what becomes due meanwhile is seen twice then, and not missed.
  SELVAGE_ASSIGN_OR_RETURN(const std::set<std::string> waiting, QuarantinedKeys(*table, wanted.prefix, from));
  auto next_waiting = waiting.begin();
  SnapshotPiece piece;
  ChangesWriter rows;
  size_t looked_at = 0;
  auto cursor = env_.store.Scan(Family::kRow, first, EndOfPrefix(all));
  SELVAGE_ASSIGN_OR_RETURN(piece.source_end, StoredEnd());
  cursor->Seek(first);
  while (cursor->Valid() || next_waiting != waiting.end()) {
    const bool is_row =
        cursor->Valid() && (next_waiting == waiting.end() || cursor->key().substr(key_at) <= *next_waiting);
    const std::string key(is_row ? cursor->key().substr(key_at) : *next_waiting);
    if (rows.size() >= bytes_max || ++looked_at > kLookedAtMax) {
      piece.upto = key;
      break;
    }
    bool incomplete = next_waiting != waiting.end() && *next_waiting == key;
    if (incomplete) ++next_waiting;
    Row row;
    if (is_row) {
      auto decoded = Decode(*table, key, cursor->value());
      incomplete |= !decoded.ok();
      if (decoded.ok()) row = *std::move(decoded);
      cursor->Next();
    }
    if (Planted(Canary::kLoseIntervalBoundary) && key == from) continue;
    if (wanted.written_by.empty()) {
      rows.Add({.key = key, .change = WholeRow(row), .incomplete = incomplete});
    } else if (auto parts = PartsWrittenBy(row, wanted.written_by)) {
      rows.Add({.key = key, .change = *std::move(parts), .incomplete = incomplete});
    }
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  piece.rows = std::move(rows).Take();
  return piece;
}

absl::StatusOr<std::set<std::string>> TableStore::QuarantinedKeys(const Table& table, std::string_view prefix,
                                                                  std::string_view from) const {
  std::set<std::string> found;
  const std::string keys = FeedKeys(FeedIndex::kAhead, table.number);
  auto cursor = env_.store.Scan(Family::kFeed, keys, EndOfPrefix(keys));
  for (cursor->Seek(keys); cursor->Valid(); cursor->Next()) {
    const auto waiting = ReadQuarantine(cursor->value());
    if (!waiting.ok()) continue;  // what it is about is not known
    for (const RowChange& change : waiting->changes) {
      if (std::string_view(change.key).starts_with(prefix) && change.key >= from) found.insert(change.key);
    }
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  return found;
}

absl::StatusOr<std::vector<v1::StoredConflict>> TableStore::Conflicts(const std::string& name,
                                                                      size_t max) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  const std::string keys = FeedKeys(FeedIndex::kConflict, table->number);
  std::vector<v1::StoredConflict> conflicts;
  auto cursor = env_.store.Scan(Family::kFeed, keys, EndOfPrefix(keys));
  for (cursor->SeekForPrev(EndOfPrefix(keys)); cursor->Valid() && conflicts.size() < max; cursor->Prev()) {
    if (!conflicts.emplace_back().ParseFromString(std::string(cursor->value()))) {
      return DamagedMeta("list of conflicts");
    }
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  return conflicts;
}

absl::StatusOr<std::vector<QuarantinedChange>> TableStore::Quarantined(const std::string& name,
                                                                       size_t max) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  const std::string keys = FeedKeys(FeedIndex::kAhead, table->number);
  std::vector<QuarantinedChange> changes;
  size_t bytes = 0;
  auto cursor = env_.store.Scan(Family::kFeed, keys, EndOfPrefix(keys));
  for (cursor->SeekForPrev(EndOfPrefix(keys));
       cursor->Valid() && changes.size() < max && bytes < kListedBytesMax; cursor->Prev()) {
    bytes += cursor->value().size();
    auto waiting = ReadQuarantine(cursor->value());
    if (!waiting.ok()) continue;  // listed when it is due
    const auto due_ms = static_cast<int64_t>(NumberOfFeedKey(cursor->key()));
    for (RowChange& change : waiting->changes) {
      SELVAGE_ASSIGN_OR_RETURN(Row now, ReadRow(*table, change.key));
      changes.push_back({waiting->peer, due_ms, std::move(change), std::move(now)});
    }
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  return changes;
}

}  // namespace selvage::table
