#include "core/fleet.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"
#include "fabric/replication/message.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"
#include "fabric/telemetry/log.h"

namespace selvage {
namespace {

constexpr int kSupersededBootIdsMax = 64;
constexpr int64_t kDayMs = 24 * 3600 * 1000LL;

std::string EdgeKey(const std::string& edge) { return std::string(kEdgePrefix) + edge; }

absl::Status Unknown(const std::string& edge) {
  return MakeError(absl::StatusCode::kNotFound, "unknown_edge", fmt::format("no edge {} was ever linked", edge),
                   "selvagectl edge list shows the edges");
}

}  // namespace

absl::Status Fleet::Open(const std::vector<v1::StreamDefinition>& configured) {
  SELVAGE_ASSIGN_OR_RETURN(auto stored, node_.store().Get(Family::kMeta, kCoreKey));
  v1::StoredCore core;
  if (stored && !core.ParseFromString(*stored)) {
    return MakeError(absl::StatusCode::kDataLoss, "corrupt_meta", "the store's core document is damaged");
  }
  if (!stored) {
    core.set_cluster_id(ClusterId::Mint(node_.random()).bytes());
    core.set_lineage_id(LineageId::Mint(node_.random()).bytes());
    core.set_generation(1);
    SELVAGE_RETURN_IF_ERROR(Commit(node_.committer(), [&](WriteBatch& batch) {
      StageCore(batch, core);
      return absl::OkStatus();
    }));
  }
  {
    absl::MutexLock lock(&mutex_);
    core_ = core;
    auto cursor = node_.store().Scan(Family::kMeta, kEdgePrefix, PrefixEnd(kEdgePrefix));
    for (cursor->Seek(kEdgePrefix); cursor->Valid(); cursor->Next()) {
      v1::StoredEdge edge;
      if (!edge.ParseFromString(std::string(cursor->value()))) {
        return MakeError(absl::StatusCode::kDataLoss, "corrupt_meta", "a stored edge document is damaged");
      }
      edges_[edge.edge()] = edge;
    }
    SELVAGE_RETURN_IF_ERROR(cursor->status());
  }
  auto release = [this](const v1::AlarmDocument& alarm, const std::string&) {
    return ChangeEdge(alarm.subject(), [](v1::StoredEdge& edge) {
      edge.set_held(false);
      edge.clear_superseded_boot_ids();
      edge.set_slot_given_ms(0);
    }, false);
  };
  node_.alarms().OnResolve("clone", release);
  node_.alarms().OnResolve("second_new_store", release);
  for (const v1::StreamDefinition& definition : configured) {
    auto known = node_.catalog().Find(definition.name());
    if (!known) {
      SELVAGE_RETURN_IF_ERROR(CreateStream(definition).status());
    } else if (absl::Status same = CheckSameShape(*known, definition); !same.ok()) {
      return Annotate(same, "the configuration and the store disagree");
    }
  }
  for (const v1::StreamDefinition& definition : node_.catalog().All()) {
    SELVAGE_RETURN_IF_ERROR(CreateSharedLogs(definition));
  }
  return absl::OkStatus();
}

absl::Status Fleet::StartLineage() {
  absl::MutexLock change(&change_mutex_);
  v1::StoredCore core = NextGeneration();
  core.set_lineage_id(LineageId::Mint(node_.random()).bytes());
  SELVAGE_RETURN_IF_ERROR(Commit(node_.committer(), [&](WriteBatch& batch) {
    StageCore(batch, core);
    return absl::OkStatus();
  }));
  absl::MutexLock lock(&mutex_);
  core_ = core;
  return absl::OkStatus();
}

void Fleet::StageCore(WriteBatch& batch, const v1::StoredCore& core) {
  batch.Put(Family::kMeta, kCoreKey, {core.SerializeAsString()});
}

v1::StoredCore Fleet::NextGeneration() const {
  absl::MutexLock lock(&mutex_);
  v1::StoredCore core = core_;
  core.set_generation(core.generation() + 1);
  return core;
}

uint64_t Fleet::generation() const {
  absl::MutexLock lock(&mutex_);
  return core_.generation();
}

// --- Links ---------------------------------------------------------------------------------------------------------

absl::Status Fleet::CheckHello(const v1::Hello& hello, const v1::StoredEdge& edge) const {
  if (hello.protocol() != 1) {
    return MakeError(absl::StatusCode::kUnimplemented, "unsupported_protocol",
                     fmt::format("the edge speaks link protocol {}, this core 1", hello.protocol()), "upgrade the older end");
  }
  if (hello.store_id().size() != 16 || hello.boot_id().size() != 16) {
    return MakeError(absl::StatusCode::kInvalidArgument, "protocol_error", "a hello without store id and boot id");
  }
  if (edge.retired()) {
    return MakeError(absl::StatusCode::kPermissionDenied, "edge_retired", fmt::format("edge {} was retired", hello.edge()),
                     "give the site a new edge id and certificate");
  }
  if (edge.held()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "edge_held",
                     fmt::format("edge {} is held until an operator decides", hello.edge()),
                     "selvagectl alarm list at the core says why", Retry::kYes);
  }
  return absl::OkStatus();
}

