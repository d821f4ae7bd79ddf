#include "edge/edge_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/node/node_state.h"
#include "fabric/replication/message.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"
#include "fabric/telemetry/log.h"

namespace selvage {
namespace {

template <class Document>
absl::Status ReadDocument(KvStore& store, std::string_view key, Document& document) {
  SELVAGE_ASSIGN_OR_RETURN(auto stored, store.Get(Family::kMeta, key));
  if (stored && !document.ParseFromString(*stored)) {
    return MakeError(absl::StatusCode::kDataLoss, "corrupt_meta",
                     fmt::format("the store's {} is damaged", key));
  }
  return absl::OkStatus();
}

absl::StatusOr<LogStore::Adoption> AdoptionOf(const v1::Adoption& adoption) {
  LogPosition position = FromProto(adoption.position());
  if (position.log.none())
    return MakeError(absl::StatusCode::kInvalidArgument, "protocol_error", "an adoption without a log");
  LogOrigin origin{"", Slot(0), adoption.stream(), PartitionId(adoption.partition())};
  LogInfo("adopting a replaced edge's place", {{"log", ToString(origin)}, {"offset", position.offset}});
  return LogStore::Adoption{origin, position, LeaderEpoch(adoption.leader_epoch())};
}

/// A size that differs by so little from the one that was told is none.
constexpr uint64_t kNewsShare = 64;

bool IsNews(uint64_t told, uint64_t now) {
  return std::max(told, now) - std::min(told, now) > std::max(told, now) / kNewsShare;
}

bool ChangesWithTime(const v1::FlowStatus& flow) {
  return flow.replica_end() < flow.source_end() || flow.lag_bytes() > 0 || flow.rate_bytes() > 0;
}

}  // namespace

EdgeState::Parts EdgeState::PartsOf(NodeState& node) {
  return {node.identity(), node.store(),   node.committer(), node.clock(),  node.random(),  node.logs(),
          node.ages(),     node.catalog(), node.alarms(),    node.budget(), node.streams(), node.tables()};
}

absl::Status EdgeState::Open(const std::vector<v1::StreamDefinition>& configured) {
  {
    absl::MutexLock lock(&mutex_);
    SELVAGE_RETURN_IF_ERROR(ReadDocument(parts_.store, kMembershipKey, membership_));
    SELVAGE_RETURN_IF_ERROR(ReadDocument(parts_.store, kSpecKey, spec_));
  }
  if (!parts_.identity.former_owner().empty()) SELVAGE_RETURN_IF_ERROR(TakeStore());
  const auto relink = [this](const v1::AlarmDocument&, const std::string&) {
    absl::MutexLock change(&change_mutex_);
    spec_whole_ = false;  // looked at again, too
    relink_ = true;
    return absl::OkStatus();
  };
  parts_.alarms.OnResolve("flow_held", relink);
  parts_.alarms.OnResolveHeldOfPeer(relink);
  for (const v1::StreamDefinition& definition : configured) {
    auto known = parts_.catalog.Find(definition.name());
    if (!known) {
      SELVAGE_RETURN_IF_ERROR(CreateStream(definition).status());
    } else if (absl::Status same = CheckSameShape(*known, definition); !same.ok()) {
      return Annotate(same, "the configuration and the store disagree");
    }
  }
  // A crash may have come between a stream's definition and its logs.
  for (const v1::StreamDefinition& definition : parts_.catalog.All()) {
    if (definition.direction() == v1::UP || definition.direction() == v1::LOCAL) {
      SELVAGE_RETURN_IF_ERROR(parts_.streams.CreateLogs(definition));
    }
  }
  return absl::OkStatus();
}

v1::StoredMembership EdgeState::membership() const {
  absl::MutexLock lock(&mutex_);
  return membership_;
}

v1::EdgeSpec EdgeState::spec() const {
  absl::MutexLock lock(&mutex_);
  return spec_;
}

v1::Hello EdgeState::MakeHello() {
  v1::StoredMembership membership = this->membership();
  v1::Hello hello;
  hello.set_protocol(replication::kLinkProtocol);
  hello.set_edge(parts_.identity.node());
  hello.set_store_id(parts_.identity.store_id().bytes());
  hello.set_boot_id(parts_.identity.boot_id().bytes());
  bool empty = !membership.has_slot();
  for (const std::shared_ptr<Log>& log : parts_.logs.All()) {
    if (log->origin().edge.empty() && !log->state().never_written()) empty = false;
  }
  hello.set_empty(empty);
  hello.set_cluster_id(membership.cluster_id());
  hello.set_lineage_id(membership.lineage_id());
  hello.set_has_slot(membership.has_slot());
  hello.set_slot(membership.slot());
  hello.set_session_epoch(membership.session_epoch());
  hello.set_forked_from(membership.forked_from());
  hello.set_wall_ms(WallMs(parts_.clock));
  hello.set_spec_generation(spec().generation());
  hello.set_version(version_);
  return hello;
}

absl::Status EdgeState::TakeWelcome(const v1::Welcome& welcome) {
  absl::MutexLock change(&change_mutex_);
  v1::StoredMembership membership = this->membership();
  if (!membership.cluster_id().empty() && membership.cluster_id() != welcome.cluster_id()) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "foreign_cluster",
        fmt::format("core {} belongs to another cluster than this edge's store", welcome.core()),
        "point link.addresses at the edge's own core, or start the edge with an empty data directory");
  }
  if (!membership.lineage_id().empty() && membership.lineage_id() != welcome.lineage_id()) {
    parts_.alarms.Report({"core_restored", welcome.core(),
                          "the core's store is not the one this edge knew: it was restored or replaced",
                          "nothing to do here: what the core lacks is sent again as far as it is still held",
                          false, std::string(kCoreOrigin)});
    SELVAGE_RETURN_IF_ERROR(MakeProvisional());
    // What the former core acknowledged says nothing of what this one holds.
    for (const std::shared_ptr<Log>& log : parts_.logs.All()) {
      if (log->origin().edge.empty() && log->acknowledged()) log->SetAcknowledged(log->state().base);
    }
  }
  std::vector<LogStore::Adoption> adoptions;
  for (const v1::Adoption& adoption : welcome.adoptions()) {
    SELVAGE_ASSIGN_OR_RETURN(adoptions.emplace_back(), AdoptionOf(adoption));
  }
  v1::EdgeSpec spec = this->spec();
  bool new_lineage = membership.lineage_id() != welcome.lineage_id();
  membership.set_cluster_id(welcome.cluster_id());
  membership.set_lineage_id(welcome.lineage_id());
  membership.set_has_slot(true);
  membership.set_slot(welcome.slot());
  membership.set_session_epoch(welcome.session_epoch());
  membership.clear_forked_from();
  // Another core counts its generations anew.
  if (new_lineage && !Planted(Canary::kKeepOldGeneration)) spec.set_generation(0);
  // In one batch. With its places but without its slot the store would be another one with a history of its
  // own; and once the new lineage is stored, nothing tells any more that generation and acknowledgements are
  // the former core's.
  SELVAGE_RETURN_IF_ERROR(parts_.logs.AdoptAll(adoptions, [&](WriteBatch& batch) {
    batch.Put(Family::kMeta, kMembershipKey, {membership.SerializeAsString()});
    if (!new_lineage) return;
    batch.Put(Family::kMeta, kSpecKey, {spec.SerializeAsString()});
    parts_.logs.StageAcknowledged(batch);
  }));
  absl::MutexLock lock(&mutex_);
  membership_ = membership;
  spec_ = spec;
  return absl::OkStatus();
}

