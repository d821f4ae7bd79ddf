#include "core/fleet.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/admission.h"
#include "core/fleet_documents.h"
#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/replication/message.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"
#include "fabric/telemetry/log.h"

namespace selvage {
namespace {

/// What an edge offers makes logs here, and each costs memory and stays.
constexpr int64_t kLogsOfEdgeMax = 20'000;

}  // namespace

absl::Status Fleet::UnknownEdge(const std::string& edge) {
  return MakeError(absl::StatusCode::kNotFound, "unknown_edge",
                   fmt::format("no edge {} was ever linked", edge), "selvagectl edge list shows the edges");
}

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
    core.set_streams_generation(1);
    SELVAGE_RETURN_IF_ERROR(StoreCore(core));
  }
  {
    absl::MutexLock lock(&mutex_);
    core_ = core;
  }
  SELVAGE_RETURN_IF_ERROR(OpenEdges());
  if (!node_.former_owner().empty()) SELVAGE_RETURN_IF_ERROR(TakeStore());
  auto release = [this](const v1::AlarmDocument& alarm, const std::string&) {
    return ChangeEdge(alarm.subject(), ReleaseEdge, SpecChanges::kNo);
  };
  node_.alarms().OnResolve("clone", release);
  node_.alarms().OnResolve("second_new_store", release);
  node_.alarms().OnResolve("foreign_cluster", [this](const v1::AlarmDocument& alarm, const std::string&) {
    return TakeOverCluster(alarm.subject());
  });
  // What else is held of an edge is tried again.
  node_.alarms().OnResolveHeldOfPeer([this](const v1::AlarmDocument& alarm, const std::string&) {
    Relink(alarm.peer());
    return absl::OkStatus();
  });
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

