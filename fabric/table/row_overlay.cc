#include "fabric/table/row_overlay.h"

#include <algorithm>

#include "fabric/base/canary.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/table/row_format.h"

namespace selvage::table {

RowIndexed IndexOf(const Row& row) {
  RowIndexed indexed;
  std::vector<uint64_t>& sequences = indexed.sequences;
  if (row.clear) sequences.push_back(row.clear->write.sequence);
  if (row.expiry) sequences.push_back(row.expiry->write.sequence);
  for (const auto& [name, field] : row.fields) {
    if (field.set) sequences.push_back(field.set->write.sequence);
    for (const auto& [by, contribution] : field.contributions) {
      sequences.push_back(contribution.write.sequence);
    }
  }
  std::sort(sequences.begin(), sequences.end());
  sequences.erase(std::unique(sequences.begin(), sequences.end()), sequences.end());
  if (LosesByExpiry(row)) indexed.expires_at_ms = row.expiry->at_ms;
  indexed.tombstone = !sequences.empty() && !IsThere(row, INT64_MIN);
  return indexed;
}

RowOverlay::Held::~Held() {
  if (overlay_ != nullptr) overlay_->LetGo(entries_);
}

absl::StatusOr<RowOverlay::Held> RowOverlay::Hold(TableNumber table,
                                                  const std::vector<std::string_view>& keys) {
  Held held;
  held.overlay_ = this;
  std::vector<std::pair<std::string, Entry*>> unread;
  {
    absl::MutexLock lock(&mutex_);
    for (const std::string_view key : keys) {
      if (held.entries_.contains(key)) continue;
      std::string row_key = RowKey(table, key);
      std::unique_ptr<Entry>& entry = entries_[row_key];
      if (entry == nullptr) {
        entry = std::make_unique<Entry>();
        entry->table = table;
        entry->key = std::string(key);
      }
      ++entry->holders;
      held.entries_.emplace(key, entry.get());
      if (!entry->loaded || Planted(Canary::kIgnoreOverlay))
        unread.emplace_back(std::move(row_key), entry.get());
    }
  }
  // Held from before it is read: a task that changes the row from here on finds this entry, and one that was
  // finished before has written it.
  for (auto& [row_key, entry] : unread) {
    SELVAGE_ASSIGN_OR_RETURN(const auto stored, store_.Get(Family::kRow, row_key));
    Row row;
    RowIndexed indexed;
    if (stored) {
      SELVAGE_ASSIGN_OR_RETURN(row, DecodeRow(*stored));
      indexed = IndexOf(row);
      indexed.bytes = row_key.size() + stored->size();
    }
    absl::MutexLock lock(&mutex_);
    if (entry->loaded && !Planted(Canary::kIgnoreOverlay)) continue;
    entry->row = std::move(row);
    entry->indexed = std::move(indexed);
    entry->loaded = true;
  }
  return held;
}

void RowOverlay::MarkDirty(Entry& entry) {
  if (std::exchange(entry.dirty, true)) return;
  dirty_.push_back(&entry);
}

void RowOverlay::LetGo(const std::map<std::string, Entry*, std::less<>>& entries) {
  absl::MutexLock lock(&mutex_);
  for (const auto& [key, entry] : entries) {
    SELVAGE_CHECK(entry->holders > 0);
    if (--entry->holders == 0) entries_.erase(RowKey(entry->table, key));
  }
}

}  // namespace selvage::table
