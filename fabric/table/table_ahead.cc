#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/table/apply_task.h"
#include "fabric/table/restamp.h"
#include "fabric/table/row_task.h"
#include "fabric/table/table_store.h"

namespace selvage::table {
namespace {

/// Rows that one task stamps again, and changes that one takes out.
constexpr size_t kAheadAtATime = 500;
constexpr size_t kAheadHeldBytes = 256;  // of a held row, about

/// Gives new stamps to what this store has stamped ahead.
class RestampTask : public RowTask {
 public:
  RestampTask(TableStore& store, std::shared_ptr<Table> table, RowOverlay::Held held,
              std::vector<std::string> keys, uint64_t& restamped)
      : RowTask(store, std::move(table), std::move(held), keys.size() * kAheadHeldBytes, DiskCharge()),
        keys_(std::move(keys)),
        restamped_(restamped) {}

 private:
  absl::Status Change() override {
    const Hlc limit = Hlc::AtMs(now_ms() + kWithdrawnAheadMs);
    for (const std::string& key : keys_) {
      if (!IsDamaged(key) && RestampRow(key, limit)) ++restamped_;
    }
    return absl::OkStatus();
  }
  void Done(const absl::Status&) override {}

  const std::vector<std::string> keys_;
  uint64_t& restamped_;  // of the caller, who waits
};

/// Takes changes out that are kept apart.
class DiscardTask : public RowTask {
 public:
  struct Discarded {
    std::string ahead_key;
    std::vector<RowChange> changes;
    std::optional<std::string> damaged;  ///< what does not decode
  };
  DiscardTask(TableStore& store, std::shared_ptr<Table> table, std::vector<Discarded> discarded,
              uint64_t& count)
      : RowTask(store, std::move(table), RowOverlay::Held(), discarded.size() * kAheadHeldBytes,
                DiskCharge()),
        discarded_(std::move(discarded)),
        count_(count) {}

 private:
  absl::Status Change() override {
    for (const Discarded& discarded : discarded_) {
      if (!table().waiting.contains(NumberOfAheadKey(discarded.ahead_key))) continue;
      for (const RowChange& change : discarded.changes) ListParts(change);
      if (discarded.damaged) ListDamaged("", *discarded.damaged);
    }
    return absl::OkStatus();
  }
  void StageBeside(WriteBatch& batch) override {
    for (const Discarded& discarded : discarded_) {
      if (table().waiting.erase(NumberOfAheadKey(discarded.ahead_key)) == 0) continue;
      batch.Delete(Family::kFeed, discarded.ahead_key);
      --table().quarantined;
      ++count_;
    }
  }
  void Done(const absl::Status&) override {}

  void ListParts(const RowChange& change) {
    const table::Change& parts = change.change;
    if (parts.clear) ListPart(change.key, "", parts.clear->write, std::nullopt);
    if (parts.expiry) ListPart(change.key, "", parts.expiry->write, std::nullopt);
    for (const auto& [name, field] : parts.fields) {
      if (field.set) ListPart(change.key, name, field.set->write, field.set->value);
      for (const auto& [by, contribution] : field.contributions) {
        ListPart(change.key, name, contribution.write, CanonicalJson::Of(contribution.amount));
      }
    }
  }
  void ListPart(const std::string& key, const std::string& field, const Write& write,
                const std::optional<CanonicalJson>& value) {
    v1::StoredConflict lost;
    lost.set_key(key);
    lost.set_kind("discarded");
    lost.set_field(std::string(CutUtf8(field, kConflictTextMax)));
    lost.set_loser_time(write.stamp.hlc.packed());
    lost.set_loser_store(write.stamp.node.bytes());
    if (value) lost.set_losing_value(std::string(CutUtf8(value->text(), kConflictTextMax)));
    List(std::move(lost));
  }

