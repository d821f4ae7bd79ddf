#include "fabric/kafka/group/offset_book.h"

#include <algorithm>

#include "fabric/base/check.h"

namespace selvage::kafka::group {
namespace {

constexpr size_t kSlotOverhead = 160;

}  // namespace

const CommittedOffset* OffsetBook::Find(const TopicPartition& at) const {
  const auto found = slots_.find(at);
  return found == slots_.end() || !found->second.durable ? nullptr : &*found->second.durable;
}

std::vector<std::pair<TopicPartition, CommittedOffset>> OffsetBook::All() const {
  std::vector<std::pair<TopicPartition, CommittedOffset>> all;
  all.reserve(slots_.size());
  for (const auto& [at, slot] : slots_) {
    if (slot.durable) all.emplace_back(at, *slot.durable);
  }
  return all;
}

std::vector<TopicPartition> OffsetBook::Expired(int64_t now_ms, int64_t empty_since_ms,
                                                int64_t retention_ms) const {
  std::vector<TopicPartition> expired;
  for (const auto& [at, slot] : slots_) {
    if (!slot.durable || slot.under_way > 0) continue;
    const int64_t since = std::max(empty_since_ms, slot.durable->commit_ms);
    if (since <= now_ms - retention_ms) expired.push_back(at);
  }
  return expired;
}

OffsetBook::Slots::iterator OffsetBook::At(const TopicPartition& at) {
  const auto [slot, added] = slots_.try_emplace(at);
  if (added) bytes_ += kSlotOverhead + at.topic.size();
  return slot;
}

void OffsetBook::DropIfUnused(Slots::iterator at) {
  if (at->second.durable || at->second.under_way > 0) return;
  bytes_ -= kSlotOverhead + at->first.topic.size();
  slots_.erase(at);
}

std::vector<TopicPartition> OffsetBook::Where(
    const std::function<bool(const std::string& topic)>& wanted) const {
  std::vector<TopicPartition> found;
  for (const auto& [at, slot] : slots_) {
    if (wanted(at.topic)) found.push_back(at);
  }
  return found;
}

int64_t OffsetBook::newest_ms() const {
  int64_t newest = 0;
  for (const auto& [at, slot] : slots_) {
    if (slot.durable) newest = std::max(newest, slot.durable->commit_ms);
  }
  return newest;
}

void OffsetBook::BeginCommit(const TopicPartition& at) {
  ++At(at)->second.under_way;
}

void OffsetBook::EndCommit(const TopicPartition& at, const CommittedOffset* durable) {
  const auto slot = slots_.find(at);
  SELVAGE_CHECK(slot != slots_.end() && slot->second.under_way > 0);
  --slot->second.under_way;
  if (durable != nullptr) {
    Put(at, *durable);
  } else {
    DropIfUnused(slot);
  }
}

void OffsetBook::Put(const TopicPartition& at, CommittedOffset offset) {
  Slot& slot = At(at)->second;
  if (slot.durable) bytes_ -= slot.durable->metadata.size();
  bytes_ += offset.metadata.size();
  slot.durable = std::move(offset);
}

void OffsetBook::Remove(const TopicPartition& at) {
  const auto slot = slots_.find(at);
  if (slot == slots_.end() || !slot->second.durable) return;
  bytes_ -= slot->second.durable->metadata.size();
  slot->second.durable.reset();
  DropIfUnused(slot);
}

}  // namespace selvage::kafka::group
