#include "fabric/node/node_streams.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "fabric/base/error.h"

namespace selvage {

absl::Status NodeStreams::CreateLogs(const v1::StreamDefinition& definition) {
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

absl::Status NodeStreams::AddPartitions(const std::string& stream, int32_t partitions, bool validate_only) {
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
  SELVAGE_RETURN_IF_ERROR(CheckProducible(*known));
  known->set_partitions(partitions);
  SELVAGE_ASSIGN_OR_RETURN(const v1::StreamDefinition grown, CompleteDefinition(*std::move(known)));
  if (validate_only) return absl::OkStatus();
  // The logs first: a partition that clients see can be written.
  SELVAGE_RETURN_IF_ERROR(CreateLogs(grown));
  return catalog_.Put(grown);
}

absl::Status NodeStreams::CheckNotCapturing(const std::string& stream) const {
  const auto known = catalog_.Find(stream);
  if (!known || known->captures().empty()) return absl::OkStatus();
  const auto facts = tables_.Facts(known->captures());
  if (!facts.ok() || !facts->capture.on) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, "capturing",
                   fmt::format("the changes of table {} go to stream {}", known->captures(), stream),
                   fmt::format("selvagectl table capture {} --off first", known->captures()));
}

absl::StatusOr<int> NodeStreams::Delete(const std::string& name,
                                        const std::function<void(WriteBatch&)>& also) {
  SELVAGE_RETURN_IF_ERROR(CheckNotCapturing(name));
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

absl::Status NodeStreams::Rename(const std::string& name, const v1::StreamDefinition& definition) {
  SELVAGE_RETURN_IF_ERROR(CheckNotCapturing(name));
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

absl::Status NodeStreams::DeleteRecords(Log& log, const v1::StreamDefinition& definition, Offset to) {
  const LogState state = log.state();
  if (to < Offset(0) || to > state.end) {
    return MakeError(absl::StatusCode::kOutOfRange, "offset_out_of_range",
                     fmt::format("offset {} of a log that ends at {}", to.value(), state.end.value()));
  }
  if (places_.ReplicatedFromHere(log.origin(), definition) &&
      to > std::max(state.log_start(), log.acknowledged().value_or(state.base))) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "unacknowledged",
                     fmt::format("records before offset {} are not replicated yet", to.value()));
  }
  return log.DeleteRecords(to);
}

}  // namespace selvage
