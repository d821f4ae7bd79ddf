#include "fabric/stream/producer_table.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "fabric/stream/meta_keys.h"
#include "selvage/v1/store.pb.h"

namespace selvage {

bool ProducerTable::Load(int64_t producer, std::string_view value) {
  v1::StoredProducer stored;
  if (!stored.ParseFromArray(value.data(), static_cast<int>(value.size()))) return false;
  if (producer < 0 || stored.epoch() < 0 || stored.epoch() > INT16_MAX ||
      stored.batches_size() > static_cast<int>(ProducerWindow::kBatches)) {
    return false;
  }
  std::vector<ProducerWindow::Batch> batches;
  for (const auto& batch : stored.batches()) {
    batches.push_back({batch.first_sequence(), batch.last_sequence(), Offset(batch.base())});
  }
  producers_[producer].window =
      ProducerWindow::Restored(static_cast<int16_t>(stored.epoch()), stored.last_ms(), std::move(batches));
  idlest_ms_ = std::min<int64_t>(idlest_ms_, stored.last_ms());
  return true;
}

ProducerWindow::Judgement ProducerTable::Judge(const ProducerSequence& sequence) const {
  auto known = producers_.find(sequence.producer);
  return known == producers_.end() ? ProducerWindow().Judge(sequence) : known->second.window.Judge(sequence);
}

void ProducerTable::Add(WriteBatch& batch, const ProducerSequence& sequence, Offset base, int64_t now_ms) {
  if (producers_.size() >= kProducersMax && !producers_.contains(sequence.producer)) ForgetIdlest(batch);
  Producer& producer = producers_[sequence.producer];
  producer.window.Add(sequence, base, now_ms);
  producer.changed = true;
  idlest_ms_ = std::min<int64_t>(idlest_ms_, now_ms);
}

void ProducerTable::Flush(WriteBatch& batch, int64_t producer) {
  auto known = producers_.find(producer);
  if (known == producers_.end() || !known->second.changed) return;
  known->second.changed = false;
  const ProducerWindow& window = known->second.window;
  v1::StoredProducer stored;
  stored.set_epoch(window.epoch());
  stored.set_last_ms(window.last_ms());
  for (const ProducerWindow::Batch& of : window.batches()) {
    auto* one = stored.add_batches();
    one->set_first_sequence(of.first);
    one->set_last_sequence(of.last);
    one->set_base(of.base.value());
  }
  batch.Put(Family::kMeta, ProducerKey(log_, producer), {stored.SerializeAsString()});
}

void ProducerTable::ForgetIdlest(WriteBatch& batch) {
  const auto idlest = std::min_element(
      producers_.begin(), producers_.end(),
      [](const auto& a, const auto& b) { return a.second.window.last_ms() < b.second.window.last_ms(); });
  batch.Delete(Family::kMeta, ProducerKey(log_, idlest->first));
  producers_.erase(idlest);
}

void ProducerTable::ForgetIdle(WriteBatch& batch, int64_t before_ms) {
  int64_t idlest_ms = INT64_MAX;
  absl::erase_if(producers_, [&](const auto& producer) {
    const int64_t last_ms = producer.second.window.last_ms();
    if (last_ms < before_ms) {
      batch.Delete(Family::kMeta, ProducerKey(log_, producer.first));
      return true;
    }
    idlest_ms = std::min(idlest_ms, last_ms);
    return false;
  });
  idlest_ms_ = idlest_ms;
}

void ProducerTable::ForgetAll(WriteBatch& batch) {
  batch.DeleteRange(Family::kMeta, ProducerKeys(log_), ProducerKeys(log_ + 1));
  producers_.clear();
  idlest_ms_ = INT64_MAX;
}

}  // namespace selvage
