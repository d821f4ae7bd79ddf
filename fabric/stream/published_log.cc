#include "fabric/stream/published_log.h"

#include <fmt/format.h>

#include <utility>

#include "fabric/base/error.h"

namespace selvage {

PublishedLog::PublishedLog(LogChanges& changes, LogNumber number, LogOrigin origin, LogState state,
                           std::optional<Offset> acknowledged, bool superseded)
    : changes_(changes),
      number_(number),
      origin_(std::move(origin)),
      start_to_be_(state.start.value()),
      state_(std::move(state)),
      acknowledged_(acknowledged),
      acknowledged_stored_(acknowledged),
      superseded_(superseded) {}

LogState PublishedLog::state() const {
  absl::MutexLock lock(&mutex_);
  return state_;
}

Offset PublishedLog::end() const {
  absl::MutexLock lock(&mutex_);
  return state_.end;
}

void PublishedLog::Publish(const LogState& state) {
  {
    absl::MutexLock lock(&mutex_);
    state_ = state;
  }
  NoteChanged();
}

absl::Status PublishedLog::held() const {
  absl::MutexLock lock(&mutex_);
  return held_;
}

void PublishedLog::Hold(absl::Status why) {
  {
    absl::MutexLock lock(&mutex_);
    if (!closed_) held_ = std::move(why);
  }
  NoteChanged();
}

void PublishedLog::Release(const LogState& state) {
  {
    absl::MutexLock lock(&mutex_);
    state_ = state;
    if (!closed_) held_ = absl::OkStatus();
  }
  NoteChanged();
}

void PublishedLog::Close(absl::Status why) {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    superseded_ = true;
    held_ = std::move(why);
  }
  std::vector<Watcher> told;  // freed without a lock: a watcher may be the last to hold something
  absl::MutexLock lock(&watch_mutex_);
  told.swap(watchers_);
  for (const Watcher& watcher : told) watcher.advanced();
}

bool PublishedLog::closed() const {
  absl::MutexLock lock(&mutex_);
  return closed_;
}

absl::Status PublishedLog::CheckAppendable() const {
  absl::MutexLock lock(&mutex_);
  if (!held_.ok()) return held_;
  if (!superseded_) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, "log_closed",
                   fmt::format("{}: another log took this one's place", ToString(origin_)),
                   "look the stream up again and write to its current log");
}

bool PublishedLog::superseded() const {
  absl::MutexLock lock(&mutex_);
  return superseded_;
}

void PublishedLog::set_superseded(bool superseded) {
  {
    absl::MutexLock lock(&mutex_);
    superseded_ = superseded;
  }
  if (superseded) NotifyWatchers();
}

std::optional<Offset> PublishedLog::acknowledged() const {
  absl::MutexLock lock(&mutex_);
  return acknowledged_;
}

void PublishedLog::SetAcknowledged(Offset offset) {
  {
    absl::MutexLock lock(&mutex_);
    acknowledged_ = offset;
  }
  NoteChanged();
}

bool PublishedLog::AcknowledgedChanged() const {
  absl::MutexLock lock(&mutex_);
  return held_.ok() && acknowledged_ != acknowledged_stored_;
}

CompactionState PublishedLog::compaction() const {
  absl::MutexLock lock(&mutex_);
  return compaction_;
}

void PublishedLog::set_compaction(const CompactionState& compaction) {
  absl::MutexLock lock(&mutex_);
  compaction_ = compaction;
}

void PublishedLog::Describe(v1::StoredLog& document) {
  absl::MutexLock lock(&mutex_);
  if (compaction_.to > Offset(0)) {
    v1::StoredCompaction& compaction = *document.mutable_compaction();
    compaction.set_to(compaction_.to.value());
    compaction.set_counted_to(compaction_.counted_to);
    compaction.set_kept_bytes(compaction_.kept_bytes);
    compaction.set_tombstones_to(compaction_.tombstones_to.value());
    compaction.set_tombstones_ms(compaction_.tombstones_ms);
  }
  document.set_superseded(superseded_);
  document.set_acked(acknowledged_ ? acknowledged_->value() : -1);
  acknowledged_stored_ = acknowledged_;
}

void PublishedLog::LoadCompaction(const v1::StoredCompaction& stored) {
  set_compaction({.to = Offset(stored.to()),
                  .counted_to = stored.counted_to(),
                  .kept_bytes = stored.kept_bytes(),
                  .tombstones_to = Offset(stored.tombstones_to()),
                  .tombstones_ms = stored.tombstones_ms()});
}

int PublishedLog::Watch(std::function<void()> advanced) {
  absl::MutexLock lock(&watch_mutex_);
  if (closed()) return next_watcher_++;  // there is nothing to tell any more
  watchers_.push_back({next_watcher_, std::move(advanced)});
  return next_watcher_++;
}

void PublishedLog::Unwatch(int handle) {
  absl::MutexLock lock(&watch_mutex_);
  std::erase_if(watchers_, [&](const Watcher& watcher) { return watcher.handle == handle; });
}

void PublishedLog::NotifyWatchers() {
  absl::MutexLock lock(&watch_mutex_);
  for (const Watcher& watcher : watchers_) watcher.advanced();
}

}  // namespace selvage
