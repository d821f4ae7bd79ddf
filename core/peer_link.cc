#include "core/peer_link.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/telemetry/log.h"

namespace selvage {

using replication::FlowNumber;
using replication::Session;

namespace {

constexpr int64_t kSkewAlarmMs = 60'000;
/// Ends the subject of an alarm about a flow from here.
constexpr std::string_view kDown = " down";
constexpr absl::Duration kRetryRefused = absl::Seconds(5);
/// Where a retry alone does not help: until then somebody may have changed what is wrong.
constexpr absl::Duration kRetryHopeless = absl::Minutes(1);

}  // namespace

PeerLink::PeerLink(Fleet& fleet, Metrics& metrics, std::string edge, std::function<void()> wake)
    : fleet_(fleet),
      metrics_(metrics),
      edge_(std::move(edge)),
      wake_(std::move(wake)),
      repair_(fleet.node(), [this](const LogOrigin& origin) { return IsOfThisEdge(origin); }) {}

PeerLink::~PeerLink() {
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
  if (repair_.Handle(session, event)) return;
  switch (event.kind) {
    case Session::Event::Kind::kHello:
      OnHello(session, event.hello);
      break;
    case Session::Event::Kind::kFlowOffered:
      OnFlowOffered(session, event.flow, event.open);
      break;
    case Session::Event::Kind::kFlowEnded:
      if (!event.status.ok()) {
        LogWarning("an edge's flow is held", {{"edge", edge_}, {"error", Describe(event.status)}});
      }
      sinks_.erase(event.flow);
      break;
    case Session::Event::Kind::kStatus:
      fleet_.TakeStatus(edge_, event.edge_status);
      ClearRefused(event.edge_status);
      break;
    case Session::Event::Kind::kFlowForked:
      OnFlowForked(session, event);
      break;
    case Session::Event::Kind::kFlowHeld:
      OnFlowHeld(event);
      break;
    default:
      break;
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

void PeerLink::OnFlowForked(Session& session, const Session::Event& event) {
  LogFlowSource* source = OfferedSource(event.flow);
  if (source == nullptr) return;
  absl::Status branched = fleet_.BranchDownLog(static_cast<EmbeddedLog&>(source->log()), event.position);
  if (!branched.ok()) session.Close(branched);
}

void PeerLink::OnFlowHeld(const Session::Event& event) {
  LogFlowSource* source = OfferedSource(event.flow);
  if (source == nullptr) return;
  held_.insert(event.flow);
  fleet_.node().alarms().Report({"flow_held", DownSubject(*source), std::string(event.status.message()),
                                 ErrorHint(event.status), !IsRetryable(event.status), edge_});
}

void PeerLink::ClearRefused(const v1::EdgeStatus& status) {
  if (fleet_.node().alarms().open_of_peer(edge_) == 0) return;
  std::set<std::string> offered;
  for (const v1::FlowStatus& flow : status.flows()) {
    offered.insert(fmt::format("{}/{}/{}", edge_, flow.stream(), flow.partition()));
  }
  fleet_.node().alarms().ClearHeldOfPeer(edge_, [&](const std::string& subject) {
    return !subject.ends_with(kDown) && !offered.contains(subject);
  });
}

void PeerLink::ClearHeld(const Session& session) {
  for (auto& [number, offered] : offered_) {
    const auto sender = session.senders().find(offered.flow);
    if (sender == session.senders().end() ||
        sender->second->state() != replication::Sender::State::kStreaming)
      continue;
    // Of an earlier link as well.
    if (held_.erase(offered.flow) > 0 || !std::exchange(offered.streamed, true)) {
      fleet_.node().alarms().Clear("flow_held", DownSubject(*offered.source));
    }
  }
}

absl::StatusOr<Fleet::Admission> PeerLink::Admit(const v1::Hello& hello) {
  if (hello.edge() == edge_) return fleet_.Admit(hello);
  return MakeError(absl::StatusCode::kPermissionDenied, "permission_denied",
                   fmt::format("the certificate is of edge {}, the hello of {}", edge_, hello.edge()),
                   "node.id must be the id in the certificate");
}

void PeerLink::OnHello(Session& session, const v1::Hello& hello) {
  auto admission = Admit(hello);
  if (!admission.ok()) {
    metrics_.CountError(admission.status());
    LogWarning("an edge is refused", {{"edge", edge_}, {"error", Describe(admission.status())}});
    return session.Close(admission.status(), absl::Seconds(30));
  }
  slot_ = admission->slot;
  repair_.PeerIsCapableOf(hello.capabilities());
  fence_ = admission->fence;
  link_ = fleet_.Linked(
      edge_,
      [signal = signal_, wake = wake_] {
        signal->close = true;
        wake();
      },
      wake_);
  int64_t skew_ms = hello.wall_ms() - fleet_.node().wall_ms();
  if (std::abs(skew_ms) > kSkewAlarmMs) {
    fleet_.node().alarms().Report(
        {"clock_skew", edge_, fmt::format("the edge's clock is {} s away from the core's", skew_ms / 1000),
         "set the clock that is wrong; streams are not affected", false});
  } else {
    fleet_.node().alarms().Clear("clock_skew", edge_);
  }
  LogInfo("edge linked", {{"edge", edge_}, {"slot", slot_}, {"session_epoch", fence_.epoch}});
  session.SendWelcome(admission->welcome);
  FollowSpec(session);
}

void PeerLink::FollowSpec(Session& session) {
  if (spec_sent_ != fleet_.generation()) {
    v1::EdgeSpec spec = fleet_.SpecFor(edge_);
    spec_sent_ = spec.generation();
    down_offered_ = false;
    session.SendSpec(spec);
  }
  if (!down_offered_) OfferDown(session);
}

void PeerLink::OfferDown(Session& session) {
  auto down = fleet_.DownLogs(edge_);
  if (!down.ok()) {
    LogWarning("down streams cannot be offered", {{"edge", edge_}, {"error", Describe(down.status())}});
    return;  // tried again with the next tick
  }
  down_offered_ = true;
  std::set<LogNumber> current;
  for (Fleet::DownLog& log : *down) {
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
    held_.erase(it->second.flow);
    fleet_.node().alarms().Clear("flow_held", DownSubject(*it->second.source));
    it = offered_.erase(it);
  }
}

void PeerLink::OnFlowOffered(Session& session, FlowNumber flow, const v1::FlowOpen& open) {
  const std::string subject =
      fmt::format("{}/{}/{}", edge_, open.name().substr(0, kMaxStreamName), open.partition());
  auto log = fleet_.LogForOffer(edge_, slot_, open);
  if (!log.ok()) {
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
  if (!taken_.insert((*log)->number()).second) {
    // Offered again on this link: what came before it was refused is on its way to the disk, and counts.
    absl::Status drained = fleet_.node().RaiseFence(fence_, [](WriteBatch&) { return absl::OkStatus(); });
    if (!drained.ok()) return session.Close(drained);
  }
  auto sink = std::make_unique<LogFlowSink>(**log, fleet_.node().options().batch_max);
  session.Accept(flow, *sink);
  sinks_[flow] = std::move(sink);
}

void PeerLink::Persist(Session::Persist persist,
                       std::function<void(const absl::StatusOr<LogPosition>&)> done) {
  if (repair_.Persist(persist, fence_, done)) return;
  auto sink = sinks_.find(persist.flow);
  if (sink == sinks_.end()) return done(absl::CancelledError("the flow has ended"));
  ReplicaEntry entry{persist.entry.kind, persist.entry.from, persist.entry.to, std::move(persist.entry.body)};
  absl::Status queued = sink->second->log().AppendReplica(std::move(entry), fence_, done);
  if (!queued.ok()) done(queued);
}

void PeerLink::Tick(Session& session) {
  if (signal_->close) {
    return session.Close(MakeError(
        absl::StatusCode::kAborted, "superseded",
        fmt::format("another link of edge {} took this one's place, or an operator ended it", edge_), "",
        Retry::kYes));
  }
  if (!session.established()) return;
  FollowSpec(session);
  ClearHeld(session);
  repair_.Tick(session);
}

void PeerLink::Closed(const absl::Status& reason, absl::Duration) {
  for (auto& [number, offered] : offered_) offered.source->log().Unwatch(offered.watch);
  offered_.clear();
  if (link_ == 0) return;
  fleet_.Unlinked(edge_, link_);
  LogInfo("edge unlinked", {{"edge", edge_}, {"reason", Describe(reason)}});
}

}  // namespace selvage
