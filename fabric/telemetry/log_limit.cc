#include "fabric/telemetry/log_limit.h"

#include <utility>

namespace selvage {
namespace {

constexpr absl::Duration kWhile = absl::Seconds(10);
constexpr int kSaid = 5;

}  // namespace

std::optional<uint64_t> LogLimit::Admit(absl::Duration now) {
  absl::MutexLock lock(&mutex_);
  if (now - began_ >= kWhile) {
    began_ = now;
    said_ = 0;
  }
  if (said_ >= kSaid) {
    ++unsaid_;
    return std::nullopt;
  }
  ++said_;
  return std::exchange(unsaid_, 0);
}

}  // namespace selvage
