#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fabric/base/clock.h"
#include "fabric/base/random.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"
#include "fabric/stream/disk_budget.h"
#include "fabric/stream/embedded_log.h"
#include "fabric/stream/fence_table.h"
#include "fabric/table/feed_epochs.h"
#include "fabric/table/feed_lanes.h"
#include "fabric/table/feed_times.h"
#include "fabric/table/index_definition.h"
#include "fabric/table/query.h"
#include "fabric/table/row_overlay.h"
#include "fabric/table/table_exchange.h"
#include "fabric/table/table_types.h"
#include "selvage/v1/store.pb.h"
#include "selvage/v1/table.pb.h"

namespace selvage::table {

struct LeftWaiting;
struct PartsAhead;

/// What the tables of a node stand on; all of it must outlive them.
struct TableEnvironment {
  KvStore& store;
  Committer& committer;
  Clock& clock;
  Random& random;
  DiskBudget& budget;
  FenceTable& fences;
};

/// The tables of one node: definitions, rows and their change feed, in the node's own store. Safe to use from
/// several threads. Only what is synced is seen.
///
/// Definitions are in table_store.cc, writing in table_writes.cc, reading in table_reads.cc and
/// table_query.cc, indexes in table_indexes.cc, what is exchanged with other nodes in table_exchange.cc,
/// change capture in table_capture.cc, what time makes due in table_upkeep.cc, what tombstones wait for in
/// table_collection.cc, and what operators do about clocks that were wrong in table_ahead.cc.
///
/// Errors besides those named at each call: "unknown_table" (kNotFound), "corrupt_row" and "corrupt_meta"
/// (kDataLoss), those of the committer and of the disk budget.
class TableStore {
 public:
  struct Options {
    bool is_edge = true;
    /// The id of the store now: who writes (Stamp::node). A fork changes it.
    std::function<StoreId()> store_id;
    /// The log of a stream of this node, or null: where captured changes go.
    std::function<std::shared_ptr<EmbeddedLog>(const std::string& stream)> log_of = nullptr;
  };
  TableStore(TableEnvironment env, Options options);
  ~TableStore();

  /// Reads the definitions and begins a feed epoch. Call once, first. Its cost does not depend on the rows.
  /// Needs a committer that runs.
  absl::Status Open();

  // Tables. `also` is staged in the same batch.
  using Also = std::function<void(WriteBatch&)>;
  std::vector<v1::TableDefinition> All() const;
  /// Grows with every change of a definition.
  uint64_t changes() const { return changes_; }
  std::optional<v1::TableDefinition> Find(const std::string& table) const;
  /// Makes a table from a complete definition (CompleteDefinition). Durable when it returns. Error:
  /// "table_exists" (kAlreadyExists).
  absl::Status Create(
      const v1::TableDefinition& definition, const Also& also = [](WriteBatch&) {});
  /// Replaces settings and generation. Durable when it returns.
  absl::Status Set(
      const v1::TableDefinition& definition, const Also& also = [](WriteBatch&) {});
  /// Removes the table and all its rows. Durable when it returns. Error: "view_table" (kFailedPrecondition)
  /// for one that a view feeds, which goes with its view.
  absl::Status Drop(
      const std::string& table, const Also& also = [](WriteBatch&) {});
  absl::StatusOr<TableFacts> Facts(const std::string& table) const;
  /// Of all tables, by name. Does not look at rows.
  std::map<std::string, TableFacts> AllFacts() const;

  // Indexes of a table. They are this node's: they do not travel, and go with the table.
  /// Makes an index on the path to a field. From here on every write keeps it; the rows that are there
  /// already are read by RunDue, and it is used once it has all. Durable when it returns. Errors:
  /// "invalid_index" (kInvalidArgument), also for one too many; "index_exists" (kAlreadyExists).
  absl::Status CreateIndex(const std::string& table, const std::string& name, std::string_view path);
  /// Durable when it returns. Error: "unknown_index" (kNotFound).
  absl::Status DropIndex(const std::string& table, const std::string& name);
  /// By name.
  absl::StatusOr<std::vector<IndexFacts>> Indexes(const std::string& table) const;

