#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "fabric/base/ids.h"

/// Keys of what tables store (docs/formats.md, "Tables").
namespace selvage::table {

/// Number of a table inside one store: the first four bytes of its rows' keys. Never reused within a store.
using TableNumber = StrongInt<struct TableNumberTag, uint32_t>;

// Family::kMeta.
inline constexpr std::string_view kTablePrefix = "table/";  ///< + table number: StoredTable
inline constexpr std::string_view kTableCountsPrefix =
    "table_counts/";  ///< + table number: StoredTableCounts
inline constexpr std::string_view kTableCursorPrefix =
    "table_cursor/";  ///< + table number + store id of the source: StoredTableCursor
inline constexpr std::string_view kTableReaderPrefix =
    "table_reader/";  ///< + table number + name of the node that reads: StoredTableReader
inline constexpr std::string_view kTableIndexPrefix =
    "table_index/";  ///< + table number + index number: StoredTableIndex
inline constexpr std::string_view kFeedTimesKey = "feed_times";    ///< StoredFeedTimes
inline constexpr std::string_view kNextTableKey = "next_table";    ///< u32: number of the next table
inline constexpr std::string_view kFeedEpochsKey = "feed_epochs";  ///< StoredFeedEpochs
inline constexpr std::string_view kTableClockKey = "table_clock";  ///< StoredTableClock
std::string TableKey(TableNumber table);
std::string TableCountsKey(TableNumber table);
std::string TableCursorKeys(TableNumber table);
std::string TableReaderKeys(TableNumber table);
std::string TableIndexKeys(TableNumber table);
std::string TableIndexKey(TableNumber table, uint32_t index);

// Family::kRow.
/// What the keys of all rows of a table begin with.
std::string RowKeys(TableNumber table);
std::string RowKey(TableNumber table, std::string_view key);
/// What the view that the table belongs to keeps of a row (TableStore::OwnedRow::state), among the rows of a
/// table number that no table has.
std::string OwnedStateKeys(TableNumber table);
std::string OwnedStateKey(TableNumber table, std::string_view key);

/// Family::kFeed: one index for each letter, whose keys begin with it and the table.
enum class FeedIndex : char {
  kSequence = 'f',   ///< + sequence u64: key of the row of which some part has this sequence
  kExpiry = 'e',     ///< + time u64 (ms) + key: nothing
  kTombstone = 't',  ///< + newest sequence u64: key of the row that is not there
  kConflict = 'c',   ///< + number u64: StoredConflict; the newest of them
  kAhead = 'q',      ///< + time u64 (ms) + number u64: a change that waits for its time to come
  kValue = 'i',      ///< + index number u32 + value (index_value.h) + key: nothing
};
inline constexpr FeedIndex kFeedIndexes[] = {FeedIndex::kSequence, FeedIndex::kExpiry, FeedIndex::kTombstone,
                                             FeedIndex::kConflict, FeedIndex::kAhead,  FeedIndex::kValue};
std::string FeedKeys(FeedIndex index, TableNumber table);
std::string FeedKey(FeedIndex index, TableNumber table, uint64_t number, std::string_view key = {});
/// `number` tells changes apart that are due at one time.
std::string AheadKey(TableNumber table, int64_t due_ms, uint64_t number);
uint64_t NumberOfAheadKey(std::string_view ahead_key);
/// The number in a key that FeedKey made.
uint64_t NumberOfFeedKey(std::string_view feed_key);
/// The row's key behind the number.
std::string_view RowOfFeedKey(std::string_view feed_key);

/// What the keys of all entries of one of a table's own indexes begin with.
std::string ValueKeys(TableNumber table, uint32_t index);

/// The first key after all that begin with `prefix`; of a prefix of nothing but 0xFF bytes, or an empty one,
/// nothing.
std::string EndOfPrefix(std::string prefix);

}  // namespace selvage::table
