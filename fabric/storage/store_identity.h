#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "fabric/base/id128.h"
#include "fabric/base/random.h"
#include "fabric/storage/kv_store.h"

namespace selvage {

/// Version of everything Selvage keeps in a store: keys, values and their meaning (docs/formats.md).
inline constexpr uint32_t kStoreFormat = 1;

struct StoreIdentity {
  StoreId store_id;
  uint32_t format = kStoreFormat;
  bool created = false;  ///< by this call: the store was empty
};

/// Reads who this store is; an empty store gets its identity, drawn from `random` and synced.
///
/// Errors: kFailedPrecondition "store_format_newer" for a store that a newer Selvage wrote, "not_a_store" for
/// one that holds data but no identity; kDataLoss for a damaged identity; those of the store.
absl::StatusOr<StoreIdentity> OpenStoreIdentity(KvStore& store, Random& random);

/// Gives the store another id with `batch`: after a fork it is not the store any more that its peer knows.
void StageStoreId(WriteBatch& batch, StoreId id);

}  // namespace selvage
