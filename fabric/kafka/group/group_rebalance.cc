#include <algorithm>
#include <utility>

#include "fabric/base/check.h"
#include "fabric/kafka/group/group.h"

namespace selvage::kafka::group {
namespace {

JoinAnswer FailedJoin(const Member& member, ErrorCode error) {
  JoinAnswer answer;
  answer.error = error;
  answer.member_id = member.id;
  return answer;
}

void AnswerParked(Member& member, ErrorCode join_error, ErrorCode sync_error, Effects& effects) {
  if (member.parked_join) effects.answers.push_back({*member.parked_join, FailedJoin(member, join_error)});
  if (member.parked_sync)
    effects.answers.push_back({*member.parked_sync, SyncAnswer{sync_error, {}, {}, {}}});
  member.parked_join.reset();
  member.parked_sync.reset();
}

}  // namespace

void Group::PrepareRebalance(Instant now, Effects& effects) {
  for (Member* member : members_.ByAge()) {
    member->has_synced = false;
    if (!member->parked_sync) continue;
    effects.answers.push_back(
        {*member->parked_sync, SyncAnswer{ErrorCode::kRebalanceInProgress, {}, {}, {}}});
    member->parked_sync.reset();
    member->session_end = now.monotonic + member->session_timeout;
  }
  const absl::Duration longest = members_.MaxRebalanceTimeout();
  const bool first = state_ == State::kEmpty && settings_.initial_rebalance_delay > absl::ZeroDuration();
  state_ = State::kPreparingRebalance;
  sync_end_ = absl::InfiniteDuration();
  rebalance_end_ = now.monotonic + longest;
  not_before_ = now.monotonic;
  gather_.reset();
  if (first) gather_ = now.monotonic + std::min(settings_.initial_rebalance_delay, longest);
  MaybeComplete(now, effects);
}

void Group::MaybeRebalance(Instant now, Effects& effects) {
  if (state_ == State::kStable || state_ == State::kCompletingRebalance) {
    PrepareRebalance(now, effects);
  } else {
    MaybeComplete(now, effects);
  }
}

bool Group::AllJoined() const {
  const auto members = members_.ByAge();
  return std::all_of(members.begin(), members.end(),
                     [](const Member* member) { return member->parked_join; });
}

void Group::MaybeComplete(Instant now, Effects& effects) {
  if (state_ != State::kPreparingRebalance || change_ || now.monotonic < not_before_) return;
  if (!members_.empty()) {
    if (gather_ && now.monotonic < *gather_) return;
    // An empty group's first generation does not wait for those who were only given an id: they may never
    // come.
    const bool complete = gather_ || (AllJoined() && pending_.empty());
    if (!complete && now.monotonic < rebalance_end_) return;
  }
  for (const Member* member : members_.ByAge()) {
    if (!member->parked_join && !member->is_static()) {
      RemoveMember(std::string(member->id), ErrorCode::kUnknownMemberId, effects);
    }
  }
  const auto members = members_.ByAge();
  const bool anybody =
      std::any_of(members.begin(), members.end(), [](Member* member) { return member->parked_join; });
  if (!members.empty() && !anybody) {
    // Only static members that are away: nobody could lead. They come back, or their sessions end.
    gather_.reset();
    rebalance_end_ = now.monotonic + members_.MaxRebalanceTimeout();
    return;
  }
  BeginGeneration(now, effects);
}

void Group::BeginGeneration(Instant now, Effects& effects) {
  NewGeneration next;
  next.generation = generation_ == INT32_MAX ? 1 : generation_ + 1;
  next.protocol = members_.Vote();
  next.empty_since_ms = members_.empty() ? now.wall_ms : 0;
  const Member* leader = members_.Find(leader_);
  if (leader == nullptr || !leader->parked_join) {
    const auto members = members_.ByAge();
    const auto first =
        std::find_if(members.begin(), members.end(), [](Member* member) { return member->parked_join; });
    leader = first == members.end() ? nullptr : *first;
  }
  if (leader != nullptr) next.leader = leader->id;
  change_ = std::move(next);
  effects.persist = Document();
}

void Group::OnPersisted(bool durable, Instant now, Effects& effects) {
  SELVAGE_CHECK(change_.has_value());
  Change change = std::move(*change_);
  change_.reset();
  if (std::optional<Answer> left = std::exchange(leaving_, std::nullopt)) {
    if (!durable) left->body = LeaveAnswer{ErrorCode::kCoordinatorNotAvailable, {}};
    effects.answers.push_back(*std::move(left));
  }
  if (auto* generation = std::get_if<NewGeneration>(&change)) {
    if (durable) {
      StartGeneration(*generation, now, effects);
    } else {
      RetryGeneration(now, effects);
    }
  } else if (auto* assignment = std::get_if<Assignment>(&change)) {
    if (durable) {
      FinishAssignment(std::move(*assignment), now, effects);
    } else {
      for (Member* member : members_.ByAge()) {
        if (member->parked_sync) member->session_end = now.monotonic + member->session_timeout;
        AnswerParked(*member, ErrorCode::kCoordinatorNotAvailable, ErrorCode::kCoordinatorNotAvailable,
                     effects);
      }
      PrepareRebalance(now, effects);
    }
  } else {
    auto& replacement = std::get<Replacement>(change);
    if (durable) {
      FinishReplacement(std::move(replacement), now, effects);
    } else {
      JoinAnswer answer;
      answer.error = ErrorCode::kCoordinatorNotAvailable;
      effects.answers.push_back({replacement.request, std::move(answer)});
    }
  }
  RunDeferred(now, effects);
}

void Group::StartGeneration(const NewGeneration& change, Instant now, Effects& effects) {
  generation_ = change.generation;
  protocol_ = change.protocol;
  leader_ = change.leader;
  empty_since_ms_ = change.empty_since_ms;
  gather_.reset();
  if (members_.empty()) {
    state_ = State::kEmpty;
    return;
  }
  state_ = State::kCompletingRebalance;
  sync_end_ = now.monotonic + members_.MaxRebalanceTimeout();
  for (Member* member : members_.ByAge()) {
    members_.SetAssignment(*member, {});
    member->has_synced = false;
    if (!member->parked_join) continue;  // static and away: its session goes on
    member->is_new = false;
    member->knows_id = true;
    member->session_end = now.monotonic + member->session_timeout;
    effects.answers.push_back({*member->parked_join, JoinedAnswer(*member, member->id == leader_)});
    member->parked_join.reset();
  }
}

void Group::RetryGeneration(Instant now, Effects& effects) {
  gather_.reset();
  not_before_ = now.monotonic + settings_.persist_retry;
  rebalance_end_ = now.monotonic + std::max(settings_.persist_retry, members_.MaxRebalanceTimeout());
  for (Member* member : members_.ByAge()) {
    // A client that has not heard of its id cannot come back as this member.
    if (!member->knows_id) {
      RemoveMember(std::string(member->id), ErrorCode::kCoordinatorNotAvailable, effects);
      continue;
    }
    if (!member->parked_join) continue;
    if (!member->is_new) member->session_end = now.monotonic + member->session_timeout;
    AnswerParked(*member, ErrorCode::kCoordinatorNotAvailable, ErrorCode::kCoordinatorNotAvailable, effects);
  }
}

void Group::FinishAssignment(Assignment change, Instant now, Effects& effects) {
  state_ = State::kStable;
  for (Member* member : members_.ByAge()) {
    const auto assigned = change.of_member.find(member->id);
    members_.SetAssignment(*member, assigned == change.of_member.end() ? "" : std::move(assigned->second));
    if (!member->parked_sync) continue;
    member->session_end = now.monotonic + member->session_timeout;
    effects.answers.push_back(
        {*member->parked_sync, SyncAnswer{ErrorCode::kNone, protocol_type_, protocol_, member->assignment}});
    member->parked_sync.reset();
  }
}

void Group::FinishReplacement(Replacement change, Instant now, Effects& effects) {
  const std::string former_leader = leader_;
  Member& old = *members_.Find(change.old_id);
  change.member.session_end = now.monotonic + change.member.session_timeout;
  change.member.has_synced = old.has_synced;
  const Member& member = Replace(old, std::move(change.member), effects);
  const bool leads = member.id == leader_;
  JoinAnswer answer = JoinedAnswer(member, leads && change.supports_skip_assignment);
  if (change.supports_skip_assignment) {
    answer.skip_assignment = leads;
  } else {
    // A client that cannot skip the assignment must not think that it leads: it would wait for a rebalance,
    // or assign anew what others own.
    answer.leader = former_leader;
  }
  effects.answers.push_back({change.request, std::move(answer)});
}

Member& Group::Replace(Member& old, Member member, Effects& effects) {
  AnswerParked(old, ErrorCode::kFencedInstanceId, ErrorCode::kFencedInstanceId, effects);
  if (leader_ == old.id) leader_ = member.id;
  const uint64_t order = old.order;
  members_.Remove(std::string(old.id));
  return members_.Add(std::move(member), order);
}

void Group::RemoveMember(std::string_view id, ErrorCode why, Effects& effects) {
  Member& member = *members_.Find(id);
  AnswerParked(member, why, why, effects);
  if (leader_ == id) leader_.clear();
  members_.Remove(id);
}

bool Group::ExpireMembers(absl::Duration now, Effects& effects) {
  bool any = false;
  for (const Member* member : members_.ByAge()) {
    const auto end = SessionEnd(*member);
    if (!end || *end > now) continue;
    RemoveMember(std::string(member->id), ErrorCode::kUnknownMemberId, effects);
    any = true;
  }
  return any;
}

bool Group::DropUnsynced(absl::Duration now, Effects& effects) {
  if (now < sync_end_) return false;
  sync_end_ = absl::InfiniteDuration();
  bool any = false;
  for (const Member* member : members_.ByAge()) {
    if (member->has_synced) continue;
    RemoveMember(std::string(member->id), ErrorCode::kUnknownMemberId, effects);
    any = true;
  }
  return any;
}

void Group::Tick(Instant now, Effects& effects) {
  if (change_) return;
  while (!pending_.empty()) {
    const auto due = std::find_if(pending_.begin(), pending_.end(),
                                  [&](const auto& pending) { return pending.second <= now.monotonic; });
    if (due == pending_.end()) break;
    RemovePending(std::string(due->first));
  }
  const bool expired = ExpireMembers(now.monotonic, effects);
  const bool dropped = DropUnsynced(now.monotonic, effects);
  if (expired || dropped) {
    MaybeRebalance(now, effects);
  } else {
    MaybeComplete(now, effects);
  }
}

}  // namespace selvage::kafka::group