absl::Status Fleet::OpenEdges() {
  absl::MutexLock lock(&mutex_);
  auto cursor = node_.store().Scan(Family::kMeta, kEdgePrefix, PrefixEnd(kEdgePrefix));
  for (cursor->Seek(kEdgePrefix); cursor->Valid(); cursor->Next()) {
    v1::StoredEdge edge;
    if (!edge.ParseFromString(std::string(cursor->value()))) {
      return MakeError(absl::StatusCode::kDataLoss, "corrupt_meta", "a stored edge document is damaged");
    }
    Show(edge);
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  cursor = node_.store().Scan(Family::kMeta, kReportPrefix, PrefixEnd(kReportPrefix));
  for (cursor->Seek(kReportPrefix); cursor->Valid(); cursor->Next()) {
    const std::string edge(cursor->key().substr(kReportPrefix.size()));
    if (!reports_[edge].ParseFromString(std::string(cursor->value()))) {
      return MakeError(absl::StatusCode::kDataLoss, "corrupt_meta",
                       "what an edge reported is stored damaged");
    }
  }
  return cursor->status();
}

absl::Status Fleet::TakeStore() {
  LogWarning("the store of another core is this one's from here on",
             {{"former", node_.former_owner()}, {"core", node_.node()}});
  return Commit(node_.committer(), [&](WriteBatch& batch) {
    node_.StageIdentity(batch, node_.store_id());
    return absl::OkStatus();
  });
}

absl::Status Fleet::StartLineage() {
  absl::MutexLock change(&change_mutex_);
  v1::StoredCore core = NextGeneration();
  core.set_streams_generation(core.generation());
  core.set_lineage_id(LineageId::Mint(node_.random()).bytes());
  return StoreCore(core);
}

absl::Status Fleet::StoreCore(const v1::StoredCore& core) {
  SELVAGE_RETURN_IF_ERROR(Commit(node_.committer(), [&](WriteBatch& batch) {
    StageCore(batch, core);
    return absl::OkStatus();
  }));
  absl::MutexLock lock(&mutex_);
  core_ = core;
  return absl::OkStatus();
}

absl::Status Fleet::StoreEdge(const v1::StoredEdge& edge) {
  SELVAGE_RETURN_IF_ERROR(Commit(node_.committer(), [&](WriteBatch& batch) {
    StageEdge(batch, edge);
    return absl::OkStatus();
  }));
  absl::MutexLock lock(&mutex_);
  Show(edge);
  return absl::OkStatus();
}

void Fleet::Show(const v1::StoredEdge& edge) {
  edges_[edge.edge()] = edge;
  for (const v1::StoredTenure& tenure : edge.tenures()) slot_edges_[Slot(tenure.slot())] = edge.edge();
  ++changes_;
}

v1::StoredCore Fleet::NextGeneration() const {
  absl::MutexLock lock(&mutex_);
  v1::StoredCore core = core_;
  core.set_generation(core.generation() + 1);
  return core;
}

v1::StoredCore Fleet::NextGenerationFor(const v1::StreamDefinition& changed) const {
  v1::StoredCore core = NextGeneration();
  if (changed.direction() != v1::LOCAL) core.set_streams_generation(core.generation());
  return core;
}

uint64_t Fleet::SpecGenerationOf(const std::string& edge) const {
  const auto known = edges_.find(edge);
  const uint64_t own = known == edges_.end() ? 0 : known->second.spec_generation();
  return std::max(core_.streams_generation(), own);
}

uint64_t Fleet::SpecGeneration(const std::string& edge) const {
  absl::MutexLock lock(&mutex_);
  return SpecGenerationOf(edge);
}

// --- Logs
// ----------------------------------------------------------------------------------------------------------

absl::StatusOr<std::shared_ptr<Log>> Fleet::LogForOffer(const std::string& edge, Slot slot,
                                                        const v1::FlowOpen& open) {
  const v1::StreamFlow& stream = open.stream();
  auto id = LogId::FromBytes(open.history());
  if (!id || id->none() || stream.base() < 0)
    return MakeError(absl::StatusCode::kInvalidArgument, "protocol_error", "an offer without a log");
  if (!open.origin_edge().empty() && open.origin_edge() != edge) {
    return MakeError(absl::StatusCode::kPermissionDenied, "permission_denied",
                     fmt::format("edge {} may not write a partition of edge {}", edge, open.origin_edge()),
                     "an edge writes only what is its own");
  }
  SELVAGE_ASSIGN_OR_RETURN(v1::StreamDefinition offered, CompleteDefinition(stream.definition()));
  if (offered.name() != stream.name() || offered.direction() != v1::UP || stream.partition() < 0 ||
      stream.partition() >= offered.partitions()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "wrong_partition",
                     fmt::format("edge {} offers partition {} of {}, which the stream does not have", edge,
                                 stream.partition(), stream.name()));
  }
  auto known = node_.catalog().Find(stream.name());
  if (offered.created() != 0 && offered.created() != (known ? known->created() : 0)) {
    return MakeError(absl::StatusCode::kNotFound, "unknown_stream",
                     fmt::format("stream {} was deleted here after edge {} got it", stream.name(), edge),
                     "the edge drops it when the news reaches it", Retry::kYes);
  }
  if (known) {
    SELVAGE_RETURN_IF_ERROR(CheckSameShape(*known, offered));
  } else {
    auto created = CreateStream(offered, Maker::kOffer);  // provisional until now
    if (!created.ok() && created.status().code() != absl::StatusCode::kAlreadyExists) return created.status();
  }
  LogOrigin origin{edge, slot, stream.name(), PartitionId(stream.partition())};
  const std::shared_ptr<Log> log = node_.logs().Find(origin);
  if (log != nullptr && log->state().id == *id) return log;
  SELVAGE_RETURN_IF_ERROR(CheckLogCount(edge));
  if (log != nullptr) {
    node_.alarms().Report(
        {"log_replaced", ToString(origin),
         "the edge made this stream again: a new log takes the place of the one held here",
         "the former log is kept until the stream is deleted; consumers start again at offset 0", false,
         edge});
  }
  return node_.logs().Create({.origin = origin,
                              .id = *id,
                              .base = Offset(stream.base()),
                              .base_hash = ChainHash(stream.base_hash()),
                              .leader_epoch = LeaderEpoch(0)});
}