  // Rows.
  using WriteDone = std::function<void(absl::StatusOr<std::vector<RowWritten>>)>;
  /// Does all operations, in their order, or none. `done` is called once: after the sync, on the committer's
  /// thread, where it must not block; or here with an error. May wait for the disk before. Errors, each with
  /// the key in its message: "invalid_key", "row_too_large", "batch_too_large" (kInvalidArgument);
  /// "row_exists", "row_absent", "version_mismatch" (kFailedPrecondition); "corrupt_row" for a damaged row,
  /// unless the operation replaces it; "read_only_table"
  /// (kPermissionDenied) for a table that is not written at this kind of node; those of MakeUpdate and
  /// UpdateOfMergePatch.
  void Write(const std::string& table, std::vector<RowOperation> operations, WriteDone done);
  /// Write, waiting for the outcome.
  absl::StatusOr<std::vector<RowWritten>> WriteAndWait(const std::string& table,
                                                       std::vector<RowOperation> operations);
  /// What the view that a table belongs to makes of one row, with what the view keeps of it for itself.
  struct OwnedRow {
    std::string key;
    std::optional<Fields> row = {};  ///< nothing: it is not there
    std::optional<int64_t> expires_at_ms = {};
    std::string state = {};  ///< stored as long as the row is there, or its tombstone; empty: none
  };
  /// Writes rows of a table with an owner (TableDefinition.view), and what `also` stages, or nothing of it;
  /// otherwise as Write.
  using OwnedDone = std::function<void(const absl::Status&)>;
  void WriteOwned(const std::string& table, std::vector<OwnedRow> rows, Also also, OwnedDone done);
  /// Drop, of a table with an owner.
  absl::Status DropOwned(const std::string& table, const Also& also);
  /// OwnedRow::state of each of these rows, empty where there is none.
  absl::StatusOr<std::vector<std::string>> OwnedStates(const std::string& table,
                                                       const std::vector<std::string_view>& keys) const;
  /// Gives a table the name of another one, which is dropped with its rows. Who follows changes begins anew,
  /// and capture of the former one has stopped.
  /// Durable when it returns.
  absl::Status Replace(const std::string& table, const std::string& by, const Also& also);
  /// Nothing when the row is not there.
  absl::StatusOr<std::optional<RowView>> Get(const std::string& table, std::string_view key) const;
  /// One page of rows, as of one moment; the next page is of a later one. Error: "corrupt_row" when a damaged
  /// row is the first, and `request` does not say to go on behind it.
  absl::StatusOr<ScanPage> Scan(const std::string& table, const ScanRequest& request) const;

  /// One page of the rows that a filter wants, as of one moment. Errors: "invalid_query" (kInvalidArgument);
  /// "invalid_continuation" (kInvalidArgument) for one that is of no page of this query, or whose index is
  /// gone; "query_needs_index" (kFailedPrecondition) when more rows would be sorted than
  /// kSortedRowsMax or kSortedBytesMax.
  absl::StatusOr<QueryPage> Query(const std::string& table, const QueryRequest& request) const;
  /// How the query would be answered now, as a JSON object. Errors: those of Query that need no rows.
  absl::StatusOr<std::string> Explain(const std::string& table, const QueryRequest& request) const;
  static constexpr uint64_t kSortedRowsMax = 100'000;
  static constexpr size_t kSortedBytesMax = 64u << 20;  ///< of stored rows

  /// The rows of a range in one digest, in pages. A damaged row has a version that it has at no other node.
  absl::StatusOr<DigestPage> DigestRows(const std::string& table, const DigestRequest& request) const;

  // Changes.
  /// What changed from a position on, among rows with this prefix: each row once, in its newest state;
  /// damaged ones are left out until something is put in their place. Error: "position_expired" (kOutOfRange)
  /// when deletes since the position are not known any more, or when the position is of another store or of
  /// one that was restored: scan the table, and go on from TableFacts::end as it was before.
  absl::StatusOr<ChangePage> ReadChanges(const std::string& table, const FeedPosition& from,
                                         std::string_view prefix, size_t rows_max, size_t bytes_max) const;
  /// Calls `changed` on the committer's thread when there may be new changes of any table. It must not block.
  int Watch(std::function<void()> changed);
  /// The same for rows of one table whose keys begin with `prefix`. What others change does not concern it.
  int WatchRows(const std::string& table, const std::string& prefix, std::function<void()> changed);
  /// All changes so far that concern a watch of WatchRows have lower sequences; of any other number End().
  uint64_t EndOf(int watch) const;
  /// No call is under way when this returns. Not from within one.
  void Unwatch(int handle);

