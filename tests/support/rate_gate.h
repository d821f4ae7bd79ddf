#pragma once

#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <functional>

namespace selvage::test {

/// A token bucket that several readers share in turns. Lives on one io_context thread.
class RateGate {
 public:
  explicit RateGate(boost::asio::io_context& context) : timer_(context) {}

  /// Payload bits per second; 0 opens the gate. Takes effect at once, also for those who wait.
  void SetRate(int64_t bits_per_second);
  int64_t bytes_per_second() const { return bytes_per_second_; }
  bool limited() const { return bytes_per_second_ > 0; }

  /// The most a turn may take: small enough that a slow gate passes bytes evenly.
  size_t Quantum() const;

  /// Calls `turn` once when tokens are there, at the earliest now; it returns how many bytes it took.
  void Await(std::function<size_t()> turn);

  /// Drops those who wait.
  void Clear();

 private:
  void Run();

  boost::asio::steady_timer timer_;
  int64_t bytes_per_second_ = 0;
  boost::asio::steady_timer::time_point ready_at_{};
  std::deque<std::function<size_t()>> waiting_;
  bool running_ = false;
  bool armed_ = false;
};

}  // namespace selvage::test
