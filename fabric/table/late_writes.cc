#include "fabric/table/late_writes.h"

#include <algorithm>

namespace selvage::table {

LateWrites SplitLate(const Change& change, Hlc collected) {
  LateWrites parts;
  const auto is_late = [&](const Write& write) { return write.stamp.hlc <= collected; };
  const auto list = [&](const std::string& field, const Write& write, std::optional<CanonicalJson> value) {
    parts.late.push_back(
        {ConflictKind::kLate, field, {collected, StoreId()}, std::nullopt, write.stamp, std::move(value)});
  };
  if (change.clear && !is_late(change.clear->write)) parts.rest.clear = change.clear;
  if (change.expiry && !is_late(change.expiry->write)) parts.rest.expiry = change.expiry;
  for (const auto& [name, field] : change.fields) {
    Field kept;
    if (field.set && !is_late(field.set->write)) {
      kept.set = field.set;
    } else if (field.set && field.set->value) {
      list(name, field.set->write, field.set->value);
    }
    for (const auto& [key, contribution] : field.contributions) {
      const bool base_is_gone = !key.base.none() && key.base.hlc <= collected && !kept.set;
      if (!is_late(contribution.write) && !base_is_gone) {
        kept.contributions.emplace(key, contribution);
      } else if (contribution.amount != JsonNumber(int64_t{0})) {
        list(name, contribution.write, CanonicalJson::Of(contribution.amount));
      }
    }
    if (kept.set || !kept.contributions.empty()) parts.rest.fields.emplace(name, std::move(kept));
  }
  return parts;
}

Hlc TimeOfTombstone(const Row& row, bool unseen) {
  Hlc newest;
  ForEachWrite(row, [&](const Write& write) { newest = std::max(newest, write.stamp.hlc); });
  if (unseen && row.expiry && row.expiry->at_ms) newest = std::max(newest, Hlc::AtMs(*row.expiry->at_ms));
  return newest;
}

}  // namespace selvage::table
