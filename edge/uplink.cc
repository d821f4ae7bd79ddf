#include "edge/uplink.h"

#include <fmt/format.h>

#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/telemetry/log.h"

namespace selvage {

using replication::FlowNumber;
using replication::Sender;
using replication::Session;

namespace {

constexpr absl::Duration kStatusEvery = absl::Seconds(2);
constexpr absl::Duration kTellAnyway = absl::Minutes(10);
constexpr absl::Duration kRetryRefused = absl::Seconds(5);
/// Where a retry alone does not help: until then somebody may have changed what is wrong.
constexpr absl::Duration kRetryHopeless = absl::Minutes(1);
constexpr absl::Duration kRetrySpec = absl::Seconds(10);
/// What TakeWelcome may say, and what the core said when it closed the link: alarms that end with a link that
/// comes up.
constexpr std::string_view kRefusals[] = {"link_refused", "foreign_cluster", "not_empty", "protocol_error"};

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
absl::Status Rebirth(EdgeState& state, std::vector<EmbeddedLogStore::Branching> branchings) {
  SELVAGE_RETURN_IF_ERROR(state.Rebirth(std::move(branchings)));
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

Uplink::Uplink(EdgeState& state, uint64_t max_rate, std::function<void()> wake, Errands::Runner run)
    : state_(state),
      node_(state.node()),
      max_rate_(max_rate),
      wake_(std::move(wake)),
      errands_(std::make_shared<Errands>(std::move(run), wake_)),
      appends_(node_, errands_),
      repair_(node_, errands_,
              [this](const LogOrigin& origin) {
                const auto definition = node_.catalog().Find(origin.stream);
                return definition && definition->direction() != v1::LOCAL;
              }),
      skew_(node_.alarms(), "core's", "this node's") {}

Uplink::~Uplink() {
  errands_->Drop();
  Unwatch();
}

void Uplink::Unwatch() {
  for (auto& [number, offered] : offered_) offered.source->log().Unwatch(offered.watch);
  offered_.clear();
}

void Uplink::Opened(Session& session) {
  (void)state_.TakeRelink();  // this is one made anew
  // Sessions of one process follow one another, so this process's own clock tells them apart.
  fence_ = Fence{std::string(kCoreOrigin),
                 SessionEpoch(static_cast<uint64_t>(absl::ToInt64Nanoseconds(node_.clock().Monotonic())))};
  repair_.set_fence(fence_);
  errands_->Add([this, &node = node_, fence = fence_]() -> Errands::Then {
    absl::Status fenced = node.RaiseFence(fence, [](WriteBatch&) { return absl::OkStatus(); });
    return [this, fenced](Session& later) {
      if (!fenced.ok()) return later.Close(fenced);
      later.SendHello(state_.MakeHello());
    };
  });
  errands_->Apply(session);
}

void Uplink::Handle(Session& session, const Session::Event& event) {
  if (!repair_.Handle(session, event)) OnEvent(session, event);
  errands_->Apply(session);
}

void Uplink::OnEvent(Session& session, const Session::Event& event) {
  if (const auto* welcome = std::get_if<Session::PeerWelcome>(&event)) {
    OnWelcome(welcome->welcome);
  } else if (const auto* spec = std::get_if<Session::SpecCame>(&event)) {
    OnSpec(spec->spec);
  } else if (const auto* offered = std::get_if<Session::FlowOffered>(&event)) {
    OnFlowOffered(session, offered->flow, offered->open);
  } else if (const auto* ended = std::get_if<Session::FlowEnded>(&event)) {
    OnFlowEnded(ended->flow, ended->why);
  } else if (const auto* time = std::get_if<Session::PeerTime>(&event)) {
    if (welcomed_) skew_.Judge(core_, time->wall_ms, node_.wall_ms());
  } else if (const auto* forked = std::get_if<Session::FlowForked>(&event)) {
    OnFlowForked(session, *forked);
  } else if (const auto* held = std::get_if<Session::FlowHeld>(&event)) {
    OnFlowHeld(session, *held);
  } else if (const auto* closed = std::get_if<Session::PeerClosed>(&event)) {
    OnClosed(closed->why);
  } else if (const auto* asked = std::get_if<Session::Requested>(&event)) {
    session.SendRefusal(asked->request.request(), replication::UnknownKind("request"));
  }
}

void Uplink::OnFlowForked(Session& session, const Session::FlowForked& forked) {
  if (LogFlowSource* source = SourceOf(session, forked.flow); source != nullptr) {
    forks_[source->log().number()] = ToLogPosition(forked.common);
    LogWarning("the core holds another history of a log",
               {{"log", ToString(source->log().origin())}, {"common_up_to", forked.common.offset}});
  }
  RebirthIfForked(session);
}

void Uplink::OnFlowHeld(const Session& session, const Session::FlowHeld& held) {
  LogFlowSource* source = SourceOf(session, held.flow);
  if (source == nullptr) return;
  std::string subject = ToString(source->log().origin());
  held_.insert(subject);
  node_.alarms().Report(
      {"flow_held", subject, std::string(held.why.message()), ErrorHint(held.why), !IsRetryable(held.why)});
}

void Uplink::OnClosed(const absl::Status& why) {
  LogWarning("the core closed the link", {{"reason", Describe(why)}});
  if (IsRetryable(why)) return;
  node_.alarms().Report({"link_refused", ErrorKind(why), std::string(why.message()), ErrorHint(why), false,
                         std::string(kCoreOrigin)});
}

void Uplink::OnWelcome(const v1::Welcome& welcome) {
  welcome_at_ms_ = node_.wall_ms();
  errands_->Add([this, &state = state_, welcome, is_ours = core_is_ours_]() -> Errands::Then {
    absl::Status taken = state.TakeWelcome(welcome);
    *is_ours = taken.ok();
    return [this, welcome, taken](Session& session) { OnWelcomeTaken(session, welcome, taken); };
  });
}

void Uplink::OnWelcomeTaken(Session& session, const v1::Welcome& welcome, const absl::Status& taken) {
  if (!taken.ok()) {
    node_.alarms().Report({ErrorKind(taken), welcome.core(), std::string(taken.message()), ErrorHint(taken),
                           true, std::string(kCoreOrigin)});
    return session.Close(taken);
  }
  welcomed_ = true;
  core_ = welcome.core();
  EndRefusals(core_);
  skew_.Judge(core_, welcome.wall_ms(), welcome_at_ms_);
  session.SetWallTime(node_.wall_ms());
  repair_.PeerIsCapableOf(welcome.capabilities());
  LogInfo("link up",
          {{"core", welcome.core()}, {"slot", welcome.slot()}, {"session_epoch", welcome.session_epoch()}});
  uint64_t spec_rate = state_.spec().max_rate();
  session.set_max_rate(spec_rate > 0 ? spec_rate : max_rate_);
  OfferNew(session);
}

/// The core took the link: what once kept it away is over. Alarms of earlier links are known from the book
/// alone.
void Uplink::EndRefusals(const std::string& core) {
  for (std::string_view kind : kRefusals)
    node_.alarms().ClearExcept(kind, [](const std::string&) { return false; });
  node_.alarms().ClearExcept("clock_skew", [&](const std::string& subject) { return subject == core; });
  if (!Planted(Canary::kForgetFlowAlarms)) held_ = node_.alarms().OpenSubjects("flow_held", "");
}

void Uplink::OfferNew(Session& session) {
  const uint64_t at = state_.flow_changes();
  if (std::exchange(offered_at_, at) == at) return;
  for (const auto& source : state_.UpFlows()) {
    LogNumber number = source->log().number();
    if (offered_.contains(number)) continue;
    session.Offer(*source);
    offered_[number] = {source, source->log().Watch(wake_)};
  }
}

void Uplink::OnSpec(const v1::EdgeSpec& spec) {
  refused_spec_.reset();
  errands_->Add([this, &state = state_, spec, is_ours = core_is_ours_]() -> Errands::Then {
    if (!*is_ours) return {};  // its welcome was refused just before
    absl::StatusOr<bool> applied = state.ApplySpec(spec);
    return [this, spec, applied](Session& session) { OnSpecApplied(session, spec, applied); };
  });
}

void Uplink::OnSpecApplied(Session& session, const v1::EdgeSpec& spec, const absl::StatusOr<bool>& applied) {
  refused_spec_.reset();
  if (!applied.ok()) {
    node_.alarms().Report({"spec_refused", node_.node(), std::string(applied.status().message()),
                           ErrorHint(applied.status()), false});
    refused_spec_ = spec;
    next_spec_try_ = node_.clock().Monotonic() + kRetrySpec;
    return;
  }
  node_.alarms().Clear("spec_refused", node_.node());
  if (!*applied) return;
  LogInfo("spec applied", {{"generation", spec.generation()}, {"streams", spec.streams_size()}});
  session.set_max_rate(spec.max_rate() > 0 ? spec.max_rate() : max_rate_);
  FollowStreams(session);
  next_status_ = absl::ZeroDuration();
  told_ = {};
}

/// Offers what there is, and nothing else.
void Uplink::FollowStreams(Session& session) {
  if (forking_) return;
  const uint64_t at = state_.flow_changes();
  if (std::exchange(followed_at_, at) == at) return;
  const auto gone = [&](LogNumber log) { return node_.logs().FindNumber(log) == nullptr; };
  std::erase_if(taken_, gone);
  std::erase_if(down_states_, [&](const auto& state) { return gone(state.first); });
  std::set<LogNumber> current;
  for (const auto& source : state_.UpFlows()) current.insert(source->log().number());
  for (auto it = offered_.begin(); it != offered_.end();) {
    if (current.contains(it->first)) {
      ++it;
      continue;
    }
    it->second.source->log().Unwatch(it->second.watch);
    session.Withdraw(*it->second.source);
    it = offered_.erase(it);
  }
  OfferNew(session);
}

void Uplink::OnFlowOffered(Session& session, FlowNumber flow, const v1::FlowOpen& open) {
  if (open.kind() != v1::STREAM)
    return session.Refuse(flow, replication::UnknownKind("flow"), absl::InfiniteDuration());
  unanswered_.insert(flow);
  errands_->Add([this, &state = state_, flow, open, is_ours = core_is_ours_]() -> Errands::Then {
    if (!*is_ours) return {};
    absl::StatusOr<std::shared_ptr<Log>> log = state.LogForOffer(open);
    return [this, flow, open, log](Session& later) { OnLogFound(later, flow, open, log); };
  });
}

void Uplink::OnLogFound(Session& session, FlowNumber flow, const v1::FlowOpen& open,
                        const absl::StatusOr<std::shared_ptr<Log>>& log) {
  if (!unanswered_.contains(flow)) return;  // the core ended it meanwhile
  if (!log.ok()) {
    unanswered_.erase(flow);
    LogWarning("a flow from the core is refused",
               {{"stream", open.stream().name()}, {"error", Describe(log.status())}});
    LogOrigin origin{std::string(kCoreOrigin), Slot(0), open.stream().name(),
                     PartitionId(open.stream().partition())};
    if (const std::shared_ptr<Log> held = node_.logs().Find(origin); held != nullptr) {
      down_states_[held->number()] = {"held", std::string(log.status().message())};
      down_states_moved_ = true;
    }
    session.Refuse(flow, log.status(), IsRetryable(log.status()) ? kRetryRefused : kRetryHopeless);
    return;
  }
  if (taken_.insert((*log)->number()).second) return AcceptFlow(session, flow, *log);
  // Offered again on this link: what came before it was refused is on its way to the disk, and counts.
  errands_->Add([this, &node = node_, fence = fence_, flow, log = *log]() -> Errands::Then {
    absl::Status drained = node.RaiseFence(fence, [](WriteBatch&) { return absl::OkStatus(); });
    return [this, drained, flow, log](Session& later) {
      if (!drained.ok()) return later.Close(drained);
      if (unanswered_.contains(flow)) AcceptFlow(later, flow, log);
    };
  });
}

void Uplink::AcceptFlow(Session& session, FlowNumber flow, const std::shared_ptr<Log>& log) {
  unanswered_.erase(flow);
  auto sink = std::make_unique<LinkLogSink>(log, node_.options().batch_max, fence_, appends_);
  session.Accept(flow, *sink);
  down_states_[log->number()] = {"streaming", ""};
  down_states_moved_ = true;
  sinks_[flow] = std::move(sink);
}

void Uplink::OnFlowEnded(FlowNumber flow, const absl::Status& why) {
  unanswered_.erase(flow);
  auto sink = sinks_.find(flow);
  if (sink == sinks_.end()) return;
  const LogNumber log = sink->second->log().number();
  sinks_.erase(sink);
  down_states_moved_ = true;
  if (why.ok()) {
    down_states_[log] = {"offline", "the core sends this stream no more"};
  } else {
    down_states_[log] = {"held", std::string(why.message())};
  }
}

LogFlowSource* Uplink::SourceOf(const Session& session, FlowNumber flow) {
  auto it = session.senders().find(flow);
  return it == session.senders().end() ? nullptr : dynamic_cast<LogFlowSource*>(&it->second->source());
}

/// Once it is known of every flow where its history parts from the core's. Until then nothing is sent: an
/// entry that the core takes now and acknowledges too late would be sent again in the new log.
void Uplink::RebirthIfForked(Session& session) {
  if (forks_.empty() || forking_) return;
  session.StopSending();
  std::vector<EmbeddedLogStore::Branching> branchings;
  for (const auto& [number, sender] : session.senders()) {
    LogFlowSource* source = SourceOf(session, number);
    if (source == nullptr) continue;  // of a repair
    const bool forked = sender->state() == Sender::State::kForked;
    const bool refused = sender->state() == Sender::State::kHeld && !IsRetryable(sender->problem());
    if (!forked && !refused && !sender->AllAcknowledged() && !Planted(Canary::kForkWithoutWaiting)) return;
    auto& log = static_cast<EmbeddedLog&>(source->log());
    const auto& from = forked ? sender->fork() : sender->acknowledged();
    if (from)
      branchings.push_back({log.shared_from_this(), LogId::Mint(node_.random()), ToLogPosition(*from)});
  }
  forking_ = true;
  errands_->Add([&state = state_, branchings = std::move(branchings)]() -> Errands::Then {
    absl::Status why = Rebirth(state, branchings);
    return [why](Session& later) { later.Close(why); };
  });
}

bool Uplink::FlowsMoved(const Session& session) {
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

void Uplink::PublishFlowStates(const Session& session) {
  if (!FlowsMoved(session)) return;
  std::map<LogNumber, EdgeState::FlowState> states = down_states_;
  for (const auto& [number, sender] : session.senders()) {
    LogFlowSource* source = SourceOf(session, number);
    if (source == nullptr) continue;  // of a repair
    const Log& log = source->log();
    bool held = sender->state() == Sender::State::kHeld;
    states[log.number()] = {std::string(StateName(sender->state())),
                            held ? std::string(sender->problem().message()) : std::string()};
  }
  state_.SetFlowStates(std::move(states));
}

void Uplink::ClearHeld(const Session& session) {
  if (held_.empty()) return;
  std::set<std::string> waiting;
  for (const auto& [number, sender] : session.senders()) {
    LogFlowSource* source = SourceOf(session, number);
    if (source == nullptr || sender->state() == Sender::State::kStreaming) continue;
    waiting.insert(ToString(source->log().origin()));
  }
  std::erase_if(held_, [&](const std::string& subject) {
    if (waiting.contains(subject)) return false;
    node_.alarms().Clear("flow_held", subject);
    return true;
  });
}

void Uplink::Tick(Session& session) {
  if (!welcomed_ || forking_) return;
  if (state_.TakeRelink()) {
    return session.Close(MakeError(absl::StatusCode::kAborted, "relink", "an operator has the link made anew",
                                   "", Retry::kYes));
  }
  session.SetWallTime(node_.wall_ms());
  state_.MeasureRates();
  RebirthIfForked(session);
  if (refused_spec_ && node_.clock().Monotonic() >= next_spec_try_) OnSpec(v1::EdgeSpec(*refused_spec_));
  FollowStreams(session);
  PublishFlowStates(session);
  ClearHeld(session);
  repair_.Tick(session);
  errands_->Apply(session);
  TellStatus(session);
}

void Uplink::TellStatus(Session& session) {
  const absl::Duration now = node_.clock().Monotonic();
  if (now < next_status_) return;
  next_status_ = now + kStatusEvery;
  if (now >= tell_anyway_) told_ = {};
  const auto status = state_.MakeStatusIfNews(told_);
  if (!status) return;
  tell_anyway_ = now + kTellAnyway;
  session.SendStatus(*status);
}

void Uplink::Closed(const absl::Status& reason, absl::Duration) {
  LogInfo("link down", {{"reason", Describe(reason)}});
  errands_->Drop();
  Unwatch();
  state_.LinkEnded();
}

}  // namespace selvage
