#pragma once

#include <boost/asio/thread_pool.hpp>
#include <cstddef>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace selvage {

/// A pool of threads that start when they are first needed: a node that is left alone does without them. Safe
/// to use from several threads.
class LazyThreads {
 public:
  explicit LazyThreads(size_t threads) : count_(threads) {}
  /// Runs what was posted, then joins; timers on the executor must have been cancelled.
  ~LazyThreads() { Join(); }
  LazyThreads(const LazyThreads&) = delete;
  LazyThreads& operator=(const LazyThreads&) = delete;

  boost::asio::thread_pool::executor_type executor() {
    absl::MutexLock lock(&mutex_);
    if (!threads_) threads_.emplace(count_);
    return threads_->get_executor();
  }
  /// As at the end. Nothing is posted afterwards.
  void Join() {
    boost::asio::thread_pool* threads = nullptr;
    {
      absl::MutexLock lock(&mutex_);
      if (threads_) threads = &*threads_;
    }
    if (threads != nullptr) threads->join();
  }

 private:
  const size_t count_;
  absl::Mutex mutex_;
  std::optional<boost::asio::thread_pool> threads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage
