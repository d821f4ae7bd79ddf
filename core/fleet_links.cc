#include <fmt/format.h>

#include <utility>

#include "core/admission.h"
#include "core/fleet.h"
#include "core/fleet_documents.h"
#include "fabric/base/error.h"
#include "fabric/base/id128.h"
#include "fabric/replication/message.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/log_flow.h"

/// The links of the fleet: what a decision on a hello does.
namespace selvage {
namespace {

/// Edges that are admitted with one sync: all of them wait for the last of them, and so does who looks at the
/// fleet while they are decided on.
constexpr size_t kAdmittedTogetherMax = 256;

Fence FenceOf(const v1::StoredEdge& edge) {
  return {edge.edge(), SessionEpoch(edge.session_epoch())};
}

}  // namespace

void Fleet::ReportHold(const v1::StoredEdge& edge) {
  node_.alarms().Report(
      {edge.held_kind(), edge.edge(), edge.held_why(),
       "stop the machine that should not be there, then resolve this alarm: the edge links again", true});
}

void Fleet::Relink(const std::string& edge) {
  std::function<void()> close;
  {
    absl::MutexLock lock(&mutex_);
    if (auto it = links_.find(edge); it != links_.end()) close = it->second.close;
  }
  if (close) close();
}

void Fleet::ReportForeign(const v1::Hello& hello, const absl::Status& why) {
  auto cluster = ClusterId::FromBytes(hello.cluster_id());
  if (!cluster) return;
  node_.alarms().Report(
      {"foreign_cluster", cluster->hex(), std::string(why.message()), ErrorHint(why), true, hello.edge()});
}

absl::Status Fleet::TakeOverCluster(const std::string& cluster_hex) {
  auto cluster = ClusterId::FromHex(cluster_hex);
  if (!cluster) return absl::OkStatus();
  absl::MutexLock change(&change_mutex_);
  v1::StoredCore core;
  {
    absl::MutexLock lock(&mutex_);
    core = core_;
  }
  core.add_other_cluster_ids(cluster->bytes());
  return StoreCore(core);
}

void Fleet::Admit(v1::Hello hello, AdmitDone done) {
  {
    absl::MutexLock lock(&admitting_mutex_);
    admitting_.push_back({std::move(hello), std::move(done)});
    if (std::exchange(someone_admits_, true)) return;
  }
  for (auto together = TakeAdmitting(); !together.empty(); together = TakeAdmitting()) {
    AdmitTogether(together);
    for (const Admitting& one : together) one.done(one.outcome);
  }
}

std::vector<Fleet::Admitting> Fleet::TakeAdmitting() {
  absl::MutexLock lock(&admitting_mutex_);
  std::vector<Admitting> together;
  while (!admitting_.empty() && together.size() < kAdmittedTogetherMax) {
    together.push_back(std::move(admitting_.front()));
    admitting_.pop_front();
  }
  someone_admits_ = !together.empty();
  return together;
}

void Fleet::AdmitTogether(std::vector<Admitting>& together) {
  absl::MutexLock change(&change_mutex_);
  const Decided decided = DecideOn(together);
  if (decided.edges.empty()) return;
  const absl::Status stored = StoreDecided(decided, together);
  for (Admitting& one : together) {
    if (!one.decision) continue;
    // Also what was decided behind it counts: of two machines that are one edge, neither is let in.
    const v1::StoredEdge& edge = decided.edges.at(one.hello.edge());
    if (!stored.ok()) {
      one.outcome = stored;
    } else if (!edge.held()) {
      one.outcome = WelcomeOf(one.hello, decided.core, *one.decision);
    } else {
      Relink(edge.edge());
      one.outcome = MakeError(absl::StatusCode::kFailedPrecondition, edge.held_kind(),
                              fmt::format("edge {}: {}", edge.edge(), edge.held_why()),
                              "an operator must resolve the alarm at the core", Retry::kYes);
    }
  }
}

Fleet::Decided Fleet::DecideOn(std::vector<Admitting>& together) {
  absl::MutexLock lock(&mutex_);
  v1::StoredCore core = core_;
  KnownEdges edges(edges_);
  for (Admitting& one : together) {
    auto decision = DecideAdmission(one.hello, core, edges, node_.wall_ms());
    if (!decision.ok()) {
      one.outcome = decision.status();
      if (ErrorKind(decision.status()) == "foreign_cluster") ReportForeign(one.hello, decision.status());
      // Whoever is held can be released, also when the alarm was resolved before the edge was held again.
      if (ErrorKind(decision.status()) == "edge_held") ReportHold(*edges.Find(one.hello.edge()));
      continue;
    }
    edges.Decided(decision->edge);
    if (decision->hold.ok()) {
      core = decision->core;
    } else {
      // The alarm first: an edge that is held without one could not be released after a crash in between.
      ReportHold(decision->edge);
    }
    one.decision = *std::move(decision);
  }
  return {std::move(core), edges.decided()};
}

absl::Status Fleet::StoreDecided(const Decided& decided, const std::vector<Admitting>& together) {
  std::vector<Fence> fences;
  for (const Admitting& one : together) {
    if (one.decision && one.decision->hold.ok()) fences.push_back(FenceOf(one.decision->edge));
  }
  SELVAGE_RETURN_IF_ERROR(node_.RaiseFences(fences, [&](WriteBatch& batch) {
    for (const auto& [name, edge] : decided.edges) StageEdge(batch, edge);
    StageCore(batch, decided.core);
    return absl::OkStatus();
  }));
  absl::MutexLock lock(&mutex_);
  for (const auto& [name, edge] : decided.edges) Show(edge);
  core_ = decided.core;
  for (const Fence& fence : fences) {
    reports_[fence.peer].set_last_seen_ms(node_.wall_ms());
    unstored_reports_.insert(fence.peer);
  }
  return absl::OkStatus();
}

Fleet::Admission Fleet::WelcomeOf(const v1::Hello& hello, const v1::StoredCore& core,
                                  const AdmissionDecision& decision) {
  const v1::StoredEdge& edge = decision.edge;
  Admission admission;
  admission.slot = Slot(edge.tenures(edge.tenures_size() - 1).slot());
  admission.fence = FenceOf(edge);
  v1::Welcome& welcome = admission.welcome;
  welcome.set_protocol(replication::kLinkProtocol);
  // The edge keeps the name by which it knows this cluster.
  welcome.set_cluster_id(hello.cluster_id().empty() ? core.cluster_id() : hello.cluster_id());
  welcome.set_lineage_id(core.lineage_id());
  welcome.set_slot(admission.slot.value());
  welcome.set_session_epoch(edge.session_epoch());
  welcome.set_wall_ms(node_.wall_ms());
  welcome.set_version(version_);
  welcome.set_core(node_.node());
  if (decision.adopts) AddAdoptions(edge.edge(), admission.slot, welcome);
  return admission;
}

void Fleet::AddAdoptions(const std::string& edge, Slot slot, v1::Welcome& welcome) {
  for (const std::shared_ptr<Log>& log : node_.logs().All()) {
    if (log->origin().edge != edge || log->origin().slot != slot || log->superseded()) continue;
    auto definition = node_.catalog().Find(log->origin().stream);
    if (!definition || definition->direction() != v1::UP) continue;
    LogState state = log->state();
    v1::Adoption& adoption = *welcome.add_adoptions();
    adoption.set_stream(log->origin().stream);
    adoption.set_partition(log->origin().partition.value());
    *adoption.mutable_position() = ToProto(state.position());
    adoption.set_leader_epoch(state.leader_epoch().value() + 1);
  }
  node_.alarms().Report({"edge_replaced", edge,
                         "an empty store took this edge's place and goes on where its replicas end",
                         "what the former disk held and never sent is lost with it", false, edge});
}

uint64_t Fleet::Linked(const std::string& edge, SessionEpoch epoch, std::function<void()> close,
                       std::function<void()> wake, NodeCaller call) {
  std::function<void()> former;
  uint64_t number = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (auto it = links_.find(edge); it != links_.end()) {
      if (it->second.epoch > epoch) return 0;
      former = it->second.close;
    }
    number = next_link_++;
    links_[edge] = Link{number, std::move(close), std::move(wake), std::move(call), epoch};
  }
  if (former) former();
  return number;
}