absl::Status Fleet::CheckLogCount(const std::string& edge) {
  const std::vector<std::shared_ptr<Log>> logs = node_.logs().All();
  const auto of_edge = std::count_if(
      logs.begin(), logs.end(), [&](const std::shared_ptr<Log>& log) { return log->origin().edge == edge; });
  if (of_edge < kLogsOfEdgeMax) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kResourceExhausted, "too_many_logs",
      fmt::format("{} logs of edge {} are held here, with those whose place others took; no more are made",
                  of_edge, edge),
      "delete streams that are not needed; an edge that makes its streams again and again is faulty");
}

absl::Status Fleet::CreateSharedLogs(const v1::StreamDefinition& definition) {
  if (definition.direction() != v1::DOWN_SHARED && definition.direction() != v1::LOCAL)
    return absl::OkStatus();
  return node_.CreateOwnLogs(definition);
}

absl::StatusOr<std::vector<Fleet::DownLog>> Fleet::DownLogs(const std::string& edge) {
  std::vector<DownLog> down;
  for (const v1::StreamDefinition& definition : node_.catalog().All()) {
    bool own = definition.direction() == v1::DOWN;
    if (!own && definition.direction() != v1::DOWN_SHARED) continue;
    for (int32_t p = 0; p < definition.partitions(); ++p) {
      LogOrigin origin{own ? edge : "", Slot(0), definition.name(), PartitionId(p)};
      std::shared_ptr<Log> log = node_.logs().Find(origin);
      if (log == nullptr) {
        absl::MutexLock change(&change_mutex_);
        log = node_.logs().Find(origin);
        if (log == nullptr) {
          SELVAGE_RETURN_IF_ERROR(node_.logs()
                                      .Create({.origin = origin,
                                               .id = LogId::Mint(node_.random()),
                                               .base = Offset(0),
                                               .base_hash = ChainHash(0),
                                               .leader_epoch = LeaderEpoch(0)})
                                      .status());
          log = node_.logs().Find(origin);
        }
      }
      down.push_back({std::move(log), definition});
    }
  }
  return down;
}

// --- Control
// -------------------------------------------------------------------------------------------------------

absl::Status Fleet::CheckNameFree(const std::string& name, Maker maker) const {
  const size_t dot = name.find('.');
  if (dot == std::string::npos) return absl::OkStatus();
  const std::string first = name.substr(0, dot);
  const auto rest = node_.catalog().Find(name.substr(dot + 1));
  const bool for_nobody = maker == Maker::kOperator || Planted(Canary::kReserveForNobody);
  const bool may_be_part = for_nobody && IsDnsLabel(first) && rest &&
                           (rest->direction() == v1::UP || rest->direction() == v1::DOWN);
  if (!may_be_part && !SlotOf(first)) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument, "name_reserved",
      fmt::format("{} would be edge {}'s part of a stream {}", name, first, name.substr(dot + 1)),
      maker == Maker::kOperator
          ? "choose a name that does not begin with an edge's id and a dot"
          : fmt::format("give the stream another name at the edge, with all it holds: selvagectl --address "
                        "<edge> stream rename {} <name>",
                        name));
}

absl::StatusOr<v1::StreamDefinition> Fleet::CheckNew(v1::StreamDefinition definition, Maker maker) const {
  SELVAGE_ASSIGN_OR_RETURN(definition, CompleteDefinition(std::move(definition)));
  if (node_.catalog().Find(definition.name())) {
    return MakeError(absl::StatusCode::kAlreadyExists, "stream_exists",
                     fmt::format("stream {} exists", definition.name()),
                     "selvagectl stream describe shows it; stream set changes its settings");
  }
  SELVAGE_RETURN_IF_ERROR(CheckNameFree(definition.name(), maker));
  return definition;
}

absl::StatusOr<v1::StreamDefinition> Fleet::CreateStream(v1::StreamDefinition definition, Maker maker) {
  {
    absl::MutexLock change(&change_mutex_);
    SELVAGE_ASSIGN_OR_RETURN(definition, CheckNew(std::move(definition), maker));
    v1::StoredCore core = NextGenerationFor(definition);
    definition.set_generation(core.generation());
    definition.set_created(core.generation());
    SELVAGE_RETURN_IF_ERROR(
        node_.catalog().Put(definition, [&](WriteBatch& batch) { StageCore(batch, core); }));
    SELVAGE_RETURN_IF_ERROR(CreateSharedLogs(definition));
    absl::MutexLock lock(&mutex_);
    core_ = core;
  }
  SpecChanged();
  return definition;
}

