#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "fabric/storage/committer.h"
#include "fabric/stream/disk_budget.h"
#include "fabric/stream/log_appender.h"
#include "fabric/table/captured_change.h"
#include "fabric/table/merge.h"
#include "fabric/table/row_overlay.h"
#include "fabric/table/table_store.h"

namespace selvage::table {

/// Sets `lowest` to `value` where that is lower.
inline void LowerTo(std::atomic<int64_t>& lowest, int64_t value) {
  int64_t now = lowest;
  while (value < now && !lowest.compare_exchange_weak(now, value)) {
  }
}

/// Names and values may be as large as rows are: of those of a conflict so many bytes are listed.
inline constexpr size_t kConflictTextMax = 1024;

/// A change of some rows of one table on its way through the committer. What kind of change it is says
/// Change; this brings it to the rows all or nothing, numbers it for the feed, and publishes it after the
/// sync.
class RowTask : public CommitTask {
 public:
  /// Also one without rows, which moves a cursor, waits and is written.
  size_t ByteSize() const override { return sizeof(RowTask) + bytes_; }
  absl::Status Stage(WriteBatch& batch) final;
  void StageLast(WriteBatch& batch) final { store_.StageChanges(batch); }
  void Finish(const absl::Status& status) final;

 protected:
  using Table = TableStore::Table;
  /// `bytes` is what the task keeps in memory besides itself.
  RowTask(TableStore& store, std::shared_ptr<Table> table, RowOverlay::Held held, size_t bytes,
          DiskCharge charge)
      : store_(store),
        table_(std::move(table)),
        held_(std::move(held)),
        bytes_(bytes),
        charge_(std::move(charge)) {}

  /// Merges into rows of RowOf. After an error nothing of it stays.
  virtual absl::Status Change() = 0;
  /// Adds what is stored beside the rows; after Change returned OK.
  virtual void StageBeside(WriteBatch&) {}
  /// The outcome, on the committer's thread.
  virtual void Done(const absl::Status& status) = 0;

  // For Change.
  /// What is stored of the row does not decode, and nothing was put in its place. Until TakeOver it can be
  /// neither read nor changed.
  bool IsDamaged(std::string_view key);
  /// From here on a damaged row is one without parts; what was there is listed as lost. It was held as one
  /// that may be replaced.
  void TakeOver(std::string_view key);
  /// Lists bytes that do not decode, and that go; `key` of their row, empty where that is not known.
  void ListDamaged(std::string_view key, std::string_view bytes);
  /// A change is not taken since its row is damaged. True where nothing was listed of that row yet.
  bool NoteRefused(std::string_view key);
  /// A row that is held and not damaged, as this task leaves it so far.
  const Row& Current(std::string_view key) { return RowOf(key); }
  MergeResult MergeInto(std::string_view key, const table::Change& change, const Arrival& arrival);
  /// In place of a row, what is left of it.
  void Replace(std::string_view key, Row row);

  /// Why readers see something else of a row that this task changed.
  virtual CaptureReason ReasonOf(std::string_view) const { return CaptureReason::kWrite; }
  /// For change capture: tells of these rows, which are held, as far as they expire up to `to_ms`, or a time
  /// before it where others expire that were written meanwhile; from then on rows are seen as at that time.
  void CaptureExpired(const std::set<std::string>& keys, int64_t to_ms);

  /// Lists what is lost, for people.
  void List(v1::StoredConflict conflict);
  void List(std::string_view key, const Conflict& conflict);
  /// The place in the feed for one more change.
  uint64_t NextSequence() { return sequence_++; }
  /// A time after all that this store handed out or saw.
  Stamp Tick() { return {store_.clock_.Tick(now_ms_), store_.options_.store_id()}; }
  /// From here on Tick is after all that the row has, so that what is written to it wins. What this store had
  /// stamped far ahead of a clock that was set back since is stamped again first.
  void Follow(std::string_view key);
  /// Gives new stamps to what this store has stamped after `limit`. False when that is nothing.
  bool RestampRow(std::string_view key, Hlc limit);
  HlcClock& clock() { return store_.clock_; }
  /// Error: "stale_session".
  absl::Status CheckFence(const Fence& fence) const;
  /// Who counts here.
  Contributor contributor() const { return {store_.options_.store_id(), store_.counting_}; }
  void CountAsAnother() { store_.counting_ = FeedEpoch::Mint(store_.env_.random); }
  Table& table() const { return *table_; }
  int64_t now_ms() const { return now_ms_; }
  const v1::TableDefinition& definition() const { return definition_; }
  bool is_core() const { return !store_.options_.is_edge; }
  /// A peer's feed was read further.
  void NoteRead() { store_.read_further_ = true; }
  /// The newest time of the tombstones that were collected.
  Hlc collected() const;
  /// Tombstones with sequences before `horizon`, of times up to `collected`, are gone.
  void StageCollected(WriteBatch& batch, uint64_t horizon, Hlc collected);

 private:
  struct Working {
    RowOverlay::Entry* entry = nullptr;
    Row row;
    bool changed = false;
    bool damaged = false;
    bool taken_over = false;
  };
  Working& WorkingOf(std::string_view key);
  Row& RowOf(std::string_view key);
  bool IsShared(const Row& row) const;
  void StageConflicts(WriteBatch& batch);
  /// Notes what readers see change of a row.
  void CaptureChange(std::string_view key, const Row& before, const Row& after);
  void StageCaptured(WriteBatch& batch);
  void StageRecords(WriteBatch& batch);

  TableStore& store_;
  const std::shared_ptr<Table> table_;
  RowOverlay::Held held_;
  const size_t bytes_;
  DiskCharge charge_;
  int64_t now_ms_ = 0;
  uint64_t sequence_ = 0;
  uint64_t sent_ = 0;  // changes before this sequence went to some node
  v1::TableDefinition definition_;
  std::vector<v1::StoredConflict> conflicts_;
  std::vector<CapturedChange> captured_;
  std::optional<int64_t> captured_to_ms_;
  std::optional<LogAppender> appender_;
  std::vector<std::string> taken_over_;  // keys
  std::map<std::string, Working, std::less<>> working_;
};

}  // namespace selvage::table