absl::Status EdgeState::MakeProvisional() {
  for (v1::StreamDefinition& definition : parts_.catalog.All()) {
    if (definition.generation() == 0) continue;
    definition.set_generation(0);
    definition.set_created(0);
    SELVAGE_RETURN_IF_ERROR(parts_.catalog.Put(definition));
  }
  return tables_.MakeProvisional();
}

absl::Status EdgeState::DropStream(const std::string& name) {
  LogInfo("deleting a stream that the core deleted", {{"stream", name}});
  SELVAGE_RETURN_IF_ERROR(parts_.streams.Delete(name).status());
  (void)UpFlows();  // lets go of the logs
  return absl::OkStatus();
}

void EdgeState::SetModels(Models models) {
  models_ = std::move(models);
  models_.take(spec());
}

uint64_t EdgeState::SpecHeld(const std::string& lineage) {
  absl::MutexLock change(&change_mutex_);
  return spec_whole_ && membership().lineage_id() == lineage ? spec().generation() : 0;
}

absl::StatusOr<bool> EdgeState::ApplySpec(const v1::EdgeSpec& spec) {
  absl::MutexLock change(&change_mutex_);
  const uint64_t known = this->spec().generation();
  if (spec.generation() < known || (spec.generation() == known && spec_whole_)) return false;
  // All of them, before the first is made: a core that is not what it should be must not take the edge down.
  for (const v1::StreamDefinition& definition : spec.streams()) {
    SELVAGE_RETURN_IF_ERROR(CompleteDefinition(definition).status());
  }
  SELVAGE_RETURN_IF_ERROR(EdgeTables::Check(spec));
  SELVAGE_ASSIGN_OR_RETURN(spec_whole_, MakeStreams(spec));
  SELVAGE_ASSIGN_OR_RETURN(const bool tables_whole, tables_.Apply(spec));
  spec_whole_ = spec_whole_ && tables_whole;
  SELVAGE_RETURN_IF_ERROR(Commit(parts_.committer, [&](WriteBatch& batch) {
    batch.Put(Family::kMeta, kSpecKey, {spec.SerializeAsString()});
    return absl::OkStatus();
  }));
  {
    absl::MutexLock lock(&mutex_);
    spec_ = spec;
  }
  if (models_.take) models_.take(spec);
  return true;
}