  // Change capture: what readers see change goes to a stream of this node, in the write of the rows.
  /// Begins, with the changes from here on, or ends. The stream must be there (CaptureStreamOf, one
  /// partition). Durable when it returns. Errors: "unknown_stream" (kNotFound), those of a log that takes no
  /// appends.
  absl::Status SetCapture(const std::string& table, bool on);

  // Exchange with other nodes.
  using ApplyDone = std::function<void(const absl::Status&)>;
  /// Merges what a peer sent. `done` is called once: after the sync, on the committer's thread, where it must
  /// not block; or here with an error. May wait for the disk before. Changes whose stamps are too far ahead
  /// of the clock here are kept apart until their time has come. What comes for a damaged row is listed once
  /// and not taken, but for the whole row: in a snapshot, or put or deleted where this node only reads.
  /// Errors: "stale_session" (fenced),
  /// "table_changed" when the table is of another incarnation, "quarantine_full" (a retry helps).
  void Apply(const std::string& table, Incoming incoming, ApplyDone done);
  /// Nothing when nothing was read from there, or from the beginning on.
  absl::StatusOr<std::optional<TableCursor>> Cursor(const std::string& table, const StoreId& peer) const;
  /// Those of all peers.
  absl::StatusOr<std::map<StoreId, TableCursor>> Cursors(const std::string& table) const;
  /// Forgets what was read of every table of every peer: this store was restored, and peers may hold what it
  /// lost. Part of `batch`.
  void StageForgetCursors(WriteBatch& batch) const;
  /// Changes from exactly `from` on, about `bytes_max` of them. Damaged rows are left out: what is put in
  /// their place comes later.
  absl::StatusOr<FeedPiece> ReadFeed(const std::string& table, const FeedReader& reader, uint64_t from,
                                     size_t bytes_max) const;
  /// Such rows from the key `from` on, tombstones as well, about `bytes_max` of them; few or none when few of
  /// those that were looked at are wanted. Of a damaged row, and of a key of which changes wait for their
  /// time, at least the name, without any part: it is not gone.
  absl::StatusOr<SnapshotPiece> ReadSnapshot(const std::string& table, const SnapshotOf& wanted,
                                             std::string_view from, size_t bytes_max) const;
  /// A node has everything that was in the feed of a table before `acknowledged`; 0 when it has just begun.
  /// One that comes with another store than before has lost the former one.
  void NoteReader(const std::string& table, const std::string& node, const StoreId& store,
                  uint64_t acknowledged);
  /// The highest sequence that the node acknowledged to this store, under the id that it has now; 0: nothing.
  uint64_t SentTo(const std::string& table, const std::string& node) const;
  /// By name of the node.
  absl::StatusOr<std::map<std::string, TableReader>> Readers(const std::string& table) const;
  /// Waits for a node no longer, which will not come back; should it come all the same, it is sent everything
  /// anew. Durable when it returns. Error: "unknown_reader" (kNotFound).
  absl::Status ForgetReader(const std::string& table, const std::string& node);
  absl::StatusOr<TombstoneHold> HoldOf(const std::string& table) const;
  /// Readers from before this sequence begin anew: tombstones were collected that some of them may not have.
  absl::StatusOr<uint64_t> Horizon(const std::string& table) const;

  /// The openings of this store.
  FeedEpochs epochs() const;
  /// Where changes go that come after all that can be read now.
  FeedPosition End() const;

  /// The newest conflicts of a table, newest first; at most kConflictsKept are kept.
  absl::StatusOr<std::vector<v1::StoredConflict>> Conflicts(const std::string& table, size_t max) const;
  static constexpr uint64_t kConflictsKept = 1'000;
  /// Damaged rows of a table that are remembered. Further ones are found again once some are replaced.
  static constexpr size_t kDamagedKnown = 100;
  /// Changes that wait for their time, the newest stamps first: at most `max`, and about 16 MiB of them.
  absl::StatusOr<std::vector<QuarantinedChange>> Quarantined(const std::string& table, size_t max) const;
  static constexpr uint64_t kQuarantinedMax = 10'000;

