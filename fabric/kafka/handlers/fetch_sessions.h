#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fabric/kafka/handlers/fetched_partition.h"

namespace selvage::kafka {

/// What one client fetches, kept between its requests (KIP-227), so that a request names only what changed
/// and costs no more than the partitions that have something. Without an id it lives as long as one request.
class FetchSession {
 public:
  static constexpr absl::Duration kResolveEvery = absl::Milliseconds(250);

  explicit FetchSession(int32_t id) : id_(id) {}
  ~FetchSession() { partitions_.clear(); }

  int32_t id() const { return id_; }
  size_t size() const { return partitions_.size(); }
  ReadyPartitions& ready() { return ready_; }

  /// Adds partitions, or changes where they are read, and forgets others.
  void Update(const FetchRequest& request);
  /// Looks for the logs of partitions; those that got one, or another, are ready. New partitions are looked
  /// for at once, all of them when there was a change among the topics, at most every kResolveEvery:
  /// thousands that are advertised ahead and have no log cost nothing until then. True while one has none.
  bool ResolveAll(Topics& topics, absl::Duration now);
  /// Has the log of a partition looked for again.
  void ResolveAgain(FetchedPartition& partition);
  /// Has the ready list hear of all partitions that have a log.
  void WatchAll();
  template <class F>
  void ForEach(const F& f) {
    for (auto& [key, partition] : partitions_) f(*partition);
  }

 private:
  using Key = std::pair<std::string, int32_t>;
  const int32_t id_;
  ReadyPartitions ready_;
  std::map<Key, std::unique_ptr<FetchedPartition>> partitions_;
  std::map<Key, FetchedPartition*> new_;         // never looked for
  std::map<Key, FetchedPartition*> absent_;      // advertised ahead: without a log until something changes
  std::map<Key, FetchedPartition*> unresolved_;  // with an error, or a log that was superseded
  std::map<Key, FetchedPartition*> unwatched_;
  absl::Duration resolved_at_ = -absl::InfiniteDuration();
  uint64_t changes_ = 0;  // of the topics, when all partitions were looked for
};

/// The sessions of all clients. Safe to use from several threads; a session is for one call at a time.
class FetchSessions {
 public:
  static constexpr size_t kSessionsMax = 1000;
  static constexpr size_t kPartitionsMax = 500'000;  ///< of all sessions

  struct Taken {
    ErrorCode error = ErrorCode::kNone;
    std::shared_ptr<FetchSession> session;  ///< null with an error
    bool full = true;                       ///< the response names every partition
  };
  /// The session that a request means, with what it changes already done; a new one, perhaps without an id
  /// when there are too many.
  Taken Take(const FetchRequest& request, absl::Duration now);
  /// After the response is made.
  void GiveBack(const std::shared_ptr<FetchSession>& session, absl::Duration now);

  size_t size() const;

 private:
  struct Kept {
    std::shared_ptr<FetchSession> session;
    int32_t next_epoch = 1;
    bool taken = true;
    absl::Duration used;
    size_t partitions = 0;
  };
  bool MakeRoom(absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Erase(int32_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::map<int32_t, Kept> sessions_ ABSL_GUARDED_BY(mutex_);
  size_t partitions_ ABSL_GUARDED_BY(mutex_) = 0;
  int32_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace selvage::kafka
