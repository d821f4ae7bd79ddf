#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fabric/kafka/handlers/call.h"

namespace selvage::kafka {

/// Bounds what the requests of many connections together hold in memory: a connection does not read on until
/// there is room, so TCP holds the client back. First come, first served. Safe to use from several threads.
class RequestMemory {
 public:
  explicit RequestMemory(size_t max) : free_(max), max_(max) {}

  /// Waits for room. A request larger than everything waits for everything. Returns what Release is to be
  /// given.
  Awaitable<size_t> Acquire(boost::asio::any_io_executor strand, size_t size) {
    const size_t wanted = std::min(size, max_);
    std::shared_ptr<Waiting> waiting;
    {
      absl::MutexLock lock(&mutex_);
      if (waiting_.empty() && free_ >= wanted) {
        free_ -= wanted;
        co_return wanted;
      }
      waiting = std::make_shared<Waiting>(Waiting{wanted, std::make_shared<Signal>(std::move(strand))});
      waiting_.push_back(waiting);
    }
    while (!co_await waiting->granted->Wait()) {
    }
    co_return wanted;
  }

  void Release(size_t size) {
    absl::MutexLock lock(&mutex_);
    free_ += size;
    while (!waiting_.empty() && free_ >= waiting_.front()->wanted) {
      free_ -= waiting_.front()->wanted;
      waiting_.front()->granted->Raise();
      waiting_.pop_front();
    }
  }

  /// Whether a connection waits.
  bool contended() const {
    absl::MutexLock lock(&mutex_);
    return !waiting_.empty();
  }

 private:
  struct Waiting {
    size_t wanted;
    std::shared_ptr<Signal> granted;
  };
  mutable absl::Mutex mutex_;
  size_t free_ ABSL_GUARDED_BY(mutex_);
  const size_t max_;
  std::deque<std::shared_ptr<Waiting>> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage::kafka
