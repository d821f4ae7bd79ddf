#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/base/id128.h"
#include "fabric/base/random.h"
#include "fabric/storage/kv_store.h"

namespace selvage {

/// Version of everything Selvage keeps in a store: keys, values and their meaning (docs/formats.md).
inline constexpr uint32_t kStoreFormat = 1;

/// Whose store it is.
struct StoreOwner {
  enum class Role : uint8_t { kEdge = 1, kCore = 2 };
  Role role = Role::kEdge;
  std::string node;  ///< its id

  friend bool operator==(const StoreOwner&, const StoreOwner&) = default;
};
/// "edge rig-7", "core main".
std::string ToString(const StoreOwner& owner);

struct StoreIdentity {
  StoreId store_id;
  StoreOwner owner;
  uint32_t format = kStoreFormat;
  bool created = false;  ///< by this call: the store was empty
};

/// Reads who this store is and whose; an empty store gets its identity, drawn from `random`, and becomes
/// `owner`'s, synced. Another owner's store is not refused: see CheckStoreOwner.
///
/// Errors: kFailedPrecondition "store_format_newer" for a store that a newer Selvage wrote, "not_a_store" for
/// one that holds data but no identity; kDataLoss for a damaged identity; those of the store.
absl::StatusOr<StoreIdentity> OpenStoreIdentity(KvStore& store, Random& random, const StoreOwner& owner);

/// Error: "foreign_store" (kFailedPrecondition) when the store is another node's. What it holds would go to
/// the core under a name that is not its own, or an edge would acknowledge what nobody ever sees.
absl::Status CheckStoreOwner(const StoreIdentity& store, const StoreOwner& node);

/// Gives the store another id, or another owner, with `batch`. After a fork it is not the store any more that
/// its peer knows.
void StageStoreIdentity(WriteBatch& batch, StoreId id, const StoreOwner& owner);

}  // namespace selvage