  /// Takes changes out that wait for their time, of this row or of all, and lists what was in them as
  /// conflicts: "discarded". Nobody hears of it; at the node that wrote them they stay. Durable when it
  /// returns; how many there were.
  absl::StatusOr<uint64_t> DiscardQuarantined(const std::string& table,
                                              const std::optional<std::string>& key);

  /// What RestampAhead did.
  struct RestampedRows {
    uint64_t rows = 0;
    uint64_t unread = 0;  ///< damaged rows, which were left out
  };
  /// After the clock of this node was far ahead and is right now: sets the clock of the tables back, and
  /// gives new stamps to what this store has stamped ahead, in all tables (restamp.h). Reads all rows. What
  /// an error or crash leaves undone another call does. Error: "others_ahead" (kFailedPrecondition) when rows
  /// here have stamps of other nodes that are as far ahead: this clock was not the only wrong one, and what
  /// they were merged into must not be taken back. Nothing is changed then.
  absl::StatusOr<RestampedRows> RestampAhead();

  /// Does what time has made due, some of it at each call; about once a second. Rows that expired long enough
  /// ago are removed, changes are merged whose time has come, tombstones go that nobody needs, and indexes
  /// are built. Waits for the sync. Costs nothing while nothing is due.
  absl::Status RunDue();
  static constexpr int64_t kCollectEveryMs = 60'000;
  /// Tombstones beyond so many are collected whoever waits for them.
  static constexpr uint64_t kTombstonesMax = 1'000'000;

 private:
  friend class RowTask;  // the committer's side of a change
  struct Table {
    TableNumber number;
    // The committer's.
    TableCounts staged;
    v1::TableDefinition staged_definition;
    bool dropped = false;
    uint64_t next_quarantined = 0;
    std::vector<FeedLanes::Change> unpublished;               // staged since Publish
    std::set<uint64_t> waiting;                               ///< numbers of the changes that are kept apart
    std::map<uint32_t, v1::StoredTableIndex> staged_indexes;  // by number
    std::shared_ptr<EmbeddedLog> capture_log;                 ///< null: changes are not captured
    /// Rows whose expiry may have passed and was not told yet, that were written when it had: a scan for such
    /// rows may have been under way.
    std::map<std::string, int64_t, std::less<>> expiring;
    int64_t staged_expiry_ms = INT64_MAX;  ///< the lowest of rows that were staged since Publish
    // The committer's, and read by others who only want to know about how many there are.
    std::atomic<uint64_t> next_conflict{0};
    std::atomic<uint64_t> quarantined{0};
    // Nothing is due before; the lowest: not known.
    std::atomic<int64_t> next_expiry_ms{INT64_MIN};
    std::atomic<int64_t> next_ahead_ms{INT64_MIN};
    std::atomic<int64_t> next_collect_ms{INT64_MIN};
    std::atomic<int64_t> next_capture_ms{INT64_MIN};
    std::atomic<bool> captured{false};
    std::atomic<int64_t> capture_ms{0};          ///< rows whose expiry is not after this were told to be gone
    std::atomic<int64_t> capture_scanned_ms{0};  ///< for expiries up to here a scan has begun
    // Guarded by TableStore::mutex_.
    v1::TableDefinition definition;
    TableCounts published;
    uint64_t horizon = 0;
    Hlc collected;
    uint32_t next_index = 1;
    std::map<uint32_t, v1::StoredTableIndex> indexes;  // by number
    /// By the key of a damaged row: whether it is listed that changes of peers for it are not taken.
    std::map<std::string, bool, std::less<>> damaged;
    struct Reader : TableReader {
      bool stored = false;
    };
    std::map<std::string, Reader> readers;  // by node
    std::string capture_stopped;
  };
  int64_t now_ms() const;
  absl::Status SubmitWrite(const std::string& table, std::vector<RowOperation> operations, WriteDone done);
  absl::Status SubmitOwned(const std::string& table, std::vector<OwnedRow> rows, Also also, OwnedDone done);
  absl::Status CheckWritable(const Table& table) const;
  /// True when the rows are written at the other end only.
  bool OnlyReads(const Table& table) const;
  absl::StatusOr<std::shared_ptr<Table>> TableNamed(const std::string& name) const;
  /// The sequence from which whoever read up to `from` goes on. Error: "position_expired".
  absl::StatusOr<uint64_t> ResumeAt(const Table& table, const FeedPosition& from) const;
  absl::StatusOr<TableCounts> ReadCounts(TableNumber table) const;
  /// A row as it is stored. Error: "corrupt_row", and the row is remembered as a damaged one.
  absl::StatusOr<Row> Decode(Table& table, std::string_view key, std::string_view stored) const;
  /// Empty when it is not stored, or damaged.
  absl::StatusOr<Row> ReadRow(Table& table, std::string_view key) const;
  void NoteDamaged(Table& table, std::string_view key) const;
  void ForgetDamaged(Table& table, std::string_view key) const;
  /// Forgets those that are whole. Who read an older state of the store may have met one after it was
  /// replaced.
  absl::Status LookAtDamaged(Table& table) const;
  TableFacts FactsOf(const Table& table) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  absl::Status SubmitApply(const std::string& table, Incoming incoming, const ApplyDone& done);
  /// Removes what is to be swept but for the last keys, which are returned: with changes that name rows it is
  /// too much for one task.
  absl::StatusOr<std::vector<std::string>> SweepMost(const std::shared_ptr<Table>& table,
                                                     const Incoming& incoming);
  absl::Status SweepNow(const std::shared_ptr<Table>& table, const Incoming& incoming,
                        std::vector<std::string> swept);
  /// What is left of changes that are kept apart when these ones come, which withdraw some of it.
  absl::StatusOr<std::vector<LeftWaiting>> LeftAfter(const Table& table, const Incoming& incoming);
  /// Takes a key, and which parts of its row are ahead; null: the row is damaged.
  using VisitAhead = std::function<absl::Status(std::string key, const PartsAhead* ahead)>;
  absl::Status WalkAhead(Table& table, Hlc limit, const VisitAhead& visit) const;
  absl::Status CheckAloneAhead(Table& table, Hlc limit) const;
  absl::Status RestampTable(const std::shared_ptr<Table>& table, Hlc limit, RestampedRows& done);
  absl::Status CheckIncarnation(const Table& table, const Incarnation& incarnation) const;
  /// Keys from `from` on of changes that wait for their time.
  absl::StatusOr<std::set<std::string>> QuarantinedKeys(const Table& table, std::string_view prefix,
                                                        std::string_view from) const;
  /// The newest delete of each row among the changes that wait for their time.
  using WaitingDeletes = std::map<std::string, Clear, std::less<>>;
  absl::StatusOr<WaitingDeletes> DeletesThatWait(const Table& table) const;
  absl::Status ApplyOne(const std::shared_ptr<Table>& table, std::string key, std::string_view stored,
                        const WaitingDeletes& waiting_deletes);
  int64_t ExpiredKeptMs(const Table& table) const;
  void LoadCapture(Table& table, const v1::StoredCapture& stored) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// What a change of so many bytes takes on the disk: with capture also what was there before, and is now.
  static size_t WithCapture(const Table& table, size_t bytes) { return table.captured ? 3 * bytes : bytes; }
  /// Tells of rows whose expiry has passed.
  absl::Status CaptureExpiries(const std::shared_ptr<Table>& table);
  absl::Status RemoveExpired(const std::shared_ptr<Table>& table);
  absl::Status ApplyQuarantined(const std::shared_ptr<Table>& table);
  absl::Status LoadIndexes(Table& table);
  /// The staged indexes are those of the overlay, and of readers once they are synced.
  void HoldIndexes(const Table& table);
  void PublishIndexes(Table& table);
  /// Builds what is to be built, until about `until` of the monotonic clock.
  absl::Status BuildIndexes(const std::shared_ptr<Table>& table, absl::Duration until);
  absl::Status BuildPiece(const std::shared_ptr<Table>& table, uint32_t index, const std::string& built_to);
  /// Those that have all rows; by name.
  TableIndexes ReadyIndexes(const Table& table) const;
  struct PlannedQuery;
  absl::StatusOr<PlannedQuery> Plan(const Table& table, const QueryRequest& request) const;
  absl::Status CollectTombstones(const std::shared_ptr<Table>& table);
  absl::StatusOr<TombstoneHold> HoldOf(const Table& table, int64_t now) const;
  /// What some node that reads, or the core, has of the feed for certain.
  /// The feed of this store has no sequence from here on, in nothing that was read of the store before this.
  absl::StatusOr<uint64_t> StoredEnd() const;
  absl::StatusOr<uint64_t> SeenBy(const Table& table, const TableReader& reader) const;
  absl::Status NoteTime(int64_t now);
  absl::Status StoreReaders();
  absl::Status TellWhatWasRead();
  absl::Status LoadTimes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LoadReaders(Table& table) const;
  std::vector<std::shared_ptr<Table>> Tables() const;
  /// Loads what is stored of tables; the first sequence that was never used.
  absl::StatusOr<uint64_t> Load();
  absl::Status LoadLists(Table& table);
  absl::Status BeginEpoch(uint64_t first);