absl::StatusOr<v1::StreamDefinition> Fleet::SetStream(const v1::SetStreamRequest& request) {
  v1::StreamDefinition definition;
  {
    absl::MutexLock change(&change_mutex_);
    auto known = node_.catalog().Find(request.stream());
    if (!known) {
      return MakeError(absl::StatusCode::kNotFound, "unknown_stream",
                       fmt::format("there is no stream {}", request.stream()),
                       "selvagectl stream list shows what there is");
    }
    if (request.if_generation() != 0 && request.if_generation() != known->generation()) {
      return MakeError(absl::StatusCode::kAborted, "generation_mismatch",
                       fmt::format("stream {} has generation {}, not {}", request.stream(),
                                   known->generation(), request.if_generation()),
                       "somebody else changed it: look at it again", Retry::kYes);
    }
    definition = *known;
    SELVAGE_RETURN_IF_ERROR(MergeSettings(request.settings(),
                                          {request.fields().begin(), request.fields().end()},
                                          *definition.mutable_settings()));
    SELVAGE_ASSIGN_OR_RETURN(definition, CompleteDefinition(definition));
    v1::StoredCore core = NextGenerationFor(definition);
    definition.set_generation(core.generation());
    SELVAGE_RETURN_IF_ERROR(
        node_.catalog().Put(definition, [&](WriteBatch& batch) { StageCore(batch, core); }));
    absl::MutexLock lock(&mutex_);
    core_ = core;
  }
  SpecChanged();
  return definition;
}

absl::Status Fleet::AddPartitions(const std::string& name, int32_t partitions, bool validate_only) {
  absl::MutexLock change(&change_mutex_);
  return node_.AddPartitions(name, partitions, validate_only);
}

absl::StatusOr<int> Fleet::DeleteStream(const std::string& name) {
  int logs = 0;
  {
    absl::MutexLock change(&change_mutex_);
    const auto known = node_.catalog().Find(name);
    if (!known) {
      return MakeError(absl::StatusCode::kNotFound, "unknown_stream",
                       fmt::format("there is no stream {}", name),
                       "selvagectl stream list shows what there is");
    }
    v1::StoredCore core = NextGenerationFor(*known);
    SELVAGE_ASSIGN_OR_RETURN(logs,
                             node_.DeleteStream(name, [&](WriteBatch& batch) { StageCore(batch, core); }));
    absl::MutexLock lock(&mutex_);
    core_ = core;
  }
  SpecChanged();
  return logs;
}

v1::EdgeSpec Fleet::SpecFor(const std::string& edge) const {
  v1::EdgeSpec spec;
  {
    // Before the streams are looked at: a change in between is then sent again under its own generation. The
    // other way round the edge would have the new number with the old content, and ignore the new one.
    absl::MutexLock lock(&mutex_);
    spec.set_generation(SpecGenerationOf(edge));
    if (auto it = edges_.find(edge); it != edges_.end()) {
      *spec.mutable_labels() = it->second.labels();
      spec.set_max_rate(it->second.max_rate());
    }
  }
  for (v1::StreamDefinition& definition : node_.catalog().All()) {
    if (definition.direction() != v1::LOCAL) *spec.add_streams() = std::move(definition);
  }
  return spec;
}

absl::Status Fleet::TakeStatus(const std::string& edge, uint64_t link_number, const v1::EdgeStatus& status) {
  absl::MutexLock lock(&mutex_);
  const auto link = links_.find(edge);
  if (link == links_.end() || link->second.number != link_number) {
    return MakeError(absl::StatusCode::kAborted, "stale_session",
                     fmt::format("another link of edge {} took this one's place", edge), "", Retry::kYes);
  }
  v1::StoredReport& report = reports_[edge];
  *report.mutable_status() = status;
  report.set_last_seen_ms(node_.wall_ms());
  unstored_reports_.insert(edge);
  link->second.reported = true;
  return absl::OkStatus();
}