bool Fleet::SlotTaken(uint32_t slot) const {
  for (const auto& [name, edge] : edges_) {
    for (const auto& tenure : edge.tenures()) {
      if (tenure.slot() == slot) return true;
    }
  }
  return false;
}

uint32_t Fleet::GiveSlot(std::optional<uint32_t> claimed) {
  uint32_t slot = core_.next_slot();
  // An edge that remembers a slot this core knows nothing of keeps it: the core was restored or replaced.
  if (claimed && !SlotTaken(*claimed)) slot = *claimed;
  while (SlotTaken(slot)) ++slot;
  core_.set_next_slot(std::max(core_.next_slot(), slot + 1));
  return slot;
}

absl::Status Fleet::TakeTenure(const v1::Hello& hello, v1::StoredEdge& edge, bool& adopts) {
  std::optional<uint32_t> claimed;
  if (hello.has_slot()) claimed = hello.slot();
  if (edge.tenures().empty()) {
    auto* tenure = edge.add_tenures();
    tenure->set_slot(GiveSlot(claimed));
    tenure->set_store_id(hello.store_id());
    return absl::OkStatus();
  }
  auto& current = *edge.mutable_tenures(edge.tenures_size() - 1);
  if (current.store_id() == hello.store_id()) return absl::OkStatus();
  for (const auto& former : edge.tenures()) {
    if (former.store_id() == hello.store_id()) {
      return MakeError(absl::StatusCode::kAborted, "clone", "a store that was replaced before is back");
    }
  }
  if (hello.empty()) {
    current.set_store_id(hello.store_id());
    adopts = true;
    return absl::OkStatus();
  }
  int64_t now = node_.wall_ms();
  if (edge.slot_given_ms() > 0 && now - edge.slot_given_ms() < kDayMs) {
    return MakeError(absl::StatusCode::kAborted, "second_new_store", "a second store with a history of its own within a day");
  }
  auto* tenure = edge.add_tenures();
  tenure->set_slot(GiveSlot(claimed));
  tenure->set_store_id(hello.store_id());
  edge.set_slot_given_ms(now);
  return absl::OkStatus();
}

absl::Status Fleet::HoldEdge(const std::string& edge, std::string_view kind, std::string message) {
  SELVAGE_RETURN_IF_ERROR(ChangeEdge(edge, [](v1::StoredEdge& stored) { stored.set_held(true); }, false));
  node_.alarms().Report({kind, edge, message,
                         "stop the machine that should not be there, then resolve this alarm: the edge links again", true});
  std::function<void()> close;
  {
    absl::MutexLock lock(&mutex_);
    if (auto it = links_.find(edge); it != links_.end()) close = it->second.close;
  }
  if (close) close();
  return MakeError(absl::StatusCode::kFailedPrecondition, kind, fmt::format("edge {}: {}", edge, message),
                   "an operator must resolve the alarm at the core", Retry::kYes);
}

