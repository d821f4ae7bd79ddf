#include "fabric/link/errands.h"

#include <utility>

namespace selvage {

Errands::Runner Errands::AtOnce() {
  return [](std::function<void()> work) { work(); };
}

void Errands::Add(Errand errand) {
  Begin([errand = std::move(errand)](const Back& back) { back(errand()); });
}

void Errands::Begin(std::function<void(Back)> begin) {
  {
    absl::MutexLock lock(&mutex_);
    if (dropped_ || !begins_others_) return;
    waiting_.push_back(std::move(begin));
    if (std::exchange(running_, true)) return;
  }
  run_([self = shared_from_this()] { self->RunOne(); });
}

/// One at a time, so that a link with a thousand errands does not keep the others waiting.
void Errands::RunOne() {
  std::function<void(Back)> begin;
  {
    absl::MutexLock lock(&mutex_);
    if (waiting_.empty()) {
      running_ = false;
      return;
    }
    begin = std::move(waiting_.front());
    waiting_.pop_front();
  }
  begin([self = shared_from_this()](Then then) { self->TakeBack(std::move(then)); });
}

void Errands::TakeBack(Then then) {
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

void Errands::BeginNoOthers() {
  absl::MutexLock lock(&mutex_);
  begins_others_ = false;
  waiting_.clear();
}

void Errands::Drop() {
  absl::MutexLock lock(&mutex_);
  dropped_ = true;
  waiting_.clear();
  back_.clear();
  any_back_ = false;
}

}  // namespace selvage
