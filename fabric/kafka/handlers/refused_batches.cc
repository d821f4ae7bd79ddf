#include "fabric/kafka/handlers/refused_batches.h"

namespace selvage::kafka {
namespace {

/// How far `sequence` is behind `other`; negative when it comes before it. Sequences go from 2^31 - 1 to 0.
int32_t Behind(int32_t sequence, int32_t other) {
  const uint32_t distance = (static_cast<uint32_t>(sequence) - static_cast<uint32_t>(other)) << 1;
  return static_cast<int32_t>(distance) / 2;
}

}  // namespace

void RefusedBatches::Refused(const std::string& topic, int32_t partition, const ProducerSequence& batch) {
  const absl::Duration now = clock_.Monotonic();
  absl::MutexLock lock(&mutex_);
  const Key key(batch.producer, topic, partition);
  auto known = refused_.find(key);
  if (known == refused_.end()) {
    if (refused_.size() >= kMax) ForgetOld(now);
    if (refused_.size() >= kMax) return;
    refused_.emplace(key, Batch{batch.epoch, batch.first, now});
    size_ = refused_.size();
    return;
  }
  Batch& earliest = known->second;
  const bool is_behind = batch.epoch == earliest.epoch && Behind(batch.first, earliest.first) > 0;
  const bool given_up = now - earliest.at >= kWait;
  if (!is_behind || given_up) earliest = {batch.epoch, batch.first, now};
}

void RefusedBatches::Taken(const std::string& topic, int32_t partition, const ProducerSequence& batch) {
  if (size_ == 0) return;
  absl::MutexLock lock(&mutex_);
  auto known = refused_.find(Key(batch.producer, topic, partition));
  if (known == refused_.end()) return;
  const bool is_before = batch.epoch == known->second.epoch && Behind(batch.first, known->second.first) < 0;
  if (is_before) return;
  refused_.erase(known);
  size_ = refused_.size();
}

bool RefusedBatches::IsBehind(const std::string& topic, int32_t partition,
                              const ProducerSequence& batch) const {
  if (size_ == 0) return false;
  absl::MutexLock lock(&mutex_);
  auto known = refused_.find(Key(batch.producer, topic, partition));
  if (known == refused_.end() || batch.epoch != known->second.epoch) return false;
  return Behind(batch.first, known->second.first) > 0 && clock_.Monotonic() - known->second.at < kWait;
}

void RefusedBatches::ForgetOld(absl::Duration now) {
  // While it is full of new ones, looking through all of them at each refusal would find nothing.
  if (now < next_forget_) return;
  next_forget_ = now + kWait / 60;
  absl::erase_if(refused_, [&](const auto& each) { return now - each.second.at >= kWait; });
  size_ = refused_.size();
}

}  // namespace selvage::kafka
