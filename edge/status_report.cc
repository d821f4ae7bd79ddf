#include "edge/status_report.h"

#include <algorithm>
#include <utility>

namespace selvage {
namespace {

constexpr absl::Duration kEvery = absl::Seconds(2);
/// What the core has stored of an edge says when that was.
constexpr absl::Duration kTellAnyway = absl::Minutes(10);
/// Of what the link is known to pass. Before anything is known, and where only little was ever sent, that is
/// taken to be the slowest link for which this is made.
constexpr double kShare = 0.05;
constexpr double kSlowestLink = 8000;

}  // namespace

bool StatusReport::Tick(double rate, absl::Duration now) {
  const bool under_way = source_.generation() > 0 && !source_.told();
  if (now < next_at_ || under_way) return false;
  next_at_ = now + kEvery;
  if (now >= tell_anyway_) told_ = {};
  const auto status = state_.MakeStatusIfNews(told_);
  if (!status) return false;
  tell_anyway_ = now + kTellAnyway;
  std::string body = status->SerializeAsString();
  const double seconds = static_cast<double>(body.size()) / (kShare * std::max(rate, kSlowestLink));
  next_at_ = std::max(next_at_, now + absl::Seconds(seconds));
  source_.Set(source_.generation() + 1, std::move(body));
  return true;
}

void StatusReport::Hurry() {
  next_at_ = absl::ZeroDuration();
  told_ = {};
}

}  // namespace selvage
