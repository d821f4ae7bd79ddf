#include "fabric/storage/store_identity.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>

#include "fabric/base/endian.h"
#include "fabric/base/error.h"

namespace selvage {
namespace {

constexpr std::string_view kKey = "store/identity";

absl::StatusOr<StoreIdentity> Parse(std::string_view value) {
  if (value.size() >= sizeof(uint32_t)) {
    const auto format = LoadBig<uint32_t>(value.data());
    if (format > kStoreFormat) {
      return MakeError(
          absl::StatusCode::kFailedPrecondition, "store_format_newer",
          fmt::format("the store has format {}, this program knows up to {}", format, kStoreFormat),
          "start the newer version of Selvage that wrote this store");
    }
    const auto id = StoreId::FromBytes(value.substr(sizeof format));
    if (format > 0 && id && !id->none()) return StoreIdentity{*id, format, /*created=*/false};
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

absl::StatusOr<StoreIdentity> OpenStoreIdentity(KvStore& store, Random& random) {
  SELVAGE_ASSIGN_OR_RETURN(const std::optional<std::string> stored, store.Get(Family::kMeta, kKey));
  if (stored) return Parse(*stored);

  SELVAGE_ASSIGN_OR_RETURN(const bool empty, IsEmpty(store));
  if (!empty) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "not_a_store",
                     "the database holds data but is not a Selvage store",
                     "give the node a directory of its own");
  }
  const StoreIdentity identity{StoreId::Mint(random), kStoreFormat, /*created=*/true};
  auto batch = store.NewBatch();
  StageStoreId(*batch, identity.store_id);
  SELVAGE_RETURN_IF_ERROR(store.Write(*batch, /*sync=*/true));
  return identity;
}

void StageStoreId(WriteBatch& batch, StoreId id) {
  std::string format;
  AppendBig(format, kStoreFormat);
  batch.Put(Family::kMeta, kKey, {format, id.bytes()});
}

}  // namespace selvage
