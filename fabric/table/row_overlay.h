#pragma once

#include <cstdint>
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
#include "absl/synchronization/mutex.h"
#include "fabric/storage/kv_store.h"
#include "fabric/table/document.h"
#include "fabric/table/index_definition.h"
#include "fabric/table/table_keys.h"

namespace selvage::table {

/// What of a row stands in the indexes of its table, and in its counts.
struct RowIndexed {
  std::vector<uint64_t> sequences;       ///< of its parts; ascending, each once
  std::optional<int64_t> expires_at_ms;  ///< when there is something to remove
  bool tombstone = false;                ///< it is stored, and not there at any time
  size_t bytes = 0;                      ///< stored, key and value; 0: it is not stored
  /// Keys of its entries in the table's own indexes; ascending. An index that is being built counts as built.
  std::vector<std::string> entries = {};

  uint64_t newest() const { return sequences.empty() ? 0 : sequences.back(); }
};
/// Without `bytes` and `entries`, which are not the row's alone.
RowIndexed IndexOf(const Row& row);
/// RowIndexed::entries.
std::vector<std::string> IndexEntriesOf(TableNumber table, const TableIndexes& indexes, std::string_view key,
                                        const Row& row);

/// The rows that queued changes are about, as the newest of the changes leaves each of them. A merge reads
/// its row, so it must see what the tasks before it did, in their group or in one that is being written:
///
///   1. a task holds its rows, before it is queued, on its caller's thread: they are read from the store
///   then,
///      unless another task holds them already and has them newer;
///   2. it is staged, on the committer's thread, and changes them;
///   3. what changed is written once for the group (TakeDirty);
///   4. it lets go of them when it is finished, or when it goes.
///
/// A row that does not decode is held as well, as a damaged one: what becomes of it is for the task to say.
///
/// Holding and letting go are safe on all threads; the rows themselves are the committer's once they are
/// held.
class RowOverlay {
 public:
  struct Entry {
    TableNumber table;
    std::string key;
    Row row;             ///< newest; empty: not stored, or damaged
    RowIndexed indexed;  ///< as the store has it, or will when the group is written
    bool dirty = false;  ///< `row` is not in the batch yet
    /// The first bytes of what is stored and does not decode, as long as nothing was put in its place.
    std::optional<std::string> damaged;

    // The overlay's.
    int holders = 0;
    bool loaded = false;
    bool indexes_known = false;  ///< `indexed` says what the store has
  };
  /// One task's hold of its rows; gives them back when it goes. Must not outlive the overlay.
  class Held {
   public:
    Held() = default;
    Held(Held&& other) noexcept { *this = std::move(other); }
    Held& operator=(Held&& other) noexcept {
      std::swap(overlay_, other.overlay_);
      std::swap(entries_, other.entries_);
      return *this;
    }
    ~Held();
    /// By key.
    const std::map<std::string, Entry*, std::less<>>& entries() const { return entries_; }

   private:
    friend class RowOverlay;
    RowOverlay* overlay_ = nullptr;
    std::map<std::string, Entry*, std::less<>> entries_;
  };

  explicit RowOverlay(KvStore& store) : store_(store) {}

  using Keys = std::set<std::string_view>;
  static constexpr size_t kDamagedBytesKept = 512;  ///< of Entry::damaged
  /// May wait for the disk. Only damaged rows that are among `replaceable` as well may be changed: what
  /// stands of them in the indexes is looked for, in all that there is of their table. Errors: those of the
  /// store.
  absl::StatusOr<Held> Hold(TableNumber table, const std::vector<std::string_view>& keys,
                            const Keys& replaceable = {});

  // On the committer's thread.
  void MarkDirty(Entry& entry);
  /// What is held from here on, and what is held now, has its entries in these indexes. Nothing may be dirty.
  void SetIndexes(TableNumber table, TableIndexes indexes);
  /// Those of SetIndexes; none: there never were any.
  std::shared_ptr<const TableIndexes> IndexesOf(TableNumber table);
  /// What changed since the last call, each row once.
  std::vector<Entry*> TakeDirty() { return std::exchange(dirty_, {}); }

 private:
  struct Loaded {
    Row row;
    RowIndexed indexed;
    std::optional<std::string> damaged;
  };
  absl::StatusOr<Loaded> Load(const std::string& row_key) const;
  absl::Status ReadIndexes(Entry& entry);
  void LetGo(const std::map<std::string, Entry*, std::less<>>& entries);

  using Indexes = std::shared_ptr<const TableIndexes>;
  Indexes Find(TableNumber table) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  KvStore& store_;
  std::vector<Entry*> dirty_;  // the committer's
  absl::Mutex mutex_;
  std::map<std::string, std::unique_ptr<Entry>, std::less<>> entries_ ABSL_GUARDED_BY(mutex_);  // by RowKey
  std::map<TableNumber, Indexes> indexes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage::table
