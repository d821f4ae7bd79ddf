#include "core/errands.h"

#include <utility>

namespace selvage {

Errands::Runner Errands::AtOnce() {
  return [](std::function<void()> work) { work(); };
}

void Errands::Add(Errand errand) {
  {
    absl::MutexLock lock(&mutex_);
    if (dropped_) return;
    waiting_.push_back(std::move(errand));
    if (std::exchange(running_, true)) return;
  }
  run_([self = shared_from_this()] { self->RunOne(); });
}

/// One at a time, so that a link with a thousand errands does not keep the others waiting.
void Errands::RunOne() {
  Errand errand;
  {
    absl::MutexLock lock(&mutex_);
    if (waiting_.empty()) {
      running_ = false;
      return;
    }
    errand = std::move(waiting_.front());
    waiting_.pop_front();
  }
  Then then = errand();
  {
    absl::MutexLock lock(&mutex_);
    if (then && !dropped_) back_.push_back(std::move(then));
    any_back_ = !back_.empty();
  }
  wake_();
  run_([self = shared_from_this()] { self->RunOne(); });
}

void Errands::Apply(replication::Session& session) {
  while (any_back_) {
    std::vector<Then> back;
    {
      absl::MutexLock lock(&mutex_);
      back.swap(back_);
      any_back_ = false;
    }
    for (Then& then : back) then(session);
  }
}

void Errands::Drop() {
  absl::MutexLock lock(&mutex_);
  dropped_ = true;
  waiting_.clear();
  back_.clear();
  any_back_ = false;
}

}  // namespace selvage
