#include <fmt/format.h>

#include <utility>

#include "edge/edge_state.h"
#include "fabric/base/error.h"

/// Streams that are made at an edge, before the core knows them.
namespace selvage {

absl::StatusOr<v1::StreamDefinition> EdgeState::Provisional(const std::string& stream) const {
  auto known = node_.catalog().Find(stream);
  if (!known) {
    return MakeError(absl::StatusCode::kNotFound, "unknown_stream",
                     fmt::format("there is no stream {}", stream),
                     "selvagectl stream list shows what there is");
  }
  if (known->generation() == 0) return *std::move(known);
  return MakeError(absl::StatusCode::kFailedPrecondition, "wrong_node",
                   fmt::format("stream {} is defined at the core", stream),
                   "change it there: selvagectl --address <core> stream set|delete; the edges follow");
}

absl::StatusOr<v1::StreamDefinition> EdgeState::CheckNew(v1::StreamDefinition definition) {
  SELVAGE_ASSIGN_OR_RETURN(definition, CompleteDefinition(std::move(definition)));
  if (definition.direction() != v1::UP && definition.direction() != v1::LOCAL) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "wrong_node",
                     fmt::format("stream {} would be written at the core", definition.name()),
                     "create down streams at the core");
  }
  if (node_.catalog().Find(definition.name())) {
    return MakeError(absl::StatusCode::kAlreadyExists, "stream_exists",
                     fmt::format("stream {} exists", definition.name()),
                     "selvagectl stream describe shows it");
  }
  if (definition.name().starts_with(node_.node() + ".")) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "name_reserved",
        fmt::format("at the core {} would be this edge's part of another stream", definition.name()),
        "choose a name that does not begin with an edge's id and a dot");
  }
  definition.set_generation(0);
  definition.set_created(0);
  return definition;
}

absl::StatusOr<v1::StreamDefinition> EdgeState::CreateStream(v1::StreamDefinition definition) {
  absl::MutexLock change(&change_mutex_);
  SELVAGE_ASSIGN_OR_RETURN(definition, CheckNew(std::move(definition)));
  SELVAGE_RETURN_IF_ERROR(node_.catalog().Put(definition));
  SELVAGE_RETURN_IF_ERROR(node_.CreateOwnLogs(definition));
  return definition;
}

absl::StatusOr<v1::StreamDefinition> EdgeState::SetStream(const v1::SetStreamRequest& request) {
  absl::MutexLock change(&change_mutex_);
  SELVAGE_ASSIGN_OR_RETURN(v1::StreamDefinition definition, Provisional(request.stream()));
  if (request.if_generation() != 0) {
    return MakeError(
        absl::StatusCode::kAborted, "generation_mismatch",
        fmt::format("stream {} has no generation yet: the core does not know it", request.stream()),
        "leave the condition out");
  }
  SELVAGE_RETURN_IF_ERROR(MergeSettings(request.settings(),
                                        {request.fields().begin(), request.fields().end()},
                                        *definition.mutable_settings()));
  SELVAGE_ASSIGN_OR_RETURN(definition, CompleteDefinition(std::move(definition)));
  SELVAGE_RETURN_IF_ERROR(node_.catalog().Put(definition));
  ShowDefinition(definition);  // the next offer tells the core the settings as they are now
  return definition;
}

absl::Status EdgeState::AddPartitions(const std::string& stream, int32_t partitions, bool validate_only) {
  absl::MutexLock change(&change_mutex_);
  SELVAGE_RETURN_IF_ERROR(Provisional(stream).status());
  return node_.AddPartitions(stream, partitions, validate_only);
}

void EdgeState::ClearAlarms(const v1::StreamDefinition& gone) {
  node_.alarms().Clear("definition_mismatch", gone.name());
  for (int32_t p = 0; p < gone.partitions(); ++p) {
    node_.alarms().Clear("flow_held", ToString(LogOrigin{"", Slot(0), gone.name(), PartitionId(p)}));
  }
}

absl::StatusOr<int> EdgeState::DeleteStream(const std::string& stream) {
  absl::MutexLock change(&change_mutex_);
  SELVAGE_ASSIGN_OR_RETURN(const v1::StreamDefinition definition, Provisional(stream));
  SELVAGE_ASSIGN_OR_RETURN(const int logs, node_.DeleteStream(stream));
  (void)UpFlows();  // lets go of the logs
  ClearAlarms(definition);
  SELVAGE_RETURN_IF_ERROR(MakeRoomTaken());
  return logs;
}

absl::Status EdgeState::CheckNotReplicated(const std::string& stream) {
  for (const std::shared_ptr<Log>& log : node_.logs().All()) {
    if (log->origin().stream != stream || log->superseded()) continue;
    bool taken = log->acknowledged().value_or(Offset(0)) > log->state().base;
    absl::MutexLock lock(&mutex_);
    const auto flow = flow_states_.find(log->number());
    taken |= flow != flow_states_.end() && flow->second.state == "streaming";
    if (!taken) continue;
    return MakeError(absl::StatusCode::kFailedPrecondition, "stream_replicated",
                     fmt::format("the core holds records of {} under this name", ToString(log->origin())),
                     "under another name they would be there twice");
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::StreamDefinition> EdgeState::RenameStream(const std::string& stream,
                                                             const std::string& to) {
  absl::MutexLock change(&change_mutex_);
  SELVAGE_ASSIGN_OR_RETURN(const v1::StreamDefinition former, Provisional(stream));
  SELVAGE_RETURN_IF_ERROR(CheckNotReplicated(stream));
  v1::StreamDefinition definition = former;
  definition.set_name(to);
  SELVAGE_ASSIGN_OR_RETURN(definition, CheckNew(std::move(definition)));
  SELVAGE_RETURN_IF_ERROR(node_.RenameStream(stream, definition));
  (void)UpFlows();  // lets go of the former logs
  ClearAlarms(former);
  relink_ = true;
  SELVAGE_RETURN_IF_ERROR(MakeRoomTaken());
  return definition;
}

absl::Status EdgeState::MakeRoomTaken() {
  const v1::EdgeSpec spec = this->spec();
  if (spec.generation() == 0) return absl::OkStatus();  // nothing is known of what this core wants
  SELVAGE_ASSIGN_OR_RETURN(spec_whole_, MakeStreams(spec));
  return absl::OkStatus();
}

}  // namespace selvage
