#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/base/invariant.h"
#include "fabric/table/row_format.h"
#include "fabric/table/table_store.h"

/// What holds of tables between two commits: indexes and counts say what the rows say, and nothing else.
namespace selvage::table {
namespace {

using Entries = std::set<std::pair<std::string, std::string>>;

absl::StatusOr<Entries> ReadIndex(KvStore& store, FeedIndex index, TableNumber table) {
  Entries entries;
  const std::string keys = FeedKeys(index, table);
  auto cursor = store.Scan(Family::kFeed, keys, EndOfPrefix(keys));
  for (cursor->Seek(keys); cursor->Valid(); cursor->Next()) entries.emplace(cursor->key(), cursor->value());
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  return entries;
}

/// Entries of a table's own indexes that there may be, and those of them that there must be.
struct IndexedRows {
  Entries all;
  Entries built;
};

void AddEntries(IndexedRows& indexed, TableNumber table,
                const std::map<uint32_t, v1::StoredTableIndex>& indexes, std::string_view key,
                const Row& row) {
  for (const auto& [number, index] : indexes) {
    const TableIndexes one{{number, index.name(), FieldPath::Parse(index.path())}};
    for (const std::string& entry : IndexEntriesOf(table, one, key, row)) {
      indexed.all.emplace(entry, "");
      if (index.built() || key <= index.built_to()) indexed.built.emplace(entry, "");
    }
  }
}

}  // namespace

absl::Status TableStore::CheckInvariants() const {
  for (const auto& [number, table] : numbered_) SELVAGE_RETURN_IF_ERROR(CheckTable(*table));
  return absl::OkStatus();
}

absl::Status TableStore::CheckTable(const Table& table) const {
  Entries changes;
  Entries expiries;
  Entries tombstones;
  IndexedRows indexed_rows;
  TableCounts counts;
  const std::string keys = RowKeys(table.number);
  auto cursor = env_.store.Scan(Family::kRow, keys, EndOfPrefix(keys));
  for (cursor->Seek(keys); cursor->Valid(); cursor->Next()) {
    const std::string key(cursor->key().substr(keys.size()));
    SELVAGE_ASSIGN_OR_RETURN(const Row row, DecodeRow(cursor->value()));
    const RowIndexed indexed = IndexOf(row);
    for (const uint64_t sequence : indexed.sequences) {
      changes.emplace(FeedKey(FeedIndex::kSequence, table.number, sequence), key);
    }
    if (indexed.expires_at_ms) {
      const auto at_ms = static_cast<uint64_t>(std::max<int64_t>(*indexed.expires_at_ms, 0));
      expiries.emplace(FeedKey(FeedIndex::kExpiry, table.number, at_ms, key), "");
    }
    if (indexed.tombstone) {
      tombstones.emplace(FeedKey(FeedIndex::kTombstone, table.number, indexed.newest()), key);
    }
    AddEntries(indexed_rows, table.number, table.staged_indexes, key, row);
    (indexed.tombstone ? counts.tombstones : counts.rows) += 1;
    counts.bytes += cursor->key().size() + cursor->value().size();
    SELVAGE_RETURN_IF_ERROR(FirstBroken({
        {!indexed.sequences.empty(), "a row that is stored has parts"},
        {indexed.newest() < next_sequence_, "every change has a sequence that was given"},
    }));
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  SELVAGE_ASSIGN_OR_RETURN(const Entries stored_changes,
                           ReadIndex(env_.store, FeedIndex::kSequence, table.number));
  SELVAGE_ASSIGN_OR_RETURN(const Entries stored_expiries,
                           ReadIndex(env_.store, FeedIndex::kExpiry, table.number));
  SELVAGE_ASSIGN_OR_RETURN(const Entries stored_tombstones,
                           ReadIndex(env_.store, FeedIndex::kTombstone, table.number));
  SELVAGE_ASSIGN_OR_RETURN(const Entries stored_values,
                           ReadIndex(env_.store, FeedIndex::kValue, table.number));
  const auto all_in = [](const Entries& these, const Entries& those) {
    return std::includes(those.begin(), those.end(), these.begin(), these.end());
  };
  return FirstBroken({
      {all_in(stored_values, indexed_rows.all), "the indexes of a table have no entry that no row has"},
      {all_in(indexed_rows.built, stored_values), "the indexes of a table have the rows that are there"},
      {changes == stored_changes, "the feed names the rows of the sequences that stand in rows"},
      {expiries == stored_expiries, "the index of expiries names the rows that expire"},
      {tombstones == stored_tombstones, "the index of tombstones names the rows that are not there"},
      {counts.rows == table.staged.rows, "the rows are counted"},
      {counts.tombstones == table.staged.tombstones, "the tombstones are counted"},
      {counts.bytes == table.staged.bytes, "the bytes of rows are counted"},
  });
}

}  // namespace selvage::table
