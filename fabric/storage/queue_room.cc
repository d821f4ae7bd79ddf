#include "fabric/storage/queue_room.h"

#include "fabric/base/check.h"

namespace selvage {

QueueRoom::Turn& QueueRoom::Turn::operator=(Turn&& other) noexcept {
  GiveUp();
  room_ = std::move(other.room_);
  number_ = other.number_;
  return *this;
}

void QueueRoom::Turn::GiveUp() {
  if (room_ != nullptr) std::exchange(room_, nullptr)->Leave(number_);
}

bool QueueRoom::Turn::come() const {
  absl::MutexLock lock(&room_->mutex_);
  return room_->come_.contains(number_);
}

size_t QueueRoom::taken() const {
  absl::MutexLock lock(&mutex_);
  return taken_;
}

size_t QueueRoom::waiting() const {
  absl::MutexLock lock(&mutex_);
  return line_.size();
}

bool QueueRoom::has_line() const {
  absl::MutexLock lock(&mutex_);
  return !line_.empty() || !come_.empty();
}

bool QueueRoom::TryTake(size_t bytes) {
  absl::MutexLock lock(&mutex_);
  if (taken_ > 0 && taken_ + bytes > bytes_max_) return false;
  taken_ += bytes;
  return true;
}

void QueueRoom::Take(size_t bytes) {
  absl::MutexLock lock(&mutex_);
  taken_ += bytes;
}

void QueueRoom::GiveBack(size_t bytes) {
  Wakes wakes;
  {
    absl::MutexLock lock(&mutex_);
    SELVAGE_CHECK(bytes <= taken_);
    taken_ -= bytes;
    wakes = Advance();
  }
  for (const auto& wake : wakes) wake();
}

std::optional<QueueRoom::Turn> QueueRoom::GetInLine(size_t bytes, std::function<void()> wake) {
  uint64_t number;
  Wakes wakes;
  {
    absl::MutexLock lock(&mutex_);
    if (line_.size() >= kTurnsMax) return std::nullopt;
    number = next_++;
    line_.emplace(number, Waiter{bytes, std::move(wake)});
    wakes = Advance();
  }
  for (const auto& one : wakes) one();
  return Turn(shared_from_this(), number);
}

void QueueRoom::Leave(uint64_t number) {
  Wakes wakes;
  {
    absl::MutexLock lock(&mutex_);
    line_.erase(number);
    if (auto turn = come_.find(number); turn != come_.end()) {
      kept_ -= turn->second;
      come_.erase(turn);
    }
    wakes = Advance();  // also where the first in line was the one that did not fit
  }
  for (const auto& wake : wakes) wake();
}

void QueueRoom::Close() {
  Wakes wakes;
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    wakes = Advance();
  }
  for (const auto& wake : wakes) wake();
}

QueueRoom::Wakes QueueRoom::Advance() {
  Wakes wakes;
  while (!line_.empty()) {
    auto first = line_.begin();
    const size_t bytes = first->second.bytes;
    const size_t used = taken_ + kept_;
    if (!closed_ && used > 0 && used + bytes > bytes_max_) break;
    kept_ += bytes;
    come_.emplace(first->first, bytes);
    wakes.push_back(std::move(first->second.wake));
    line_.erase(first);
  }
  return wakes;
}

}  // namespace selvage
