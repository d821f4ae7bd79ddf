#include "tests/support/rate_gate.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace selvage::test {
namespace {

using Clock = boost::asio::steady_timer::clock_type;

// A timer that fires late may be made up for by this much, so that the rate holds on a busy machine.
constexpr auto kCatchUp = std::chrono::milliseconds(20);
constexpr int64_t kTurnsPerSecond = 50;
constexpr int64_t kTurnBytesMin = 256;
constexpr int64_t kTurnBytesMax = 64 << 10;

}  // namespace

void RateGate::SetRate(int64_t bits_per_second) {
  bytes_per_second_ = bits_per_second <= 0 ? 0 : std::max<int64_t>(1, bits_per_second / 8);
  ready_at_ = Clock::now();
  timer_.cancel();
  Run();
}

size_t RateGate::Quantum() const {
  if (!limited()) return kTurnBytesMax;
  return std::clamp(bytes_per_second_ / kTurnsPerSecond, kTurnBytesMin, kTurnBytesMax);
}

void RateGate::Await(std::function<size_t()> turn) {
  waiting_.push_back(std::move(turn));
  Run();
}

void RateGate::Clear() {
  waiting_.clear();
  timer_.cancel();
}

void RateGate::Run() {
  // A turn usually asks for its next one, which must not nest.
  if (running_) return;
  running_ = true;
  while (!waiting_.empty()) {
    const auto now = Clock::now();
    if (limited() && ready_at_ > now) {
      if (!armed_) {
        armed_ = true;
        timer_.expires_at(ready_at_);
        timer_.async_wait([this](boost::system::error_code) {
          armed_ = false;
          Run();
        });
      }
      break;
    }
    auto turn = std::move(waiting_.front());
    waiting_.pop_front();
    const size_t taken = turn();
    if (limited()) {
      const std::chrono::duration<double> cost(static_cast<double>(taken) /
                                               static_cast<double>(bytes_per_second_));
      ready_at_ = std::max(ready_at_, now - kCatchUp) + std::chrono::duration_cast<Clock::duration>(cost);
    }
  }
  running_ = false;
}

}  // namespace selvage::test