  const std::vector<Discarded> discarded_;
  uint64_t& count_;  // of the caller, who waits
};

}  // namespace

absl::StatusOr<uint64_t> TableStore::DiscardQuarantined(const std::string& name,
                                                        const std::optional<std::string>& key) {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  uint64_t count = 0;
  std::vector<DiscardTask::Discarded> discarded;
  const auto discard = [&] {
    return CommitAndWait(env_.committer,
                         std::make_unique<DiscardTask>(*this, table, std::exchange(discarded, {}), count));
  };
  const std::string keys = FeedKeys(FeedIndex::kAhead, table->number);
  auto cursor = env_.store.Scan(Family::kFeed, keys, EndOfPrefix(keys));
  for (cursor->Seek(keys); cursor->Valid(); cursor->Next()) {
    auto waiting = ReadQuarantine(cursor->value());
    const bool meant =
        !key || (waiting.ok() && std::any_of(waiting->changes.begin(), waiting->changes.end(),
                                             [&](const RowChange& change) { return change.key == *key; }));
    if (!meant) continue;
    DiscardTask::Discarded& one = discarded.emplace_back();
    one.ahead_key = std::string(cursor->key());
    if (waiting.ok()) {
      one.changes = std::move(waiting->changes);
    } else {
      one.damaged = std::string(cursor->value());
    }
    if (discarded.size() == kAheadAtATime) SELVAGE_RETURN_IF_ERROR(discard());
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  SELVAGE_RETURN_IF_ERROR(discard());
  return count;
}

absl::StatusOr<std::vector<LeftWaiting>> TableStore::LeftAfter(const Table& table, const Incoming& incoming) {
  std::vector<LeftWaiting> left;
  std::multimap<std::string_view, const table::Change*> withdrawing;  // a row may come in parts
  for (const RowChange& change : incoming.changes) {
    if (Withdraws(change.change)) withdrawing.emplace(change.key, &change.change);
  }
  // A snapshot lists all that its sender has, and what waited of it comes again. One that was set back may
  // have lost it.
  const bool lists_all = incoming.sweep && !incoming.cursor.source_set_back;
  std::set<std::string_view> unsure;
  for (const RowChange& change : incoming.changes) {
    if (change.incomplete) unsure.insert(change.key);
  }
  const auto is_listed = [&](const StoreId& peer, const std::string& key) {
    const bool within =
        lists_all && key >= incoming.sweep->from && !(incoming.sweep->upto && key >= *incoming.sweep->upto);
    return within && peer == incoming.peer && !unsure.contains(key);
  };
  if (withdrawing.empty() && (!lists_all || table.quarantined == 0)) return left;
  // What came before this is kept apart then, also if it came just now.
  SELVAGE_RETURN_IF_ERROR(Commit(env_.committer, [](WriteBatch&) { return absl::OkStatus(); }));
  const std::string keys = FeedKeys(FeedIndex::kAhead, table.number);
  auto cursor = env_.store.Scan(Family::kFeed, keys, EndOfPrefix(keys));
  for (cursor->Seek(keys); cursor->Valid(); cursor->Next()) {
    auto waiting = ReadQuarantine(cursor->value());
    if (!waiting.ok()) continue;  // it is not merged either
    ChangesWriter rest;
    bool dropped = false;
    for (RowChange& change : waiting->changes) {
      if (is_listed(waiting->peer, change.key)) {
        dropped = true;
        continue;
      }
      const auto [first, last] = withdrawing.equal_range(change.key);
      for (auto by = first; by != last; ++by) dropped |= DropWithdrawn(change.change, *by->second);
      const bool empty = !change.change.clear && !change.change.expiry && change.change.fields.empty();
      if (!empty) rest.Add(change);
    }
    if (!dropped) continue;
    std::string stored = std::move(rest).Take();
    if (!stored.empty()) stored.insert(0, waiting->peer.bytes());
    left.push_back({std::string(cursor->key()), std::move(stored)});
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  return left;
}

absl::Status TableStore::WalkAhead(Table& table, Hlc limit, const VisitAhead& visit) const {
  const StoreId own = options_.store_id();
  const std::string rows = RowKeys(table.number);
  auto cursor = env_.store.Scan(Family::kRow, rows, EndOfPrefix(rows));
  for (cursor->Seek(rows); cursor->Valid(); cursor->Next()) {
    std::string key(cursor->key().substr(rows.size()));
    const auto row = Decode(table, key, cursor->value());
    if (!row.ok()) {
      SELVAGE_RETURN_IF_ERROR(visit(std::move(key), nullptr));
      continue;
    }
    const PartsAhead ahead = FindAhead(*row, own, limit);
    if (ahead.own > 0 || ahead.other) SELVAGE_RETURN_IF_ERROR(visit(std::move(key), &ahead));
  }
  return cursor->status();
}

absl::Status TableStore::CheckAloneAhead(Table& table, Hlc limit) const {
  return WalkAhead(table, limit, [](const std::string& key, const PartsAhead* ahead) {
    if (ahead == nullptr || !ahead->other) return absl::OkStatus();
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "others_ahead",
        fmt::format("row \"{}\" has a stamp of another node, store {}, that is as far ahead", key,
                    ahead->other->hex()),
        "the clocks of several nodes were wrong, and they merged what they wrote: leave the stamps as they "
        "are until their time has come");
  });
}

absl::Status TableStore::RestampTable(const std::shared_ptr<Table>& table, Hlc limit, RestampedRows& done) {
  std::vector<std::string> keys;
  const auto restamp = [&]() -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(RowOverlay::Held held, overlay_.Hold(table->number, {keys.begin(), keys.end()}));
    return CommitAndWait(env_.committer, std::make_unique<RestampTask>(*this, table, std::move(held),
                                                                       std::exchange(keys, {}), done.rows));
  };
  SELVAGE_RETURN_IF_ERROR(WalkAhead(*table, limit, [&](std::string key, const PartsAhead* ahead) {
    if (ahead == nullptr) {
      ++done.unread;
      return absl::OkStatus();
    }
    keys.push_back(std::move(key));
    return keys.size() < kAheadAtATime ? absl::OkStatus() : restamp();
  }));
  return restamp();
}

absl::StatusOr<TableStore::RestampedRows> TableStore::RestampAhead() {
  const Hlc limit = Hlc::AtMs(now_ms() + kWithdrawnAheadMs);
  for (const auto& table : Tables()) SELVAGE_RETURN_IF_ERROR(CheckAloneAhead(*table, limit));
  SELVAGE_RETURN_IF_ERROR(Commit(env_.committer, [&](WriteBatch& batch) {
    if (clock_.last() <= limit) return absl::OkStatus();
    clock_.SetBack(Hlc::AtMs(now_ms()));
    StageClock(batch);
    return absl::OkStatus();
  }));
  // What is written from here on to a row that is ahead stamps it again by itself (RowTask::Follow).
  RestampedRows done;
  for (const auto& table : Tables()) SELVAGE_RETURN_IF_ERROR(RestampTable(table, limit, done));
  return done;
}

}  // namespace selvage::table
