#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "core/peer_link.h"
#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/telemetry/log.h"

namespace selvage {

using replication::FlowNumber;
using replication::Session;

namespace {

/// Alarms about a flow, which end when it is taken. Others about the same stream and partition are about its
/// log.
constexpr std::string_view kFlowKinds[] = {"flow_held",      "definition_mismatch", "wrong_partition",
                                           "protocol_error", "permission_denied",   "unknown_stream",
                                           "invalid_stream", "name_reserved",       "disk_full"};

std::string FlowSubject(const std::string& edge, const std::string& stream, int32_t partition) {
  return fmt::format("{}/{}/{}", edge, stream.substr(0, 200), partition);
}

absl::StatusOr<Fleet::Admission> Admit(Fleet& fleet, const std::string& edge, const v1::Hello& hello) {
  if (hello.edge() == edge) return fleet.Admit(hello);
  return MakeError(absl::StatusCode::kPermissionDenied, "permission_denied",
                   fmt::format("the certificate is of edge {}, the hello of {}", edge, hello.edge()),
                   "node.id must be the id in the certificate");
}

}  // namespace

PeerLink::PeerLink(Fleet& fleet, Metrics& metrics, std::string edge, std::function<void()> wake,
                   Errands::Runner run)
    : fleet_(fleet),
      metrics_(metrics),
      edge_(std::move(edge)),
      wake_(std::move(wake)),
      errands_(std::make_shared<Errands>(std::move(run), wake_)),
      repair_(fleet.node(), [this](const LogOrigin& origin) { return IsOfThisEdge(origin); }),
      skew_(fleet.node().alarms(), "edge's", "the core's") {}

PeerLink::~PeerLink() {
  errands_->Drop();
  for (auto& [number, offered] : offered_) offered.source->log().Unwatch(offered.watch);
}

bool PeerLink::IsOfThisEdge(const LogOrigin& origin) const {
  const auto definition = fleet_.node().catalog().Find(origin.stream);
  if (!definition) return false;
  switch (definition->direction()) {
    case v1::UP:
      return origin.edge == edge_ && origin.slot == slot_;
    case v1::DOWN:
      return origin.edge == edge_;
    case v1::DOWN_SHARED:
      return origin.edge.empty();
    default:
      return false;
  }
}

void PeerLink::Handle(Session& session, const Session::Event& event) {
  if (!repair_.Handle(session, event)) OnEvent(event);
  errands_->Apply(session);
}

void PeerLink::OnEvent(const Session::Event& event) {
  switch (event.kind) {
    case Session::Event::Kind::kHello:
      OnHello(event.hello);
      break;
    case Session::Event::Kind::kFlowOffered:
      OnFlowOffered(event.flow, event.open);
      break;
    case Session::Event::Kind::kFlowEnded:
      OnFlowEnded(event.flow, event.status);
      break;
    case Session::Event::Kind::kStatus:
      OnStatus(event.edge_status);
      break;
    case Session::Event::Kind::kTime:
      skew_.Judge(edge_, event.wall_ms, fleet_.node().wall_ms());
      break;
    case Session::Event::Kind::kFlowForked:
      OnFlowForked(event);
      break;
    case Session::Event::Kind::kFlowHeld:
      OnFlowHeld(event.flow, event.status);
      break;
    default:
      break;
  }
}

void PeerLink::OnFlowEnded(FlowNumber flow, const absl::Status& why) {
  if (!why.ok()) LogWarning("an edge's flow is held", {{"edge", edge_}, {"error", Describe(why)}});
  unanswered_.erase(flow);
  auto sink = sinks_.find(flow);
  if (sink != sinks_.end()) fleet_.SetFlowOpen(edge_, link_, sink->second->log().number(), false);
}

void PeerLink::OnFlowHeld(FlowNumber flow, const absl::Status& why) {
  for (const auto& [number, offered] : offered_) {
    if (offered.flow != flow) continue;
    const LogOrigin& origin = offered.source->log().origin();
    return ReportFlow("flow_held", AlarmSubject(origin.stream, origin.partition.value()), why, false);
  }
}

void PeerLink::OnStatus(const v1::EdgeStatus& status) {
  fleet_.TakeStatus(edge_, status);
  if (flow_alarms_.empty()) return;
  // What the edge does not have any more cannot be in the way of anything.
  std::set<std::string> there;
  for (const v1::FlowStatus& flow : status.flows())
    there.insert(AlarmSubject(flow.stream(), flow.partition()));
  for (const auto& [subject, kind] : std::set(flow_alarms_)) {
    if (kind != "flow_held" && !there.contains(subject)) EndFlowAlarms(kind, subject);
  }
}

std::string PeerLink::AlarmSubject(const std::string& stream, int32_t partition) const {
  return FlowSubject(edge_, stream, partition);
}

void PeerLink::ReportFlow(const std::string& kind, const std::string& subject, const absl::Status& why,
                          bool needs_operator) {
  flow_alarms_.emplace(subject, kind);
  fleet_.node().alarms().Report({kind, subject, std::string(why.message()), ErrorHint(why), needs_operator});
}

/// Those that were open when the link came up: the flows of this link may show that their causes are gone.
void PeerLink::FindFlowAlarms() {
  if (Planted(Canary::kForgetFlowAlarms)) return;
  for (const v1::AlarmDocument& alarm : fleet_.node().alarms().All(false)) {
    const bool of_flow = std::ranges::find(kFlowKinds, alarm.kind()) != std::end(kFlowKinds);
    if (of_flow && alarm.subject().starts_with(edge_ + "/"))
      flow_alarms_.emplace(alarm.subject(), alarm.kind());
  }
}

/// All about this flow, or those of one kind.
void PeerLink::EndFlowAlarms(std::string_view only_kind, const std::string& subject) {
  for (auto it = flow_alarms_.lower_bound({subject, ""}); it != flow_alarms_.end() && it->first == subject;) {
    if (!only_kind.empty() && it->second != only_kind) {
      ++it;
      continue;
    }
    fleet_.node().alarms().Clear(it->second, subject);
    it = flow_alarms_.erase(it);
  }
}

/// Of down flows that the edge takes now, or that are not offered any more.
void PeerLink::EndDownAlarms(const Session& session) {
  std::set<std::string> held;
  for (const auto& [number, offered] : offered_) {
    auto sender = session.senders().find(offered.flow);
    if (sender != session.senders().end() &&
        sender->second->state() == replication::Sender::State::kStreaming)
      continue;
    const LogOrigin& origin = offered.source->log().origin();
    held.insert(AlarmSubject(origin.stream, origin.partition.value()));
  }
  for (const auto& [subject, kind] : std::set(flow_alarms_)) {
    if (kind == "flow_held" && !held.contains(subject)) EndFlowAlarms(kind, subject);
  }
}

void PeerLink::OnFlowForked(const Session::Event& event) {
  for (auto& [number, offered] : offered_) {
    if (offered.flow != event.flow) continue;
    EmbeddedLog& log = static_cast<EmbeddedLog&>(offered.source->log());
    errands_->Add([&fleet = fleet_, &log, at = event.position]() -> Errands::Then {
      absl::Status branched = fleet.BranchDownLog(log, at);
      if (branched.ok()) return {};
      return [branched](Session& session) { session.Close(branched); };
    });
    return;
  }
}

void PeerLink::OnHello(const v1::Hello& hello) {
  errands_->Add([this, &fleet = fleet_, edge = edge_, hello]() -> Errands::Then {
    absl::StatusOr<Fleet::Admission> admission = Admit(fleet, edge, hello);
    return [this, hello, admission = std::move(admission)](Session& session) {
      OnAdmitted(session, hello, admission);
    };
  });
}

void PeerLink::OnAdmitted(Session& session, const v1::Hello& hello,
                          const absl::StatusOr<Fleet::Admission>& admission) {
  if (!admission.ok()) {
    metrics_.CountError(admission.status());
    LogWarning("an edge is refused", {{"edge", edge_}, {"error", Describe(admission.status())}});
    return session.Close(admission.status(), absl::Seconds(30));
  }
  slot_ = admission->slot;
  repair_.PeerIsCapableOf(hello.capabilities());
  fence_ = admission->fence;
  link_ = fleet_.Linked(
      edge_, fence_.epoch,
      [signal = signal_, wake = wake_] {
        signal->close = true;
        wake();
      },
      wake_);
  if (link_ == 0) return CloseSuperseded(session);
  skew_.Judge(edge_, hello.wall_ms(), fleet_.node().wall_ms());
  session.SetWallTime(fleet_.node().wall_ms());
  fleet_.node().alarms().Clear("edge_certificate", edge_);
  FindFlowAlarms();
  LogInfo("edge linked", {{"edge", edge_}, {"slot", slot_}, {"session_epoch", fence_.epoch}});
  session.SendWelcome(admission->welcome);
  FollowSpec(session);
}

void PeerLink::FollowSpec(Session& session) {
  if (spec_sent_ == fleet_.generation()) return;
  v1::EdgeSpec spec = fleet_.SpecFor(edge_);
  spec_sent_ = spec.generation();
  session.SendSpec(spec);
  OfferDown();
}

void PeerLink::OfferDown() {
  errands_->Add([this, &fleet = fleet_, edge = edge_]() -> Errands::Then {
    auto down = fleet.DownLogs(edge);
    if (!down.ok()) {
      LogWarning("down streams cannot be offered", {{"edge", edge}, {"error", Describe(down.status())}});
      return {};
    }
    return [this, logs = *std::move(down)](Session& session) { OfferLogs(session, logs); };
  });
}

void PeerLink::OfferLogs(Session& session, const std::vector<Fleet::DownLog>& down) {
  std::set<LogNumber> current;
  for (const Fleet::DownLog& log : down) {
    if (log.definition.settings().detached()) continue;
    LogNumber number = log.log->number();
    current.insert(number);
    auto it = offered_.find(number);
    if (it != offered_.end()) {
      it->second.source->set_definition(log.definition);
      continue;
    }
    Offered offered;
    offered.source = std::make_unique<LogFlowSource>(*log.log, log.definition);
    offered.flow = session.Offer(*offered.source);
    offered.watch = log.log->Watch(wake_);
    offered_.emplace(number, std::move(offered));
  }
  for (auto it = offered_.begin(); it != offered_.end();) {
    if (current.contains(it->first)) {
      ++it;
      continue;
    }
    it->second.source->log().Unwatch(it->second.watch);
    session.Withdraw(*it->second.source);
    it = offered_.erase(it);
  }
}

void PeerLink::OnFlowOffered(FlowNumber flow, const v1::FlowOpen& open) {
  unanswered_.insert(flow);
  errands_->Add([this, &fleet = fleet_, edge = edge_, slot = slot_, flow, open]() -> Errands::Then {
    absl::StatusOr<Log*> log = fleet.LogForOffer(edge, slot, open);
    const std::string subject = FlowSubject(edge, open.name(), open.partition());
    return [this, flow, subject, log](Session& session) { OnLogFound(session, flow, subject, log); };
  });
}

void PeerLink::OnLogFound(Session& session, FlowNumber flow, const std::string& subject,
                          const absl::StatusOr<Log*>& log) {
  if (!unanswered_.contains(flow)) return;  // the edge ended it meanwhile
  if (!log.ok()) {
    unanswered_.erase(flow);
    metrics_.CountError(log.status());
    ReportFlow(ErrorKind(log.status()), subject, log.status(), true);
    LogWarning("an edge's flow is refused", {{"edge", edge_}, {"error", Describe(log.status())}});
    session.Refuse(flow, log.status(),
                   IsRetryable(log.status()) ? absl::Seconds(5) : absl::InfiniteDuration());
    return;
  }
  if (taken_.insert((*log)->number()).second) return AcceptFlow(session, flow, subject, **log);
  // Offered again on this link: what came before it was refused is on its way to the disk, and counts.
  errands_->Add([this, &fleet = fleet_, fence = fence_, flow, subject, log = *log]() -> Errands::Then {
    absl::Status drained = fleet.node().RaiseFence(fence, [](WriteBatch&) { return absl::OkStatus(); });
    return [this, drained, flow, subject, log](Session& later) {
      if (!drained.ok()) return later.Close(drained);
      if (unanswered_.contains(flow)) AcceptFlow(later, flow, subject, *log);
    };
  });
}

void PeerLink::AcceptFlow(Session& session, FlowNumber flow, const std::string& subject, Log& log) {
  unanswered_.erase(flow);
  auto sink = std::make_unique<LogFlowSink>(log, fleet_.node().options().batch_max);
  session.Accept(flow, *sink);
  fleet_.SetFlowOpen(edge_, link_, log.number(), true);
  EndFlowAlarms("", subject);
  sinks_[flow] = std::move(sink);
}

void PeerLink::Persist(Session::Persist persist,
                       std::function<void(const absl::StatusOr<LogPosition>&)> done) {
  if (repair_.Persist(persist, fence_, done)) return;
  auto sink = sinks_.find(persist.flow);
  ReplicaEntry entry{persist.entry.kind, persist.entry.from, persist.entry.to, std::move(persist.entry.body)};
  absl::Status queued = sink->second->log().AppendReplica(std::move(entry), fence_, done);
  if (!queued.ok()) done(queued);
}

void PeerLink::Tick(Session& session) {
  if (signal_->close) return CloseSuperseded(session);
  if (!session.established()) return;
  session.SetWallTime(fleet_.node().wall_ms());
  FollowSpec(session);
  if (!flow_alarms_.empty()) EndDownAlarms(session);
  repair_.Tick(session);
  errands_->Apply(session);
}

void PeerLink::CloseSuperseded(Session& session) {
  session.Close(
      MakeError(absl::StatusCode::kAborted, "superseded",
                fmt::format("another link of edge {} took this one's place, or an operator ended it", edge_),
                "", Retry::kYes));
}

void PeerLink::Closed(const absl::Status& reason, absl::Duration) {
  errands_->Drop();
  for (auto& [number, offered] : offered_) offered.source->log().Unwatch(offered.watch);
  offered_.clear();
  if (link_ == 0) return;
  fleet_.Unlinked(edge_, link_);
  LogInfo("edge unlinked", {{"edge", edge_}, {"reason", Describe(reason)}});
}

}  // namespace selvage
