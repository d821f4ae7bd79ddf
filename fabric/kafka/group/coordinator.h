#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "fabric/base/random.h"
#include "fabric/kafka/group/group.h"
#include "fabric/kafka/group/offset_book.h"
#include "fabric/kafka/group/stored.h"
#include "fabric/kafka/group/types.h"

namespace selvage::kafka::group {

using PersistId = uint64_t;

/// Changes to apply together or not at all.
struct Persist {
  PersistId id = 0;
  std::vector<Write> writes;
};

/// What the caller has to do after an input. `answers` may be sent at once; what waits for the disk is not
/// among them. `persist` is to be written and synced in this order, and each outcome told to
/// Coordinator::OnPersisted in this order.
struct Ready {
  std::vector<Persist> persist;
  std::vector<Answer> answers;
};

/// All consumer groups of a node: their members and their committed offsets. Pure: time is a parameter, and
/// what is to be persisted and answered is handed out by TakeReady. Not thread-safe.
///
/// Join, Sync, Leave, Commit, DeleteOffsets and DeleteGroups are answered exactly once, each through Ready.
/// Nothing that depends on a write is answered, or shown by Fetch and Describe, before the write is durable.
/// Where a write fails, what waited for it is answered with COORDINATOR_NOT_AVAILABLE, on which clients try
/// again, and the state is as before. An answer to a connection that is gone is to be dropped: members leave
/// by their timeouts.
class Coordinator {
 public:
  /// `random` must outlive it.
  Coordinator(Settings settings, Random& random, absl::Duration now);

  /// Takes over one stored document; for each before the first request, in any order. kDataLoss for a damaged
  /// one, which is left out: the rest can be restored all the same.
  absl::Status Restore(std::string_view key, std::string_view value, Instant now);

  void Join(RequestId id, JoinRequest request, Instant now);
  void Sync(RequestId id, SyncRequest request, Instant now);
  void Leave(RequestId id, LeaveRequest request, Instant now);
  ErrorCode Heartbeat(const HeartbeatRequest& request, Instant now);

  void Commit(RequestId id, CommitRequest request, Instant now);
  /// The durable offset of each partition, in order; offset -1 where there is none.
  std::vector<CommittedOffset> Fetch(std::string_view group,
                                     const std::vector<TopicPartition>& partitions) const;
  /// All durable offsets of a group; none for a group that does not exist.
  std::vector<std::pair<TopicPartition, CommittedOffset>> FetchAll(std::string_view group) const;
  /// GROUP_SUBSCRIBED_TO_TOPIC for each partition of a topic that a member subscribes to.
  void DeleteOffsets(RequestId id, DeleteOffsetsRequest request);

  /// State "Dead" for a group that does not exist.
  GroupDescription Describe(std::string_view group) const;
  /// Filters are compared without regard to case; an empty one lets all pass.
  std::vector<GroupListing> List(const std::vector<std::string>& states,
                                 const std::vector<std::string>& types) const;
  void DeleteGroups(RequestId id, const std::vector<std::string>& groups);
  /// Topics are gone: their offsets mean nothing any more, in any group.
  void ForgetTopics(const std::function<bool(const std::string& topic)>& gone);

  void Tick(Instant now);
  /// When Tick has something to do. Heartbeats move it back without saying so: a Tick may find nothing.
  absl::Duration NextDeadline() const;

  Ready TakeReady();
  /// The outcome of the oldest Persist without one. A failed one may turn out to be durable at the next
  /// start.
  void OnPersisted(PersistId id, const absl::Status& outcome, Instant now);

  /// The newest wall time in what is durable: of a commit, or when a group became empty; 0 when there is
  /// none.
  int64_t newest_ms() const;
  size_t group_count() const { return groups_.size(); }
  /// Memory that peers made it take, about.
  size_t bytes() const { return bytes_ + commits_under_way_bytes_; }
  void CheckInvariants() const;

 private:
  struct Entry {
    Entry(std::string id, const Settings& settings, Random& random)
        : group(std::move(id), settings, random) {}
    Group group;
    OffsetBook offsets;
    bool stored = false;   // its document may be on the disk
    bool erasing = false;  // its deletion is on the way to the disk; nothing may be added meanwhile
    size_t counted_bytes = 0;
    absl::Duration deadline = absl::InfiniteDuration();  // as in deadlines_
  };
  struct GroupChange {
    std::string group;
  };
  struct OffsetCommit {
    std::string group;
    RequestId request;
    std::vector<std::pair<size_t, CommittedOffset>> offsets;  // by place in the answer
    std::vector<TopicPartition> partitions;                   // parallel to `offsets`
    CommitAnswer answer;
    size_t bytes;
  };
  struct OffsetRemoval {
    std::string group;
    std::vector<std::pair<size_t, TopicPartition>> partitions;  // by place in the answer
    std::optional<RequestId> request;                           // none: they expired
    DeleteOffsetsAnswer answer;
  };
  struct Erasure {
    std::vector<std::pair<size_t, std::string>> groups;  // by place in the answer
    std::optional<RequestId> request;                    // none: they expired
    DeleteGroupsAnswer answer;
  };
  using Work = std::variant<GroupChange, OffsetCommit, OffsetRemoval, Erasure>;

  Entry* Find(std::string_view group);
  const Entry* Find(std::string_view group) const;
  Entry* FindOrCreate(const std::string& group);
  ErrorCode CheckJoin(const JoinRequest& request);
  void Apply(Entry& entry, Effects effects);
  void Touch(Entry& entry);
  void Ask(std::vector<Write> writes, Work work);
  void Refuse(RequestId id, const CommitRequest& request, ErrorCode error);
  ErrorCode CheckPartition(const Entry& entry, const CommitRequest::Partition& partition, size_t added) const;
  void Finish(const GroupChange& work, bool durable, Instant now);
  void Finish(OffsetCommit work, bool durable, Instant now);
  void Finish(OffsetRemoval work, bool durable, Instant now);
  void Finish(Erasure work, bool durable, Instant now);
  void Drop(Entry& entry);
  void Sweep(Instant now);
  void SweepOffsets(Entry& entry, Instant now);

  const Settings settings_;
  Random& random_;
  std::map<std::string, std::unique_ptr<Entry>, std::less<>> groups_;
  std::set<std::pair<absl::Duration, std::string>> deadlines_;  // of groups that have one
  absl::Duration next_sweep_;
  size_t bytes_ = 0;
  size_t commits_under_way_bytes_ = 0;
  PersistId last_persist_ = 0;
  std::deque<std::pair<PersistId, Work>> under_way_;  // in the order of their ids
  Ready ready_;
};

}  // namespace selvage::kafka::group
