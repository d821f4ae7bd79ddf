#include "fabric/table/merge.h"

#include <algorithm>
#include <tuple>
#include <type_traits>
#include <utility>

#include "fabric/base/canary.h"

namespace selvage::table {
namespace {

// Each part of a row has a total order, and the greatest wins: by stamp, then by what was written, so that
// clones that gave one stamp to two operations converge; then by what the writer had seen.

bool Less(const std::vector<Stamp>& a, const std::vector<Stamp>& b) {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
}

template <class Part>
bool IsBelow(const Part& a, const Part& b) {
  if (Planted(Canary::kMergeIgnoreTies)) return a.write.stamp < b.write.stamp;
  const auto rank = [](const Part& part) {
    if constexpr (std::is_same_v<Part, Clear>) {
      return std::tuple(part.write.stamp, part.kind);
    } else if constexpr (std::is_same_v<Part, Expiry>) {
      return std::tuple(part.write.stamp, part.at_ms);
    } else if constexpr (std::is_same_v<Part, Register>) {
      return std::tuple(part.write.stamp, part.value);
    } else {
      return std::tuple(part.write.stamp, CanonicalNumber(part.amount));
    }
  };
  const auto rank_a = rank(a);
  const auto rank_b = rank(b);
  if (rank_a != rank_b) return rank_a < rank_b;
  return Less(a.write.replaced, b.write.replaced);
}

bool IsZero(const JsonNumber& amount) {
  return amount == JsonNumber(int64_t{0});
}

/// One merge of one row.
class RowMerge {
 public:
  RowMerge(Row& row, const Change& change, const Arrival& arrival)
      : row_(row), change_(change), arrival_(arrival) {}

  MergeResult Run() {
    if (change_.clear) MergePart(row_.clear, *change_.clear, cleared_);
    if (change_.expiry) MergeExpiry(*change_.expiry);
    for (const auto& [name, field] : change_.fields) MergeField(name, field);
    if (cleared_) Sweep();
    return std::move(result_);
  }

 private:
  /// Takes `incoming` if it is the greater one. What it replaced is returned.
  template <class Part>
  std::optional<Part> MergePart(std::optional<Part>& local, const Part& incoming, bool& taken) {
    taken = !local || IsBelow(*local, incoming);
    if (Planted(Canary::kMergeNewestArrival)) taken = true;
    if (!taken) {
      if (IsBelow(incoming, *local)) KeepNewer();
      return std::nullopt;
    }
    std::optional<Part> before = std::exchange(local, incoming);
    Place(local->write);
    return before;
  }

  void MergeExpiry(const Expiry& incoming) {
    if (IsCleared(incoming.write.stamp)) return KeepNewer();
    bool taken = false;
    MergePart(row_.expiry, incoming, taken);
  }

  void MergeField(const std::string& name, const Field& incoming) {
    Field& local = row_.fields[name];
    if (incoming.set) MergeRegister(name, local, *incoming.set);
    const bool is_new = incoming.set && local.set && local.set->write.stamp == incoming.set->write.stamp;
    for (const auto& [key, contribution] : incoming.contributions) {
      MergeContribution(name, local, key, contribution);
    }
    DropOldContributions(name, local, is_new);
    if (IsEmpty(local)) row_.fields.erase(name);
  }

  void MergeRegister(const std::string& name, Field& local, const Register& incoming) {
    if (IsCleared(incoming.write.stamp)) {
      KeepNewer();
      ListCleared(name, incoming);
      return;
    }
    bool taken = false;
    const bool was_there = local.set.has_value();
    const auto before = MergePart(local.set, incoming, taken);
    if (taken && !was_there) {
      const bool deleted = row_.clear && !HasJudged(row_.clear->write);
      // A peer that sends both has judged.
      const bool both_came =
          change_.clear && row_.clear && change_.clear->write.stamp == row_.clear->write.stamp;
      if (deleted && !both_came) ListOutlived(name, incoming);
    } else if (taken) {
      if (!HasJudged(before->write)) ListOverwritten(name, *local.set, *before);
    } else {
      ListOverwritten(name, *local.set, incoming);
    }
  }

  void MergeContribution(const std::string& name, Field& local, const ContributionKey& key,
                         const Contribution& incoming) {
    if (IsGone(local, key, incoming)) {
      KeepNewer();
      ListUncounted(name, local, incoming);
      return;
    }
    const auto found = local.contributions.find(key);
    std::optional<Contribution> held;
    if (found != local.contributions.end()) held = found->second;
    bool taken = false;
    const auto before = MergePart(held, incoming, taken);
    if (!taken) return;
    if (Planted(Canary::kAddContributions) && before) held->amount = Sum({before->amount, incoming.amount});
    local.contributions[key] = *held;
    if (IsHidden(local, key)) ListUncounted(name, local, *held);
  }

  /// Removes what the clear stamp that came removes.
  void Sweep() {
    if (row_.expiry && IsCleared(row_.expiry->write.stamp)) row_.expiry.reset();
    for (auto at = row_.fields.begin(); at != row_.fields.end();) {
      auto& [name, field] = *at;
      if (field.set && IsCleared(field.set->write.stamp)) {
        if (!HasJudged(field.set->write)) ListCleared(name, *field.set);
        field.set.reset();
      } else if (field.set && !CameNow(name, *field.set) && !HasJudged(field.set->write)) {
        ListOutlived(name, *field.set);
      }
      DropOldContributions(name, field, false);
      at = IsEmpty(field) ? row_.fields.erase(at) : std::next(at);
    }
    if (Planted(Canary::kForgetTombstone) && row_.fields.empty()) row_.clear.reset();
  }

