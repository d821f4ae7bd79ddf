#include "tests/unit/transport/memory_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/error.h"

namespace selvage::test {

using replication::FlowPosition;

MemoryLog::MemoryLog(std::string name, replication::FlowSettings settings)
    : name_(std::move(name)), settings_(settings) {}

void MemoryLog::Add(std::string body) {
  const uint64_t before = entries_.empty() ? 0 : entries_.back().hash.value();
  const ChainHash hash(before * 1'099'511'628'211u + std::hash<std::string>()(body) + 1);
  entries_.push_back({Bytes(std::move(body)), hash});
}

void MemoryLog::Append(std::string body) {
  std::function<void()> watcher;
  {
    absl::MutexLock lock(&mutex_);
    Add(std::move(body));
    watcher = watcher_;
  }
  if (watcher) watcher();
}

void MemoryLog::Watch(std::function<void()> watcher) {
  absl::MutexLock lock(&mutex_);
  watcher_ = std::move(watcher);
}

absl::StatusOr<FlowPosition> MemoryLog::AppendReplica(const FlowEntry& entry) {
  absl::MutexLock lock(&mutex_);
  if (entry.from.value() != static_cast<int64_t>(entries_.size())) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "out_of_sequence",
        fmt::format("{} holds {} entries, and {} came", name_, entries_.size(), entry.from.value()));
  }
  Add(std::string(entry.body.view()));
  return PositionAt(entries_.size());
}

void MemoryLog::Persist(FlowEntry entry, Done done) {
  done(AppendReplica(entry));
}

size_t MemoryLog::entries() const {
  absl::MutexLock lock(&mutex_);
  return entries_.size();
}

std::vector<std::string> MemoryLog::bodies() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> bodies;
  for (const Entry& entry : entries_) bodies.emplace_back(entry.body.view());
  return bodies;
}

int64_t MemoryLog::acknowledged() const {
  absl::MutexLock lock(&mutex_);
  return acknowledged_;
}

bool MemoryLog::WaitForEntries(size_t count, absl::Duration deadline) const {
  auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return entries_.size() >= count; };
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&enough), deadline);
}

bool MemoryLog::WaitForAcknowledged(int64_t count, absl::Duration deadline) const {
  auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return acknowledged_ >= count; };
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&enough), deadline);
}

v1::FlowOpen MemoryLog::Describe() {
  absl::MutexLock lock(&mutex_);
  v1::FlowOpen open;
  open.set_kind(v1::STREAM);
  open.mutable_stream()->set_name(name_);
  open.set_history(std::string(16, 'L'));
  open.set_end(static_cast<int64_t>(entries_.size()));
  return open;
}

Offset MemoryLog::end() {
  return Offset(static_cast<int64_t>(entries()));
}

absl::StatusOr<bool> MemoryLog::Continues(const FlowPosition& replica) {
  absl::MutexLock lock(&mutex_);
  const auto at = static_cast<size_t>(replica.offset.value());
  return at <= entries_.size() && PositionAt(at).hash == replica.hash;
}

absl::StatusOr<std::vector<FlowEntry>> MemoryLog::Read(Offset from, size_t max_bytes) {
  absl::MutexLock lock(&mutex_);
  std::vector<FlowEntry> read;
  size_t bytes = 0;
  for (auto at = static_cast<size_t>(from.value()); at < entries_.size(); ++at) {
    bytes += entries_[at].body.size();
    if (!read.empty() && bytes > max_bytes) break;
    const Offset begin(static_cast<int64_t>(at));
    read.push_back({EntryKind::kBatch, begin, begin + 1, entries_[at].body, entries_[at].hash, false});
  }
  return read;
}

absl::StatusOr<FlowPosition> MemoryLog::BoundaryAtOrBefore(Offset offset) {
  absl::MutexLock lock(&mutex_);
  return PositionAt(std::min(entries_.size(), static_cast<size_t>(offset.value())));
}

void MemoryLog::Acknowledged(const FlowPosition& durable) {
  absl::MutexLock lock(&mutex_);
  acknowledged_ = durable.offset.value();
}

FlowPosition MemoryLog::PositionAt(size_t offset) const {
  return {std::string(16, 'L'),
          Offset(static_cast<int64_t>(offset)),
          offset == 0 ? ChainHash() : entries_[offset - 1].hash,
          {}};
}

FlowPosition MemoryLog::position() {
  absl::MutexLock lock(&mutex_);
  return PositionAt(entries_.size());
}

replication::Located MemoryLog::Locate(Offset offset) {
  absl::MutexLock lock(&mutex_);
  if (offset.value() > static_cast<int64_t>(entries_.size())) return {{}, offset, offset};
  return {PositionAt(static_cast<size_t>(offset.value())).hash, offset, offset};
}

}  // namespace selvage::test
