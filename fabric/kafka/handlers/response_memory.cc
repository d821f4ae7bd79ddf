#include "fabric/kafka/handlers/response_memory.h"

#include <utility>

#include "fabric/kafka/handlers/call.h"

namespace selvage::kafka {

void ResponseMemory::Hold(size_t bytes) {
  absl::MutexLock lock(&mutex_);
  held_ += bytes;
}

void ResponseMemory::Release(size_t bytes) {
  std::vector<std::shared_ptr<Signal>> waiting;
  {
    absl::MutexLock lock(&mutex_);
    held_ -= bytes;
    if (held_ < max_) waiting = std::exchange(waiting_, {});
  }
  for (const auto& waiter : waiting) waiter->Raise();
}

size_t ResponseMemory::room() const {
  absl::MutexLock lock(&mutex_);
  return held_ < max_ ? max_ - held_ : 0;
}

void ResponseMemory::Await(std::shared_ptr<Signal> waiter) {
  {
    absl::MutexLock lock(&mutex_);
    if (held_ >= max_) return waiting_.push_back(std::move(waiter));
  }
  waiter->Raise();
}

bool ResponseMemory::contended() const {
  absl::MutexLock lock(&mutex_);
  return !waiting_.empty();
}

}  // namespace selvage::kafka
