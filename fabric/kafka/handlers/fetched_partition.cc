#include "fabric/kafka/handlers/fetched_partition.h"

#include <algorithm>

#include "fabric/base/error.h"
#include "fabric/kafka/handlers/errors.h"
#include "fabric/kafka/handlers/leader_epoch.h"
#include "fabric/stream/log_format.h"
#include "fabric/stream/record_batch.h"

namespace selvage::kafka {

void ReadyPartitions::Add(FetchedPartition& partition) {
  absl::MutexLock lock(&mutex_);
  if (!std::exchange(partition.is_ready_, true)) ready_.push_back(&partition);
  if (waiter_ != nullptr) waiter_->Raise();
}

std::vector<FetchedPartition*> ReadyPartitions::Take() {
  absl::MutexLock lock(&mutex_);
  for (FetchedPartition* partition : ready_) partition->is_ready_ = false;
  return std::exchange(ready_, {});
}

void ReadyPartitions::SetWaiter(std::shared_ptr<Signal> waiter) {
  absl::MutexLock lock(&mutex_);
  waiter_ = std::move(waiter);
}

bool ReadyPartitions::empty() const {
  absl::MutexLock lock(&mutex_);
  return ready_.empty();
}

FetchedPartition::Place FetchedPartition::Resolve(Topics& topics) {
  auto log = topics.FindForReading(topic_, partition_);
  const std::shared_ptr<Log> found = log.ok() ? *log : nullptr;
  const bool is_news = found != log_ || log.status() != unresolved_;
  if (found != log_) {
    Unwatch();
    log_ = found;
  }
  unresolved_ = log.status();
  if (is_news) ready_.Add(*this);
  if (log_ == nullptr) return unresolved_.ok() ? Place::kAbsent : Place::kUncertain;
  return log_->superseded() ? Place::kUncertain : Place::kFound;
}

void FetchedPartition::Watch() {
  if (log_ == nullptr || watch_) return;
  watch_ = log_->Watch([this] { ready_.Add(*this); });
}

void FetchedPartition::Unwatch() {
  if (watch_) log_->Unwatch(*watch_);
  watch_.reset();
}

FetchedPartition::Found FetchedPartition::Read(size_t bytes_max, bool first) {
  Found found;
  found.row.partition_index = partition_;
  found.row.high_watermark = found.row.last_stable_offset = found.row.log_start_offset = -1;
  if (log_ == nullptr) {
    // Advertised ahead: empty, if the topic is known at all.
    found.row.error_code = !unresolved_.ok()         ? CodeOf(unresolved_)
                           : asked_.fetch_offset > 0 ? ErrorCode::kOffsetOutOfRange
                                                     : ErrorCode::kNone;
    found.row.high_watermark = found.row.last_stable_offset = found.row.log_start_offset = 0;
    return found;
  }
  const LogState state = log_->state();
  found.row.high_watermark = found.row.last_stable_offset = state.end.value();
  found.row.log_start_offset = state.log_start().value();
  const Offset from(asked_.fetch_offset);
  found.row.error_code = CheckLeaderEpoch(state, asked_.current_leader_epoch);
  if (found.row.error_code != ErrorCode::kNone) return found;
  if (from < state.log_start() || from > state.end) {
    found.row.error_code = ErrorCode::kOffsetOutOfRange;
    return found;
  }
  const size_t own_max = static_cast<size_t>(std::max(asked_.partition_max_bytes, 0));
  const absl::Status read = ReadBatches(std::min(bytes_max, own_max), first, found);
  // Clients drop the records of a row with an error: what is before the damage goes first, without one.
  if (!read.ok() && found.row.records.empty()) found.row.error_code = CodeOf(read);
  return found;
}

absl::Status FetchedPartition::ReadBatches(size_t bytes_max, bool first, Found& found) {
  const Offset from(asked_.fetch_offset);
  Offset next = from;
  LeaderEpoch epoch;
  const Offset end(found.row.high_watermark);
  while (next < end) {
    if (found.bytes >= bytes_max && !(first && found.bytes == 0)) {
      found.more = true;
      return absl::OkStatus();
    }
    SELVAGE_ASSIGN_OR_RETURN(
        const std::vector<Entry> entries,
        log_->Read(next, std::max<size_t>(bytes_max - std::min(found.bytes, bytes_max), 1)));
    if (entries.empty()) return absl::OkStatus();
    for (const Entry& entry : entries) {
      // Clients skip what is not there.
      if (entry.kind == EntryKind::kBatch) {
        const bool fits = found.bytes + entry.body.size() <= bytes_max || (first && found.bytes == 0);
        if (!fits) {
          found.more = true;
          return absl::OkStatus();
        }
        found.bytes += entry.body.size();
        found.row.records.push_back(entry.body);
      }
      next = entry.to;
      epoch = LeaderEpochOf(entry);
    }
  }
  // A client that stays before a gap never reaches the end. It is nothing to answer early with: kafkajs does
  // not go on behind such a batch, and would ask for it again and again.
  if (found.row.records.empty() && next > from)
    found.row.records.push_back(Bytes(EmptyBatch(from, next, epoch)));
  return absl::OkStatus();
}

bool FetchedPartition::IsNews(const Row& row) const {
  return !row.records.empty() || row.error_code != ErrorCode::kNone ||
         row.high_watermark != told_high_watermark_ || row.log_start_offset != told_log_start_;
}

void FetchedPartition::Told(const Row& row) {
  told_high_watermark_ = row.high_watermark;
  told_log_start_ = row.log_start_offset;
}

}  // namespace selvage::kafka
