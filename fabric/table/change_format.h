#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/table/document.h"
#include "fabric/table/table_types.h"

/// What table flows carry (docs/formats.md, "Entries of tables").
namespace selvage::table {

/// A change of one row on its way to another node. What belongs to one copy of the row (sequences, peers) is
/// left out of it.
struct RowChange {
  std::string key;
  Change change;
  /// The sender has had this row in common with the receiver, or sent it something of it before: where the
  /// receiver does not have it, it was deleted there.
  bool known = false;
  /// Of a row in a snapshot: the sender cannot say all of it, since changes of it wait there for their time,
  /// or it is damaged there. What is not said is not gone.
  bool incomplete = false;
};

/// The parts of `row` that have this sequence; nothing when there are none. With `except`, those are left out
/// that came from that peer.
std::optional<Change> PartsAt(const Row& row, uint64_t sequence, const StoreId& except);
/// The parts of `row` that these stores wrote; nothing when there are none.
std::optional<Change> PartsWrittenBy(const Row& row, const std::set<StoreId>& stores);
/// All of `row`, as a change for another node.
Change WholeRow(const Row& row);

/// Writes changes of rows one after the other.
class ChangesWriter {
 public:
  void Add(const RowChange& row);
  size_t size() const { return rows_.size(); }
  std::string Take() && { return std::move(rows_); }

 private:
  std::string rows_;
};
/// Reads what ChangesWriter wrote. Errors: "corrupt_changes" (kInvalidArgument), "invalid_key". Memory is
/// bounded by a small multiple of the bytes.
absl::StatusOr<std::vector<RowChange>> ReadRows(std::string_view rows);

/// A piece of the feed.
struct ChangesEntry {
  /// How far the source had read the sink's own feed: whatever it writes from the end of this entry on, it
  /// writes knowing what the sink's feed had before. Without an epoch: not known, since more follows.
  FeedPosition seen;
  /// Where the source's own feed ended when this was read, at least: a change of a row may have moved from
  /// what was read to there. If the source ever ends before it, it was set back, and the change has moved
  /// back.
  uint64_t source_end = 0;
  std::vector<RowChange> rows;
};
/// `rows` as ChangesWriter wrote them.
std::string ChangesBody(const FeedPosition& seen, uint64_t source_end, std::string_view rows);
/// Errors: those of ReadRows.
absl::StatusOr<ChangesEntry> ReadChangesBody(std::string_view body);

/// A piece of a snapshot in the order of keys: all rows that the source has from where the piece before it
/// ended up to `upto`.
struct Interval {
  /// The interval ends before this key; nothing: it is the last one, and has no end.
  std::optional<std::string> upto;
  /// Where the feed goes on after the snapshot: the end of the source's feed before the snapshot began.
  FeedPosition feed;
  uint64_t source_end = 0;  ///< ChangesEntry::source_end
  std::vector<RowChange> rows;
};
/// `rows` as ChangesWriter wrote them.
std::string IntervalBody(const std::optional<std::string>& upto, const FeedPosition& feed,
                         uint64_t source_end, std::string_view rows);
/// Errors: those of ReadRows.
absl::StatusOr<Interval> ReadIntervalBody(std::string_view body);

}  // namespace selvage::table