absl::StatusOr<bool> EdgeState::MakeStreams(const v1::EdgeSpec& spec) {
  std::set<std::string> wanted;
  std::set<std::string> in_the_way;
  for (const v1::StreamDefinition& definition : spec.streams()) {
    wanted.insert(definition.name());
    SELVAGE_ASSIGN_OR_RETURN(const bool made, MakeStream(definition));
    if (!made) in_the_way.insert(definition.name());
  }
  for (const v1::StreamDefinition& known : parts_.catalog.All()) {
    bool the_cores = known.generation() > 0 && known.direction() != v1::LOCAL;
    if (!the_cores || wanted.contains(known.name())) continue;
    SELVAGE_RETURN_IF_ERROR(DropStream(known.name()));
  }
  // Also those of streams that the core does not want here any more.
  parts_.alarms.ClearExcept("definition_mismatch",
                            [&](const std::string& stream) { return in_the_way.contains(stream); });
  return in_the_way.empty();
}

absl::StatusOr<bool> EdgeState::MakeStream(const v1::StreamDefinition& definition) {
  auto known = parts_.catalog.Find(definition.name());
  if (known && known->created() != 0 && known->created() != definition.created()) {
    SELVAGE_RETURN_IF_ERROR(DropStream(known->name()));
    known.reset();
  }
  if (known) {
    if (absl::Status same = CheckSameShape(*known, definition); !same.ok()) {
      parts_.alarms.Report({"definition_mismatch", definition.name(), std::string(same.message()),
                            ErrorHint(same), true, std::string(kCoreOrigin)});
      return false;
    }
    if (known->SerializeAsString() == definition.SerializeAsString()) return true;
  }
  SELVAGE_RETURN_IF_ERROR(parts_.catalog.Put(definition));
  if (definition.direction() == v1::UP) SELVAGE_RETURN_IF_ERROR(parts_.streams.CreateLogs(definition));
  ShowDefinition(definition);
  return true;
}

void EdgeState::ShowDefinition(const v1::StreamDefinition& definition) {
  absl::MutexLock lock(&mutex_);
  for (auto& [number, source] : sources_) {
    if (source->log().origin().stream == definition.name()) source->set_definition(definition);
  }
}

