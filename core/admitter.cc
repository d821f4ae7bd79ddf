#include "core/admitter.h"

#include <fmt/format.h>

#include <utility>

#include "fabric/base/error.h"
#include "fabric/base/id128.h"
#include "fabric/replication/message.h"
#include "fabric/stream/log_flow.h"

namespace selvage {
namespace {

/// Edges that are admitted with one sync: all of them wait for the last of them.
constexpr size_t kAdmittedTogetherMax = 256;

Fence FenceOf(const v1::StoredEdge& edge) {
  return {edge.edge(), SessionEpoch(edge.session_epoch())};
}

}  // namespace

void Admitter::Open() {
  auto release = [this](const v1::AlarmDocument& alarm, const std::string&) {
    return Change(alarm.subject(), ReleaseEdge);
  };
  parts_.alarms.OnResolve("clone", release);
  parts_.alarms.OnResolve("second_new_store", release);
  parts_.alarms.OnResolve("foreign_cluster", [this](const v1::AlarmDocument& alarm, const std::string&) {
    return parts_.core.TakeOverCluster(alarm.subject());
  });
}

absl::Status Admitter::Change(const std::string& name, const std::function<void(v1::StoredEdge&)>& change) {
  CoreDocument::Change held(parts_.core);
  SELVAGE_ASSIGN_OR_RETURN(v1::StoredEdge edge, parts_.edges.Get(name));
  change(edge);
  return parts_.edges.Store(held, edge);
}

absl::Status Admitter::Retire(const std::string& edge) {
  SELVAGE_RETURN_IF_ERROR(Change(edge, [](v1::StoredEdge& stored) { stored.set_retired(true); }));
  parts_.links.Close(edge);
  parts_.alarms.ClearOfPeer(edge);
  return absl::OkStatus();
}

void Admitter::Admit(v1::Hello hello, Done done) {
  {
    absl::MutexLock lock(&waiting_mutex_);
    waiting_.push_back({std::move(hello), std::move(done)});
    if (std::exchange(someone_admits_, true)) return;
  }
  for (Round round = TakeRound(); !round.empty(); round = TakeRound()) {
    Admit(round);
    for (const Admitting& one : round) one.done(one.outcome);
  }
}

Admitter::Round Admitter::TakeRound() {
  absl::MutexLock lock(&waiting_mutex_);
  Round round;
  while (!waiting_.empty() && round.size() < kAdmittedTogetherMax) {
    round.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  someone_admits_ = !round.empty();
  return round;
}

void Admitter::Admit(Round& round) {
  CoreDocument::Change change(parts_.core);
  const DecidedEdges decided = DecideOn(round, change);
  if (decided.empty()) return;
  const absl::Status stored = Store(round, decided, change);
  for (Admitting& one : round) {
    if (!one.decision) continue;
    // Also what was decided behind it counts: of two machines that are one edge, neither is let in.
    const v1::StoredEdge& edge = decided.at(one.hello.edge());
    if (!stored.ok()) {
      one.outcome = stored;
    } else if (!edge.held()) {
      one.outcome = WelcomeOf(one.hello, change.core(), *one.decision);
    } else {
      parts_.links.Close(edge.edge());
      one.outcome = MakeError(absl::StatusCode::kFailedPrecondition, edge.held_kind(),
                              fmt::format("edge {}: {}", edge.edge(), edge.held_why()),
                              "an operator must resolve the alarm at the core", Retry::kYes);
    }
  }
}

Admitter::DecidedEdges Admitter::DecideOn(Round& round, CoreDocument::Change& change) {
  KnownEdges edges = parts_.edges.Known(change);
  for (Admitting& one : round) {
    auto decision = DecideAdmission(one.hello, change.core(), edges, WallMs(parts_.clock));
    if (!decision.ok()) {
      one.outcome = decision.status();
      if (ErrorKind(decision.status()) == "foreign_cluster") ReportForeign(one.hello, decision.status());
      // Whoever is held can be released, also when the alarm was resolved before the edge was held again.
      if (ErrorKind(decision.status()) == "edge_held") ReportHold(*edges.Find(one.hello.edge()));
      continue;
    }
    edges.Decided(decision->edge);
    if (decision->hold.ok()) {
      change.core() = decision->core;
    } else {
      // The alarm first: an edge that is held without one could not be released after a crash in between.
      ReportHold(decision->edge);
    }
    one.decision = *std::move(decision);
  }
  return edges.decided();
}

absl::Status Admitter::Store(const Round& round, const DecidedEdges& decided, CoreDocument::Change& change) {
  std::vector<Fence> fences;
  for (const Admitting& one : round) {
    if (one.decision && one.decision->hold.ok()) fences.push_back(FenceOf(one.decision->edge));
  }
  SELVAGE_RETURN_IF_ERROR(RaiseFences(parts_.committer, parts_.fences, fences, [&](WriteBatch& batch) {
    for (const auto& [name, edge] : decided) EdgeRegistry::Stage(batch, edge);
    change.Stage(batch);
    return absl::OkStatus();
  }));
  change.Show();
  for (const auto& [name, edge] : decided) parts_.edges.Show(change, edge);
  for (const Fence& fence : fences) parts_.reports.Seen(fence.peer);
  return absl::OkStatus();
}

Admission Admitter::WelcomeOf(const v1::Hello& hello, const v1::StoredCore& core,
                              const AdmissionDecision& decision) {
  const v1::StoredEdge& edge = decision.edge;
  Admission admission;
  admission.slot = *CurrentSlot(edge);
  admission.fence = FenceOf(edge);
  v1::Welcome& welcome = admission.welcome;
  welcome.set_protocol(replication::kLinkProtocol);
  // The edge keeps the name by which it knows this cluster.
  welcome.set_cluster_id(hello.cluster_id().empty() ? core.cluster_id() : hello.cluster_id());
  welcome.set_lineage_id(core.lineage_id());
  welcome.set_slot(admission.slot.value());
  welcome.set_session_epoch(edge.session_epoch());
  welcome.set_wall_ms(WallMs(parts_.clock));
  welcome.set_version(version_);
  welcome.set_core(parts_.identity.node());
  if (decision.adopts) AddAdoptions(edge.edge(), admission.slot, welcome);
  return admission;
}

void Admitter::AddAdoptions(const std::string& edge, Slot slot, v1::Welcome& welcome) {
  for (const std::shared_ptr<Log>& log : parts_.logs.All()) {
    if (log->origin().edge != edge || log->origin().slot != slot || log->superseded()) continue;
    auto definition = parts_.catalog.Find(log->origin().stream);
    if (!definition || definition->direction() != v1::UP) continue;
    LogState state = log->state();
    v1::Adoption& adoption = *welcome.add_adoptions();
    adoption.set_stream(log->origin().stream);
    adoption.set_partition(log->origin().partition.value());
    *adoption.mutable_position() = ToProto(state.position());
    adoption.set_leader_epoch(state.leader_epoch().value() + 1);
  }
  parts_.alarms.Report({"edge_replaced", edge,
                        "an empty store took this edge's place and goes on where its replicas end",
                        "what the former disk held and never sent is lost with it", false, edge});
}

void Admitter::ReportHold(const v1::StoredEdge& edge) {
  parts_.alarms.Report(
      {edge.held_kind(), edge.edge(), edge.held_why(),
       "stop the machine that should not be there, then resolve this alarm: the edge links again", true});
}

void Admitter::ReportForeign(const v1::Hello& hello, const absl::Status& why) {
  auto cluster = ClusterId::FromBytes(hello.cluster_id());
  if (!cluster) return;
  parts_.alarms.Report(
      {"foreign_cluster", cluster->hex(), std::string(why.message()), ErrorHint(why), true, hello.edge()});
}

}  // namespace selvage
