#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/random.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"
#include "selvage/v1/store.pb.h"

namespace selvage {

/// What the core is: its cluster and lineage, the generations of what edges are to be, the slots that it gave
/// away. Durable first, then visible. Safe to use from several threads.
///
/// Lock order of the whole core: a Change first; then the mutex of one part (this document, EdgeRegistry,
/// EdgeReports, EdgeLinks), which is given back before that of another is taken. One exception: EdgeReports
/// asks EdgeLinks under its own mutex.
class CoreDocument {
 public:
  class Change;

  /// All of them must outlive it.
  CoreDocument(KvStore& store, Committer& committer, Random& random)
      : store_(store), committer_(committer), random_(random) {}

  /// Reads what is stored; a new store founds a cluster. Call once, first.
  absl::Status Open();
  v1::StoredCore Get() const;
  /// The cluster's name.
  std::string cluster_id() const;
  /// Slots below this number were given away.
  uint32_t slots_used() const;
  /// After the store was restored from a backup: a new lineage, so that edges know. `also` is staged in the
  /// same batch.
  absl::Status StartLineage(const std::function<void(WriteBatch&)>& also);
  /// Edges that belong to this cluster, in hexadecimal digits, belong to this core from here on.
  absl::Status TakeOverCluster(const std::string& cluster_hex);

 private:
  KvStore& store_;
  Committer& committer_;
  Random& random_;
  absl::Mutex change_mutex_;
  mutable absl::Mutex mutex_;
  v1::StoredCore core_ ABSL_GUARDED_BY(mutex_);
};

/// One change of the fleet at a time: streams, edges and the core's document change only while their changer
/// holds this. It brings the document as it is to be, to be staged with whatever else changes.
class ABSL_SCOPED_LOCKABLE CoreDocument::Change {
 public:
  /// Waits for the one before. `document` must outlive it.
  explicit Change(CoreDocument& document) ABSL_EXCLUSIVE_LOCK_FUNCTION(document.change_mutex_);
  ~Change() ABSL_UNLOCK_FUNCTION();
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;

  /// The document as it is to be; as it is until something is changed.
  v1::StoredCore& core() { return core_; }
  /// Counts a change of what one edge is to be; its generation.
  uint64_t NextGeneration();
  /// Counts a change of what every edge is to be; its generation.
  uint64_t NextGenerationOfAll();
  void Stage(WriteBatch& batch) const;
  /// What was staged is durable.
  void Show();
  /// Stages and shows the document alone.
  absl::Status Store();

 private:
  CoreDocument& document_;
  v1::StoredCore core_;
};

}  // namespace selvage