absl::StatusOr<Fleet::Admission> Fleet::Admit(const v1::Hello& hello) {
  absl::ReleasableMutexLock change(&change_mutex_);
  v1::StoredEdge edge;
  v1::StoredCore core;
  bool adopts = false;
  absl::Status tenure;
  {
    absl::MutexLock lock(&mutex_);
    if (auto it = edges_.find(hello.edge()); it != edges_.end()) edge = it->second;
    v1::StoredCore before = core_;
    edge.set_edge(hello.edge());
    SELVAGE_RETURN_IF_ERROR(CheckHello(hello, edge));
    if (!hello.cluster_id().empty() && hello.cluster_id() != core_.cluster_id()) {
      if (!edges_.empty()) {
        return MakeError(absl::StatusCode::kFailedPrecondition, "foreign_cluster",
                         fmt::format("edge {} belongs to another cluster", hello.edge()), "check the edge's link.addresses");
      }
      // A core that no edge ever linked with takes the place of one that was lost.
      core_.set_cluster_id(hello.cluster_id());
    }
    const auto& superseded = edge.superseded_boot_ids();
    if (std::find(superseded.begin(), superseded.end(), hello.boot_id()) != superseded.end()) {
      tenure = MakeError(absl::StatusCode::kAborted, "clone",
                         "two machines run the same store: a process that was superseded dialled again");
    } else {
      tenure = TakeTenure(hello, edge, adopts);
    }
    core = core_;
    core_ = before;
  }
  if (!tenure.ok()) {
    change.Release();
    return HoldEdge(hello.edge(), ErrorKind(tenure), std::string(tenure.message()));
  }
  if (!edge.boot_id().empty() && edge.boot_id() != hello.boot_id()) {
    edge.add_superseded_boot_ids(edge.boot_id());
    auto& ids = *edge.mutable_superseded_boot_ids();
    if (ids.size() > kSupersededBootIdsMax) ids.DeleteSubrange(0, ids.size() - kSupersededBootIdsMax);
  }
  edge.set_boot_id(hello.boot_id());
  edge.set_session_epoch(std::max(edge.session_epoch(), hello.session_epoch()) + 1);
  edge.set_last_seen_ms(node_.wall_ms());

  Admission admission;
  admission.slot = Slot(edge.tenures(edge.tenures_size() - 1).slot());
  admission.fence = Fence{hello.edge(), SessionEpoch(edge.session_epoch())};
  SELVAGE_RETURN_IF_ERROR(node_.RaiseFence(admission.fence, [&](WriteBatch& batch) {
    batch.Put(Family::kMeta, EdgeKey(edge.edge()), {edge.SerializeAsString()});
    StageCore(batch, core);
    return absl::OkStatus();
  }));
  {
    absl::MutexLock lock(&mutex_);
    edges_[edge.edge()] = edge;
    core_ = core;
  }
  v1::Welcome& welcome = admission.welcome;
  welcome.set_protocol(1);
  welcome.set_cluster_id(core.cluster_id());
  welcome.set_lineage_id(core.lineage_id());
  welcome.set_slot(admission.slot.value());
  welcome.set_session_epoch(edge.session_epoch());
  welcome.set_wall_ms(node_.wall_ms());
  welcome.set_version(version_);
  welcome.set_core(node_.node());
  if (adopts) AddAdoptions(edge.edge(), admission.slot, welcome);
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
    *adoption.mutable_position() = replication::ToProto(state.position());
    adoption.set_leader_epoch(state.leader_epoch().value() + 1);
  }
  node_.alarms().Report({"edge_replaced", edge, "an empty store took this edge's place and goes on where its replicas end",
                         "what the former disk held and never sent is lost with it", false});
}