absl::StatusOr<std::shared_ptr<Log>> EdgeState::LogForOffer(const v1::FlowOpen& open) {
  const v1::StreamFlow& stream = open.stream();
  auto id = LogId::FromBytes(open.history());
  if (!id || id->none() || stream.base() < 0)
    return MakeError(absl::StatusCode::kInvalidArgument, "protocol_error", "an offer without a log");
  SELVAGE_ASSIGN_OR_RETURN(v1::StreamDefinition definition, CompleteDefinition(stream.definition()));
  if (definition.name() != stream.name() || stream.partition() < 0 ||
      stream.partition() >= definition.partitions()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "wrong_partition",
                     "an offer of a partition the stream does not have");
  }
  if (definition.direction() != v1::DOWN && definition.direction() != v1::DOWN_SHARED) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "definition_mismatch",
                     fmt::format("stream {} does not flow down", definition.name()));
  }
  absl::MutexLock change(&change_mutex_);
  auto known = parts_.catalog.Find(definition.name());
  if (known) SELVAGE_RETURN_IF_ERROR(CheckSameShape(*known, definition));
  if (!known || known->generation() < definition.generation())
    SELVAGE_RETURN_IF_ERROR(parts_.catalog.Put(definition));
  CreateLog create{
      .origin = {std::string(kCoreOrigin), Slot(0), stream.name(), PartitionId(stream.partition())},
      .id = *id,
      .base = Offset(stream.base()),
      .base_hash = ChainHash(stream.base_hash()),
      .leader_epoch = LeaderEpoch(0)};
  const std::shared_ptr<Log> log = parts_.logs.Find(create.origin);
  if (log != nullptr && log->state().id == *id) return log;
  if (log != nullptr) {
    parts_.alarms.Report({"log_replaced", ToString(create.origin),
                          "the core made this stream again: a new log takes the place of the one held here",
                          "the former log is kept until the stream is deleted", false,
                          std::string(kCoreOrigin)});
  } else if (definition.direction() == v1::DOWN_SHARED && definition.settings().start_at() == v1::LATEST &&
             open.end() > stream.base()) {
    // Whoever has a former log has read the stream from somewhere on, and goes on with all of the new one.
    // The end may be before the base where the core finds what lies between damaged.
    create.base = Offset(open.end());
    create.base_hash = ChainHash(stream.end_hash());
  }
  return parts_.logs.Create(create);
}

absl::Status EdgeState::BranchAtAcknowledged(std::vector<LogStore::Branching>& branchings) {
  std::set<LogNumber> known;
  for (const LogStore::Branching& branching : branchings) known.insert(branching.log->number());
  for (const std::shared_ptr<Log>& log : parts_.logs.All()) {
    const auto definition = parts_.catalog.Find(log->origin().stream);
    if (!log->origin().edge.empty() || log->superseded() || !definition ||
        definition->direction() != v1::UP || known.contains(log->number()))
      continue;
    SELVAGE_RETURN_IF_ERROR(log->held());
    const Offset start = log->state().start;
    SELVAGE_ASSIGN_OR_RETURN(const LogPosition from,
                             log->BoundaryAtOrBefore(std::max(start, log->acknowledged().value_or(start))));
    branchings.push_back({log, LogId::Mint(parts_.random), from});
  }
  return absl::OkStatus();
}

absl::Status EdgeState::Rebirth(std::vector<LogStore::Branching> forks, uint64_t as_of) {
  absl::MutexLock change(&change_mutex_);
  if (flow_changes() != as_of) {
    return MakeError(absl::StatusCode::kAborted, "streams_changed",
                     "streams changed while the core's history was compared; it is compared again", "",
                     Retry::kYes);
  }
  if (!Planted(Canary::kForkWithoutDetached)) SELVAGE_RETURN_IF_ERROR(BranchAtAcknowledged(forks));
  v1::StoredMembership membership = this->membership();
  StoreId id = StoreId::Mint(parts_.random);
  membership.set_forked_from(parts_.identity.store_id().bytes());
  membership.set_has_slot(false);
  SELVAGE_RETURN_IF_ERROR(parts_.logs.BranchAll(forks, [&](WriteBatch& batch) {
    parts_.identity.Stage(batch, id);
    batch.Put(Family::kMeta, kMembershipKey, {membership.SerializeAsString()});
  }));
  parts_.identity.Show(id);
  absl::MutexLock lock(&mutex_);
  membership_ = membership;
  return absl::OkStatus();
}

absl::Status EdgeState::TakeStore() {
  std::vector<LogStore::Branching> logs;
  SELVAGE_RETURN_IF_ERROR(BranchAtAcknowledged(logs));
  LogWarning(
      "the store of another edge is this one's from here on",
      {{"former", parts_.identity.former_owner()}, {"edge", parts_.identity.node()}, {"logs", logs.size()}});
  v1::StoredMembership membership = this->membership();
  membership.set_forked_from(parts_.identity.store_id().bytes());
  membership.set_has_slot(false);
  v1::EdgeSpec spec = this->spec();
  spec.set_generation(0);  // what the core wants of this edge is not what it wanted of the other one
  const StoreId id = StoreId::Mint(parts_.random);
  SELVAGE_RETURN_IF_ERROR(parts_.logs.BranchAll(logs, [&](WriteBatch& batch) {
    parts_.identity.Stage(batch, id);
    batch.Put(Family::kMeta, kMembershipKey, {membership.SerializeAsString()});
    batch.Put(Family::kMeta, kSpecKey, {spec.SerializeAsString()});
  }));
  parts_.identity.Show(id);
  absl::MutexLock lock(&mutex_);
  membership_ = membership;
  spec_ = spec;
  return absl::OkStatus();
}

