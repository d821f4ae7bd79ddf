#pragma once

#include <algorithm>
#include <cstdint>
#include <list>
#include <memory>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fabric/kafka/handlers/call.h"

namespace selvage::kafka {

/// Bounds what the requests of many connections together hold in memory: a connection does not read on until
/// there is room, so TCP holds the client back. Room is taken for what has arrived, piece by piece, so that a
/// request that is only announced keeps nobody waiting; the last `reserve` of it goes to the request that has
/// been arriving longest, so that requests which each wait for their rest do not wait for one another. Safe
/// to use from several threads.
class RequestMemory {
 public:
  /// No request may be larger than `reserve`.
  RequestMemory(size_t max, size_t reserve) : max_(max), reserve_(std::min(max, reserve)), free_(max) {}

  /// A request that is arriving; the oldest has the smallest number.
  using Ticket = uint64_t;
  Ticket Begin() {
    absl::MutexLock lock(&mutex_);
    arriving_.insert(++last_ticket_);
    return last_ticket_;
  }
  /// Waits for room for the next piece of it. Returns what Release is to be given for that.
  Awaitable<size_t> Take(boost::asio::any_io_executor strand, Ticket ticket, size_t size) {
    size = std::min(size, max_);
    std::shared_ptr<Signal> granted;
    {
      absl::MutexLock lock(&mutex_);
      if (TryTake(ticket, size)) co_return size;
      granted = std::make_shared<Signal>(std::move(strand));
      waiting_.push_back({ticket, size, granted});
    }
    while (!co_await granted->Wait()) {
    }
    co_return size;
  }
  /// Takes room for a request that is here already, if there is some.
  bool TryHold(size_t size) {
    absl::MutexLock lock(&mutex_);
    if (free_ < size) return false;
    free_ -= size;
    return true;
  }
  /// All of it has arrived, or nothing more will.
  void End(Ticket ticket) {
    absl::MutexLock lock(&mutex_);
    arriving_.erase(ticket);
    Grant();
  }
  void Release(size_t size) {
    absl::MutexLock lock(&mutex_);
    free_ += size;
    Grant();
  }

  /// Whether a connection waits.
  bool contended() const {
    absl::MutexLock lock(&mutex_);
    return !waiting_.empty();
  }

 private:
  struct Waiting {
    Ticket ticket;
    size_t size;
    std::shared_ptr<Signal> granted;
  };

  bool TryTake(Ticket ticket, size_t size) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const bool oldest = arriving_.empty() || ticket == *arriving_.begin();
    if (free_ < size + (oldest ? 0 : reserve_)) return false;
    free_ -= size;
    return true;
  }
  void Grant() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      if (!TryTake(it->ticket, it->size)) {
        ++it;
        continue;
      }
      it->granted->Raise();
      it = waiting_.erase(it);
    }
  }

  const size_t max_;
  const size_t reserve_;
  mutable absl::Mutex mutex_;
  size_t free_ ABSL_GUARDED_BY(mutex_);
  Ticket last_ticket_ ABSL_GUARDED_BY(mutex_) = 0;
  std::set<Ticket> arriving_ ABSL_GUARDED_BY(mutex_);
  std::list<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage::kafka
