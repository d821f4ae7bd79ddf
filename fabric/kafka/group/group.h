#pragma once

#include <deque>
#include <map>
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
#include "fabric/kafka/group/member_list.h"
#include "fabric/kafka/group/types.h"
#include "selvage/v1/group.pb.h"

namespace selvage::kafka::group {

/// What an input led to. Answers may be sent at once. A document must be persisted and its outcome told to
/// Group::OnPersisted; the answers that depend on it come then.
struct Effects {
  std::vector<Answer> answers;
  std::optional<v1::StoredGroup> persist;
};

/// The classic group protocol for one group: members, generations, assignments. Pure: time is a parameter,
/// nothing is read or written. Not thread-safe.
///
/// States: Empty → PreparingRebalance (members join, parked) → [generation persisted] → CompletingRebalance
/// (the leader assigns, members sync) → [assignment persisted] → Stable. A new generation also begins,
/// without members, when the last one goes.
///
/// While a document is on its way to the disk nothing else changes: joins, syncs and leaves wait their turn,
/// timers stand still, heartbeats are answered for the state before it. So each document is one step from the
/// one before, and an outcome never meets a group that moved on.
///
/// When persisting fails: joins and syncs that wait for it get COORDINATOR_NOT_AVAILABLE, on which clients
/// find the coordinator again and rejoin; the group is as before, or in PreparingRebalance. The document may
/// have become durable all the same: nobody has heard of its generation, and the next one is written over it.
class Group {
 public:
  Group(std::string id, const Settings& settings, Random& random);
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  /// Takes over a document, in a new group only. Members get a whole session timeout and need not rejoin.
  /// kDataLoss when the document contradicts itself.
  absl::Status Restore(const v1::StoredGroup& document, Instant now);

  void Join(RequestId id, JoinRequest request, Instant now, Effects& effects);
  void Sync(RequestId id, SyncRequest request, Instant now, Effects& effects);
  void Leave(RequestId id, LeaveRequest request, Instant now, Effects& effects);
  ErrorCode Heartbeat(const HeartbeatRequest& request, Instant now);
  /// Whether this client may commit offsets now. A member's commit is a sign of life.
  ErrorCode CheckCommit(const CommitRequest& request, Instant now);
  /// To be called at NextDeadline or later.
  void Tick(Instant now, Effects& effects);
  /// The outcome of the document asked for last.
  void OnPersisted(bool durable, Instant now, Effects& effects);

  /// When Tick has something to do; infinite while a document is being persisted.
  absl::Duration NextDeadline() const;
  const std::string& id() const { return id_; }
  /// Empty also while it is being stored that the last member left: whoever left may delete the group at
  /// once.
  State state() const {
    return members_.empty() && deferred_.empty() && pending_.empty() ? State::kEmpty : state_;
  }
  int32_t generation() const { return generation_; }
  const std::string& protocol_type() const { return protocol_type_; }
  int64_t empty_since_ms() const { return empty_since_ms_; }
  bool persisting() const { return change_.has_value(); }
  bool has_pending_members() const { return !pending_.empty(); }
  /// Memory that peers made it take.
  size_t bytes() const { return members_.bytes() + pending_bytes_ + deferred_bytes_; }
  GroupDescription Describe() const;
  /// The topics that members subscribe to. Nothing when the group is not of type "consumer" or a member's
  /// subscription cannot be read: then every topic may be.
  std::optional<std::set<std::string>> SubscribedTopics() const;
  void CheckInvariants() const;

 private:
  struct NewGeneration {
    int32_t generation;
    std::string protocol;
    std::string leader;
    int64_t empty_since_ms;
  };
  struct Assignment {
    std::map<std::string, std::string, std::less<>> of_member;
  };
  struct Replacement {
    std::string old_id;
    Member member;
    RequestId request;
    bool supports_skip_assignment;
  };
  /// What the document on its way to the disk will make true.
  using Change = std::variant<NewGeneration, Assignment, Replacement>;
  struct Deferred {
    RequestId id;
    std::variant<JoinRequest, SyncRequest, LeaveRequest> request;
    size_t bytes;
  };

  // group.cc: requests
  void JoinNew(RequestId id, JoinRequest request, Instant now, Effects& effects);
  void JoinKnown(RequestId id, JoinRequest request, Instant now, Effects& effects);
  void JoinAsInstance(RequestId id, JoinRequest request, Member& old, Instant now, Effects& effects);
  void AddMember(RequestId id, std::string member_id, bool knows_id, JoinRequest request, Instant now,
                 Effects& effects);
  void Rejoin(RequestId id, Member& member, JoinRequest request, Instant now, Effects& effects);
  ErrorCode CheckJoin(const JoinRequest& request) const;
  bool HasRoomFor(const JoinRequest& request);
  ErrorCode CheckSync(const SyncRequest& request);
  void AcceptAssignment(SyncRequest& request, Instant now, Effects& effects);
  ErrorCode CheckMember(std::string_view member_id, const std::optional<std::string>& instance_id);
  ErrorCode LeaveOne(const LeaveRequest::Member& leaving, Effects& effects);
  template <class Request>
  bool Defer(RequestId id, Request& request, Effects& effects);
  void RunDeferred(Instant now, Effects& effects);

  // group_rebalance.cc: generations
  void PrepareRebalance(Instant now, Effects& effects);
  void MaybeRebalance(Instant now, Effects& effects);
  void MaybeComplete(Instant now, Effects& effects);
  void BeginGeneration(Instant now, Effects& effects);
  void StartGeneration(const NewGeneration& change, Instant now, Effects& effects);
  void RetryGeneration(Instant now, Effects& effects);
  void FinishAssignment(Assignment change, Instant now, Effects& effects);
  void FinishReplacement(Replacement change, Instant now, Effects& effects);
  Member& Replace(Member& old, Member member, Effects& effects);
  void RemoveMember(std::string_view id, ErrorCode why, Effects& effects);
  bool AllJoined() const;
  bool ExpireMembers(absl::Duration now, Effects& effects);
  bool DropUnsynced(absl::Duration now, Effects& effects);

  // group_state.cc: views
  v1::StoredGroup Document() const;
  JoinAnswer JoinedAnswer(const Member& member, bool with_members) const;
  std::optional<absl::Duration> SessionEnd(const Member& member) const;
  void AddPending(std::string member_id, absl::Duration until);
  void RemovePending(std::string_view member_id);

  const std::string id_;
  const Settings& settings_;
  Random& random_;

  State state_ = State::kEmpty;
  int32_t generation_ = 0;  // only grows; nobody hears of one that is not durable
  std::string protocol_type_;
  std::string protocol_;  // empty exactly when no generation with members is or was just there
  std::string leader_;    // a member, or empty
  int64_t empty_since_ms_ = 0;
  MemberList members_;
  // Clients that were told an id and have not come back with it, and until when they may.
  std::map<std::string, absl::Duration, std::less<>> pending_;
  size_t pending_bytes_ = 0;

  absl::Duration rebalance_end_;          // in PreparingRebalance: who has not rejoined by then is out
  std::optional<absl::Duration> gather_;  // the first rebalance of an empty group waits until then
  absl::Duration not_before_;             // earliest time for the next generation
  absl::Duration sync_end_ = absl::InfiniteDuration();  // who has not synced by then is out

  std::optional<Change> change_;
  /// The answer of who left and so began the change: whoever left last then finds the group empty.
  std::optional<Answer> leaving_;
  std::deque<Deferred> deferred_;  // only while there is a change
  size_t deferred_bytes_ = 0;
};

}  // namespace selvage::kafka::group
