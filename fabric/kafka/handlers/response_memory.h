#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace selvage::kafka {

class Signal;

/// Bounds what the responses of all connections together hold in memory, from when they are read until
/// clients have taken them. It may be passed by one batch for each thread that makes responses. Safe to use
/// from several threads.
class ResponseMemory {
 public:
  explicit ResponseMemory(size_t max) : max_(max) {}

  void Hold(size_t bytes);
  void Release(size_t bytes);
  /// What may still be held; 0: who makes a large response waits.
  size_t room() const;
  /// Raises `waiter` once, when there is room again.
  void Await(std::shared_ptr<Signal> waiter);
  /// Whether somebody waits.
  bool contended() const;

 private:
  const size_t max_;
  mutable absl::Mutex mutex_;
  size_t held_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::shared_ptr<Signal>> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage::kafka
