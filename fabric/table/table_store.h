#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/clock.h"
#include "fabric/base/random.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"
#include "fabric/stream/disk_budget.h"
#include "fabric/table/feed_epochs.h"
#include "fabric/table/row_overlay.h"
#include "fabric/table/table_types.h"
#include "selvage/v1/table.pb.h"

namespace selvage::table {

/// What the tables of a node stand on; all of it must outlive them.
struct TableEnvironment {
  KvStore& store;
  Committer& committer;
  Clock& clock;
  Random& random;
  DiskBudget& budget;
};

/// The tables of one node: definitions, rows and their change feed, in the node's own store. Safe to use from
/// several threads. Only what is synced is seen.
///
/// Definitions and upkeep are in table_store.cc, writing in table_writes.cc, reading in table_reads.cc.
///
/// Errors besides those named at each call: "unknown_table" (kNotFound), "corrupt_row" and "corrupt_meta"
/// (kDataLoss), those of the committer and of the disk budget.
class TableStore {
 public:
  struct Options {
    bool is_edge = true;
    /// The id of the store now: who writes (Stamp::node). A fork changes it.
    std::function<StoreId()> store_id;
    /// What a peer's stamp may be ahead of this node's clock, and how long an expired row is kept.
    int64_t max_ahead_ms = 300'000;
  };
  TableStore(TableEnvironment env, Options options);
  ~TableStore();

  /// Reads the definitions and begins a feed epoch. Call once, first. Its cost does not depend on the rows.
  /// Needs a committer that runs.
  absl::Status Open();

  // Tables.
  std::vector<v1::TableDefinition> All() const;
  std::optional<v1::TableDefinition> Find(const std::string& table) const;
  /// Makes a table from a complete definition (CompleteDefinition). Durable when it returns. Error:
  /// "table_exists" (kAlreadyExists).
  absl::Status Create(const v1::TableDefinition& definition);
  /// Replaces settings and generation. Durable when it returns.
  absl::Status Set(const v1::TableDefinition& definition);
  /// Removes the table and all its rows. Durable when it returns.
  absl::Status Drop(const std::string& table);
  absl::StatusOr<TableFacts> Facts(const std::string& table) const;

  // Rows.
  using WriteDone = std::function<void(absl::StatusOr<std::vector<RowWritten>>)>;
  /// Does all operations, in their order, or none. `done` is called once: after the sync, on the committer's
  /// thread, where it must not block; or here with an error. May wait for the disk before. Errors, each with
  /// the key in its message: "invalid_key", "row_too_large", "batch_too_large" (kInvalidArgument);
  /// "row_exists", "row_absent", "version_mismatch" (kFailedPrecondition); "read_only_table"
  /// (kPermissionDenied) for a table that is not written at this kind of node; those of MakeUpdate and
  /// UpdateOfMergePatch.
  void Write(const std::string& table, std::vector<RowOperation> operations, WriteDone done);
  /// Write, waiting for the outcome.
  absl::StatusOr<std::vector<RowWritten>> WriteAndWait(const std::string& table,
                                                       std::vector<RowOperation> operations);
  /// Nothing when the row is not there.
  absl::StatusOr<std::optional<RowView>> Get(const std::string& table, std::string_view key) const;
  /// One page of rows, as of one moment; the next page is of a later one.
  absl::StatusOr<ScanPage> Scan(const std::string& table, const ScanRequest& request) const;

  // Changes.
  /// What changed from a position on, among rows with this prefix: each row once, in its newest state. Error:
  /// "position_expired" (kOutOfRange) when deletes since the position are not known any more, or when the
  /// position is of another store or of one that was restored: scan the table, and go on from TableFacts::end
  /// as it was before.
  absl::StatusOr<ChangePage> ReadChanges(const std::string& table, const FeedPosition& from,
                                         std::string_view prefix, size_t rows_max, size_t bytes_max) const;
  /// Calls `changed` on the committer's thread when there may be new changes of any table. It must not block.
  int Watch(std::function<void()> changed);
  /// No call is under way when this returns. Not from within one.
  void Unwatch(int handle);

  /// Removes rows that expired long enough ago, some at a time; about once a second. Waits for the sync of
  /// what it removes. Costs nothing while nothing is due.
  absl::Status RemoveExpired();

 private:
  friend class RowTask;  // the committer's side of a change
  struct Table {
    TableNumber number;
    // The committer's.
    TableCounts staged;
    bool dropped = false;
    std::atomic<int64_t> next_expiry_ms{INT64_MIN};  ///< none is due before; the lowest: not known
    // Guarded by TableStore::mutex_.
    v1::TableDefinition definition;
    TableCounts published;
    uint64_t horizon = 0;
  };
  struct Watcher {
    int handle;
    std::function<void()> changed;
  };

  int64_t now_ms() const;
  absl::Status SubmitWrite(const std::string& table, std::vector<RowOperation> operations, WriteDone done);
  absl::Status CheckWritable(const Table& table) const;
  absl::StatusOr<std::shared_ptr<Table>> TableNamed(const std::string& name) const;
  FeedPosition End() const;
  /// The sequence from which whoever read up to `from` goes on. Error: "position_expired".
  absl::StatusOr<uint64_t> ResumeAt(const Table& table, const FeedPosition& from) const;
  absl::StatusOr<TableCounts> ReadCounts(TableNumber table) const;
  /// Removes those of the rows that expired by `due_ms`. Waits for the sync.
  absl::Status RemoveExpiredRows(const std::shared_ptr<Table>& table, const std::vector<std::string>& keys,
                                 int64_t due_ms);
  /// Loads what is stored of tables; the first sequence that was never used.
  absl::StatusOr<uint64_t> Load();
  absl::Status BeginEpoch(uint64_t first);

  // On the committer's thread.
  /// Writes the rows that tasks of this group changed, with their indexes, counts and the clock's floor.
  void StageChanges(WriteBatch& batch);
  void StageRow(WriteBatch& batch, Table& table, RowOverlay::Entry& entry);
  void StageClock(WriteBatch& batch);
  /// Everything staged so far is synced.
  void Publish();

  const TableEnvironment env_;
  const Options options_;
  mutable RowOverlay overlay_;

  // The committer's.
  HlcClock clock_;
  uint64_t next_sequence_ = 1;
  std::map<TableNumber, std::shared_ptr<Table>> numbered_;
  FeedEpoch epoch_;
  bool unpublished_ = false;  ///< rows were staged since Publish

  mutable absl::Mutex mutex_;
  FeedEpochs epochs_ ABSL_GUARDED_BY(mutex_);
  uint64_t published_end_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<std::string, std::shared_ptr<Table>> tables_ ABSL_GUARDED_BY(mutex_);
  uint32_t next_table_ ABSL_GUARDED_BY(mutex_) = 1;

  absl::Mutex watch_mutex_;
  std::vector<Watcher> watchers_ ABSL_GUARDED_BY(watch_mutex_);
  int next_watcher_ ABSL_GUARDED_BY(watch_mutex_) = 1;

 public:
  /// Names the first broken rule; for tests (fabric/base/invariant.h). Reads all rows. While the committer
  /// stands still.
  absl::Status CheckInvariants() const;

 private:
  absl::Status CheckTable(const Table& table) const;
};

}  // namespace selvage::table
