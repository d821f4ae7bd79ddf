#include "fabric/table/row_overlay.h"

#include <algorithm>
#include <utility>

#include "fabric/base/canary.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/table/index_value.h"
#include "fabric/table/row_format.h"

namespace selvage::table {
namespace {

/// What stands in the indexes of a row that cannot say it itself. Looks at all of the table's.
absl::StatusOr<RowIndexed> FindInIndexes(KvStore& store, TableNumber table, const std::string& key) {
  RowIndexed found;
  for (const FeedIndex index : {FeedIndex::kSequence, FeedIndex::kTombstone, FeedIndex::kExpiry}) {
    const std::string keys = FeedKeys(index, table);
    const bool named = index != FeedIndex::kExpiry;  // else the key itself holds the row's
    auto cursor = store.Scan(Family::kFeed, keys, EndOfPrefix(keys));
    for (cursor->Seek(keys); cursor->Valid(); cursor->Next()) {
      if ((named ? cursor->value() : RowOfFeedKey(cursor->key())) != key) continue;
      const uint64_t number = NumberOfFeedKey(cursor->key());
      if (index == FeedIndex::kSequence) found.sequences.push_back(number);
      if (index == FeedIndex::kTombstone) found.tombstone = true;
      if (index == FeedIndex::kExpiry) found.expires_at_ms = static_cast<int64_t>(number);
    }
    SELVAGE_RETURN_IF_ERROR(cursor->status());
  }
  const std::string values = FeedKeys(FeedIndex::kValue, table);
  const size_t value_at = ValueKeys(table, 0).size();
  auto cursor = store.Scan(Family::kFeed, values, EndOfPrefix(values));
  for (cursor->Seek(values); cursor->Valid(); cursor->Next()) {
    const std::string_view entry = cursor->key();
    const auto size = IndexValueSize(entry.substr(std::min(entry.size(), value_at)));
    if (size && entry.substr(value_at + *size) == key) found.entries.emplace_back(entry);
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  return found;
}

}  // namespace

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
                                                  const std::vector<std::string_view>& keys,
                                                  const Keys& replaceable) {
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
    SELVAGE_ASSIGN_OR_RETURN(Loaded loaded, Load(row_key));
    if (!loaded.damaged) loaded.indexed.entries = IndexEntriesOf(table, *indexes, entry->key, loaded.row);
    absl::MutexLock lock(&mutex_);
    if (entry->loaded && !Planted(Canary::kIgnoreOverlay)) continue;
    if (const Indexes now = Find(table); now != indexes && !loaded.damaged) {
      loaded.indexed.entries = IndexEntriesOf(table, *now, entry->key, loaded.row);
    }
    entry->row = std::move(loaded.row);
    entry->indexed = std::move(loaded.indexed);
    entry->damaged = std::move(loaded.damaged);
    entry->indexes_known = !entry->damaged;
    entry->loaded = true;
  }
  for (const std::string_view key : replaceable) {
    SELVAGE_RETURN_IF_ERROR(ReadIndexes(*held.entries_.find(key)->second));
  }
  return held;
}

absl::StatusOr<RowOverlay::Loaded> RowOverlay::Load(const std::string& row_key) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto stored, store_.Get(Family::kRow, row_key));
  Loaded loaded;
  if (!stored) return loaded;
  if (auto row = DecodeRow(*stored); row.ok()) {
    loaded.row = *std::move(row);
    loaded.indexed = IndexOf(loaded.row);
  } else {
    loaded.damaged = stored->substr(0, kDamagedBytesKept);
  }
  loaded.indexed.bytes = row_key.size() + stored->size();
  return loaded;
}

absl::Status RowOverlay::ReadIndexes(Entry& entry) {
  const auto is_known = [&] {
    absl::MutexLock lock(&mutex_);
    return entry.indexes_known;
  };
  if (is_known()) return absl::OkStatus();
  // Nobody changes the row meanwhile: that takes a task that has looked here before.
  SELVAGE_ASSIGN_OR_RETURN(RowIndexed found, FindInIndexes(store_, entry.table, entry.key));
  absl::MutexLock lock(&mutex_);
  if (std::exchange(entry.indexes_known, true)) return absl::OkStatus();
  found.bytes = entry.indexed.bytes;
  entry.indexed = std::move(found);
  return absl::OkStatus();
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
    // A damaged row got none in a new index, and those of an index that is gone are gone.
    if (entry->table != table || !entry->loaded || entry->damaged) continue;
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