uint64_t Fleet::Linked(const std::string& edge, std::function<void()> close, std::function<void()> wake) {
  std::function<void()> former;
  uint64_t number = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (auto it = links_.find(edge); it != links_.end()) former = it->second.close;
    number = next_link_++;
    links_[edge] = Link{number, std::move(close), std::move(wake), false};
  }
  if (former) former();
  return number;
}

void Fleet::Unlinked(const std::string& edge, uint64_t link) {
  absl::MutexLock lock(&mutex_);
  auto it = links_.find(edge);
  if (it == links_.end() || it->second.number != link) return;
  links_.erase(it);
  edges_[edge].set_last_seen_ms(node_.wall_ms());
  dirty_[edge] = true;
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

void Fleet::WakeAll() {
  std::vector<std::function<void()>> wakes;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [edge, link] : links_) wakes.push_back(link.wake);
  }
  for (const auto& wake : wakes) wake();
}

// --- Logs ----------------------------------------------------------------------------------------------------------

absl::StatusOr<Log*> Fleet::LogForOffer(const std::string& edge, Slot slot, const v1::FlowOpen& open) {
  auto id = LogId::FromBytes(open.log_id());
  if (open.kind() != v1::STREAM || !id || id->none() || open.base() < 0) {
    return MakeError(absl::StatusCode::kInvalidArgument, "protocol_error", "an offer without a log, or of an unknown kind");
  }
  if (!open.origin_edge().empty() && open.origin_edge() != edge) {
    return MakeError(absl::StatusCode::kPermissionDenied, "permission_denied",
                     fmt::format("edge {} may not write a partition of edge {}", edge, open.origin_edge()),
                     "an edge writes only what is its own");
  }
  SELVAGE_ASSIGN_OR_RETURN(v1::StreamDefinition offered, CompleteDefinition(open.definition()));
  if (offered.name() != open.name() || offered.direction() != v1::UP || open.partition() < 0 ||
      open.partition() >= offered.partitions()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "wrong_partition",
                     fmt::format("edge {} offers partition {} of {}, which the stream does not have", edge, open.partition(),
                                 open.name()));
  }
  auto known = node_.catalog().Find(open.name());
  if (known) {
    SELVAGE_RETURN_IF_ERROR(CheckSameShape(*known, offered));
  } else {
    auto created = CreateStream(offered);  // provisional until now
    if (!created.ok() && created.status().code() != absl::StatusCode::kAlreadyExists) return created.status();
  }
  LogOrigin origin{edge, slot, open.name(), PartitionId(open.partition())};
  EmbeddedLog* log = node_.logs().Find(origin);
  if (log != nullptr && log->state().id == *id) return log;
  if (log != nullptr) {
    node_.alarms().Report({"log_replaced", ToString(origin), "the edge made this stream again: a new log takes the place of the one held here",
                           "the former log is kept until the stream is deleted; consumers start again at offset 0", false});
  }
  return node_.logs().Create({.origin = origin, .id = *id, .base = Offset(open.base()),
                              .base_hash = ChainHash(open.base_hash()), .leader_epoch = LeaderEpoch(0)});
}

absl::Status Fleet::CreateSharedLogs(const v1::StreamDefinition& definition) {
  if (definition.direction() != v1::DOWN_SHARED && definition.direction() != v1::LOCAL) return absl::OkStatus();
  return node_.CreateOwnLogs(definition);
}

absl::StatusOr<std::vector<Fleet::DownLog>> Fleet::DownLogs(const std::string& edge) {
  std::vector<DownLog> down;
  for (const v1::StreamDefinition& definition : node_.catalog().All()) {
    bool own = definition.direction() == v1::DOWN;
    if (!own && definition.direction() != v1::DOWN_SHARED) continue;
    for (int32_t p = 0; p < definition.partitions(); ++p) {
      LogOrigin origin{own ? edge : "", Slot(0), definition.name(), PartitionId(p)};
      EmbeddedLog* log = node_.logs().Find(origin);
      if (log == nullptr) {
        absl::MutexLock change(&change_mutex_);
        log = node_.logs().Find(origin);
        if (log == nullptr) {
          SELVAGE_RETURN_IF_ERROR(node_.logs().Create({.origin = origin, .id = LogId::Mint(node_.random()), .base = Offset(0),
                                                       .base_hash = ChainHash(0), .leader_epoch = LeaderEpoch(0)}).status());
          log = node_.logs().Find(origin);
        }
      }
      down.push_back({log, definition});
    }
  }
  return down;
}

