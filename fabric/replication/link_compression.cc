#include "fabric/replication/link_compression.h"

#include <algorithm>
#include <iterator>

namespace selvage::replication {
namespace {

/// Level 1 takes more than ten times as many bytes in a second.
constexpr double kSlowLink = 8e6;
constexpr size_t kSkipFirst = 1 << 20;
constexpr size_t kSkipMost = 64 << 20;

/// Each costs about twice what the one before it does. Higher ones gain little on a batch, and take tens of
/// MiB.
constexpr int kLevels[] = {1, 3, 5, 7};
constexpr absl::Duration kJudgeAfter = absl::Milliseconds(250);
/// A step up may multiply the work by three, and must not bring it above the share at which the level falls
/// again.
constexpr double kWaitsEnough = 0.85;
constexpr double kWaitsTooLittle = 0.5;

}  // namespace

bool CompressionHabit::WorthATry(size_t bytes, double link_rate) {
  if (link_rate < kSlowLink || skip_left_ == 0) return true;
  skip_left_ -= std::min(skip_left_, bytes);
  return false;
}

void CompressionHabit::Tried(bool shrank) {
  skip_ = shrank ? 0 : std::clamp(2 * skip_, kSkipFirst, kSkipMost);
  skip_left_ = skip_;
}

int CompressionEffort::level() const {
  return kLevels[step_];
}

void CompressionEffort::Enter(State state, absl::Duration now) {
  const absl::Duration took = now - since_;
  if (state_ == State::kWorking) worked_ += took;
  if (state_ == State::kWaiting) waited_ += took;
  state_ = state;
  since_ = now;
  const absl::Duration total = worked_ + waited_;
  if (total < kJudgeAfter) return;
  const double waits = absl::FDivDuration(waited_, total);
  worked_ = waited_ = absl::ZeroDuration();
  if (waits >= kWaitsEnough && step_ + 1 < std::size(kLevels)) ++step_;
  if (waits <= kWaitsTooLittle && step_ > 0) --step_;
}

}  // namespace selvage::replication
