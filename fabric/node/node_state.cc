#include "fabric/node/node_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "fabric/base/error.h"
#include "fabric/storage/commit.h"

namespace selvage {

NodeState::NodeState(Options options, KvStore& store, Clock& clock, Random& random)
    : options_(std::move(options)),
      store_(store),
      clock_(clock),
      random_(random),
      boot_id_(BootId::Mint(random)),
      budget_(options_.disk),
      committer_(store, options_.commit),
      cache_(options_.tail_cache_bytes),
      ages_(clock),
      logs_(LogEnvironment{store, committer_, clock, ages_, cache_, budget_, fences_}),
      catalog_(store, committer_),
      alarms_(store, committer_, clock),
      maintenance_(store, logs_, catalog_, budget_, clock, ages_,
                   [this](const LogOrigin& origin, const v1::StreamDefinition& definition) {
                     return ReplicatedFromHere(origin, definition);
                   }),
      damage_(logs_, alarms_, [this](const Log& log) { return OtherCopyOf(log); }),
      tables_({store, committer_, clock, random, budget_, fences_},
              {.is_edge = options_.is_edge, .store_id = [this] { return store_id(); }}) {
  alarms_.set_origin(options_.node);
  logs_.set_make_room([this](EmbeddedLog& log, size_t bytes) { return maintenance_.MakeRoom(log, bytes); });
}

absl::Status NodeState::Open(const std::map<LogNumber, Offset>& acknowledged_ends) {
  SELVAGE_ASSIGN_OR_RETURN(const StoreIdentity identity, OpenStoreIdentity(store_, random_, owner()));
  if (absl::Status own = CheckStoreOwner(identity, owner()); !own.ok()) {
    const bool may_take =
        identity.owner.role == owner().role && identity.owner.node == options_.take_store_of;
    if (!may_take) return own;
    former_owner_ = identity.owner.node;
  }
  set_store_id(identity.store_id);
  SELVAGE_RETURN_IF_ERROR(alarms_.Open());
  SELVAGE_RETURN_IF_ERROR(catalog_.Open());
  SELVAGE_ASSIGN_OR_RETURN(auto problems, logs_.Open(acknowledged_ends));
  std::map<LogNumber, Offset> held;  // with what was acknowledged of them
  for (const auto& problem : problems) held.emplace(problem.number, problem.acknowledged_end);
  alarms_.OnResolve("log_held", [this, held](const v1::AlarmDocument& alarm, const std::string&) {
    // A log and the ones it took the place of have one name; of an earlier start there may be none any more.
    for (const auto& [number, acknowledged_end] : held) {
      const std::shared_ptr<EmbeddedLog> log = logs_.FindEmbedded(number);
      if (log == nullptr || ToString(log->origin()) != alarm.subject() || log->held().ok()) continue;
      const bool source = IsSource(log->origin());
      SELVAGE_RETURN_IF_ERROR(log->AcceptLoss(source ? std::optional(acknowledged_end) : std::nullopt));
    }
    return absl::OkStatus();
  });
  for (const auto& problem : problems) {
    if (problem.log == nullptr) {
      alarms_.Report({"log_lost", fmt::format("log {}", problem.number.value()),
                      std::string(problem.what.message()), ErrorHint(problem.what), false});
      continue;
    }
    alarms_.Report({"log_held", ToString(problem.log->origin()), std::string(problem.what.message()),
                    "look at the disk first; resolving accepts the loss, which is then a recorded gap",
                    true});
  }
  damage_.Open();
  return tables_.Open();
}

absl::Status NodeState::RaiseFence(const Fence& fence, std::function<absl::Status(WriteBatch&)> also) {
  return RaiseFences({fence}, std::move(also));
}

absl::Status NodeState::RaiseFences(const std::vector<Fence>& fences,
                                    std::function<absl::Status(WriteBatch&)> also) {
  return Commit(committer_, [&](WriteBatch& batch) {
    SELVAGE_RETURN_IF_ERROR(also(batch));
    for (const Fence& fence : fences) fences_.Raise(fence);
    return absl::OkStatus();
  });
}

absl::Status NodeState::CreateOwnLogs(const v1::StreamDefinition& definition) {
  for (int32_t p = 0; p < definition.partitions(); ++p) {
    LogOrigin origin{"", Slot(0), definition.name(), PartitionId(p)};
    if (logs_.Find(origin) != nullptr) continue;
    CreateLog create{.origin = origin,
                     .id = LogId::Mint(random_),
                     .base = Offset(0),
                     .base_hash = ChainHash(0),
                     .leader_epoch = LeaderEpoch(0)};
    SELVAGE_RETURN_IF_ERROR(logs_.Create(create).status());
  }
  return absl::OkStatus();
}

absl::Status NodeState::AddPartitions(const std::string& stream, int32_t partitions, bool validate_only) {
  auto known = catalog_.Find(stream);
  if (!known) {
    return MakeError(absl::StatusCode::kNotFound, "unknown_stream",
                     fmt::format("there is no stream {}", stream),
                     "selvagectl stream list shows what there is");
  }
  if (known->direction() != v1::LOCAL) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "immutable",
                     fmt::format("stream {} is replicated: each edge has {} partitions of it for ever",
                                 stream, known->partitions()),
                     "make another stream with more partitions");
  }
  if (partitions <= known->partitions()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "invalid_partitions",
                     fmt::format("stream {} has {} partitions already; {} are asked for", stream,
                                 known->partitions(), partitions),
                     "partitions can only be added");
  }
  known->set_partitions(partitions);
  SELVAGE_ASSIGN_OR_RETURN(const v1::StreamDefinition grown, CompleteDefinition(*std::move(known)));
  if (validate_only) return absl::OkStatus();
  // The logs first: a partition that clients see can be written.
  SELVAGE_RETURN_IF_ERROR(CreateOwnLogs(grown));
  return catalog_.Put(grown);
}