  /// True of increments on something that was replaced, or removed with the row. Those that count on nothing
  /// go by the time of the last: they outlive what is older, whatever else came and went meanwhile.
  bool IsGone(const Field& field, const ContributionKey& key, const Contribution& contribution) const {
    const Stamp& stamp = key.base.none() ? contribution.write.stamp : key.base;
    return (field.set && stamp < field.set->write.stamp) || IsCleared(stamp);
  }
  /// True of increments that count on nothing and are newer than the register: it may go with the row yet.
  static bool IsHidden(const Field& field, const ContributionKey& key) {
    return field.set && field.set->value && key.base.none();
  }
  void DropOldContributions(const std::string& name, Field& field, bool is_new_register) {
    std::erase_if(field.contributions, [&](const auto& entry) {
      const bool gone = IsGone(field, entry.first, entry.second);
      const bool hidden_now = is_new_register && IsHidden(field, entry.first);
      if ((gone || hidden_now) && !HasJudged(entry.second.write)) ListUncounted(name, field, entry.second);
      return gone;
    });
  }

  void ListOverwritten(const std::string& name, const Register& winner, const Register& loser) {
    if (winner.value == loser.value) return;
    // One stamp for two values: neither clone saw the other.
    const bool clones = winner.write.stamp == loser.write.stamp;
    if (!clones && Knew(winner.write, loser.write.stamp)) return;
    result_.conflicts.push_back(
        {ConflictKind::kOverwritten, name, winner.write.stamp, winner.value, loser.write.stamp, loser.value});
  }
  void ListCleared(const std::string& name, const Register& loser) {
    const Write& winner = row_.clear->write;
    if (!loser.value || Knew(winner, loser.write.stamp)) return;
    result_.conflicts.push_back(
        {ConflictKind::kCleared, name, winner.stamp, std::nullopt, loser.write.stamp, loser.value});
  }
  void ListUncounted(const std::string& name, const Field& field, const Contribution& loser) {
    if (IsZero(loser.amount)) return;
    const Write& winner = field.set ? field.set->write : row_.clear->write;
    if (Knew(winner, loser.write.stamp)) return;
    result_.conflicts.push_back({ConflictKind::kUncounted, name, winner.stamp,
                                 field.set ? field.set->value : std::nullopt, loser.write.stamp,
                                 CanonicalJson::Of(loser.amount)});
  }
  /// Of a field that is in the row though its other fields were deleted.
  void ListOutlived(const std::string& name, const Register& winner) {
    if (!winner.value || row_.clear->kind != ClearKind::kDelete) return;
    if (Knew(winner.write, row_.clear->write.stamp)) return;
    result_.conflicts.push_back({ConflictKind::kOutlivesDelete, name, winner.write.stamp, winner.value,
                                 row_.clear->write.stamp, std::nullopt});
  }

  bool IsCleared(const Stamp& stamp) const { return row_.clear && stamp < row_.clear->write.stamp; }
  /// True of what was here before when the peer that sends the change now had sent it.
  bool HasJudged(const Write& write) const { return !write.via.none() && write.via == arrival_.via; }
  /// True when the change has the register that the row has.
  bool CameNow(const std::string& name, const Register& held) const {
    const auto found = change_.fields.find(name);
    return found != change_.fields.end() && found->second.set &&
           found->second.set->write.stamp == held.write.stamp;
  }
  static bool IsEmpty(const Field& field) { return !field.set && field.contributions.empty(); }

  void Place(Write& write) {
    write.sequence = arrival_.sequence;
    write.via = arrival_.via;
    result_.outcome = MergeOutcome::kApplied;
  }
  void KeepNewer() {
    if (result_.outcome == MergeOutcome::kIdentical) result_.outcome = MergeOutcome::kKeptNewer;
  }

  Row& row_;
  const Change& change_;
  const Arrival& arrival_;
  bool cleared_ = false;  ///< the change's clear stamp is the row's now
  MergeResult result_;
};

}  // namespace

std::string_view MergeOutcomeName(MergeOutcome outcome) {
  switch (outcome) {
    case MergeOutcome::kApplied:
      return "applied";
    case MergeOutcome::kKeptNewer:
      return "kept_newer";
    case MergeOutcome::kIdentical:
      return "identical";
  }
  return "unknown";
}

std::string_view ConflictKindName(ConflictKind kind) {
  switch (kind) {
    case ConflictKind::kOverwritten:
      return "overwritten";
    case ConflictKind::kCleared:
      return "cleared";
    case ConflictKind::kUncounted:
      return "uncounted";
    case ConflictKind::kLate:
      return "late";
    case ConflictKind::kOutlivesDelete:
      return "outlives_delete";
  }
  return "unknown";
}

MergeResult Merge(Row& row, const Change& change, const Arrival& arrival) {
  return RowMerge(row, change, arrival).Run();
}

std::vector<Conflict> RemoveDeleted(Change& change, const Clear& later) {
  if (change.clear && !(change.clear->write.stamp < later.write.stamp)) return {};
  Change deletion;
  deletion.clear = later;
  MergeResult merged = Merge(change, deletion, Arrival());
  change.clear.reset();
  return std::move(merged.conflicts);
}

}  // namespace selvage::table
