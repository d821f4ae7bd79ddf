#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fabric/table/row_task.h"

namespace selvage::table {

/// A change that is kept apart, when some of it is taken out or all.
struct LeftWaiting {
  std::string key;     ///< where it is (AheadKey)
  std::string stored;  ///< what stays there (StoredQuarantine); empty: nothing
};

/// Merges what a peer sent.
class ApplyTask : public RowTask {
 public:
  struct What {
    Incoming incoming;
    std::vector<std::string> swept = {};  ///< keys of rows that are gone at the peer, unless they are unsent
    bool moves_cursor = true;
    /// Of changes that were kept apart until now: where. They have no cursor and no fence.
    std::optional<std::string> was_quarantined = {};
    /// The same, where it does not decode: its bytes. There are no changes then.
    std::optional<std::string> damaged = {};
    /// What was taken out of these changes, since a delete that removes it waits as well: by row.
    std::vector<std::pair<std::string, Conflict>> removed = {};
    /// Of changes that are kept apart: what is left of them now. They are not merged.
    std::vector<LeftWaiting> left = {};
    bool only_reads = false;  ///< rows of the table are written at the peer only
  };
  ApplyTask(TableStore& store, std::shared_ptr<Table> table, RowOverlay::Held held, size_t bytes,
            DiskCharge charge, What what, TableStore::ApplyDone done)
      : RowTask(store, std::move(table), std::move(held), bytes, std::move(charge)),
        what_(std::move(what)),
        done_(std::move(done)) {}

 private:
  absl::Status Change() override;
  CaptureReason ReasonOf(std::string_view key) const override;
  void StageBeside(WriteBatch& batch) override;
  void Done(const absl::Status& status) override { done_(status); }

  void ApplyChange(const RowChange& change);
  void RefuseForDamage(const RowChange& change);
  void Sweep(const std::string& key);
  /// Of a row that a snapshot lists: removes what the peer does not have any more.
  void SweepParts(const RowChange& listed);
  /// False when it was taken out meanwhile.
  bool IsWaiting(const std::string& ahead_key) const;
  void StopWaiting(WriteBatch& batch, const std::string& ahead_key);
  /// True when the clock here may follow all stamps of the change; it has followed them then.
  bool Observe(const table::Change& change);

  const What what_;
  const TableStore::ApplyDone done_;
  std::vector<const RowChange*> ahead_;       // to be kept apart
  std::set<std::string, std::less<>> swept_;  // keys of rows of which something is gone
};

/// Keys of the changes that say all there is to a row, so that they may take the place of a damaged one:
/// those of a snapshot that sweeps; and a put or delete, where only the peer writes rows.
RowOverlay::Keys KeysOfWholeRows(const Incoming& incoming, bool only_reads);

/// Changes that wait for their time, as they are stored.
struct Quarantine {
  StoreId peer;
  std::vector<RowChange> changes;
};
/// Error: "corrupt_row".
absl::StatusOr<Quarantine> ReadQuarantine(std::string_view stored);
std::string StoredQuarantine(const StoreId& peer, const RowChange& change);

v1::StoredTableCursor Stored(const TableCursor& cursor);
/// Error: "corrupt_meta".
absl::StatusOr<TableCursor> CursorOf(std::string_view stored);

}  // namespace selvage::table
