#include "core/peer_streams.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/telemetry/log.h"

namespace selvage {

using replication::Session;

namespace {

/// Ends the subject of an alarm about a flow from here.
constexpr std::string_view kDown = " down";

std::string FlowSubject(const std::string& edge, const std::string& stream, int32_t partition) {
  return fmt::format("{}/{}/{}", edge, stream.substr(0, kMaxStreamName), partition);
}

}  // namespace

bool PeerStreams::IsOfThisEdge(const LogOrigin& origin) const {
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

std::string PeerStreams::AlarmSubject(const LogOrigin& origin) const {
  return FlowSubject(edge_, origin.stream, origin.partition.value()) + std::string(kDown);
}

void PeerStreams::ClearRefused(const v1::EdgeStatus& status) {
  if (fleet_.node().alarms().open_of_peer(edge_) == 0) return;
  std::set<std::string> offered;
  for (const v1::FlowStatus& flow : status.flows()) {
    offered.insert(FlowSubject(edge_, flow.stream(), flow.partition()));
  }
  fleet_.node().alarms().ClearHeldOfPeer(edge_, [&](const std::string& subject) {
    return !subject.ends_with(kDown) && !offered.contains(subject);
  });
}

/// A stream is not offered before the edge has the spec that names it: it would make the stream from the
/// offer, and delete it again with a spec from before.
std::optional<uint64_t> PeerStreams::outgoing_version() {
  if (!spec_.told()) return std::nullopt;
  return spec_.generation();
}

absl::StatusOr<std::vector<std::shared_ptr<LogFlowSource>>> PeerStreams::Outgoing() {
  SELVAGE_ASSIGN_OR_RETURN(const auto down, fleet_.DownLogs(edge_));
  std::map<LogNumber, std::shared_ptr<LogFlowSource>> sources;
  std::vector<std::shared_ptr<LogFlowSource>> outgoing;
  for (const Fleet::DownLog& log : down) {
    if (log.definition.settings().detached()) continue;
    std::shared_ptr<LogFlowSource>& source = sources[log.log->number()];
    const auto known = sources_.find(log.log->number());
    if (known != sources_.end()) {
      source = known->second;
      source->set_definition(log.definition);
    } else {
      source = std::make_shared<LogFlowSource>(log.log, log.definition);
    }
    outgoing.push_back(source);
  }
  sources_ = std::move(sources);
  return outgoing;
}

absl::StatusOr<std::shared_ptr<Log>> PeerStreams::LogFor(const v1::FlowOpen& open) {
  return fleet_.LogForOffer(edge_, slot_, open);
}

void PeerStreams::OnTaken(const v1::FlowOpen& open, Log& log) {
  const std::string subject = FlowSubject(edge_, open.stream().name(), open.stream().partition());
  fleet_.node().alarms().ClearHeldOfPeer(edge_, [&](const std::string& held) { return held == subject; });
  fleet_.SetFlowOpen(edge_, link_, log.number(), true);
}

void PeerStreams::OnRefused(const v1::FlowOpen& open, const absl::Status& why) {
  metrics_.CountError(why);
  if (!IsRetryable(why)) {
    fleet_.node().alarms().Report({ErrorKind(why),
                                   FlowSubject(edge_, open.stream().name(), open.stream().partition()),
                                   std::string(why.message()), ErrorHint(why), true, edge_});
  }
  LogWarning("an edge's flow is refused", {{"edge", edge_}, {"error", Describe(why)}});
}

void PeerStreams::OnEnded(Log& log, const absl::Status& why) {
  if (!why.ok()) LogWarning("an edge's flow is held", {{"edge", edge_}, {"error", Describe(why)}});
  fleet_.SetFlowOpen(edge_, link_, log.number(), false);
}

void PeerStreams::OnForked(Session&, std::shared_ptr<Log> log, const LogPosition& common) {
  errands_->Add([&fleet = fleet_, log, common]() -> Errands::Then {
    absl::Status branched = fleet.BranchDownLog(log, common);
    if (branched.ok()) return {};
    return [branched](Session& session) { session.Close(branched); };
  });
}

}  // namespace selvage
