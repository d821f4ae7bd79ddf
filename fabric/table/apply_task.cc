#include "fabric/table/apply_task.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/stream/meta_keys.h"
#include "fabric/table/late_writes.h"
#include "fabric/table/restamp.h"

namespace selvage::table {
namespace {

/// True when a part was written here that the peer does not have yet.
bool IsUnsent(const Row& row, uint64_t unsent) {
  bool found = false;
  ForEachWrite(row, [&](const Write& write) { found |= write.via.none() && write.sequence >= unsent; });
  return found;
}

bool HasCounted(const Field& field, const Contributor& by) {
  return std::any_of(field.contributions.begin(), field.contributions.end(),
                     [&](const auto& entry) { return entry.first.by == by; });
}

bool SaysAll(const Incoming& incoming, const RowChange& change, bool only_reads) {
  return incoming.sweep ? !change.incomplete : only_reads && change.change.clear.has_value();
}

}  // namespace

RowOverlay::Keys KeysOfWholeRows(const Incoming& incoming, bool only_reads) {
  RowOverlay::Keys keys;
  for (const RowChange& change : incoming.changes) {
    if (SaysAll(incoming, change, only_reads)) keys.insert(change.key);
  }
  return keys;
}

absl::Status ApplyTask::Change() {
  const Incoming& incoming = what_.incoming;
  if (what_.was_quarantined && !IsWaiting(*what_.was_quarantined)) return absl::OkStatus();
  if (!what_.was_quarantined) SELVAGE_RETURN_IF_ERROR(CheckFence(incoming.fence));
  if (what_.damaged) ListDamaged("", *what_.damaged);
  for (const auto& [key, conflict] : what_.removed) List(key, conflict);
  for (const RowChange& change : incoming.changes) ApplyChange(change);
  if (table().quarantined + ahead_.size() > TableStore::kQuarantinedMax) {
    return MakeError(absl::StatusCode::kResourceExhausted, "quarantine_full",
                     fmt::format("{} changes of table {} wait for their time already",
                                 table().quarantined.load(), definition().name()),
                     "the clock of a node is far ahead of this one's: mend it", Retry::kYes);
  }
  for (const std::string& key : what_.swept) Sweep(key);
  return absl::OkStatus();
}

CaptureReason ApplyTask::ReasonOf(std::string_view key) const {
  if (what_.was_quarantined) return CaptureReason::kRelease;
  const bool swept = swept_.contains(key) && !Planted(Canary::kCaptureSweepAsDelete);
  return swept ? CaptureReason::kSweep : CaptureReason::kMerge;
}

void ApplyTask::ApplyChange(const RowChange& change) {
  const Incoming& incoming = what_.incoming;
  if (!std::string_view(change.key).starts_with(incoming.allowed)) {
    v1::StoredConflict refused;
    refused.set_key(change.key);
    refused.set_kind("not_allowed");
    refused.set_loser_time(NewestOf(change.change).packed());
    refused.set_loser_store(incoming.peer.bytes());
    return List(std::move(refused));
  }
  if (!Observe(change.change)) {
    ahead_.push_back(&change);
    return;
  }
  if (IsDamaged(change.key)) {
    if (!SaysAll(incoming, change, what_.only_reads)) return RefuseForDamage(change);
    TakeOver(change.key);
  }
  // What waited here goes to everybody when it comes: its sender may have been restored, or sent a snapshot,
  // without it meanwhile.
  const StoreId via = what_.was_quarantined ? StoreId() : incoming.peer;
  const Arrival arrival{via, NextSequence()};
  if (incoming.sweep && !change.incomplete) SweepParts(change);
  const bool two_ways = definition().direction() == v1::TABLE_BOTH;
  const bool was_here = change.known && (!incoming.lost || Planted(Canary::kAbsenceIsDelete));
  if (!was_here || !is_core() || !two_ways || HasParts(Current(change.key)) ||
      Planted(Canary::kTakeLateWrites)) {
    MergeInto(change.key, change.change, arrival);
    return;
  }
  // The row was deleted, and its tombstone is gone.
  LateWrites parts = SplitLate(change.change, collected());
  for (const Conflict& late : parts.late) List(change.key, late);
  if (HasParts(parts.rest)) MergeInto(change.key, parts.rest, arrival);
}

void ApplyTask::RefuseForDamage(const RowChange& change) {
  // Each would push another conflict out of the list, and says no more than the first.
  if (!HasParts(change.change) || !NoteRefused(change.key)) return;
  v1::StoredConflict refused;
  refused.set_key(change.key);
  refused.set_kind("not_taken");
  refused.set_loser_time(NewestOf(change.change).packed());
  refused.set_loser_store(what_.incoming.peer.bytes());
  List(std::move(refused));
}

bool ApplyTask::Observe(const table::Change& change) {
  bool near = true;
  ForEachWrite(change,
               [&](const Write& write) { near = near && clock().Observe(write.stamp.hlc, now_ms()); });
  return near || Planted(Canary::kApplyQuarantined);
}

void ApplyTask::SweepParts(const RowChange& listed) {
  const Row& row = Current(listed.key);
  const auto is_unsent = [&](const Write& write) {
    return write.via.none() && write.sequence >= what_.incoming.sweep->unsent;
  };
  bool counted = false;
  bool swept = false;
  Row kept = row;
  const auto goes = [&](const Write& write, const Write* there) {
    const bool gone = !is_unsent(write) && (there == nullptr || there->stamp < write.stamp);
    swept |= gone;
    return gone;
  };
  const Row& now = listed.change;
  if (row.clear && goes(row.clear->write, now.clear ? &now.clear->write : nullptr)) kept.clear.reset();
  if (row.expiry && goes(row.expiry->write, now.expiry ? &now.expiry->write : nullptr)) kept.expiry.reset();
  for (auto at = kept.fields.begin(); at != kept.fields.end();) {
    Field& field = at->second;
    const auto listed_field = now.fields.find(at->first);
    const Field* there = listed_field == now.fields.end() ? nullptr : &listed_field->second;
    if (field.set && goes(field.set->write, there && there->set ? &there->set->write : nullptr)) {
      field.set.reset();
    }
    std::erase_if(field.contributions, [&](const auto& entry) {
      const bool is_there = there != nullptr && there->contributions.contains(entry.first);
      const bool gone =
          goes(entry.second.write, is_there ? &there->contributions.at(entry.first).write : nullptr);
      counted |= gone && entry.first.by == contributor();
      return gone;
    });
    at = !field.set && field.contributions.empty() ? kept.fields.erase(at) : std::next(at);
  }
  if (!swept) return;
  swept_.insert(listed.key);
  if (counted) CountAsAnother();
  Replace(listed.key, std::move(kept));
}

void ApplyTask::Sweep(const std::string& key) {
  if (IsDamaged(key)) {
    // It may have something that the peer has not heard of.
    if (!what_.only_reads) return;
    TakeOver(key);
  }
  const Row& row = Current(key);
  if (IsUnsent(row, what_.incoming.sweep->unsent) && !Planted(Canary::kSweepUnsent)) return;
  const bool counted = std::any_of(row.fields.begin(), row.fields.end(), [&](const auto& field) {
    return HasCounted(field.second, contributor());
  });
  if (counted) CountAsAnother();
  Replace(key, Row());
  swept_.insert(key);
}

bool ApplyTask::IsWaiting(const std::string& ahead_key) const {
  return table().waiting.contains(NumberOfAheadKey(ahead_key));
}

void ApplyTask::StopWaiting(WriteBatch& batch, const std::string& ahead_key) {
  if (table().waiting.erase(NumberOfAheadKey(ahead_key)) == 0) return;
  batch.Delete(Family::kFeed, ahead_key);
  --table().quarantined;
}

void ApplyTask::StageBeside(WriteBatch& batch) {
  // No tombstone tells of what was swept: whoever follows the changes here begins anew.
  if (!swept_.empty()) StageCollected(batch, NextSequence() + 1, Hlc());
  const TableNumber number = table().number;
  for (const RowChange* change : ahead_) {
    const int64_t due_ms = NewestOf(change->change).ms() - kClockMarginMs;
    std::string stored = StoredQuarantine(what_.incoming.peer, *change);
    const std::string key = AheadKey(number, due_ms, table().next_quarantined++);
    batch.Put(Family::kFeed, key, {stored});
    table().waiting.insert(NumberOfAheadKey(key));
    ++table().quarantined;
    LowerTo(table().next_ahead_ms, due_ms);
  }
  for (const LeftWaiting& left : what_.left) {
    if (left.stored.empty()) {
      StopWaiting(batch, left.key);
    } else if (IsWaiting(left.key)) {
      batch.Put(Family::kFeed, left.key, {left.stored});
    }
  }
  if (what_.was_quarantined) return StopWaiting(batch, *what_.was_quarantined);
  if (!what_.moves_cursor) return;
  std::string key = TableCursorKeys(number);
  if (!Planted(Canary::kMoveForeignCursor)) key += what_.incoming.peer.view();
  batch.Put(Family::kMeta, key, {Stored(what_.incoming.cursor).SerializeAsString()});
  // The peer is told of it. The core tells only what it read of rows: else two ends would tell each other for
  // ever that they were told.
  if (!is_core() || !what_.incoming.changes.empty()) NoteRead();
}

absl::StatusOr<Quarantine> ReadQuarantine(std::string_view stored) {
  constexpr size_t kIdSize = 16;
  const auto peer = StoreId::FromBytes(stored.substr(0, kIdSize));
  auto changes = ReadRows(stored.substr(std::min(stored.size(), kIdSize)));
  if (!peer || !changes.ok()) {
    return MakeError(absl::StatusCode::kDataLoss, "corrupt_row",
                     "a change that waits for its time is damaged");
  }
  return Quarantine{*peer, *std::move(changes)};
}

std::string StoredQuarantine(const StoreId& peer, const RowChange& change) {
  ChangesWriter writer;
  writer.Add(change);
  return peer.bytes() + std::move(writer).Take();
}

v1::StoredTableCursor Stored(const TableCursor& cursor) {
  v1::StoredTableCursor stored;
  stored.set_epoch(cursor.feed.epoch.bytes());
  stored.set_sequence(cursor.feed.sequence);
  stored.set_full_to(cursor.full_to);
  stored.set_prefix(cursor.prefix);
  stored.set_intervals(cursor.intervals);
  stored.set_upto(cursor.upto);
  stored.set_source_life(cursor.source_life.bytes());
  stored.set_reader_life(cursor.reader_life.bytes());
  stored.set_seen_epoch(cursor.seen.epoch.bytes());
  stored.set_seen_sequence(cursor.seen.sequence);
  stored.set_source_set_back(cursor.source_set_back);
  stored.set_source_end(cursor.source_end);
  stored.set_lost_to(cursor.lost_to);
  stored.set_sent_before(cursor.sent_before);
  return stored;
}

absl::StatusOr<TableCursor> CursorOf(std::string_view bytes) {
  v1::StoredTableCursor stored;
  if (!stored.ParseFromString(std::string(bytes))) return DamagedMeta("position in the feed of a table");
  const auto epoch = FeedEpoch::FromBytes(stored.epoch());
  if (!epoch) return DamagedMeta("position in the feed of a table");
  return TableCursor{
      .feed = {*epoch, stored.sequence()},
      .full_to = stored.full_to(),
      .prefix = stored.prefix(),
      .intervals = stored.intervals(),
      .upto = stored.upto(),
      .source_life = Life::FromBytes(stored.source_life()).value_or(Life()),
      .reader_life = Life::FromBytes(stored.reader_life()).value_or(Life()),
      .seen = {FeedEpoch::FromBytes(stored.seen_epoch()).value_or(FeedEpoch()), stored.seen_sequence()},
      .source_set_back = stored.source_set_back(),
      .source_end = stored.source_end(),
      .lost_to = stored.lost_to(),
      .sent_before = stored.sent_before()};
}

}  // namespace selvage::table