void Fleet::Unlinked(const std::string& edge, uint64_t link) {
  absl::MutexLock lock(&mutex_);
  auto it = links_.find(edge);
  if (it == links_.end() || it->second.number != link) return;
  links_.erase(it);
  reports_[edge].set_last_seen_ms(node_.wall_ms());
  unstored_reports_.insert(edge);
}

void Fleet::Heard(const std::string& edge, uint64_t link) {
  absl::MutexLock lock(&mutex_);
  const auto it = links_.find(edge);
  if (it != links_.end() && it->second.number == link) reports_[edge].set_last_seen_ms(node_.wall_ms());
}

void Fleet::SetFlowOpen(const std::string& edge, uint64_t link, LogNumber log, bool open) {
  absl::MutexLock lock(&mutex_);
  auto it = links_.find(edge);
  if (it == links_.end() || it->second.number != link) return;
  if (open) {
    it->second.open_flows.insert(log);
  } else {
    it->second.open_flows.erase(log);
  }
}

bool Fleet::IsLinked(const std::string& edge, uint64_t link) const {
  absl::MutexLock lock(&mutex_);
  auto it = links_.find(edge);
  return it != links_.end() && it->second.number == link;
}

void Fleet::CallEdge(const std::string& edge, NodeCall call, CallDone done) const {
  NodeCaller caller;
  absl::Status refused;
  {
    absl::MutexLock lock(&mutex_);
    if (const auto link = links_.find(edge); link != links_.end() && link->second.call) {
      caller = link->second.call;
    } else if (!edges_.contains(edge)) {
      refused = UnknownEdge(edge);
    } else {
      const auto report = reports_.find(edge);
      const int64_t seen_ms = report == reports_.end() ? 0 : report->second.last_seen_ms();
      refused = MakeError(
          absl::StatusCode::kUnavailable, "edge_offline",
          seen_ms == 0 ? fmt::format("edge {} is not linked", edge)
                       : fmt::format("edge {} is not linked; it was last seen at {}", edge,
                                     absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixMillis(seen_ms),
                                                      absl::UTCTimeZone())),
          "what it does meanwhile is known there alone: ask again when it is linked", Retry::kYes);
    }
  }
  if (!refused.ok()) return done(refused);
  caller(std::move(call), std::move(done));
}

