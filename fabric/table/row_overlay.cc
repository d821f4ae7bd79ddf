#include "fabric/table/row_overlay.h"

#include <algorithm>
#include <utility>

#include "fabric/base/canary.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/table/index_value.h"
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

std::vector<std::string> IndexEntriesOf(TableNumber table, const TableIndexes& indexes, std::string_view key,
                                        const Row& row) {
  std::vector<std::string> entries;
  for (const TableIndex& index : indexes) {
    for (const std::string& value : IndexValuesOf(row, index.path)) {
      std::string& entry = entries.emplace_back(ValueKeys(table, index.number));
      entry += value;
      entry += key;
    }
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

RowOverlay::Held::~Held() {
  if (overlay_ != nullptr) overlay_->LetGo(entries_);
}

absl::StatusOr<RowOverlay::Held> RowOverlay::Hold(TableNumber table,
                                                  const std::vector<std::string_view>& keys) {
  Held held;
  held.overlay_ = this;
  std::vector<std::pair<std::string, Entry*>> unread;
  Indexes indexes;
  {
    absl::MutexLock lock(&mutex_);
    indexes = Find(table);
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
      indexed.entries = IndexEntriesOf(table, *indexes, entry->key, row);
    }
    absl::MutexLock lock(&mutex_);
    if (entry->loaded && !Planted(Canary::kIgnoreOverlay)) continue;
    if (const Indexes now = Find(table); now != indexes) {
      indexed.entries = IndexEntriesOf(table, *now, entry->key, row);
    }
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

void RowOverlay::SetIndexes(TableNumber table, TableIndexes indexes) {
  SELVAGE_CHECK(dirty_.empty());
  absl::MutexLock lock(&mutex_);
  const auto now = std::make_shared<const TableIndexes>(std::move(indexes));
  if (now->empty()) {
    indexes_.erase(table);
  } else {
    indexes_[table] = now;
  }
  for (auto& [row_key, entry] : entries_) {
    if (entry->table != table || !entry->loaded) continue;
    entry->indexed.entries = IndexEntriesOf(table, *now, entry->key, entry->row);
  }
}

RowOverlay::Indexes RowOverlay::Find(TableNumber table) const {
  static const auto* none = new Indexes(std::make_shared<const TableIndexes>());
  const auto found = indexes_.find(table);
  return found == indexes_.end() ? *none : found->second;
}

RowOverlay::Indexes RowOverlay::IndexesOf(TableNumber table) {
  absl::MutexLock lock(&mutex_);
  return Find(table);
}

void RowOverlay::LetGo(const std::map<std::string, Entry*, std::less<>>& entries) {
  absl::MutexLock lock(&mutex_);
  for (const auto& [key, entry] : entries) {
    SELVAGE_CHECK(entry->holders > 0);
    if (--entry->holders == 0) entries_.erase(RowKey(entry->table, key));
  }
}

}  // namespace selvage::table
