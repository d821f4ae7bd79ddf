#include "edge/uplink_streams.h"

#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/telemetry/log.h"

namespace selvage {

using replication::Sender;
using replication::Session;

namespace {

std::string_view StateName(Sender::State state) {
  switch (state) {
    case Sender::State::kOpening:
      return "opening";
    case Sender::State::kProbing:
      return "comparing";
    case Sender::State::kStreaming:
      return "streaming";
    case Sender::State::kHeld:
      return "held";
    case Sender::State::kForked:
      return "forked";
  }
  return "unknown";
}

/// Makes the store another one. Why the link ends then: it comes back as that, or could not be made so.
absl::Status Rebirth(EdgeState& state, std::vector<LogStore::Branching> branchings, uint64_t as_of) {
  SELVAGE_RETURN_IF_ERROR(state.Rebirth(std::move(branchings), as_of));
  NodeState& node = state.node();
  // Here, since the link may have ended meanwhile.
  node.alarms().Report(
      {"fork", node.node(),
       "this store's history is not what the core received from it before: it was restored from a backup or "
       "copied",
       "its data since the fork go into new partitions at the core; nothing there was overwritten", false});
  return MakeError(absl::StatusCode::kAborted, "fork",
                   "the edge's history forked; it comes back as a new store", "", Retry::kYes);
}

}  // namespace

absl::StatusOr<std::vector<std::shared_ptr<LogFlowSource>>> UplinkStreams::Outgoing() {
  return state_.UpFlows();
}

absl::StatusOr<std::shared_ptr<Log>> UplinkStreams::LogFor(const v1::FlowOpen& open) {
  return state_.LogForOffer(open);
}

std::optional<uint64_t> UplinkStreams::outgoing_version() {
  if (forking_) return std::nullopt;
  return state_.flow_changes();
}

void UplinkStreams::OnTaken(const v1::FlowOpen&, Log& log) {
  down_states_[log.number()] = {"streaming", ""};
  down_states_moved_ = true;
}

void UplinkStreams::OnRefused(const v1::FlowOpen& open, const absl::Status& why) {
  LogWarning("a flow from the core is refused", {{"stream", open.stream().name()}, {"error", Describe(why)}});
  const LogOrigin origin{std::string(kCoreOrigin), Slot(0), open.stream().name(),
                         PartitionId(open.stream().partition())};
  if (const auto held = node_.logs().Find(origin); held != nullptr) {
    down_states_[held->number()] = {"held", std::string(why.message())};
    down_states_moved_ = true;
  }
}

void UplinkStreams::OnEnded(Log& log, const absl::Status& why) {
  down_states_moved_ = true;
  if (why.ok()) {
    down_states_[log.number()] = {"offline", "the core sends this stream no more"};
  } else {
    down_states_[log.number()] = {"held", std::string(why.message())};
  }
}

void UplinkStreams::OnForked(Session& session, std::shared_ptr<Log> log, const LogPosition& common) {
  any_forked_ = true;
  LogWarning("the core holds another history of a log",
             {{"log", ToString(log->origin())}, {"common_up_to", common.offset}});
  session.StopSending();
}

/// Once it is known of every flow where its history parts from the core's. Until then nothing is sent: an
/// entry that the core takes now and acknowledges too late would be sent again in the new log. A stream that
/// is about to be offered is waited for, too.
void UplinkStreams::RebirthIfForked(Session& session, std::optional<uint64_t> offers) {
  if (!any_forked_ || forking_ || !offers || offers != state_.flow_changes()) return;
  std::vector<LogStore::Branching> branchings;
  for (const auto& [number, sender] : session.senders()) {
    LogFlowSource* source = StreamFlows::SourceOf(*sender);
    if (source == nullptr) continue;
    const bool forked = sender->state() == Sender::State::kForked;
    const bool refused = sender->state() == Sender::State::kHeld && !IsRetryable(sender->problem());
    if (!forked && !refused && !sender->AllAcknowledged() && !Planted(Canary::kForkWithoutWaiting)) return;
    const auto& from = forked ? sender->fork() : sender->acknowledged();
    if (from) {
      branchings.push_back({source->shared_log(), LogId::Mint(node_.random()), ToLogPosition(*from)});
    }
  }
  forking_ = true;
  errands_->Add([&state = state_, branchings = std::move(branchings), as_of = *offers]() -> Errands::Then {
    absl::Status why = Rebirth(state, branchings, as_of);
    return [why](Session& later) { later.Close(why); };
  });
}

bool UplinkStreams::FlowsMoved(const Session& session) {
  const bool active = std::exchange(activity_seen_, session.activity()) != session.activity();
  if (!active && !down_states_moved_) return false;
  bool moved = std::exchange(down_states_moved_, false) || senders_seen_.size() != session.senders().size();
  senders_seen_.resize(session.senders().size());
  auto seen = senders_seen_.begin();
  for (const auto& [number, sender] : session.senders()) {
    const std::pair now(number, sender->state());
    // Why a flow is held may have changed.
    moved |= now.second == Sender::State::kHeld || *seen != now;
    *seen++ = now;
  }
  return moved;
}

void UplinkStreams::PublishFlowStates(const Session& session) {
  if (!FlowsMoved(session)) return;
  std::erase_if(down_states_,
                [&](const auto& state) { return node_.logs().FindNumber(state.first) == nullptr; });
  std::map<LogNumber, EdgeState::FlowState> states = down_states_;
  for (const auto& [number, sender] : session.senders()) {
    LogFlowSource* source = StreamFlows::SourceOf(*sender);
    if (source == nullptr) continue;
    const bool held = sender->state() == Sender::State::kHeld;
    states[source->log().number()] = {std::string(StateName(sender->state())),
                                      held ? std::string(sender->problem().message()) : std::string()};
  }
  state_.SetFlowStates(std::move(states));
}

void UplinkStreams::Tick(Session& session, std::optional<uint64_t> offers) {
  RebirthIfForked(session, offers);
  PublishFlowStates(session);
}

}  // namespace selvage