int Fleet::links() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(links_.size());
}

absl::Status Fleet::BranchDownLog(const std::shared_ptr<Log>& log, const LogPosition& from) {
  const bool shared = log->origin().edge.empty();
  LogPosition at = from;
  if (shared) {
    SELVAGE_ASSIGN_OR_RETURN(at, log->BoundaryAtOrBefore(log->state().start));
  }
  SELVAGE_RETURN_IF_ERROR(
      node_.logs().BranchAll({{log, LogId::Mint(node_.random()), at}}, [](WriteBatch&) {}));
  node_.alarms().Report(
      {"fork", ToString(log->origin()),
       "edges hold another history of this stream: the core was restored from a backup",
       "what the stream holds since goes into a new log at the edges; nothing there is overwritten", false});
  std::vector<std::function<void()>> closes;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [edge, link] : links_) {
      if (shared || edge == log->origin().edge) closes.push_back(link.close);
    }
  }
  for (const auto& close : closes) close();
  return absl::OkStatus();
}

void Fleet::SpecChanged(const std::string& only) {
  ++spec_changes_;
  std::vector<std::function<void()>> wakes;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [edge, link] : links_) {
      if (only.empty() || edge == only) wakes.push_back(link.wake);
    }
  }
  for (const auto& wake : wakes) wake();
}

}  // namespace selvage