// --- Control -------------------------------------------------------------------------------------------------------

absl::StatusOr<v1::StreamDefinition> Fleet::CreateStream(v1::StreamDefinition definition) {
  SELVAGE_ASSIGN_OR_RETURN(definition, CompleteDefinition(std::move(definition)));
  {
    absl::MutexLock change(&change_mutex_);
    if (node_.catalog().Find(definition.name())) {
      return MakeError(absl::StatusCode::kAlreadyExists, "stream_exists", fmt::format("stream {} exists", definition.name()),
                       "selvagectl stream describe shows it; stream set changes its settings");
    }
    v1::StoredCore core = NextGeneration();
    definition.set_generation(core.generation());
    SELVAGE_RETURN_IF_ERROR(node_.catalog().Put(definition, [&](WriteBatch& batch) { StageCore(batch, core); }));
    SELVAGE_RETURN_IF_ERROR(CreateSharedLogs(definition));
    absl::MutexLock lock(&mutex_);
    core_.set_generation(core.generation());
  }
  WakeAll();
  return definition;
}

absl::StatusOr<v1::StreamDefinition> Fleet::SetStream(const v1::SetStreamRequest& request) {
  v1::StreamDefinition definition;
  {
    absl::MutexLock change(&change_mutex_);
    auto known = node_.catalog().Find(request.stream());
    if (!known) {
      return MakeError(absl::StatusCode::kNotFound, "unknown_stream", fmt::format("there is no stream {}", request.stream()),
                       "selvagectl stream list shows what there is");
    }
    if (request.if_generation() != 0 && request.if_generation() != known->generation()) {
      return MakeError(absl::StatusCode::kAborted, "generation_mismatch",
                       fmt::format("stream {} has generation {}, not {}", request.stream(), known->generation(), request.if_generation()),
                       "somebody else changed it: look at it again", Retry::kYes);
    }
    definition = *known;
    SELVAGE_RETURN_IF_ERROR(MergeSettings(request.settings(), {request.fields().begin(), request.fields().end()},
                                          *definition.mutable_settings()));
    SELVAGE_ASSIGN_OR_RETURN(definition, CompleteDefinition(definition));
    v1::StoredCore core = NextGeneration();
    definition.set_generation(core.generation());
    SELVAGE_RETURN_IF_ERROR(node_.catalog().Put(definition, [&](WriteBatch& batch) { StageCore(batch, core); }));
    absl::MutexLock lock(&mutex_);
    core_.set_generation(core.generation());
  }
  WakeAll();
  return definition;
}

absl::StatusOr<int> Fleet::DeleteStream(const std::string& name) {
  int logs = 0;
  {
    absl::MutexLock change(&change_mutex_);
    if (!node_.catalog().Find(name)) {
      return MakeError(absl::StatusCode::kNotFound, "unknown_stream", fmt::format("there is no stream {}", name),
                       "selvagectl stream list shows what there is");
    }
    v1::StoredCore core = NextGeneration();
    SELVAGE_RETURN_IF_ERROR(node_.catalog().Remove(name, [&](WriteBatch& batch) { StageCore(batch, core); }));
    {
      absl::MutexLock lock(&mutex_);
      core_.set_generation(core.generation());
    }
    SELVAGE_ASSIGN_OR_RETURN(logs, node_.logs().DeleteStream(name));
  }
  WakeAll();
  return logs;
}