std::vector<std::shared_ptr<LogFlowSource>> EdgeState::UpFlows() {
  const uint64_t at = flow_changes();
  absl::MutexLock lock(&mutex_);
  if (at != up_flows_at_) {
    up_flows_ = FindUpFlows();
    up_flows_at_ = at;
  }
  return up_flows_;
}

std::vector<std::shared_ptr<LogFlowSource>> EdgeState::FindUpFlows() {
  std::vector<std::shared_ptr<LogFlowSource>> flows;
  std::map<LogNumber, std::shared_ptr<LogFlowSource>> sources;
  for (const std::shared_ptr<Log>& log : parts_.logs.All()) {
    if (!log->origin().edge.empty() || log->superseded()) continue;
    auto definition = parts_.catalog.Find(log->origin().stream);
    if (!definition || definition->direction() != v1::UP) continue;
    if (definition->settings().detached() && !Planted(Canary::kCarryDetached)) continue;
    auto& source = sources[log->number()];
    // A stream that was renamed has other logs under the same numbers.
    const auto known = sources_.find(log->number());
    if (known != sources_.end() && &known->second->log() == log.get()) {
      source = known->second;
      source->set_definition(*definition);
    } else {
      source = std::make_shared<LogFlowSource>(log, *definition);
    }
    flows.push_back(source);
  }
  sources_ = std::move(sources);
  std::erase_if(meters_, [&](const auto& meter) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !sources_.contains(meter.first);
  });
  std::erase_if(running_meters_,
                [&](LogNumber log) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !sources_.contains(log); });
  return flows;
}

void EdgeState::SetFlowStates(std::map<LogNumber, FlowState> states) {
  absl::MutexLock lock(&mutex_);
  if (linked_ && states == flow_states_) return;
  flow_states_ = std::move(states);
  linked_ = true;
  ++flow_state_changes_;
}

void EdgeState::LinkEnded() {
  absl::MutexLock lock(&mutex_);
  flow_states_.clear();
  linked_ = false;
  ++flow_state_changes_;
  measured_at_ = absl::ZeroDuration();
}

EdgeState::FlowState EdgeState::StateOf(LogNumber number) const {
  auto known = flow_states_.find(number);
  if (known != flow_states_.end()) return known->second;
  return {linked_ ? "opening" : "offline", ""};
}

void EdgeState::MeasureRates() {
  absl::Duration now = parts_.clock.Monotonic();
  absl::MutexLock lock(&mutex_);
  std::set<LogNumber> moved = running_meters_;
  for (const std::shared_ptr<Log>& log : parts_.logs.ChangedSince(meters_seen_)) moved.insert(log->number());
  for (LogNumber number : moved) {
    const auto source = sources_.find(number);
    if (source == sources_.end()) continue;
    Meter& meter = meters_[number];
    // Nothing was acknowledged before: since then, or there was no link.
    if (meter.rate == 0) meter.at = measured_at_;
    MeasureRate(meter, source->second->acknowledged_bytes(), now);
    if (meter.rate > 0) {
      running_meters_.insert(number);
    } else {
      running_meters_.erase(number);
    }
  }
  measured_at_ = now;
}

void EdgeState::MeasureRate(Meter& meter, uint64_t bytes, absl::Duration now) {
  const double seconds = absl::ToDoubleSeconds(now - meter.at);
  if (meter.at == absl::ZeroDuration() || bytes < meter.bytes) {
    meter = {bytes, now, 0};
  } else if (seconds >= 0.5) {
    const double rate = static_cast<double>(bytes - meter.bytes) / seconds;
    meter = {bytes, now, meter.rate == 0 ? rate : meter.rate * 0.7 + rate * 0.3};
    if (meter.rate < 1) meter.rate = 0;
  }
}

