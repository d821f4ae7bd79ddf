#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/kafka/group/group.h"
#include "fabric/kafka/group/subscription.h"

namespace selvage::kafka::group {
namespace {

constexpr size_t kPendingOverhead = 128;

absl::Status Damaged(std::string_view group, std::string_view what) {
  return MakeError(absl::StatusCode::kDataLoss, "group_document_damaged",
                   fmt::format("the stored document of consumer group {} {}", group, what));
}

v1::StoredGroupMember ToStored(const Member& member, std::string_view assignment) {
  v1::StoredGroupMember stored;
  stored.set_member_id(member.id);
  if (member.instance_id) stored.set_instance_id(*member.instance_id);
  stored.set_client_id(member.client_id);
  stored.set_client_host(member.client_host);
  stored.set_session_timeout_ms(absl::ToInt64Milliseconds(member.session_timeout));
  stored.set_rebalance_timeout_ms(absl::ToInt64Milliseconds(member.rebalance_timeout));
  for (const Protocol& protocol : member.protocols) {
    v1::StoredGroupProtocol& out = *stored.add_protocols();
    out.set_name(protocol.name);
    out.set_metadata(protocol.metadata);
  }
  stored.set_assignment(std::string(assignment));
  return stored;
}

Member FromStored(const v1::StoredGroupMember& stored) {
  Member member;
  member.id = stored.member_id();
  if (stored.has_instance_id()) member.instance_id = stored.instance_id();
  member.client_id = stored.client_id();
  member.client_host = stored.client_host();
  member.session_timeout = absl::Milliseconds(stored.session_timeout_ms());
  member.rebalance_timeout = absl::Milliseconds(stored.rebalance_timeout_ms());
  for (const v1::StoredGroupProtocol& protocol : stored.protocols()) {
    member.protocols.push_back({protocol.name(), protocol.metadata()});
  }
  member.assignment = stored.assignment();
  return member;
}

}  // namespace

const char* StateName(State state) {
  switch (state) {
    case State::kEmpty:
      return "Empty";
    case State::kPreparingRebalance:
      return "PreparingRebalance";
    case State::kCompletingRebalance:
      return "CompletingRebalance";
    case State::kStable:
      return "Stable";
  }
  return "";
}

v1::StoredGroup Group::Document() const {
  const auto* generation = std::get_if<NewGeneration>(&*change_);
  const auto* assignment = std::get_if<Assignment>(&*change_);
  const auto* replacement = std::get_if<Replacement>(&*change_);
  v1::StoredGroup document;
  document.set_protocol_type(protocol_type_);
  document.set_protocol(generation != nullptr ? generation->protocol : protocol_);
  document.set_generation(generation != nullptr ? generation->generation : generation_);
  document.set_leader(generation != nullptr ? generation->leader : leader_);
  if (replacement != nullptr && leader_ == replacement->old_id) document.set_leader(replacement->member.id);
  document.set_assigned(generation == nullptr);
  if (generation != nullptr) document.set_empty_since_ms(generation->empty_since_ms);
  for (const Member* member : members_.ByAge()) {
    std::string_view assigned = generation != nullptr ? std::string_view() : member->assignment;
    if (assignment != nullptr) {
      const auto found = assignment->of_member.find(member->id);
      assigned = found == assignment->of_member.end() ? std::string_view() : found->second;
    }
    const bool replaced = replacement != nullptr && member->id == replacement->old_id;
    *document.add_members() = ToStored(replaced ? replacement->member : *member, assigned);
  }
  return document;
}

absl::Status Group::Restore(const v1::StoredGroup& document, Instant now) {
  if (document.generation() < 0) return Damaged(id_, "has a negative generation");
  for (const v1::StoredGroupMember& stored : document.members()) {
    Member member = FromStored(stored);
    if (member.id.empty() || members_.Find(member.id) != nullptr ||
        (member.instance_id && members_.FindInstance(*member.instance_id) != nullptr)) {
      return Damaged(id_, "names a member twice, or one without an id");
    }
    if (member.session_timeout <= absl::ZeroDuration() || member.rebalance_timeout <= absl::ZeroDuration()) {
      return Damaged(id_, "has a member without timeouts");
    }
    member.session_end = now.monotonic + member.session_timeout;
    member.has_synced = document.assigned();
    members_.Add(std::move(member));
  }
  if (!members_.empty() &&
      (members_.Find(document.leader()) == nullptr || !members_.AllSupport(document.protocol()))) {
    return Damaged(id_, "names a leader or a protocol that its members do not have");
  }
  generation_ = document.generation();
  protocol_type_ = document.protocol_type();
  protocol_ = document.protocol();
  leader_ = document.leader();
  empty_since_ms_ = document.empty_since_ms();
  if (members_.empty()) {
    leader_.clear();
    return absl::OkStatus();
  }
  state_ = document.assigned() ? State::kStable : State::kCompletingRebalance;
  if (state_ == State::kCompletingRebalance) sync_end_ = now.monotonic + members_.MaxRebalanceTimeout();
  return absl::OkStatus();
}

JoinAnswer Group::JoinedAnswer(const Member& member, bool with_members) const {
  JoinAnswer answer;
  answer.generation = generation_;
  answer.protocol_type = protocol_type_;
  answer.protocol = protocol_;
  answer.leader = leader_;
  answer.member_id = member.id;
  if (!with_members) return answer;
  for (const Member* each : members_.ByAge()) {
    answer.members.push_back({each->id, each->instance_id, std::string(each->MetadataFor(protocol_))});
  }
  return answer;
}

std::optional<absl::Duration> Group::SessionEnd(const Member& member) const {
  // Who waits for us is alive, but a client that vanished before its first generation must not hold a place
  // for ever.
  if (!member.is_new && (member.parked_join || member.parked_sync)) return std::nullopt;
  return member.session_end;
}

void Group::AddPending(std::string member_id, absl::Duration until) {
  pending_bytes_ += kPendingOverhead + member_id.size();
  pending_.emplace(std::move(member_id), until);
}

void Group::RemovePending(std::string_view member_id) {
  const auto found = pending_.find(member_id);
  pending_bytes_ -= kPendingOverhead + found->first.size();
  pending_.erase(found);
}

absl::Duration Group::NextDeadline() const {
  absl::Duration next = absl::InfiniteDuration();
  if (change_) return next;
  for (const auto& [member_id, until] : pending_) next = std::min(next, until);
  bool unsynced = false;
  for (const Member* member : members_.ByAge()) {
    if (const auto end = SessionEnd(*member)) next = std::min(next, *end);
    unsynced = unsynced || !member->has_synced;
  }
  if (unsynced) next = std::min(next, sync_end_);
  if (state_ != State::kPreparingRebalance) return next;
  absl::Duration completes = rebalance_end_;
  if (gather_) {
    completes = *gather_;
  } else if (members_.empty() || (AllJoined() && pending_.empty())) {
    completes = not_before_;
  }
  return std::min(next, std::max(completes, not_before_));
}

GroupDescription Group::Describe() const {
  const bool stable = state_ == State::kStable;
  GroupDescription description{id_, StateName(state()), protocol_type_, stable ? protocol_ : "", generation_,
                               {}};
  for (const Member* member : members_.ByAge()) {
    MemberDescription out{member->id, member->instance_id, member->client_id, member->client_host, {}, {}};
    if (stable) {
      out.metadata = member->MetadataFor(protocol_);
      out.assignment = member->assignment;
    }
    description.members.push_back(std::move(out));
  }
  return description;
}

std::optional<std::set<std::string>> Group::SubscribedTopics() const {
  std::set<std::string> topics;
  if (members_.empty()) return topics;
  if (protocol_type_ != kConsumerProtocolType) return std::nullopt;
  for (const Member* member : members_.ByAge()) {
    for (const Protocol& protocol : member->protocols) {
      const auto subscribed = group::SubscribedTopics(protocol.metadata);
      if (!subscribed) return std::nullopt;
      topics.insert(subscribed->begin(), subscribed->end());
    }
  }
  return topics;
}

void Group::CheckInvariants() const {
  SELVAGE_CHECK(change_ || deferred_.empty());
  SELVAGE_CHECK(state_ != State::kEmpty || members_.empty());
  SELVAGE_CHECK(members_.empty() || state_ == State::kPreparingRebalance ||
                members_.Find(leader_) != nullptr);
  for (const Member* member : members_.ByAge()) {
    SELVAGE_CHECK(!member->parked_join || state_ == State::kPreparingRebalance);
    SELVAGE_CHECK(!member->parked_sync || state_ == State::kCompletingRebalance);
    SELVAGE_CHECK(member->id == leader_ || !member->parked_sync || change_ || state_ != State::kStable);
  }
}

}  // namespace selvage::kafka::group
