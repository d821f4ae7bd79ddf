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
/// Errors besides those named at each call: "unknown_table" (kNotFound), "corrupt_row" and "corrupt_meta"
/// (kDataLoss), those of the committer and of the disk budget.
class TableStore {
 public:
  struct Options {
    bool is_edge = true;
    /// The id of the store now: who writes (Stamp::node). A fork changes it.
    std::function<StoreId()> store_id;
  };
  TableStore(TableEnvironment env, Options options);
  ~TableStore();

  /// Reads the definitions and begins a feed epoch. Call once, first. Its cost does not depend on the rows.
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
  /// thread, where it must not block; or here with an error. Errors, each with the key in its message:
  /// "invalid_key", "row_too_large", "batch_too_large" (kInvalidArgument); "row_exists", "row_absent",
  /// "version_mismatch" (kFailedPrecondition); "read_only_table" (kPermissionDenied) for a table that is not
  /// written at this kind of node; those of MakeUpdate and MergePatch.
  void Write(const std::string& table, std::vector<RowOperation> operations, WriteDone done);
  /// Write, waiting for the outcome.
  absl::StatusOr<std::vector<RowWritten>> WriteAndWait(const std::string& table,
                                                       std::vector<RowOperation> operations);
  /// Nothing when the row is not there.
  absl::StatusOr<std::optional<RowView>> Get(const std::string& table, std::string_view key) const;
  /// One page of rows, as of one moment; the next page is of a later one.
  absl::StatusOr<ScanPage> Scan(const std::string& table, const ScanRequest& request) const;

  // Changes.
  /// What changed from a position on, among rows with this prefix: each row once, in its newest state. A
  /// position of another store, or from before a restore, means the beginning. Error: "position_expired"
  /// (kOutOfRange) when deletes since the position are not known any more: scan the table, and go on from
  /// TableFacts::end as it was before.
  absl::StatusOr<ChangePage> ReadChanges(const std::string& table, const FeedPosition& from,
                                         std::string_view prefix, size_t rows_max, size_t bytes_max) const;
  /// Calls `changed` on the committer's thread when there may be new changes of any table. It must not block.
  int Watch(std::function<void()> changed);
  void Unwatch(int handle);
};

}  // namespace selvage::table