v1::EdgeSpec Fleet::SpecFor(const std::string& edge) const {
  v1::EdgeSpec spec;
  for (v1::StreamDefinition& definition : node_.catalog().All()) {
    if (definition.direction() != v1::LOCAL) *spec.add_streams() = std::move(definition);
  }
  absl::MutexLock lock(&mutex_);
  spec.set_generation(core_.generation());
  if (auto it = edges_.find(edge); it != edges_.end()) {
    *spec.mutable_labels() = it->second.labels();
    spec.set_max_rate(it->second.max_rate());
  }
  return spec;
}

void Fleet::TakeStatus(const std::string& edge, const v1::EdgeStatus& status) {
  absl::MutexLock lock(&mutex_);
  auto it = edges_.find(edge);
  if (it == edges_.end()) return;
  *it->second.mutable_status() = status;
  it->second.set_last_seen_ms(node_.wall_ms());
  dirty_[edge] = true;
  if (auto link = links_.find(edge); link != links_.end()) link->second.reported = true;
}

absl::Status Fleet::Flush() {
  std::vector<v1::StoredEdge> changed;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [name, dirty] : dirty_) changed.push_back(edges_[name]);
    dirty_.clear();
  }
  if (changed.empty()) return absl::OkStatus();
  return Commit(node_.committer(), [&](WriteBatch& batch) {
    absl::MutexLock lock(&mutex_);
    // Whatever was admitted since is in edges_ already, so nothing newer is overwritten.
    for (const v1::StoredEdge& edge : changed) {
      batch.Put(Family::kMeta, EdgeKey(edge.edge()), {edges_[edge.edge()].SerializeAsString()});
    }
    return absl::OkStatus();
  });
}

v1::EdgeSummary Fleet::SummaryOf(const v1::StoredEdge& edge) const {
  v1::EdgeSummary summary;
  summary.set_edge(edge.edge());
  summary.set_connected(links_.contains(edge.edge()));
  for (int i = 0; i + 1 < edge.tenures_size(); ++i) summary.add_former_slots(edge.tenures(i).slot());
  if (!edge.tenures().empty()) {
    summary.set_slot(edge.tenures(edge.tenures_size() - 1).slot());
    summary.set_store_id(edge.tenures(edge.tenures_size() - 1).store_id());
  }
  *summary.mutable_labels() = edge.labels();
  summary.set_max_rate(edge.max_rate());
  summary.set_retired(edge.retired());
  summary.set_held(edge.held());
  summary.set_last_seen_ms(edge.last_seen_ms());
  summary.set_session_epoch(edge.session_epoch());
  summary.set_spec_generation(core_.generation());
  *summary.mutable_status() = edge.status();
  return summary;
}

std::vector<v1::EdgeSummary> Fleet::Summaries() const {
  absl::MutexLock lock(&mutex_);
  std::vector<v1::EdgeSummary> summaries;
  for (const auto& [name, edge] : edges_) summaries.push_back(SummaryOf(edge));
  return summaries;
}

absl::StatusOr<v1::EdgeSummary> Fleet::Summary(const std::string& edge) const {
  absl::MutexLock lock(&mutex_);
  auto it = edges_.find(edge);
  if (it == edges_.end()) return Unknown(edge);
  return SummaryOf(it->second);
}

absl::Status Fleet::ChangeEdge(const std::string& edge, const std::function<void(v1::StoredEdge&)>& change,
                               bool new_generation) {
  absl::MutexLock change_lock(&change_mutex_);
  v1::StoredEdge stored;
  v1::StoredCore core = NextGeneration();
  {
    absl::MutexLock lock(&mutex_);
    auto it = edges_.find(edge);
    if (it == edges_.end()) return Unknown(edge);
    if (!new_generation) core = core_;
    change(it->second);
    stored = it->second;
  }
  SELVAGE_RETURN_IF_ERROR(Commit(node_.committer(), [&](WriteBatch& batch) {
    batch.Put(Family::kMeta, EdgeKey(edge), {stored.SerializeAsString()});
    StageCore(batch, core);
    return absl::OkStatus();
  }));
  absl::MutexLock lock(&mutex_);
  core_ = core;
  return absl::OkStatus();
}