absl::StatusOr<int> NodeState::DeleteStream(const std::string& name,
                                            const std::function<void(WriteBatch&)>& also) {
  on_delete_(name);
  std::set<std::string> held;
  for (const std::shared_ptr<Log>& log : logs_.All()) {
    if (log->origin().stream == name && !log->held().ok()) held.insert(ToString(log->origin()));
  }
  SELVAGE_ASSIGN_OR_RETURN(int logs, logs_.DeleteStream(name, [&](WriteBatch& batch) {
    catalog_.StageRemove(batch, name);
    also(batch);
  }));
  catalog_.Forget(name);
  for (const std::string& log : held) alarms_.Clear("log_held", log);
  on_delete_(name);
  return logs;
}

absl::Status NodeState::RenameStream(const std::string& name, const v1::StreamDefinition& definition) {
  on_delete_(name);
  SELVAGE_RETURN_IF_ERROR(logs_.RenameStream(name, definition.name(), [&](WriteBatch& batch) {
    catalog_.StageRemove(batch, name);
    StreamCatalog::StagePut(batch, definition);
  }));
  catalog_.Forget(name);
  catalog_.Show(definition);
  on_delete_(name);
  return absl::OkStatus();
}

absl::Status NodeState::DeleteRecords(Log& log, const v1::StreamDefinition& definition, Offset to) {
  const LogState state = log.state();
  if (to < Offset(0) || to > state.end) {
    return MakeError(absl::StatusCode::kOutOfRange, "offset_out_of_range",
                     fmt::format("offset {} of a log that ends at {}", to.value(), state.end.value()));
  }
  if (ReplicatedFromHere(log.origin(), definition) &&
      to > std::max(state.log_start(), log.acknowledged().value_or(state.base))) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "unacknowledged",
                     fmt::format("records before offset {} are not replicated yet", to.value()));
  }
  return log.DeleteRecords(to);
}

bool NodeState::ReplicatedFromHere(const LogOrigin& origin, const v1::StreamDefinition& definition) const {
  if (options_.is_edge) return origin.edge.empty() && definition.direction() == v1::UP;
  // A shared stream is kept as its retention says, whoever has read it.
  return definition.direction() == v1::DOWN;
}

bool NodeState::IsSource(const LogOrigin& origin) const {
  if (options_.is_edge || origin.edge.empty()) return origin.edge.empty();
  const auto definition = catalog_.Find(origin.stream);
  return definition && definition->direction() != v1::UP;
}

std::optional<DamageControl::OtherCopy> NodeState::OtherCopyOf(const Log& log) const {
  const LogOrigin& origin = log.origin();
  const auto definition = catalog_.Find(origin.stream);
  if (!definition) return std::nullopt;
  const v1::Direction direction = definition->direction();
  if (!IsSource(origin)) return DamageControl::OtherCopy{.to = Offset(INT64_MAX)};
  if (direction == v1::LOCAL) return DamageControl::OtherCopy{.to = Offset(0), .is_source = true};
  return DamageControl::OtherCopy{.to = log.acknowledged().value_or(Offset(0)),
                                  .is_source = true,
                                  .several = direction == v1::DOWN_SHARED};
}

}  // namespace selvage
