#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fabric/stream/log_store.h"
#include "fabric/table/change_format.h"
#include "fabric/table/table_types.h"

/// What a table gives to another node and takes from it (DESIGN section 9). TableStore does it, TableSource
/// and TableSink bring it to the link.
namespace selvage::table {

/// The incarnation of a table: made again under its name, it is another one.
using Incarnation = Id128<struct IncarnationTag>;

/// A store begins another life when it is set back, as by a restore.
using Life = Id128<struct LifeTag>;

/// How far this store has read a table of another one. Lies with the rows, and moves with them.
struct TableCursor {
  /// Read up to here; while a snapshot runs, where the feed is to be read from after it.
  FeedPosition feed;
  /// Of changes before this sequence those are wanted as well that came from here: the source read everything
  /// from the beginning to somebody who had nothing.
  uint64_t full_to = 0;
  std::string prefix = {};  ///< of the rows that are read
  uint64_t intervals = 0;   ///< pieces of a snapshot that were read; 0: none is under way
  std::string upto = {};    ///< where the next piece begins
  /// Minted here when nothing was read of the source, or the source was set back behind what was read of it.
  Life source_life = {};
  /// Of this store, as the source knew it (link.proto, TableFlow).
  Life reader_life = {};
  /// How far the source had read the feed of this store (ChangesEntry::seen); without an epoch: not known.
  FeedPosition seen = {};
  /// The source was set back behind what was read of it, now or before: it lost something.
  bool source_set_back = false;
  /// Where the source's feed ended, at least, when something was read of it (ChangesEntry::source_end).
  uint64_t source_end = 0;
  /// This store had read up to here, and was set back since, or restored: of a change before this sequence,
  /// a row that is not here may be lost, rather than deleted; and of each change until `seen` is known again,
  /// since something may wait for its time at the source till then.
  uint64_t lost_to = 0;
  /// What the source had sent once (link.proto, TableFlow) when it began to be read. One that was restored
  /// says so of what it sends again: of that nothing is lost here.
  uint64_t sent_before = 0;

  bool operator==(const TableCursor&) const = default;
};

/// Changes that a peer sent, to be merged and remembered as read, in one step.
struct Incoming {
  Incarnation incarnation;  ///< of the table here
  StoreId peer;
  std::vector<RowChange> changes = {};
  size_t bytes = 0;         ///< of the changes, as they came
  TableCursor cursor = {};  ///< as it is afterwards
  Fence fence = {};
  std::string allowed = {};  ///< what the keys must begin with; others are listed as conflicts, and not taken
  /// Of a piece of a snapshot: rows from `from` on and before `upto` that are not among the changes are gone
  /// at the source, and are removed here, but for those with a part that was written here from `unsent` on.
  struct Sweep {
    std::string from;
    std::optional<std::string> upto;
    uint64_t unsent = 0;
  };
  std::optional<Sweep> sweep = {};
  /// The changes may be of rows that this store had and lost (TableCursor::lost_to).
  bool lost = false;
};

/// A change that waits for its time.
struct QuarantinedChange {
  StoreId peer;  ///< that sent it
  int64_t due_ms = 0;
  RowChange change;
  Row now;  ///< what it waits to be merged into
};

/// What a peer wants of a feed.
struct FeedReader {
  StoreId peer;
  uint64_t full_to = 0;  ///< TableCursor::full_to
  std::string prefix;
  int watch = 0;  ///< of TableStore::WatchRows, for these rows; 0: none
};

struct FeedPiece {
  std::string rows;         ///< as ChangesWriter wrote them; empty: nothing that is wanted
  uint64_t to = 0;          ///< changes with lower sequences were looked at
  FeedPosition seen = {};   ///< ChangesEntry::seen
  uint64_t source_end = 0;  ///< ChangesEntry::source_end
};

/// A node that reads a table of this one.
struct TableReader {
  StoreId store;              ///< the node's
  FeedPosition acknowledged;  ///< it has what was in the feed before
  /// When it acknowledged something new last.
  int64_t moved_ms = 0;
  uint64_t sent = 0;  ///< the highest sequence that it, or its former store, ever acknowledged
  /// What was acknowledged to this very store: `sent_here` while `sent_as` is its id. One that was restored
  /// and goes on under another id has sent nothing yet.
  StoreId sent_as = {};
  uint64_t sent_here = 0;
};

/// What keeps the tombstones of a table.
struct TombstoneHold {
  uint64_t before = 0;  ///< those with lower sequences are needed by nobody
  /// Nor are those with sequences below `from_source_before` that came from there.
  StoreId source = {};
  uint64_t from_source_before = 0;
  uint64_t seen_before = 0;  ///< those with lower sequences are known to be where they are wanted
  /// The node that has not said yet that it has those that are old enough; empty: none.
  std::string node = {};
  int64_t since_ms = 0;  ///< when it said something last; 0: never

  bool IsNeededByNobody(const Row& tombstone, uint64_t newest) const;
};

/// Which rows a snapshot has.
struct SnapshotOf {
  std::string prefix = {};
  /// Only the parts that these stores wrote; empty: whole rows.
  std::set<StoreId> written_by = {};
};

struct SnapshotPiece {
  std::string rows;                 ///< as ChangesWriter wrote them
  std::optional<std::string> upto;  ///< where the next piece begins; nothing: this was the last
  uint64_t source_end = 0;          ///< Interval::source_end
};

}  // namespace selvage::table
