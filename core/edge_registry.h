#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/admission.h"
#include "core/core_document.h"
#include "fabric/base/ids.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"
#include "selvage/v1/store.pb.h"

namespace selvage {

/// What was decided of each edge that ever linked: the slots and stores it had, whether it is held or
/// retired, its labels. Durable first, then visible. Safe to use from several threads; an edge changes within
/// a CoreDocument::Change only.
class EdgeRegistry {
 public:
  /// Both must outlive it.
  EdgeRegistry(KvStore& store, Committer& committer) : store_(store), committer_(committer) {}

  /// Reads what is stored. Call once, first.
  absl::Status Open();

  std::optional<v1::StoredEdge> Find(const std::string& edge) const;
  /// Error: "unknown_edge".
  absl::StatusOr<v1::StoredEdge> Get(const std::string& edge) const;
  std::vector<v1::StoredEdge> All() const;
  /// The slot that an edge writes to now.
  std::optional<Slot> SlotOf(const std::string& edge) const;
  /// The edge that writes, or once wrote, to a slot.
  std::optional<std::string> EdgeOf(Slot slot) const;
  /// Grows with every change of an edge, and so of slots.
  uint64_t changes() const { return changes_; }

  /// What decisions of this change are made on; it must be gone when something is shown.
  KnownEdges Known(const CoreDocument::Change& change) const;
  static void Stage(WriteBatch& batch, const v1::StoredEdge& edge);
  /// What was staged of this edge is durable.
  void Show(const CoreDocument::Change& change, const v1::StoredEdge& edge);
  /// Stages and shows one edge alone.
  absl::Status Store(const CoreDocument::Change& change, const v1::StoredEdge& edge);

 private:
  void Take(const v1::StoredEdge& edge) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  KvStore& store_;
  Committer& committer_;
  mutable absl::Mutex mutex_;
  std::map<std::string, v1::StoredEdge> edges_ ABSL_GUARDED_BY(mutex_);
  std::map<Slot, std::string> slot_edges_ ABSL_GUARDED_BY(mutex_);  // also of former slots
  std::atomic<uint64_t> changes_{0};
};

/// The slot of an edge's current tenure; nothing for one that was held before it ever linked.
std::optional<Slot> CurrentSlot(const v1::StoredEdge& edge);

}  // namespace selvage
