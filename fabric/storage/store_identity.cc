#include "fabric/storage/store_identity.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>

#include "fabric/base/canary.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"

namespace selvage {
namespace {

constexpr std::string_view kKey = "store/identity";
constexpr size_t kIdSize = 16;

absl::StatusOr<StoreIdentity> Parse(std::string_view value) {
  if (value.size() >= sizeof(uint32_t)) {
    const auto format = LoadBig<uint32_t>(value.data());
    if (format > kStoreFormat) {
      return MakeError(
          absl::StatusCode::kFailedPrecondition, "store_format_newer",
          fmt::format("the store has format {}, this program knows up to {}", format, kStoreFormat),
          "start the newer version of Selvage that wrote this store");
    }
    value.remove_prefix(sizeof format);
    const auto id = StoreId::FromBytes(value.substr(0, kIdSize));
    if (format > 0 && id && !id->none() && value.size() > kIdSize) {
      const auto role = static_cast<StoreOwner::Role>(value[kIdSize]);
      const bool known = role == StoreOwner::Role::kEdge || role == StoreOwner::Role::kCore;
      if (known)
        return StoreIdentity{*id, {role, std::string(value.substr(kIdSize + 1))}, format, /*created=*/false};
    }
  }
  return MakeError(absl::StatusCode::kDataLoss, "store_identity_damaged",
                   "the record that says which store this is cannot be read",
                   "restore the store from a backup, or let this node start with an empty directory");
}

absl::StatusOr<bool> IsEmpty(KvStore& store) {
  // Above every key in use: none starts with this many 0xff bytes.
  const std::string top(64, '\xff');
  for (Family family : kAllFamilies) {
    auto cursor = store.Scan(family, "", top);
    cursor->Seek("");
    if (cursor->Valid()) return false;
    SELVAGE_RETURN_IF_ERROR(cursor->status());
  }
  return true;
}

}  // namespace

std::string ToString(const StoreOwner& owner) {
  return fmt::format("{} {}", owner.role == StoreOwner::Role::kCore ? "core" : "edge", owner.node);
}

absl::StatusOr<StoreIdentity> OpenStoreIdentity(KvStore& store, Random& random, const StoreOwner& owner) {
  SELVAGE_ASSIGN_OR_RETURN(const std::optional<std::string> stored, store.Get(Family::kMeta, kKey));
  if (stored) return Parse(*stored);

  SELVAGE_ASSIGN_OR_RETURN(const bool empty, IsEmpty(store));
  if (!empty) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "not_a_store",
                     "the database holds data but is not a Selvage store",
                     "give the node a directory of its own");
  }
  const StoreIdentity identity{StoreId::Mint(random), owner, kStoreFormat, /*created=*/true};
  auto batch = store.NewBatch();
  StageStoreIdentity(*batch, identity.store_id, owner);
  SELVAGE_RETURN_IF_ERROR(store.Write(*batch, /*sync=*/true));
  return identity;
}

absl::Status CheckStoreOwner(const StoreIdentity& store, const StoreOwner& node) {
  if (store.owner == node || Planted(Canary::kServeForeignStore)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, "foreign_store",
                   fmt::format("the store in data_dir belongs to {}, and this is {}", ToString(store.owner),
                               ToString(node)),
                   store.owner.role == node.role
                       ? fmt::format("set data_dir to this node's own directory; to give the store to this "
                                     "node for good, start it once "
                                     "with --take-store-of {}",
                                     store.owner.node)
                       : "set data_dir to this node's own directory; an edge and a core cannot share one");
}

void StageStoreIdentity(WriteBatch& batch, StoreId id, const StoreOwner& owner) {
  std::string format;
  AppendBig(format, kStoreFormat);
  batch.Put(Family::kMeta, kKey,
            {format, id.bytes(), std::string(1, static_cast<char>(owner.role)), owner.node});
}

}  // namespace selvage
