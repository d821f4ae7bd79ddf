#include "fabric/node/node_identity.h"

#include "fabric/base/error.h"

namespace selvage {

absl::Status NodeIdentity::Open(KvStore& store, Random& random, const std::string& take_store_of) {
  SELVAGE_ASSIGN_OR_RETURN(const StoreIdentity identity, OpenStoreIdentity(store, random, self_));
  if (absl::Status own = CheckStoreOwner(identity, self_); !own.ok()) {
    const bool may_take = identity.owner.role == self_.role && identity.owner.node == take_store_of;
    if (!may_take) return own;
    former_owner_ = identity.owner.node;
  }
  Show(identity.store_id);
  return absl::OkStatus();
}

}  // namespace selvage