absl::StatusOr<v1::EdgeSummary> Fleet::SetEdge(const v1::SetEdgeRequest& request) {
  SELVAGE_RETURN_IF_ERROR(ChangeEdge(request.edge(), [&](v1::StoredEdge& edge) {
    for (const auto& [key, value] : request.set_labels()) (*edge.mutable_labels())[key] = value;
    for (const std::string& key : request.remove_labels()) edge.mutable_labels()->erase(key);
    if (request.set_max_rate()) edge.set_max_rate(request.max_rate());
  }, true));
  WakeAll();
  return Summary(request.edge());
}

absl::StatusOr<v1::EdgeSummary> Fleet::Retire(const std::string& edge) {
  SELVAGE_RETURN_IF_ERROR(ChangeEdge(edge, [](v1::StoredEdge& stored) { stored.set_retired(true); }, false));
  std::function<void()> close;
  {
    absl::MutexLock lock(&mutex_);
    if (auto it = links_.find(edge); it != links_.end()) close = it->second.close;
  }
  if (close) close();
  return Summary(edge);
}

std::optional<Slot> Fleet::SlotOf(const std::string& edge) const {
  absl::MutexLock lock(&mutex_);
  auto it = edges_.find(edge);
  if (it == edges_.end() || it->second.tenures().empty()) return std::nullopt;
  return Slot(it->second.tenures(it->second.tenures_size() - 1).slot());
}

bool Fleet::HasReported(const std::string& edge) const {
  absl::MutexLock lock(&mutex_);
  auto it = links_.find(edge);
  return it != links_.end() && it->second.reported;
}

std::vector<v1::FlowStatus> Fleet::FlowStatuses(const std::string& only) const {
  std::vector<v1::FlowStatus> rows;
  for (const v1::EdgeSummary& edge : Summaries()) {
    if (!only.empty() && edge.edge() != only) continue;
    for (v1::FlowStatus flow : edge.status().flows()) {
      bool up = flow.direction() == v1::UP;
      int64_t reported_lag = flow.source_end() - flow.replica_end();
      LogOrigin origin{flow.edge(), Slot(edge.slot()), flow.stream(), PartitionId(flow.partition())};
      if (!up) origin = {flow.direction() == v1::DOWN ? edge.edge() : "", Slot(0), flow.stream(), PartitionId(flow.partition())};
      if (EmbeddedLog* log = node_.logs().Find(origin); log != nullptr) {
        LogState state = log->state();
        // Each end knows its own end best.
        if (up) flow.set_replica_end(state.end.value());
        if (up && flow.source_end() < state.end.value()) flow.set_source_end(state.end.value());
        if (!up) flow.set_source_end(state.end.value());
        if (!up && flow.replica_end() < flow.source_end() && flow.state() == "caught_up") flow.set_state("streaming");
      }
      if (flow.replica_end() >= flow.source_end()) {
        flow.set_lag_bytes(0);
        flow.set_lag_seconds(0);
        flow.set_catch_up_seconds(0);
        if (flow.state() == "streaming") flow.set_state("caught_up");
      }
      int64_t lag = flow.source_end() - flow.replica_end();
      if (up && lag > 0 && lag < reported_lag) {
        // The report is some seconds old; what arrived since is not missing any more.
        double left = static_cast<double>(lag) / static_cast<double>(reported_lag);
        flow.set_lag_bytes(static_cast<uint64_t>(static_cast<double>(flow.lag_bytes()) * left));
        if (flow.catch_up_seconds() > 0) flow.set_catch_up_seconds(flow.catch_up_seconds() * left);
      }
      if (!edge.connected()) flow.set_state("offline");
      // Until it reports, what the edge wrote while there was no link is not known here.
      if (edge.connected() && !HasReported(edge.edge())) flow.set_state("opening");
      flow.set_slot(edge.slot());
      rows.push_back(std::move(flow));
    }
  }
  return rows;
}

}  // namespace selvage
