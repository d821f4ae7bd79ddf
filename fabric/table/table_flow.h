#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fabric/replication/flow.h"
#include "fabric/table/table_store.h"

/// A table as a flow (fabric/replication/flow.h; link.proto, TableFlow).
///
/// Up, an edge reads its feed to the core, which gives an edge that lost its store what it had sent: a
/// snapshot of that alone, which removes nothing, and no feed after it. Down, the core reads a snapshot to an
/// edge that has read nothing, or other rows, and then its feed. An example, of an edge that never had the
/// table:
///
///   the edge accepts at 0                        (offset 0: from the beginning)
///   [0, 1)             interval up to "k500", 500 rows; the feed stands at sequence 70
///   the link breaks; the edge accepts at 1       (detail: interval from "k500", feed 70)
///   [1, 2^40 + 70)     interval from "k500" to the last key: the snapshot ends
///   [2^40+70, 2^40+82) changes of the feed from 70 on, also those made while the snapshot ran
namespace selvage::table {

/// Offsets from here on are sequences of the feed; those before count intervals of a snapshot.
inline constexpr int64_t kFeedBase = int64_t{1} << 40;
inline Offset FeedOffset(uint64_t sequence) {
  return Offset(kFeedBase + static_cast<int64_t>(sequence));
}

/// A table of this node that a peer reads. It answers from the store, and may wait for the disk as other
/// sources do.
class TableSource : public replication::FlowSource {
 public:
  struct Options {
    std::string table;
    v1::TableDefinition definition;  ///< as it is offered
    StoreId store_id;                ///< of this node
    std::string prefix = {};         ///< of the keys that are sent
    bool snapshots = false;          ///< send a snapshot to a sink that begins at 0
    /// Of a snapshot only what these stores wrote, and no feed after it: rows go back to who lost them.
    /// Empty: everything.
    std::set<StoreId> written_by = {};
    Life reader_life = {};    ///< of the peer's store, as this node knows it from what it reads of it
    std::string reader = {};  ///< name of the peer, for those who want to know how far it is
    StoreId peer = {};        ///< the peer's store, where that is known otherwise than by its word

    bool operator==(const Options& other) const;
  };
  /// `tables` must outlive it. `told` is called whenever the peer has read further. `watch` is of
  /// TableStore::WatchRows, for the table and the prefix; 0: none.
  TableSource(
      TableStore& tables, Options options, std::function<void()> told = [] {}, int watch = 0);

  v1::FlowOpen Describe() override;
  replication::FlowSettings settings() override;
  /// Down, there are many readers of few rows each: the end moves when rows of this one change, and with
  /// what changes elsewhere only now and then. Up, it moves at once: snapshots wait for what the peer has
  /// read.
  Offset end() override;
  /// The end moves now, whatever changed.
  void CatchUp() { due_ = tables_.End().sequence; }
  absl::StatusOr<std::vector<FlowEntry>> Read(Offset from, size_t max_bytes) override;
  void Acknowledged(const replication::FlowPosition& durable) override;

  const std::string& table() const { return options_.table; }
  const Options& options() const { return options_; }
  /// Everything in the feed before this sequence is durable at the peer; nothing before it said so, or while
  /// a snapshot runs.
  std::optional<uint64_t> acknowledged() const { return acknowledged_; }

 private:
  struct Snapshot {
    int64_t next = 0;  ///< offset of the next interval
    std::string from;  ///< where it begins
    FeedPosition feed;
  };
  absl::StatusOr<FlowEntry> ReadInterval(Offset from, size_t max_bytes);

  TableStore& tables_;
  const Options options_;
  const std::function<void()> told_;
  const int watch_;
  FeedReader reader_;
  uint64_t due_ = 0;  // the peer is to read at least up to here
  bool begun_ = false;
  std::optional<Snapshot> snapshot_;
  std::optional<uint64_t> acknowledged_;
};

/// A table of a peer that this node merges into its own.
class TableSink : public replication::FlowSink {
 public:
  struct Options {
    std::string table;
    Incarnation incarnation;  ///< of the table here
    StoreId store_id;         ///< of this node
    StoreId peer;
    std::string allowed = {};  ///< what the peer's keys must begin with
    Fence fence = {};
    bool snapshots = false;  ///< may the peer send some?
    /// Do they remove rows here that the peer does not have? Not those that bring back what was lost here.
    bool sweeps = true;
    /// Of a flow that sweeps: what this node wrote from here on the peer may not have.
    uint64_t unsent = 0;
  };
  /// Where a sink stands that has read `cursor`, in what `open` offers.
  static TableCursor Resume(const std::optional<TableCursor>& cursor, const v1::FlowOpen& open,
                            Random& random);
  /// True when the sink needs a snapshot, or the rest of one.
  static bool NeedsSnapshot(const TableCursor& at) { return at.feed.sequence == 0 || at.intervals > 0; }

  /// `run` runs what may wait for the disk, in order. `at` from Resume.
  TableSink(TableStore& tables, Options options, TableCursor at, std::string history,
            std::function<void(std::function<void()>)> run);

  /// Stores where the sink stands before anything has come: of a source whose life was minted just now that
  /// it leads this one, also when it has nothing to send.
  void Remember();
  /// True when Resume minted the life of the source, so that it is to be remembered.
  static bool IsAnotherLife(const std::optional<TableCursor>& cursor, const TableCursor& at) {
    return !cursor || cursor->source_life != at.source_life;
  }

  /// The life of the peer's store.
  const Life& source_life() const { return at_.source_life; }

  replication::FlowPosition position() override;
  absl::Status Check(const FlowEntry& entry) override;
  void Persist(FlowEntry entry, Done done) override;

 private:
  /// Where the sink stands behind an entry.
  absl::StatusOr<Incoming> IncomingOf(const FlowEntry& entry);
  replication::FlowPosition PositionOf(const TableCursor& cursor) const;

  TableStore& tables_;
  const Options options_;
  const std::string history_;
  const std::function<void(std::function<void()>)> run_;
  TableCursor at_;  // of what was handed on to be persisted
};

}  // namespace selvage::table
