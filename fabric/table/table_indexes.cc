#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"
#include "fabric/table/row_format.h"
#include "fabric/table/table_store.h"

/// Indexes of tables: made, dropped and built. StageRow keeps them with the rows. How an index comes to have
/// all rows while they are written:
///
///   - From the group that makes it on, every row that is staged has its former entry deleted and its new one
///     put, whether the former one was stored or not.
///   - BuildPiece walks the rows by their keys. Of a piece of them it holds the rows and puts the entries
///   that
///     the overlay has for them: of the row as it is stored then, or will be by tasks staged before. A task
///     that changes such a row deletes exactly these.
///
/// So no entry is ever stored that no row has, and rows up to StoredTableIndex::built_to have all of theirs.
namespace selvage::table {
namespace {

/// Rows that one task puts entries of, and about how many bytes of them are read.
constexpr size_t kBuiltAtATime = 500;
constexpr size_t kBuiltBytes = 4u << 20;
/// Pieces of one call where the clock does not end it.
constexpr int kPiecesAtOnce = 40;
/// Of an entry in files, beside the row's key.
constexpr size_t kIndexEntryBytes = 128;

absl::Status UnknownIndex(std::string_view table, std::string_view name) {
  return MakeError(absl::StatusCode::kNotFound, "unknown_index",
                   fmt::format("table {} has no index {}", table, name), "see selvagectl table describe");
}

absl::Status DroppedMeanwhile(std::string_view table) {
  return MakeError(absl::StatusCode::kNotFound, "unknown_table",
                   fmt::format("table {} was dropped meanwhile", table));
}

void StageStoredIndex(WriteBatch& batch, TableNumber table, uint32_t index,
                      const v1::StoredTableIndex& stored) {
  batch.Put(Family::kMeta, TableIndexKey(table, index), {stored.SerializeAsString()});
}

/// What is to be read next, by who builds an index.
struct PieceOfRows {
  std::vector<std::string> keys = {};
  size_t bytes = 0;
  std::string last = {};  ///< key up to which it goes
  bool at_end = false;    ///< there are no more rows
  uint64_t rows = 0;
  uint64_t unread = 0;
};

absl::StatusOr<PieceOfRows> ReadPiece(KvStore& store, TableNumber table, const std::string& after) {
  PieceOfRows piece{.last = after};
  const std::string rows = RowKeys(table);
  // The first key behind it.
  const std::string from = after.empty() ? rows : RowKey(table, after) + '\0';
  auto cursor = store.Scan(Family::kRow, from, EndOfPrefix(rows));
  for (cursor->Seek(from); cursor->Valid(); cursor->Next()) {
    if (piece.rows >= kBuiltAtATime || piece.bytes >= kBuiltBytes) return piece;
    piece.last = std::string(cursor->key().substr(rows.size()));
    piece.bytes += cursor->value().size();
    ++piece.rows;
    if (DecodeRow(cursor->value()).ok()) {
      piece.keys.push_back(piece.last);
    } else {
      ++piece.unread;
    }
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  piece.at_end = true;
  return piece;
}

}  // namespace

absl::Status TableStore::LoadIndexes(Table& table) {
  const std::string keys = TableIndexKeys(table.number);
  auto cursor = env_.store.Scan(Family::kMeta, keys, EndOfPrefix(keys));
  for (cursor->Seek(keys); cursor->Valid(); cursor->Next()) {
    v1::StoredTableIndex stored;
    const std::string_view number = cursor->key().substr(keys.size());
    if (number.size() != sizeof(uint32_t) || !stored.ParseFromString(std::string(cursor->value()))) {
      return DamagedMeta("index of a table");
    }
    table.staged_indexes[LoadBig<uint32_t>(number.data())] = std::move(stored);
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  table.indexes = table.staged_indexes;
  HoldIndexes(table);
  return absl::OkStatus();
}

void TableStore::HoldIndexes(const Table& table) {
  TableIndexes indexes;
  indexes.reserve(table.staged_indexes.size());
  for (const auto& [number, stored] : table.staged_indexes) {
    indexes.push_back({number, stored.name(), FieldPath::Parse(stored.path())});
  }
  overlay_.SetIndexes(table.number, std::move(indexes));
}

void TableStore::PublishIndexes(Table& table) {
  absl::MutexLock lock(&mutex_);
  table.indexes = table.staged_indexes;
}

absl::Status TableStore::CreateIndex(const std::string& name, const std::string& index,
                                     std::string_view path) {
  SELVAGE_RETURN_IF_ERROR(ParseFieldPath(path, "invalid_index", "an index").status());
  SELVAGE_RETURN_IF_ERROR(CheckIndexName(index));
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  v1::StoredTableIndex stored;
  stored.set_name(index);
  stored.set_path(std::string(path));
  return Commit(
      env_.committer,
      [&](WriteBatch& batch) {
        if (table->dropped) return DroppedMeanwhile(name);
        auto& indexes = table->staged_indexes;
        const auto has_name = [&](const auto& known) { return known.second.name() == index; };
        if (std::any_of(indexes.begin(), indexes.end(), has_name)) {
          return MakeError(absl::StatusCode::kAlreadyExists, "index_exists",
                           fmt::format("table {} has an index {} already", name, index));
        }
        if (indexes.size() >= kIndexesMax) {
          return MakeError(absl::StatusCode::kInvalidArgument, "invalid_index",
                           fmt::format("table {} has {} indexes, which is the most", name, indexes.size()),
                           "drop one that is not used");
        }
        // What earlier tasks of this group changed is written with the entries that it had until now.
        StageChanges(batch);
        stored.set_built(table->staged.rows == 0 && table->staged.tombstones == 0);
        absl::MutexLock lock(&mutex_);
        const uint32_t number = table->next_index++;
        indexes[number] = stored;
        StageDefinition(batch, *table);
        StageStoredIndex(batch, table->number, number, stored);
        HoldIndexes(*table);
        return absl::OkStatus();
      },
      [&](const absl::Status& status) {
        if (status.ok()) PublishIndexes(*table);
      });
}

absl::Status TableStore::DropIndex(const std::string& name, const std::string& index) {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  return Commit(
      env_.committer,
      [&](WriteBatch& batch) {
        if (table->dropped) return DroppedMeanwhile(name);
        auto& indexes = table->staged_indexes;
        const auto found = std::find_if(indexes.begin(), indexes.end(),
                                        [&](const auto& known) { return known.second.name() == index; });
        if (found == indexes.end()) return UnknownIndex(name, index);
        StageChanges(batch);
        const std::string keys = ValueKeys(table->number, found->first);
        batch.DeleteRange(Family::kFeed, keys, EndOfPrefix(keys));
        batch.Delete(Family::kMeta, TableIndexKey(table->number, found->first));
        indexes.erase(found);
        HoldIndexes(*table);
        return absl::OkStatus();
      },
      [&](const absl::Status& status) {
        if (status.ok()) PublishIndexes(*table);
      });
}

absl::StatusOr<std::vector<IndexFacts>> TableStore::Indexes(const std::string& name) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  std::vector<IndexFacts> facts;
  absl::MutexLock lock(&mutex_);
  facts.reserve(table->indexes.size());
  for (const auto& [number, stored] : table->indexes) {
    facts.push_back({.name = stored.name(),
                     .path = stored.path(),
                     .ready = stored.built(),
                     .rows_read = stored.rows(),
                     .rows_unread = stored.unread()});
  }
  std::sort(facts.begin(), facts.end(),
            [](const IndexFacts& a, const IndexFacts& b) { return a.name < b.name; });
  return facts;
}

TableIndexes TableStore::ReadyIndexes(const Table& table) const {
  TableIndexes ready;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [number, stored] : table.indexes) {
      if (stored.built()) ready.push_back({number, stored.name(), FieldPath::Parse(stored.path())});
    }
  }
  std::sort(ready.begin(), ready.end(),
            [](const TableIndex& a, const TableIndex& b) { return a.name < b.name; });
  return ready;
}

