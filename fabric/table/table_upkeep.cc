#include <utility>

#include "absl/time/time.h"
#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/table/apply_task.h"
#include "fabric/table/row_task.h"
#include "fabric/table/table_store.h"

namespace selvage::table {
namespace {

/// Rows or changes that one task deals with.
constexpr size_t kAtATime = 500;
constexpr int64_t kExpiredKeptMs = 86'400'000;
/// A reader that was restarted begins a minute earlier at most, as far as tombstones are concerned.
constexpr int64_t kReadersStoredEveryMs = 60'000;
/// Tombstones are kept for days: the peer may learn an hour later that this node has them.
constexpr int64_t kToldEveryMs = 3'600'000;
/// Indexes are built for so long at a time: other work that is due waits for it.
constexpr absl::Duration kBuildFor = absl::Milliseconds(300);
/// What a held row takes in memory, about.
constexpr size_t kHeldBytes = 256;

class ExpiryTask : public RowTask {
 public:
  ExpiryTask(TableStore& store, std::shared_ptr<Table> table, RowOverlay::Held held,
             std::vector<std::string> keys, int64_t due_ms)
      : RowTask(store, std::move(table), std::move(held), keys.size() * kHeldBytes, DiskCharge()),
        keys_(std::move(keys)),
        due_ms_(due_ms) {}

 private:
  absl::Status Change() override {
    for (const std::string& key : keys_) {
      if (IsDamaged(key)) continue;
      const Row& row = Current(key);
      if (!HasExpired(row, due_ms_)) continue;
      Row rest = WithoutExpired(row);
      // A node that was away may hold fields of the row that it wrote before it could know of the expiry.
      if (definition().direction() != v1::TABLE_LOCAL) rest.expiry = row.expiry;
      Replace(key, std::move(rest));
    }
    return absl::OkStatus();
  }
  CaptureReason ReasonOf(std::string_view) const override { return CaptureReason::kExpiry; }
  void Done(const absl::Status&) override {}

