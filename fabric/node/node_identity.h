#pragma once

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/id128.h"
#include "fabric/base/random.h"
#include "fabric/storage/kv_store.h"
#include "fabric/storage/store_identity.h"

namespace selvage {

/// Who a node is: its role and id, which its store has as the owner, the store's own id and that of this
/// process. Safe to use from several threads once it is open.
class NodeIdentity {
 public:
  NodeIdentity(StoreOwner self, Random& random) : self_(std::move(self)), boot_id_(BootId::Mint(random)) {}

  /// Reads the store's identity; an empty store gets one, drawn from `random`. The store of the node with the
  /// id `take_store_of` may be taken over. Errors: those of OpenStoreIdentity, "foreign_store".
  absl::Status Open(KvStore& store, Random& random, const std::string& take_store_of);

  const std::string& node() const { return self_.node; }
  bool is_edge() const { return self_.role == StoreOwner::Role::kEdge; }
  BootId boot_id() const { return boot_id_; }
  StoreId store_id() const {
    absl::MutexLock lock(&mutex_);
    return store_id_;
  }
  /// The id of the node whose store this was when it was opened, if that is another one: it may be taken
  /// over. The store becomes this node's with the batch in which its owner is staged.
  const std::string& former_owner() const { return former_owner_; }

  /// This node as the owner of the store, under this id.
  void Stage(WriteBatch& batch, StoreId id) const { StageStoreIdentity(batch, id, self_); }
  /// What was staged is durable.
  void Show(StoreId id) {
    absl::MutexLock lock(&mutex_);
    store_id_ = id;
  }

 private:
  const StoreOwner self_;
  const BootId boot_id_;
  std::string former_owner_;
  mutable absl::Mutex mutex_;
  StoreId store_id_ ABSL_GUARDED_BY(mutex_);  // a fork changes it while operators look
};

}  // namespace selvage
