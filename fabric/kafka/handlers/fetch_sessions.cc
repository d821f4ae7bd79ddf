#include "fabric/kafka/handlers/fetch_sessions.h"

#include <algorithm>
#include <utility>

namespace selvage::kafka {
namespace {

/// One that was not used for so long makes room for another; as with Kafka.
constexpr absl::Duration kEvictable = absl::Minutes(2);

}  // namespace

void FetchSession::Update(const FetchRequest& request) {
  for (const auto& topic : request.forgotten_topics_data) {
    for (int32_t number : topic.partitions) {
      auto at = partitions_.find({topic.topic, number});
      if (at == partitions_.end()) continue;
      // Nothing adds it to the list any more, and it is taken out of it.
      at->second->Unwatch();
      for (FetchedPartition* partition : ready_.Take()) {
        if (partition != at->second.get()) ready_.Add(*partition);
      }
      new_.erase(at->first);
      unwatched_.erase(at->first);
      absent_.erase(at->first);
      unresolved_.erase(at->first);
      partitions_.erase(at);
    }
  }
  for (const auto& topic : request.topics) {
    for (const auto& asked : topic.partitions) {
      const Key key(topic.topic, asked.partition);
      auto& partition = partitions_[key];
      if (partition == nullptr) {
        partition = std::make_unique<FetchedPartition>(topic.topic, asked.partition, ready_);
        new_[key] = partition.get();
      }
      partition->Ask(asked);
      ready_.Add(*partition);
    }
  }
}

bool FetchSession::ResolveAll(Topics& topics, absl::Duration now) {
  if (now - resolved_at_ >= kResolveEvery) {
    // Read before the search, so that what changes meanwhile is seen the next time.
    if (const uint64_t changes = topics.changes(); std::exchange(changes_, changes) != changes) {
      for (const auto& [key, partition] : partitions_) new_[key] = partition.get();
      absent_.clear();
    }
    new_.insert(unresolved_.begin(), unresolved_.end());
    unresolved_.clear();
    resolved_at_ = now;
  }
  for (const auto& [key, partition] : new_) {
    switch (partition->Resolve(topics)) {
      case FetchedPartition::Place::kFound:
        break;
      case FetchedPartition::Place::kAbsent:
        absent_[key] = partition;
        break;
      case FetchedPartition::Place::kUncertain:
        unresolved_[key] = partition;
        break;
    }
    if (partition->has_log()) unwatched_[key] = partition;
  }
  new_.clear();
  return !absent_.empty() || !unresolved_.empty();
}

void FetchSession::ResolveAgain(FetchedPartition& partition) {
  unresolved_[{partition.topic(), partition.partition()}] = &partition;
}

void FetchSession::WatchAll() {
  for (const auto& [key, partition] : unwatched_) partition->Watch();
  unwatched_.clear();
}

void FetchSessions::Erase(int32_t id) {
  auto at = sessions_.find(id);
  if (at == sessions_.end()) return;
  partitions_ -= at->second.partitions;
  sessions_.erase(at);
}

bool FetchSessions::MakeRoom(absl::Duration now) {
  if (sessions_.size() < kSessionsMax && partitions_ < kPartitionsMax) return true;
  auto oldest = std::min_element(sessions_.begin(), sessions_.end(), [](const auto& a, const auto& b) {
    return std::make_pair(a.second.taken, a.second.used) < std::make_pair(b.second.taken, b.second.used);
  });
  if (oldest == sessions_.end() || oldest->second.taken || now - oldest->second.used < kEvictable)
    return false;
  Erase(oldest->first);
  return true;
}

FetchSessions::Taken FetchSessions::Take(const FetchRequest& request, absl::Duration now) {
  Taken taken;
  if (request.session_epoch > 0) {
    absl::MutexLock lock(&mutex_);
    auto at = sessions_.find(request.session_id);
    if (at == sessions_.end()) {
      taken.error = ErrorCode::kFetchSessionIdNotFound;
      return taken;
    }
    Kept& kept = at->second;
    size_t named = 0;
    for (const auto& topic : request.topics) named += topic.partitions.size();
    if (!kept.taken && partitions_ + named > kPartitionsMax) {
      Erase(request.session_id);
      taken.error = ErrorCode::kFetchSessionIdNotFound;
      return taken;
    }
    if (kept.taken || request.session_epoch != kept.next_epoch) {
      taken.error = ErrorCode::kInvalidFetchSessionEpoch;
      return taken;
    }
    kept.next_epoch = kept.next_epoch == INT32_MAX ? 1 : kept.next_epoch + 1;
    kept.taken = true;
    taken.session = kept.session;
    taken.full = false;
  } else {
    absl::MutexLock lock(&mutex_);
    if (request.session_id != 0) Erase(request.session_id);
    int32_t id = 0;
    if (request.session_epoch == 0 && MakeRoom(now)) {
      do {
        last_id_ = last_id_ == INT32_MAX ? 1 : last_id_ + 1;
      } while (sessions_.contains(last_id_));
      id = last_id_;
    }
    taken.session = std::make_shared<FetchSession>(id);
    if (id != 0) sessions_[id] = Kept{.session = taken.session, .used = now};
  }
  taken.session->Update(request);
  return taken;
}

void FetchSessions::GiveBack(const std::shared_ptr<FetchSession>& session, absl::Duration now) {
  absl::MutexLock lock(&mutex_);
  auto at = sessions_.find(session->id());
  if (at == sessions_.end() || at->second.session != session) return;
  at->second.taken = false;
  at->second.used = now;
  partitions_ += session->size();
  partitions_ -= std::exchange(at->second.partitions, session->size());
}

size_t FetchSessions::size() const {
  absl::MutexLock lock(&mutex_);
  return sessions_.size();
}

}  // namespace selvage::kafka
