#include "core/peer_link.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/telemetry/log.h"

namespace selvage {

using replication::FlowNumber;
using replication::Session;

namespace {

/// Ends the subject of an alarm about a flow from here.
constexpr std::string_view kDown = " down";
constexpr absl::Duration kRetryRefused = absl::Seconds(5);
/// Where a retry alone does not help: until then somebody may have changed what is wrong.
constexpr absl::Duration kRetryHopeless = absl::Minutes(1);

std::string FlowSubject(const std::string& edge, const std::string& stream, int32_t partition) {
  return fmt::format("{}/{}/{}", edge, stream.substr(0, kMaxStreamName), partition);
}

void Admit(Fleet& fleet, const std::string& edge, const v1::Hello& hello, Fleet::AdmitDone done) {
  if (hello.edge() == edge) return fleet.Admit(hello, std::move(done));
  done(MakeError(absl::StatusCode::kPermissionDenied, "permission_denied",
                 fmt::format("the certificate is of edge {}, the hello of {}", edge, hello.edge()),
                 "node.id must be the id in the certificate"));
}

}  // namespace

PeerLink::PeerLink(Fleet& fleet, Metrics& metrics, std::string edge, std::function<void()> wake,
                   Errands::Runner run)
    : fleet_(fleet),
      metrics_(metrics),
      edge_(std::move(edge)),
      wake_(std::move(wake)),
      errands_(std::make_shared<Errands>(std::move(run), wake_)),
      appends_(fleet.node(), errands_),
      repair_(fleet.node(), errands_, [this](const LogOrigin& origin) { return IsOfThisEdge(origin); }),
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
  if (!repair_.Handle(session, event)) OnEvent(session, event);
  errands_->Apply(session);
}

void PeerLink::OnEvent(Session& session, const Session::Event& event) {
  if (const auto* hello = std::get_if<Session::PeerHello>(&event)) {
    OnHello(hello->hello);
  } else if (const auto* offered = std::get_if<Session::FlowOffered>(&event)) {
    OnFlowOffered(session, offered->flow, offered->open);
  } else if (const auto* ended = std::get_if<Session::FlowEnded>(&event)) {
    OnFlowEnded(ended->flow, ended->why);
  } else if (const auto* status = std::get_if<Session::StatusCame>(&event)) {
    fleet_.TakeStatus(edge_, status->status);
    ClearRefused(status->status);
  } else if (const auto* time = std::get_if<Session::PeerTime>(&event)) {
    skew_.Judge(edge_, time->wall_ms, fleet_.node().wall_ms());
    fleet_.Heard(edge_, link_);
  } else if (const auto* forked = std::get_if<Session::FlowForked>(&event)) {
    OnFlowForked(*forked);
  } else if (const auto* held = std::get_if<Session::FlowHeld>(&event)) {
    OnFlowHeld(held->flow, held->why);
  } else if (const auto* asked = std::get_if<Session::Requested>(&event)) {
    session.SendRefusal(asked->request.request(), replication::UnknownKind("request"));
  }
}

LogFlowSource* PeerLink::OfferedSource(FlowNumber flow) {
  for (auto& [number, offered] : offered_) {
    if (offered.flow == flow) return offered.source.get();
  }
  return nullptr;
}

std::string PeerLink::DownSubject(LogFlowSource& source) const {
  const LogOrigin& origin = source.log().origin();
  return fmt::format("{}/{}/{}{}", edge_, origin.stream, origin.partition.value(), kDown);
}

void PeerLink::OnFlowForked(const Session::FlowForked& forked) {
  LogFlowSource* source = OfferedSource(forked.flow);
  if (source == nullptr) return;
  auto& log = static_cast<EmbeddedLog&>(source->log());
  errands_->Add(
      [&fleet = fleet_, log = log.shared_from_this(), at = ToLogPosition(forked.common)]() -> Errands::Then {
        absl::Status branched = fleet.BranchDownLog(log, at);
        if (branched.ok()) return {};
        return [branched](Session& session) { session.Close(branched); };
      });
}

void PeerLink::OnFlowEnded(FlowNumber flow, const absl::Status& why) {
  if (!why.ok()) LogWarning("an edge's flow is held", {{"edge", edge_}, {"error", Describe(why)}});
  unanswered_.erase(flow);
  auto sink = sinks_.find(flow);
  if (sink == sinks_.end()) return;
  fleet_.SetFlowOpen(edge_, link_, sink->second->log().number(), false);
  sinks_.erase(sink);
}

void PeerLink::OnFlowHeld(FlowNumber flow, const absl::Status& why) {
  LogFlowSource* source = OfferedSource(flow);
  if (source == nullptr) return;
  const std::string subject = DownSubject(*source);
  held_.insert(subject);
  fleet_.node().alarms().Report(
      {"flow_held", subject, std::string(why.message()), ErrorHint(why), !IsRetryable(why), edge_});
}

void PeerLink::ClearRefused(const v1::EdgeStatus& status) {
  if (fleet_.node().alarms().open_of_peer(edge_) == 0) return;
  std::set<std::string> offered;
  for (const v1::FlowStatus& flow : status.flows()) {
    offered.insert(FlowSubject(edge_, flow.stream(), flow.partition()));
  }
  fleet_.node().alarms().ClearHeldOfPeer(edge_, [&](const std::string& subject) {
    return !subject.ends_with(kDown) && !offered.contains(subject);
  });
}

void PeerLink::ClearHeld(const Session& session) {
  if (held_.empty() || !down_offered_) return;
  std::set<std::string> waiting;
  for (const auto& [number, offered] : offered_) {
    const auto sender = session.senders().find(offered.flow);
    const bool streams = sender != session.senders().end() &&
                         sender->second->state() == replication::Sender::State::kStreaming;
    if (!streams) waiting.insert(DownSubject(*offered.source));
  }
  std::erase_if(held_, [&](const std::string& subject) {
    if (waiting.contains(subject)) return false;
    fleet_.node().alarms().Clear("flow_held", subject);
    return true;
  });
}

