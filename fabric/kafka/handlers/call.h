#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "fabric/kafka/handlers/response_memory.h"
#include "fabric/kafka/protocol/header.h"

namespace selvage::kafka {

template <class T>
using Awaitable = boost::asio::awaitable<T>;

/// Wakes a coroutine. Raise() may be called from any thread and at any time, also when nobody waits; Wait()
/// is for the coroutine alone. Held by shared_ptr, so that who raises may outlive who waits.
class Signal : public std::enable_shared_from_this<Signal> {
 public:
  /// `executor` is a strand: the one that the waiting coroutine runs on.
  explicit Signal(boost::asio::any_io_executor executor) : timer_(std::move(executor)) {}

  void Raise() {
    if (raised_.exchange(true)) return;
    boost::asio::post(timer_.get_executor(), [self = shared_from_this()] { self->timer_.cancel(); });
  }
  /// Until it is raised, or was since the last Wait, or `most` is over. True when it was raised.
  Awaitable<bool> Wait(absl::Duration most = absl::Hours(24)) {
    timer_.expires_after(absl::ToChronoMilliseconds(most));
    if (!raised_) {
      boost::system::error_code ignored;
      co_await timer_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    }
    co_return raised_.exchange(false);
  }

 private:
  boost::asio::steady_timer timer_;
  std::atomic<bool> raised_{false};
};

/// Runs `start` with a callback, which may be called once, from any thread, and goes on with what that is
/// given.
template <class T>
Awaitable<T> Await(std::function<void(std::function<void(T)>)> start) {
  co_return co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(T)>(
      [&start](auto handler) {
        auto kept = std::make_shared<decltype(handler)>(std::move(handler));
        start([kept](T value) {
          auto executor = boost::asio::get_associated_executor(*kept);
          boost::asio::post(executor, [kept, value = std::move(value)]() mutable {
            auto once = std::move(*kept);
            std::move(once)(std::move(value));
          });
        });
      },
      boost::asio::use_awaitable);
}

/// One request under way, on the strand of its connection.
class Call {
 public:
  Call(boost::asio::any_io_executor strand, RequestHeader header, std::string client_host)
      : header_(std::move(header)),
        client_host_(std::move(client_host)),
        closed_(std::make_shared<Signal>(strand)),
        ordered_(std::make_shared<Signal>(strand)),
        strand_(std::move(strand)) {}
  ~Call() {
    if (responses_ != nullptr) responses_->Release(response_held_);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  const RequestHeader& header() const { return header_; }
  int16_t version() const { return header_.api_version; }
  std::string client_id() const { return header_.client_id.value_or(""); }
  const std::string& client_host() const { return client_host_; }
  const boost::asio::any_io_executor& strand() const { return strand_; }

  /// What had to happen before the next request begins has happened, though the answer is not there yet.
  void NextMayBegin() {
    next_may_begin_ = true;
    ordered_->Raise();
  }
  bool next_may_begin() const { return next_may_begin_; }
  Signal& ordered() { return *ordered_; }

  /// From here on the call waits for something to happen, perhaps for minutes: its request is not to take the
  /// memory of those that are handled meanwhile. False when too many wait already; then it should not wait
  /// for long.
  bool Park() { return !park_ || park_(); }
  void set_park(std::function<bool()> park) { park_ = std::move(park); }

  /// Of which memory the response is; without it, of none that is bounded. It must outlive the call.
  void set_responses(ResponseMemory& responses) { responses_ = &responses; }
  /// The response has grown to so many bytes.
  void HoldResponse(size_t bytes) {
    if (responses_ == nullptr || bytes <= response_held_) return;
    responses_->Hold(bytes - response_held_);
    response_held_ = bytes;
  }
  size_t response_room() const { return responses_ == nullptr ? SIZE_MAX : responses_->room(); }
  /// Until a large response may be made, or the connection is gone.
  Awaitable<void> AwaitResponseRoom() {
    while (!is_closed_ && response_room() == 0) {
      responses_->Await(closed_);
      co_await closed_->Wait(absl::Seconds(1));
    }
  }

  /// The connection is gone: nobody waits for the answer.
  void Close() {
    is_closed_ = true;
    closed_->Raise();
  }
  /// Safe to call from any thread.
  bool is_closed() const { return is_closed_; }
  /// Raised by Close. A handler that waits for something else as well has that raise it too.
  const std::shared_ptr<Signal>& closed() { return closed_; }

 private:
  const RequestHeader header_;
  const std::string client_host_;
  const std::shared_ptr<Signal> closed_;
  const std::shared_ptr<Signal> ordered_;
  const boost::asio::any_io_executor strand_;
  bool next_may_begin_ = false;
  std::atomic<bool> is_closed_{false};
  std::function<bool()> park_;
  ResponseMemory* responses_ = nullptr;
  size_t response_held_ = 0;
};

}  // namespace selvage::kafka