  // On the committer's thread.
  /// Writes the rows that tasks of this group changed, with their indexes, counts and the clock's floor.
  void StageChanges(WriteBatch& batch);
  void StageRow(WriteBatch& batch, Table& table, RowOverlay::Entry& entry);
  /// What a row's entries in the table's own indexes were, and are to be.
  void NoteEntries(const std::vector<std::string>& before, const std::vector<std::string>& now);
  /// Writes what was noted in the order of the keys: among other keys of the feed, row by row, each would
  /// cost the engine a search of its own, and those others, too.
  void StageEntries(WriteBatch& batch);
  void StageClock(WriteBatch& batch);
  void StageDefinition(WriteBatch& batch, const Table& table) ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  /// Deletes a table with all that is stored of it.
  void StageDrop(WriteBatch& batch, Table& table);
  /// The log takes nothing: rows go on without.
  void StopCapture(WriteBatch& batch, Table& table, const absl::Status& why);
  /// Everything staged so far is synced.
  void Publish();

  const TableEnvironment env_;
  const Options options_;
  mutable RowOverlay overlay_;

  // The committer's.
  HlcClock clock_;
  uint64_t next_sequence_ = 1;
  std::map<TableNumber, std::shared_ptr<Table>> numbered_;
  /// Who counts here (Contributor). Another one once rows are gone that it counts in: what it begins with
  /// then would otherwise replace what others hold of it.
  FeedEpoch counting_;
  std::vector<std::shared_ptr<Table>> unpublished_;  ///< of which rows were staged since Publish
  /// Entries of indexes that come (true) and go with the rows that are being staged.
  std::vector<std::pair<std::string, bool>> entries_;

  std::atomic<uint64_t> changes_{0};       ///< of definitions, and of what is to be sent anew
  std::atomic<bool> read_further_{false};  ///< since peers were told
  // Of RunDue alone.
  int64_t next_note_ms_ = INT64_MIN;
  int64_t next_readers_ms_ = INT64_MIN;
  int64_t next_told_ms_ = INT64_MIN;

  mutable absl::Mutex mutex_;
  FeedEpochs epochs_ ABSL_GUARDED_BY(mutex_);
  FeedTimes times_ ABSL_GUARDED_BY(mutex_);
  uint64_t published_end_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<std::string, std::shared_ptr<Table>> tables_ ABSL_GUARDED_BY(mutex_);
  uint32_t next_table_ ABSL_GUARDED_BY(mutex_) = 1;
  FeedLanes lanes_ ABSL_GUARDED_BY(mutex_);  // of WatchRows

  absl::Mutex watch_mutex_;
  std::map<int, std::function<void()>> watchers_ ABSL_GUARDED_BY(watch_mutex_);
  std::set<int> watchers_of_all_ ABSL_GUARDED_BY(watch_mutex_);
  int next_watcher_ ABSL_GUARDED_BY(watch_mutex_) = 1;

 public:
  /// Names the first broken rule; for tests (fabric/base/invariant.h). Reads all rows. While the committer
  /// stands still.
  absl::Status CheckInvariants() const;

 private:
  absl::Status CheckTable(const Table& table) const;
};

}  // namespace selvage::table
