#include "fabric/kafka/group/group.h"

#include <algorithm>

#include "fabric/base/canary.h"
#include "fabric/base/id128.h"
#include "fabric/kafka/group/subscription.h"

namespace selvage::kafka::group {
namespace {

// Enough of a client's name to recognise it by; ids travel in every request.
constexpr size_t kMaxIdPrefix = 128;

std::string MintMemberId(std::string_view name, Random& random) {
  using MemberTag = Id128<struct MemberIdTag>;
  return std::string(name.substr(0, kMaxIdPrefix)) + "-" + MemberTag::Mint(random).hex();
}

Answer Refusal(RequestId id, const JoinRequest& request, ErrorCode error) {
  JoinAnswer answer;
  answer.error = error;
  answer.member_id = request.member_id;
  return {id, std::move(answer)};
}

Answer Refusal(RequestId id, const SyncRequest&, ErrorCode error) {
  return {id, SyncAnswer{error, {}, {}, {}}};
}

Answer Refusal(RequestId id, const LeaveRequest&, ErrorCode error) {
  return {id, LeaveAnswer{error, {}}};
}

size_t BytesOf(const std::optional<std::string>& text) {
  return text ? text->size() : 0;
}

size_t RequestBytes(const JoinRequest& request) {
  return sizeof(JoinRequest) + request.group.size() + request.member_id.size() +
         BytesOf(request.instance_id) + request.client_id.size() + request.client_host.size() +
         request.protocol_type.size() + BytesOf(request.protocols);
}

size_t RequestBytes(const SyncRequest& request) {
  size_t bytes =
      sizeof(SyncRequest) + request.group.size() + request.member_id.size() + BytesOf(request.instance_id);
  for (const auto& assignment : request.assignments) {
    bytes += sizeof(assignment) + assignment.member_id.size() + assignment.bytes.size();
  }
  return bytes;
}

size_t RequestBytes(const LeaveRequest& request) {
  size_t bytes = sizeof(LeaveRequest) + request.group.size();
  for (const auto& member : request.members) {
    bytes += sizeof(member) + member.member_id.size() + BytesOf(member.instance_id);
  }
  return bytes;
}

void SetTimeouts(Member& member, const JoinRequest& request) {
  member.session_timeout = request.session_timeout;
  member.rebalance_timeout = request.rebalance_timeout;
}

/// Whether two lists of protocols subscribe to different topics, as far as both can be read.
bool TopicsDiffer(const Member& before, const Member& after, const std::string& protocol) {
  const auto old_topics = SubscribedTopics(before.MetadataFor(protocol));
  const auto new_topics = SubscribedTopics(after.MetadataFor(protocol));
  return old_topics && new_topics && *old_topics != *new_topics;
}

}  // namespace

Group::Group(std::string id, const Settings& settings, Random& random)
    : id_(std::move(id)), settings_(settings), random_(random) {}

template <class Request>
bool Group::Defer(RequestId id, Request& request, Effects& effects) {
  if (!change_) return false;
  const size_t size = RequestBytes(request);
  if (bytes() + size > settings_.limits.group_bytes) {
    effects.answers.push_back(Refusal(id, request, ErrorCode::kCoordinatorNotAvailable));
    return true;
  }
  deferred_bytes_ += size;
  deferred_.push_back({id, std::move(request), size});
  return true;
}

void Group::RunDeferred(Instant now, Effects& effects) {
  while (!change_ && !deferred_.empty()) {
    Deferred next = std::move(deferred_.front());
    deferred_.pop_front();
    deferred_bytes_ -= next.bytes;
    if (auto* join = std::get_if<JoinRequest>(&next.request)) {
      Join(next.id, std::move(*join), now, effects);
    } else if (auto* sync = std::get_if<SyncRequest>(&next.request)) {
      Sync(next.id, std::move(*sync), now, effects);
    } else {
      Leave(next.id, std::move(std::get<LeaveRequest>(next.request)), now, effects);
    }
  }
}

ErrorCode Group::CheckMember(std::string_view member_id, const std::optional<std::string>& instance_id) {
  if (instance_id) {
    const Member* member = members_.FindInstance(*instance_id);
    if (member == nullptr) return ErrorCode::kUnknownMemberId;
    return member->id == member_id ? ErrorCode::kNone : ErrorCode::kFencedInstanceId;
  }
  return members_.Find(member_id) == nullptr ? ErrorCode::kUnknownMemberId : ErrorCode::kNone;
}

ErrorCode Group::CheckJoin(const JoinRequest& request) const {
  if (request.protocol_type.empty() || request.protocols.empty())
    return ErrorCode::kInconsistentGroupProtocol;
  if (members_.empty()) return ErrorCode::kNone;
  if (request.protocol_type != protocol_type_) return ErrorCode::kInconsistentGroupProtocol;
  const bool common =
      std::any_of(request.protocols.begin(), request.protocols.end(),
                  [this](const Protocol& protocol) { return members_.AllSupport(protocol.name); });
  return common ? ErrorCode::kNone : ErrorCode::kInconsistentGroupProtocol;
}

bool Group::HasRoomFor(const JoinRequest& request) {
  if (bytes() + RequestBytes(request) > settings_.limits.group_bytes) return false;
  if (pending_.contains(request.member_id) || members_.Find(request.member_id) != nullptr) return true;
  if (request.instance_id && members_.FindInstance(*request.instance_id) != nullptr) return true;
  return members_.size() + pending_.size() < settings_.limits.members_per_group;
}

void Group::Join(RequestId id, JoinRequest request, Instant now, Effects& effects) {
  if (Defer(id, request, effects)) return;
  request.protocols = WithoutRepeats(std::move(request.protocols));
  if (request.rebalance_timeout <= absl::ZeroDuration()) request.rebalance_timeout = request.session_timeout;
  if (!HasRoomFor(request)) {
    effects.answers.push_back(Refusal(id, request, ErrorCode::kGroupMaxSizeReached));
  } else if (ErrorCode error = CheckJoin(request); error != ErrorCode::kNone) {
    effects.answers.push_back(Refusal(id, request, error));
  } else if (request.member_id.empty()) {
    JoinNew(id, std::move(request), now, effects);
  } else {
    JoinKnown(id, std::move(request), now, effects);
  }
}

void Group::JoinNew(RequestId id, JoinRequest request, Instant now, Effects& effects) {
  if (request.instance_id) {
    if (Member* old = members_.FindInstance(*request.instance_id)) {
      JoinAsInstance(id, std::move(request), *old, now, effects);
      return;
    }
    std::string member_id = MintMemberId(*request.instance_id, random_);
    AddMember(id, std::move(member_id), true, std::move(request), now, effects);
    return;
  }
  std::string member_id = MintMemberId(request.client_id, random_);
  if (!request.require_member_id) {
    AddMember(id, std::move(member_id), false, std::move(request), now, effects);
    return;
  }
  request.member_id = member_id;
  effects.answers.push_back(Refusal(id, request, ErrorCode::kMemberIdRequired));
  AddPending(std::move(member_id), now.monotonic + request.session_timeout);
}

void Group::JoinKnown(RequestId id, JoinRequest request, Instant now, Effects& effects) {
  if (!request.instance_id && pending_.contains(request.member_id)) {
    RemovePending(request.member_id);
    std::string member_id = request.member_id;
    AddMember(id, std::move(member_id), true, std::move(request), now, effects);
    return;
  }
  if (ErrorCode error = CheckMember(request.member_id, request.instance_id); error != ErrorCode::kNone) {
    effects.answers.push_back(Refusal(id, request, error));
    return;
  }
  Member& member = *members_.Find(request.member_id);
  const bool unchanged = member.protocols == request.protocols;
  const bool repeats = unchanged && (state_ == State::kCompletingRebalance ||
                                     (state_ == State::kStable && member.id != leader_));
  if (!repeats) {
    Rejoin(id, member, std::move(request), now, effects);
    return;
  }
  member.session_end = now.monotonic + member.session_timeout;
  effects.answers.push_back({id, JoinedAnswer(member, member.id == leader_)});
}

void Group::AddMember(RequestId id, std::string member_id, bool knows_id, JoinRequest request, Instant now,
                      Effects& effects) {
  if (members_.empty()) protocol_type_ = request.protocol_type;
  Member member;
  SetTimeouts(member, request);
  member.id = std::move(member_id);
  member.instance_id = std::move(request.instance_id);
  member.client_id = std::move(request.client_id);
  member.client_host = std::move(request.client_host);
  member.protocols = std::move(request.protocols);
  member.session_end = now.monotonic + settings_.new_member_timeout;
  member.is_new = true;
  member.knows_id = knows_id;
  member.parked_join = id;
  members_.Add(std::move(member));
  if (gather_) gather_ = std::min(rebalance_end_, now.monotonic + settings_.initial_rebalance_delay);
  if (state_ == State::kEmpty) {
    PrepareRebalance(now, effects);
  } else {
    MaybeRebalance(now, effects);
  }
}

void Group::Rejoin(RequestId id, Member& member, JoinRequest request, Instant now, Effects& effects) {
  if (member.parked_join) {
    effects.answers.push_back(Refusal(*member.parked_join, request, ErrorCode::kCoordinatorNotAvailable));
  }
  SetTimeouts(member, request);
  members_.SetProtocols(member, std::move(request.protocols));
  member.parked_join = id;
  MaybeRebalance(now, effects);
}

void Group::JoinAsInstance(RequestId id, JoinRequest request, Member& old, Instant now, Effects& effects) {
  Member member = old;
  SetTimeouts(member, request);
  member.id = MintMemberId(request.instance_id.value_or(""), random_);
  member.client_id = std::move(request.client_id);
  member.client_host = std::move(request.client_host);
  member.protocols = std::move(request.protocols);
  member.parked_join.reset();
  member.parked_sync.reset();
  if (state_ == State::kStable && !TopicsDiffer(old, member, protocol_)) {
    std::vector<Protocol> before = old.protocols;
    members_.SetProtocols(old, member.protocols);
    const bool same_choice = members_.Vote() == protocol_;
    members_.SetProtocols(old, std::move(before));
    if (same_choice) {
      change_ = Replacement{old.id, std::move(member), id, request.supports_skip_assignment};
      effects.persist = Document();
      return;
    }
  }
  Replace(old, std::move(member), effects).parked_join = id;
  MaybeRebalance(now, effects);
}

ErrorCode Group::CheckSync(const SyncRequest& request) {
  if (ErrorCode error = CheckMember(request.member_id, request.instance_id); error != ErrorCode::kNone)
    return error;
  if (request.generation != generation_) return ErrorCode::kIllegalGeneration;
  if (request.protocol_type && *request.protocol_type != protocol_type_)
    return ErrorCode::kInconsistentGroupProtocol;
  if (request.protocol && *request.protocol != protocol_) return ErrorCode::kInconsistentGroupProtocol;
  return state_ == State::kPreparingRebalance ? ErrorCode::kRebalanceInProgress : ErrorCode::kNone;
}

void Group::Sync(RequestId id, SyncRequest request, Instant now, Effects& effects) {
  if (Defer(id, request, effects)) return;
  if (ErrorCode error = CheckSync(request); error != ErrorCode::kNone) {
    effects.answers.push_back(Refusal(id, request, error));
    return;
  }
  Member& member = *members_.Find(request.member_id);
  member.has_synced = true;
  member.session_end = now.monotonic + member.session_timeout;
  if (state_ == State::kStable) {
    effects.answers.push_back(
        {id, SyncAnswer{ErrorCode::kNone, protocol_type_, protocol_, member.assignment}});
    return;
  }
  if (member.parked_sync) {
    effects.answers.push_back(Refusal(*member.parked_sync, request, ErrorCode::kRebalanceInProgress));
  }
  member.parked_sync = id;
  if (member.id == leader_) AcceptAssignment(request, now, effects);
}

void Group::AcceptAssignment(SyncRequest& request, Instant now, Effects& effects) {
  Assignment assignment;
  size_t size = 0;
  for (auto& [member_id, bytes] : request.assignments) {
    if (members_.Find(member_id) == nullptr) continue;
    size += bytes.size();
    assignment.of_member.insert_or_assign(std::move(member_id), std::move(bytes));
  }
  if (bytes() + size > settings_.limits.group_bytes) {
    // What a broker says whose log does not take so large a record; a rebalance alone would end here again.
    Member& leader = *members_.Find(leader_);
    if (leader.parked_sync) {
      effects.answers.push_back(Refusal(*leader.parked_sync, request, ErrorCode::kUnknownServerError));
    }
    leader.parked_sync.reset();
    PrepareRebalance(now, effects);
    return;
  }
  change_ = std::move(assignment);
  effects.persist = Document();
}

ErrorCode Group::Heartbeat(const HeartbeatRequest& request, Instant now) {
  if (ErrorCode error = CheckMember(request.member_id, request.instance_id); error != ErrorCode::kNone)
    return error;
  if (request.generation != generation_) return ErrorCode::kIllegalGeneration;
  Member& member = *members_.Find(request.member_id);
  if (!member.is_new) member.session_end = now.monotonic + member.session_timeout;
  return state_ == State::kPreparingRebalance ? ErrorCode::kRebalanceInProgress : ErrorCode::kNone;
}

ErrorCode Group::CheckCommit(const CommitRequest& request, Instant now) {
  const bool outsider = request.generation < 0 && request.member_id.empty() && !request.instance_id;
  if (request.generation < 0 && state_ == State::kEmpty) return ErrorCode::kNone;
  if (outsider) return ErrorCode::kUnknownMemberId;
  if (ErrorCode error = CheckMember(request.member_id, request.instance_id); error != ErrorCode::kNone)
    return error;
  if (request.generation != generation_ && !Planted(Canary::kTakeFencedCommit))
    return ErrorCode::kIllegalGeneration;
  if (state_ == State::kCompletingRebalance) return ErrorCode::kRebalanceInProgress;
  Member& member = *members_.Find(request.member_id);
  if (!member.is_new) member.session_end = now.monotonic + member.session_timeout;
  return ErrorCode::kNone;
}

ErrorCode Group::LeaveOne(const LeaveRequest::Member& leaving, Effects& effects) {
  if (!leaving.instance_id && pending_.contains(leaving.member_id)) {
    RemovePending(leaving.member_id);
    return ErrorCode::kNone;
  }
  if (leaving.instance_id && leaving.member_id.empty()) {
    const Member* member = members_.FindInstance(*leaving.instance_id);
    if (member == nullptr) return ErrorCode::kUnknownMemberId;
    RemoveMember(std::string(member->id), ErrorCode::kUnknownMemberId, effects);
    return ErrorCode::kNone;
  }
  const ErrorCode error = CheckMember(leaving.member_id, leaving.instance_id);
  if (error == ErrorCode::kNone) RemoveMember(leaving.member_id, ErrorCode::kUnknownMemberId, effects);
  return error;
}

void Group::Leave(RequestId id, LeaveRequest request, Instant now, Effects& effects) {
  if (Defer(id, request, effects)) return;
  LeaveAnswer answer;
  const size_t before = members_.size();
  for (const LeaveRequest::Member& leaving : request.members)
    answer.members.push_back(LeaveOne(leaving, effects));
  if (members_.size() != before) {
    MaybeRebalance(now, effects);
  } else {
    MaybeComplete(now, effects);
  }
  if (change_) {
    leaving_ = Answer{id, std::move(answer)};
  } else {
    effects.answers.push_back({id, std::move(answer)});
  }
}

}  // namespace selvage::kafka::group
