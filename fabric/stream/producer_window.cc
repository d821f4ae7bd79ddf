#include "fabric/stream/producer_window.h"

#include <utility>

#include "fabric/base/canary.h"

namespace selvage {
namespace {

int32_t After(int32_t sequence, int32_t by) {
  return static_cast<int32_t>((static_cast<uint32_t>(sequence) + static_cast<uint32_t>(by)) & 0x7fffffffu);
}

}  // namespace

ProducerSequence SequenceOf(const BatchHeader& header) {
  if (header.producer_id < 0) return {};
  return {.producer = header.producer_id,
          .epoch = header.producer_epoch,
          .first = header.base_sequence,
          .last = After(header.base_sequence, header.last_offset_delta)};
}

ProducerWindow::Judgement ProducerWindow::Judge(const ProducerSequence& sequence) const {
  if (epoch_ < 0) {
    const bool begins = sequence.first == 0 || Planted(Canary::kBeginAnywhere);
    return {begins ? Verdict::kAppend : Verdict::kUnknown, {}};
  }
  if (sequence.epoch < epoch_) return {Verdict::kStaleEpoch, {}};
  if (sequence.epoch > epoch_) return {sequence.first == 0 ? Verdict::kAppend : Verdict::kOutOfOrder, {}};
  for (const Batch& batch : batches_) {
    if (batch.first == sequence.first && batch.last == sequence.last)
      return {Verdict::kDuplicate, batch.base};
  }
  const bool follows = batches_.empty() || sequence.first == After(batches_.back().last, 1);
  return {follows ? Verdict::kAppend : Verdict::kOutOfOrder, {}};
}

void ProducerWindow::Add(const ProducerSequence& sequence, Offset base, int64_t now_ms) {
  if (sequence.epoch != epoch_) batches_.clear();
  epoch_ = sequence.epoch;
  last_ms_ = now_ms;
  if (batches_.size() == kBatches) batches_.erase(batches_.begin());
  batches_.push_back({sequence.first, sequence.last, base});
}

ProducerWindow ProducerWindow::Restored(int16_t epoch, int64_t last_ms, std::vector<Batch> batches) {
  ProducerWindow window;
  window.epoch_ = epoch;
  window.last_ms_ = last_ms;
  window.batches_ = std::move(batches);
  return window;
}

}  // namespace selvage