void PeerLink::OnHello(const v1::Hello& hello) {
  hello_at_ms_ = fleet_.node().wall_ms();
  errands_->Begin([this, &fleet = fleet_, edge = edge_, hello](const Errands::Back& back) {
    Admit(fleet, edge, hello, [this, hello, back](const absl::StatusOr<Fleet::Admission>& admission) {
      back([this, hello, admission](Session& session) { OnAdmitted(session, hello, admission); });
    });
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
  repair_.set_fence(fence_);
  link_ = fleet_.Linked(
      edge_, fence_.epoch,
      [signal = signal_, wake = wake_] {
        signal->close = true;
        wake();
      },
      wake_);
  if (link_ == 0) return CloseSuperseded(session);
  skew_.Judge(edge_, hello.wall_ms(), hello_at_ms_);
  session.SetWallTime(fleet_.node().wall_ms());
  fleet_.node().alarms().Clear("edge_certificate", edge_);
  // What an earlier link said of flows: this one may show that the causes are gone.
  if (!Planted(Canary::kForgetFlowAlarms)) held_ = fleet_.node().alarms().OpenSubjects("flow_held", edge_);
  LogInfo("edge linked", {{"edge", edge_}, {"slot", slot_}, {"session_epoch", fence_.epoch}});
  session.SendWelcome(admission->welcome);
  FollowSpec(session);
}

void PeerLink::FollowSpec(Session& session) {
  if (spec_sent_ != fleet_.generation()) {
    v1::EdgeSpec spec = fleet_.SpecFor(edge_);
    spec_sent_ = spec.generation();
    down_offered_ = false;
    std::erase_if(taken_, [&](LogNumber log) { return fleet_.node().logs().FindNumber(log) == nullptr; });
    session.SendSpec(spec);
  }
  if (!down_offered_) OfferDown();
}

void PeerLink::OfferDown() {
  if (std::exchange(down_looked_for_, true)) return;
  errands_->Add([this, &fleet = fleet_, edge = edge_, as_of = spec_sent_]() -> Errands::Then {
    return [this, as_of, down = fleet.DownLogs(edge)](Session& session) {
      down_looked_for_ = false;
      if (!down.ok()) {
        LogWarning("down streams cannot be offered", {{"edge", edge_}, {"error", Describe(down.status())}});
        return;  // tried again with the next tick
      }
      down_offered_ = as_of == spec_sent_;
      OfferLogs(session, *down);
    };
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
    offered.source = std::make_unique<LogFlowSource>(log.log, log.definition);
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

void PeerLink::OnFlowOffered(Session& session, FlowNumber flow, const v1::FlowOpen& open) {
  if (open.kind() != v1::STREAM)
    return session.Refuse(flow, replication::UnknownKind("flow"), absl::InfiniteDuration());
  unanswered_.insert(flow);
  errands_->Add([this, &fleet = fleet_, edge = edge_, slot = slot_, flow, open]() -> Errands::Then {
    absl::StatusOr<std::shared_ptr<Log>> log = fleet.LogForOffer(edge, slot, open);
    const std::string subject = FlowSubject(edge, open.stream().name(), open.stream().partition());
    return [this, flow, subject, log](Session& later) { OnLogFound(later, flow, subject, log); };
  });
}

void PeerLink::OnLogFound(Session& session, FlowNumber flow, const std::string& subject,
                          const absl::StatusOr<std::shared_ptr<Log>>& log) {
  if (!unanswered_.contains(flow)) return;  // the edge ended it meanwhile
  if (!log.ok()) {
    unanswered_.erase(flow);
    metrics_.CountError(log.status());
    if (!IsRetryable(log.status())) {
      fleet_.node().alarms().Report({ErrorKind(log.status()), subject, std::string(log.status().message()),
                                     ErrorHint(log.status()), true, edge_});
    }
    LogWarning("an edge's flow is refused", {{"edge", edge_}, {"error", Describe(log.status())}});
    session.Refuse(flow, log.status(), IsRetryable(log.status()) ? kRetryRefused : kRetryHopeless);
    return;
  }
  fleet_.node().alarms().ClearHeldOfPeer(edge_, [&](const std::string& held) { return held == subject; });
  if (taken_.insert((*log)->number()).second) return AcceptFlow(session, flow, *log);
  // Offered again on this link: what came before it was refused is on its way to the disk, and counts.
  errands_->Add([this, &fleet = fleet_, fence = fence_, flow, log = *log]() -> Errands::Then {
    absl::Status drained = fleet.node().RaiseFence(fence, [](WriteBatch&) { return absl::OkStatus(); });
    return [this, drained, flow, log](Session& later) {
      if (!drained.ok()) return later.Close(drained);
      if (unanswered_.contains(flow)) AcceptFlow(later, flow, log);
    };
  });
}

void PeerLink::AcceptFlow(Session& session, FlowNumber flow, const std::shared_ptr<Log>& log) {
  unanswered_.erase(flow);
  auto sink = std::make_unique<LinkLogSink>(log, fleet_.node().options().batch_max, fence_, appends_);
  session.Accept(flow, *sink);
  fleet_.SetFlowOpen(edge_, link_, log->number(), true);
  sinks_[flow] = std::move(sink);
}

void PeerLink::Tick(Session& session) {
  if (signal_->close) return CloseSuperseded(session);
  if (!session.established()) return;
  session.SetWallTime(fleet_.node().wall_ms());
  FollowSpec(session);
  ClearHeld(session);
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
