#include "fabric/table/row_task.h"

#include <fmt/format.h>

#include <utility>

#include "fabric/base/check.h"
#include "fabric/base/error.h"

namespace selvage::table {
namespace {

Stamp StampOf(const std::optional<Expiry>& expiry) {
  return expiry ? expiry->write.stamp : Stamp();
}

/// A changed expiry travels with the whole row, since where the one before it has passed the rest is gone
/// already. Whoever sent the change has the row.
void Renew(Row& row, const Arrival& arrival) {
  const auto renew = [&](Write& write) {
    write.sequence = arrival.sequence;
    if (write.via != arrival.via) write.via = StoreId();
  };
  if (row.clear) renew(row.clear->write);
  if (row.expiry) renew(row.expiry->write);
  for (auto& [name, field] : row.fields) {
    if (field.set) renew(field.set->write);
    for (auto& [by, contribution] : field.contributions) renew(contribution.write);
  }
}

}  // namespace

absl::Status RowTask::Stage(WriteBatch&) {
  if (table_->dropped) {
    return MakeError(absl::StatusCode::kNotFound, "unknown_table", "the table was dropped meanwhile");
  }
  now_ms_ = store_.now_ms();
  sequence_ = store_.next_sequence_;
  {
    absl::MutexLock lock(&store_.mutex_);
    definition_ = table_->definition;
  }
  SELVAGE_RETURN_IF_ERROR(Change());
  for (auto& [key, working] : working_) {
    if (!working.changed) continue;
    working.entry->row = std::move(working.row);
    store_.overlay_.MarkDirty(*working.entry);
  }
  store_.next_sequence_ = sequence_;
  return absl::OkStatus();
}

void RowTask::Finish(const absl::Status& status) {
  if (status.ok()) {
    charge_.Written();
    store_.Publish();
  }
  Done(status);
}

Row& RowTask::RowOf(std::string_view key) {
  const auto found = working_.find(key);
  if (found != working_.end()) return found->second.row;
  const auto held = held_.entries().find(key);
  SELVAGE_CHECK(held != held_.entries().end());
  return working_.emplace(std::string(key), Working{held->second, held->second->row}).first->second.row;
}

MergeResult RowTask::MergeInto(std::string_view key, const table::Change& change, const Arrival& arrival) {
  Row& row = RowOf(key);
  const Stamp expiry = StampOf(row.expiry);
  MergeResult result = Merge(row, change, arrival);
  if (result.outcome == MergeOutcome::kApplied) working_.find(key)->second.changed = true;
  if (row.expiry && StampOf(row.expiry) != expiry) Renew(row, arrival);
  return result;
}

void RowTask::Remove(std::string_view key) {
  RowOf(key) = Row();
  working_.find(key)->second.changed = true;
}

}  // namespace selvage::table
