#include "fabric/kafka/handlers/producer_ids.h"

#include <string>

#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"

namespace selvage::kafka {
namespace {

constexpr uint64_t kBlock = 1000;
constexpr int kCounterBits = 40;
constexpr uint64_t kPrefixMask = (uint64_t{1} << (63 - kCounterBits)) - 1;  // ids are not negative

}  // namespace

ProducerIds::ProducerIds(KvStore& store, Committer& committer, Random& random)
    : store_(store), committer_(committer), prefix_(random.Next() & kPrefixMask) {}

absl::Status ProducerIds::Reserve() {
  SELVAGE_ASSIGN_OR_RETURN(const auto stored, store_.Get(Family::kMeta, kProducerIdsKey));
  if (stored && stored->size() != sizeof(uint64_t)) {
    return MakeError(absl::StatusCode::kDataLoss, "corrupt_meta",
                     "the store's producer id counter is damaged");
  }
  const uint64_t first = stored ? LoadBig<uint64_t>(stored->data()) : 0;
  std::string value;
  AppendBig(value, first + kBlock);
  SELVAGE_RETURN_IF_ERROR(Commit(committer_, [&](WriteBatch& batch) {
    batch.Put(Family::kMeta, std::string(kProducerIdsKey), {value});
    return absl::OkStatus();
  }));
  next_ = first;
  reserved_ = first + kBlock;
  return absl::OkStatus();
}

absl::StatusOr<int64_t> ProducerIds::Next() {
  absl::MutexLock lock(&mutex_);
  if (next_ == reserved_) SELVAGE_RETURN_IF_ERROR(Reserve());
  return static_cast<int64_t>((prefix_ << kCounterBits) | next_++);
}

}  // namespace selvage::kafka