absl::Status Fleet::Flush() {
  absl::MutexLock flush(&flush_mutex_);
  std::map<std::string, std::string> documents;
  {
    absl::MutexLock lock(&mutex_);
    for (const std::string& edge : unstored_reports_) documents[edge] = reports_[edge].SerializeAsString();
    unstored_reports_.clear();
  }
  if (documents.empty()) return absl::OkStatus();
  absl::Status stored = Commit(node_.committer(), [&](WriteBatch& batch) {
    for (const auto& [edge, report] : documents) StageReport(batch, edge, report);
    return absl::OkStatus();
  });
  if (!stored.ok()) {
    absl::MutexLock lock(&mutex_);
    for (const auto& [edge, report] : documents) unstored_reports_.insert(edge);
  }
  return stored;
}

absl::StatusOr<v1::EdgeSummary> Fleet::Summary(const std::string& edge) const {
  absl::MutexLock lock(&mutex_);
  auto it = edges_.find(edge);
  if (it == edges_.end()) return UnknownEdge(edge);
  return SummaryOf(it->second);
}

absl::Status Fleet::ChangeEdge(const std::string& name, const std::function<void(v1::StoredEdge&)>& change,
                               SpecChanges spec) {
  absl::MutexLock change_lock(&change_mutex_);
  v1::StoredEdge edge;
  v1::StoredCore core = NextGeneration();
  {
    absl::MutexLock lock(&mutex_);
    auto it = edges_.find(name);
    if (it == edges_.end()) return UnknownEdge(name);
    edge = it->second;
  }
  change(edge);
  if (spec == SpecChanges::kNo) return StoreEdge(edge);
  edge.set_spec_generation(core.generation());
  SELVAGE_RETURN_IF_ERROR(Commit(node_.committer(), [&](WriteBatch& batch) {
    StageEdge(batch, edge);
    StageCore(batch, core);
    return absl::OkStatus();
  }));
  absl::MutexLock lock(&mutex_);
  Show(edge);
  core_ = core;
  return absl::OkStatus();
}

absl::StatusOr<v1::EdgeSummary> Fleet::SetEdge(const v1::SetEdgeRequest& request) {
  SELVAGE_RETURN_IF_ERROR(ChangeEdge(
      request.edge(),
      [&](v1::StoredEdge& edge) {
        for (const auto& [key, value] : request.set_labels()) (*edge.mutable_labels())[key] = value;
        for (const std::string& key : request.remove_labels()) edge.mutable_labels()->erase(key);
        if (request.set_max_rate()) edge.set_max_rate(request.max_rate());
      },
      SpecChanges::kYes));
  SpecChanged(request.edge());
  return Summary(request.edge());
}

absl::StatusOr<v1::EdgeSummary> Fleet::Retire(const std::string& edge) {
  SELVAGE_RETURN_IF_ERROR(ChangeEdge(
      edge, [](v1::StoredEdge& stored) { stored.set_retired(true); }, SpecChanges::kNo));
  Relink(edge);
  node_.alarms().ClearOfPeer(edge);
  return Summary(edge);
}

std::optional<Slot> Fleet::SlotOf(const std::string& edge) const {
  absl::MutexLock lock(&mutex_);
  auto it = edges_.find(edge);
  if (it == edges_.end() || it->second.tenures().empty()) return std::nullopt;
  return Slot(it->second.tenures(it->second.tenures_size() - 1).slot());
}

bool Fleet::IsRetired(const std::string& edge) const {
  absl::MutexLock lock(&mutex_);
  auto it = edges_.find(edge);
  return it != edges_.end() && it->second.retired();
}

std::optional<std::string> Fleet::EdgeOf(Slot slot) const {
  absl::MutexLock lock(&mutex_);
  auto it = slot_edges_.find(slot);
  if (it == slot_edges_.end()) return std::nullopt;
  return it->second;
}

uint32_t Fleet::slots_used() const {
  absl::MutexLock lock(&mutex_);
  return core_.next_slot();
}

std::string Fleet::cluster_id() const {
  absl::MutexLock lock(&mutex_);
  auto id = ClusterId::FromBytes(core_.cluster_id());
  return id ? id->hex() : "";
}

}  // namespace selvage
