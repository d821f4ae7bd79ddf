#include <fmt/format.h>

#include "core/admission.h"
#include "core/fleet.h"
#include "core/fleet_documents.h"
#include "fabric/base/error.h"
#include "fabric/base/id128.h"
#include "fabric/control/link_repair.h"
#include "fabric/replication/message.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/log_flow.h"

/// The links of the fleet: what a decision on a hello does.
namespace selvage {

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

absl::Status Fleet::HoldEdge(const v1::StoredEdge& edge, const absl::Status& why) {
  // The alarm first: an edge that is held without one could not be released after a crash in between.
  ReportHold(edge);
  SELVAGE_RETURN_IF_ERROR(StoreEdge(edge));
  Relink(edge.edge());
  return MakeError(absl::StatusCode::kFailedPrecondition, ErrorKind(why),
                   fmt::format("edge {}: {}", edge.edge(), std::string(why.message())),
                   "an operator must resolve the alarm at the core", Retry::kYes);
}

absl::Status Fleet::RefuseForeign(const v1::Hello& hello, const absl::Status& why) {
  auto cluster = ClusterId::FromBytes(hello.cluster_id());
  if (!cluster) return why;
  node_.alarms().Report(
      {"foreign_cluster", cluster->hex(), std::string(why.message()), ErrorHint(why), true, hello.edge()});
  return why;
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

absl::StatusOr<Fleet::Admission> Fleet::Admit(const v1::Hello& hello) {
  absl::MutexLock change(&change_mutex_);
  absl::StatusOr<AdmissionDecision> decision;
  {
    absl::MutexLock lock(&mutex_);
    decision = DecideAdmission(hello, core_, edges_, node_.wall_ms());
  }
  if (ErrorKind(decision.status()) == "foreign_cluster") return RefuseForeign(hello, decision.status());
  if (ErrorKind(decision.status()) == "edge_held") {
    // Whoever is held can be released, also when the alarm was resolved before the edge was held again.
    absl::MutexLock lock(&mutex_);
    ReportHold(edges_[hello.edge()]);
  }
  if (!decision.ok()) return decision.status();
  const v1::StoredEdge& edge = decision->edge;
  const v1::StoredCore& core = decision->core;
  if (!decision->hold.ok()) return HoldEdge(edge, decision->hold);

  Admission admission;
  admission.slot = Slot(edge.tenures(edge.tenures_size() - 1).slot());
  admission.fence = Fence{hello.edge(), SessionEpoch(edge.session_epoch())};
  SELVAGE_RETURN_IF_ERROR(node_.RaiseFence(admission.fence, [&](WriteBatch& batch) {
    StageEdge(batch, edge);
    StageCore(batch, core);
    return absl::OkStatus();
  }));
  {
    absl::MutexLock lock(&mutex_);
    Show(edge);
    core_ = core;
    reports_[hello.edge()].set_last_seen_ms(node_.wall_ms());
    unstored_reports_.insert(hello.edge());
  }
  v1::Welcome& welcome = admission.welcome;
  welcome.set_protocol(replication::kLinkProtocol);
  // The edge keeps the name by which it knows this cluster.
  welcome.set_cluster_id(hello.cluster_id().empty() ? core.cluster_id() : hello.cluster_id());
  welcome.set_lineage_id(core.lineage_id());
  welcome.set_slot(admission.slot.value());
  welcome.set_session_epoch(edge.session_epoch());
  welcome.set_wall_ms(node_.wall_ms());
  welcome.set_version(version_);
  welcome.add_capabilities(std::string(kRepairCapability));
  welcome.set_core(node_.node());
  if (decision->adopts) AddAdoptions(edge.edge(), admission.slot, welcome);
  return admission;
}

void Fleet::AddAdoptions(const std::string& edge, Slot slot, v1::Welcome& welcome) {
  for (EmbeddedLog* log : node_.logs().Logs()) {
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
                       std::function<void()> wake) {
  std::function<void()> former;
  uint64_t number = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (auto it = links_.find(edge); it != links_.end()) {
      if (it->second.epoch > epoch) return 0;
      former = it->second.close;
    }
    number = next_link_++;
    links_[edge] = Link{number, std::move(close), std::move(wake), epoch};
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

int Fleet::links() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(links_.size());
}

absl::Status Fleet::BranchDownLog(EmbeddedLog& log, const LogPosition& from) {
  const bool shared = log.origin().edge.empty();
  LogPosition at = from;
  if (shared) {
    SELVAGE_ASSIGN_OR_RETURN(at, log.BoundaryAtOrBefore(log.state().start));
  }
  SELVAGE_RETURN_IF_ERROR(
      node_.logs().BranchAll({{&log, LogId::Mint(node_.random()), at}}, [](WriteBatch&) {}));
  node_.alarms().Report(
      {"fork", ToString(log.origin()),
       "edges hold another history of this stream: the core was restored from a backup",
       "what the stream holds since goes into a new log at the edges; nothing there is overwritten", false});
  std::vector<std::function<void()>> closes;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [edge, link] : links_) {
      if (shared || edge == log.origin().edge) closes.push_back(link.close);
    }
  }
  for (const auto& close : closes) close();
  return absl::OkStatus();
}

void Fleet::WakeAll() {
  std::vector<std::function<void()>> wakes;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [edge, link] : links_) wakes.push_back(link.wake);
  }
  for (const auto& wake : wakes) wake();
}

}  // namespace selvage