absl::Status TableStore::BuildIndexes(const std::shared_ptr<Table>& table, absl::Duration until) {
  const auto find_unbuilt = [&](uint32_t from) -> std::optional<std::pair<uint32_t, std::string>> {
    absl::MutexLock lock(&mutex_);
    for (auto at = table->indexes.lower_bound(from); at != table->indexes.end(); ++at) {
      if (!at->second.built()) return std::pair(at->first, at->second.built_to());
    }
    return std::nullopt;
  };
  absl::Status first;
  uint32_t from = 0;
  for (int piece = 0; piece < kPiecesAtOnce; ++piece) {
    const auto unbuilt = find_unbuilt(from);
    if (!unbuilt || (piece > 0 && env_.clock.Monotonic() >= until)) break;
    const absl::Status built = BuildPiece(table, unbuilt->first, unbuilt->second);
    first.Update(built);
    // Where one cannot go on the others do.
    from = built.ok() ? unbuilt->first : unbuilt->first + 1;
  }
  return first;
}

absl::Status TableStore::BuildPiece(const std::shared_ptr<Table>& table, uint32_t index,
                                    const std::string& built_to) {
  SELVAGE_ASSIGN_OR_RETURN(const PieceOfRows piece, ReadPiece(env_.store, table->number, built_to));
  size_t bytes = piece.keys.size() * kIndexEntryBytes;
  for (const std::string& key : piece.keys) bytes += key.size();
  SELVAGE_ASSIGN_OR_RETURN(DiskCharge charge, env_.budget.Admit(bytes));
  SELVAGE_ASSIGN_OR_RETURN(const RowOverlay::Held held,
                           overlay_.Hold(table->number, {piece.keys.begin(), piece.keys.end()}));
  const std::string keys = ValueKeys(table->number, index);
  return Commit(
      env_.committer,
      [&](WriteBatch& batch) {
        const auto found = table->staged_indexes.find(index);
        if (found == table->staged_indexes.end()) return absl::OkStatus();  // dropped meanwhile
        for (const auto& [key, entry] : held.entries()) {
          for (const std::string& stored : entry->indexed.entries) {
            if (stored.starts_with(keys)) batch.Put(Family::kFeed, stored, {});
          }
        }
        v1::StoredTableIndex& progress = found->second;
        progress.set_built(piece.at_end);
        progress.set_built_to(piece.at_end ? std::string() : piece.last);
        progress.set_rows(progress.rows() + piece.rows);
        progress.set_unread(progress.unread() + piece.unread);
        StageStoredIndex(batch, table->number, index, progress);
        return absl::OkStatus();
      },
      [&](const absl::Status& status) {
        if (!status.ok()) return;
        charge.Written();
        PublishIndexes(*table);
      });
}

}  // namespace selvage::table