v1::FlowStatus EdgeState::UpFlowStatus(LogFlowSource& source) {
  Log& log = source.log();
  LogState state = log.state();
  Offset acknowledged = log.acknowledged().value_or(state.base);
  v1::FlowStatus flow;
  flow.set_edge(parts_.identity.node());
  flow.set_stream(log.origin().stream);
  flow.set_partition(log.origin().partition.value());
  flow.set_direction(v1::UP);
  flow.set_source_start(state.start.value());
  flow.set_source_end(state.end.value());
  flow.set_replica_end(acknowledged.value());
  flow.set_lag_bytes(source.lag_bytes());
  if (acknowledged < state.end) {
    auto oldest = log.Read(std::max(acknowledged, state.start), 1);
    if (oldest.ok() && !oldest->empty()) {
      flow.set_lag_seconds(
          static_cast<double>(std::max<int64_t>(0, parts_.ages.NowMs() - oldest->front().append_ms)) / 1e3);
    }
  }
  absl::MutexLock lock(&mutex_);
  const FlowState known = StateOf(log.number());
  flow.set_state(known.state);
  flow.set_detail(known.detail);
  if (flow.state() == "streaming" && acknowledged >= state.end) flow.set_state("caught_up");
  if (const auto meter = meters_.find(log.number()); meter != meters_.end()) {
    flow.set_rate_bytes(meter->second.rate);
  }
  bool estimable = flow.rate_bytes() > 0 && linked_;
  flow.set_catch_up_seconds(flow.lag_bytes() == 0 ? 0
                            : estimable           ? static_cast<double>(flow.lag_bytes()) / flow.rate_bytes()
                                                  : -1);
  return flow;
}

v1::FlowStatus EdgeState::DownFlowStatus(Log& log) {
  LogState state = log.state();
  v1::FlowStatus flow;
  flow.set_edge(parts_.identity.node());
  flow.set_stream(log.origin().stream);
  flow.set_partition(log.origin().partition.value());
  auto definition = parts_.catalog.Find(log.origin().stream);
  flow.set_direction(definition ? definition->direction() : v1::DOWN);
  flow.set_replica_end(state.end.value());
  absl::MutexLock lock(&mutex_);
  const FlowState known = StateOf(log.number());
  // What the source has beyond this is known at the core; here, everything that arrived is everything there
  // is.
  flow.set_state(known.state == "streaming" ? "caught_up" : known.state);
  flow.set_detail(known.detail);
  flow.set_source_end(state.end.value());
  return flow;
}

std::vector<v1::FlowStatus> EdgeState::FlowStatuses() {
  std::vector<v1::FlowStatus> statuses;
  for (const auto& source : UpFlows()) statuses.push_back(UpFlowStatus(*source));
  for (const std::shared_ptr<Log>& log : parts_.logs.All()) {
    if (log->origin().edge != kCoreOrigin || log->superseded()) continue;
    const auto definition = parts_.catalog.Find(log->origin().stream);
    if (definition && definition->settings().detached()) continue;  // as with what flows up
    statuses.push_back(DownFlowStatus(*log));
  }
  return statuses;
}

v1::EdgeStatus EdgeState::MakeStatus() {
  v1::EdgeStatus status;
  status.set_spec_generation(spec().generation());
  status.set_version(version_);
  status.set_store_id(parts_.identity.store_id().bytes());
  status.set_boot_id(parts_.identity.boot_id().bytes());
  status.set_store_bytes(parts_.budget.file_bytes());
  status.set_store_budget(parts_.budget.budget());
  status.set_volume_free(parts_.budget.free_bytes());
  for (v1::FlowStatus& flow : FlowStatuses()) *status.add_flows() = std::move(flow);
  for (v1::AlarmDocument& alarm : parts_.alarms.All(false)) *status.add_alarms() = std::move(alarm);
  status.set_time_ms(WallMs(parts_.clock));
  if (models_.add) models_.add(status);
  return status;
}

std::optional<v1::EdgeStatus> EdgeState::MakeStatusIfNews(Told& told) {
  Told now = told;
  // Before the status is made: what changes meanwhile is told again.
  const bool logs_changed = !parts_.logs.ChangedSince(now.logs_seen).empty();
  now.flow_changes = flow_changes();
  now.alarm_changes = parts_.alarms.changes();
  if (models_.changes) now.model_changes = models_.changes();
  if (IsNews(told.store_bytes, parts_.budget.file_bytes())) now.store_bytes = parts_.budget.file_bytes();
  if (IsNews(told.volume_free, parts_.budget.free_bytes())) now.volume_free = parts_.budget.free_bytes();
  {
    absl::MutexLock lock(&mutex_);
    now.flow_state_changes = flow_state_changes_;
  }
  if (!logs_changed && !told.changes_with_time && now == told) return std::nullopt;
  v1::EdgeStatus status = MakeStatus();
  now.changes_with_time = std::any_of(status.flows().begin(), status.flows().end(), ChangesWithTime);
  told = now;
  return status;
}

}  // namespace selvage