  const std::vector<std::string> keys_;
  const int64_t due_ms_;
};

}  // namespace

absl::Status TableStore::RunDue() {
  const int64_t now = now_ms();
  absl::Status first;
  // Each goes on where another one failed, as at damage.
  const auto note = [&](const absl::Status& status) { first.Update(status); };
  // The clock may have been ahead when `next_ms` was set.
  const auto is_due = [&](int64_t next_ms, int64_t every_ms) {
    return next_ms <= now || next_ms - every_ms > now;
  };
  const absl::Duration build_until = env_.clock.Monotonic() + kBuildFor;
  for (const auto& table : Tables()) {
    if (table->captured && table->next_capture_ms <= now) note(CaptureExpiries(table));
    if (table->next_expiry_ms <= now - ExpiredKeptMs(*table)) note(RemoveExpired(table));
    if (table->next_ahead_ms <= now) note(ApplyQuarantined(table));
    if (is_due(table->next_collect_ms, kCollectEveryMs)) note(CollectTombstones(table));
    note(BuildIndexes(table, build_until));
    note(LookAtDamaged(*table));
  }
  if (is_due(next_readers_ms_, kReadersStoredEveryMs)) {
    next_readers_ms_ = now + kReadersStoredEveryMs;
    note(StoreReaders());
  }
  if (read_further_ && is_due(next_told_ms_, kToldEveryMs)) {
    next_told_ms_ = now + kToldEveryMs;
    note(TellWhatWasRead());
  }
  return first;
}

int64_t TableStore::ExpiredKeptMs(const Table& table) const {
  absl::MutexLock lock(&mutex_);
  // Until then other nodes may change the row's expiry, or put the row again, with what they held of it.
  const int64_t kept_ms = table.definition.settings().expired_kept_ms();
  if (table.definition.direction() == v1::TABLE_LOCAL) return 0;
  return kept_ms > 0 ? kept_ms : kExpiredKeptMs;
}

absl::Status TableStore::RemoveExpired(const std::shared_ptr<Table>& table) {
  const int64_t due_ms = now_ms() - ExpiredKeptMs(*table);
  // Rows that get an earlier expiry from here on lower it again.
  table->next_expiry_ms = INT64_MAX;
  int64_t next_ms = INT64_MAX;
  std::vector<std::string> keys;
  const std::string index = FeedKeys(FeedIndex::kExpiry, table->number);
  auto cursor = env_.store.Scan(Family::kFeed, index, EndOfPrefix(index));
  for (cursor->Seek(index); cursor->Valid(); cursor->Next()) {
    const auto expires_ms = static_cast<int64_t>(NumberOfFeedKey(cursor->key()));
    if (expires_ms > due_ms || keys.size() == kAtATime) {
      next_ms = expires_ms;
      break;
    }
    keys.emplace_back(RowOfFeedKey(cursor->key()));
  }
  absl::Status removed = cursor->status();
  if (removed.ok() && !keys.empty()) {
    auto held = overlay_.Hold(table->number, {keys.begin(), keys.end()});
    removed = !held.ok() ? held.status()
                         : CommitAndWait(env_.committer, std::make_unique<ExpiryTask>(
                                                             *this, table, *std::move(held), keys, due_ms));
  }
  LowerTo(table->next_expiry_ms, removed.ok() ? next_ms : INT64_MIN);
  return removed;
}

absl::Status TableStore::ApplyQuarantined(const std::shared_ptr<Table>& table) {
  const int64_t now = now_ms();
  table->next_ahead_ms = INT64_MAX;
  int64_t next_ms = INT64_MAX;
  absl::Status applied;
  SELVAGE_ASSIGN_OR_RETURN(const WaitingDeletes waiting_deletes, DeletesThatWait(*table));
  const std::string index = FeedKeys(FeedIndex::kAhead, table->number);
  auto cursor = env_.store.Scan(Family::kFeed, index, EndOfPrefix(index));
  size_t done = 0;
  for (cursor->Seek(index); cursor->Valid() && applied.ok(); cursor->Next()) {
    const auto due_ms = static_cast<int64_t>(NumberOfFeedKey(cursor->key()));
    if (due_ms > now || done == kAtATime) {
      next_ms = due_ms;
      break;
    }
    ++done;
    applied = ApplyOne(table, std::string(cursor->key()), cursor->value(), waiting_deletes);
  }
  if (applied.ok()) applied = cursor->status();
  LowerTo(table->next_ahead_ms, applied.ok() ? next_ms : INT64_MIN);
  return applied;
}

absl::StatusOr<TableStore::WaitingDeletes> TableStore::DeletesThatWait(const Table& table) const {
  WaitingDeletes deletes;
  const std::string index = FeedKeys(FeedIndex::kAhead, table.number);
  auto cursor = env_.store.Scan(Family::kFeed, index, EndOfPrefix(index));
  for (cursor->Seek(index); cursor->Valid(); cursor->Next()) {
    const auto waiting = ReadQuarantine(cursor->value());
    if (!waiting.ok()) continue;  // what it is about is not known
    for (const RowChange& change : waiting->changes) {
      const auto& clear = change.change.clear;
      if (!clear || clear->kind != ClearKind::kDelete) continue;
      const auto newest = deletes.try_emplace(change.key, *clear).first;
      if (newest->second.write.stamp < clear->write.stamp) newest->second = *clear;
    }
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  return deletes;
}

absl::Status TableStore::ApplyOne(const std::shared_ptr<Table>& table, std::string key,
                                  std::string_view stored, const WaitingDeletes& waiting_deletes) {
  ApplyTask::What what;
  what.only_reads = OnlyReads(*table);
  what.was_quarantined = std::move(key);
  if (auto waiting = ReadQuarantine(stored); waiting.ok()) {
    what.incoming.peer = waiting->peer;
    // Peers may have forgotten a delete that still waits here: what it removes must not be told to them.
    for (RowChange& change : waiting->changes) {
      const auto later = waiting_deletes.find(change.key);
      if (later != waiting_deletes.end() && !Planted(Canary::kReleaseDeleted)) {
        for (Conflict& conflict : RemoveDeleted(change.change, later->second)) {
          what.removed.emplace_back(change.key, std::move(conflict));
        }
      }
      if (HasParts(change.change)) what.incoming.changes.push_back(std::move(change));
    }
  } else {
    what.damaged = std::string(stored);
  }
  std::vector<std::string_view> keys;
  keys.reserve(what.incoming.changes.size());
  for (const RowChange& change : what.incoming.changes) keys.push_back(change.key);
  SELVAGE_ASSIGN_OR_RETURN(
      RowOverlay::Held held,
      overlay_.Hold(table->number, keys, KeysOfWholeRows(what.incoming, what.only_reads)));
  return CommitAndWait(env_.committer,
                       std::make_unique<ApplyTask>(*this, table, std::move(held), stored.size(), DiskCharge(),
                                                   std::move(what), [](const absl::Status&) {}));
}

}  // namespace selvage::table
