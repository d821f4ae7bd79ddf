#include "fabric/table/feed_epochs.h"

#include <algorithm>

#include "fabric/base/canary.h"

namespace selvage::table {

void FeedEpochs::Begin(FeedEpoch id, uint64_t first) {
  epochs_.push_back({id, first});
  if (epochs_.size() > kKept) epochs_.erase(epochs_.begin());
}

std::optional<uint64_t> FeedEpochs::Resume(FeedEpoch epoch, uint64_t sequence) const {
  const auto found =
      std::find_if(epochs_.begin(), epochs_.end(), [&](const Epoch& known) { return known.id == epoch; });
  if (found == epochs_.end()) return std::nullopt;
  if (Planted(Canary::kResumePastRestored)) return sequence;
  const auto after = std::next(found);
  return after == epochs_.end() ? sequence : std::min(sequence, after->first);
}

}  // namespace selvage::table
