#include "core/fleet_streams.h"

#include <fmt/format.h>

#include <utility>

#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/base/names.h"

namespace selvage {
namespace {

/// Counts a change of this stream, which is news for every edge unless the stream is local.
uint64_t NextGenerationFor(const v1::StreamDefinition& changed, CoreDocument::Change& change) {
  return changed.direction() == v1::LOCAL ? change.NextGeneration() : change.NextGenerationOfAll();
}

}  // namespace

absl::Status FleetStreams::Open(const std::vector<v1::StreamDefinition>& configured) {
  for (const v1::StreamDefinition& definition : configured) {
    auto known = catalog_.Find(definition.name());
    if (!known) {
      SELVAGE_RETURN_IF_ERROR(Create(definition).status());
    } else if (absl::Status same = CheckSameShape(*known, definition); !same.ok()) {
      return Annotate(same, "the configuration and the store disagree");
    }
  }
  for (const v1::StreamDefinition& definition : catalog_.All()) {
    SELVAGE_RETURN_IF_ERROR(CreateSharedLogs(definition));
  }
  return absl::OkStatus();
}

absl::Status FleetStreams::CreateSharedLogs(const v1::StreamDefinition& definition) {
  if (definition.direction() != v1::DOWN_SHARED && definition.direction() != v1::LOCAL)
    return absl::OkStatus();
  return streams_.CreateLogs(definition);
}

absl::Status FleetStreams::CheckNameFree(const std::string& name, Maker maker) const {
  const size_t dot = name.find('.');
  if (dot == std::string::npos) return absl::OkStatus();
  const std::string first = name.substr(0, dot);
  const auto rest = catalog_.Find(name.substr(dot + 1));
  const bool for_nobody = maker == Maker::kOperator || Planted(Canary::kReserveForNobody);
  const bool may_be_part = for_nobody && IsDnsLabel(first) && rest &&
                           (rest->direction() == v1::UP || rest->direction() == v1::DOWN);
  if (!may_be_part && !edges_.SlotOf(first)) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument, "name_reserved",
      fmt::format("{} would be edge {}'s part of a stream {}", name, first, name.substr(dot + 1)),
      maker == Maker::kOperator
          ? "choose a name that does not begin with an edge's id and a dot"
          : fmt::format("give the stream another name at the edge, with all it holds: selvagectl --address "
                        "<edge> stream rename {} <name>",
                        name));
}

absl::StatusOr<v1::StreamDefinition> FleetStreams::CheckNew(v1::StreamDefinition definition,
                                                            Maker maker) const {
  SELVAGE_ASSIGN_OR_RETURN(definition, CompleteDefinition(std::move(definition)));
  if (catalog_.Find(definition.name())) {
    return MakeError(absl::StatusCode::kAlreadyExists, "stream_exists",
                     fmt::format("stream {} exists", definition.name()),
                     "selvagectl stream describe shows it; stream set changes its settings");
  }
  SELVAGE_RETURN_IF_ERROR(CheckNameFree(definition.name(), maker));
  return definition;
}

absl::StatusOr<v1::StreamDefinition> FleetStreams::Create(v1::StreamDefinition definition, Maker maker) {
  {
    CoreDocument::Change change(core_);
    SELVAGE_ASSIGN_OR_RETURN(definition, CheckNew(std::move(definition), maker));
    const uint64_t generation = NextGenerationFor(definition, change);
    definition.set_generation(generation);
    definition.set_created(generation);
    SELVAGE_RETURN_IF_ERROR(catalog_.Put(definition, [&](WriteBatch& batch) { change.Stage(batch); }));
    change.Show();
    SELVAGE_RETURN_IF_ERROR(CreateSharedLogs(definition));
  }
  specs_.ChangedAll();
  return definition;
}

absl::StatusOr<v1::StreamDefinition> FleetStreams::Find(const std::string& name) const {
  if (auto known = catalog_.Find(name)) return *std::move(known);
  return MakeError(absl::StatusCode::kNotFound, "unknown_stream", fmt::format("there is no stream {}", name),
                   "selvagectl stream list shows what there is");
}

absl::StatusOr<v1::StreamDefinition> FleetStreams::Set(const v1::SetStreamRequest& request) {
  v1::StreamDefinition definition;
  {
    CoreDocument::Change change(core_);
    SELVAGE_ASSIGN_OR_RETURN(definition, Find(request.stream()));
    if (request.if_generation() != 0 && request.if_generation() != definition.generation()) {
      return MakeError(absl::StatusCode::kAborted, "generation_mismatch",
                       fmt::format("stream {} has generation {}, not {}", request.stream(),
                                   definition.generation(), request.if_generation()),
                       "somebody else changed it: look at it again", Retry::kYes);
    }
    SELVAGE_RETURN_IF_ERROR(MergeSettings(request.settings(),
                                          {request.fields().begin(), request.fields().end()},
                                          *definition.mutable_settings()));
    SELVAGE_ASSIGN_OR_RETURN(definition, CompleteDefinition(definition));
    definition.set_generation(NextGenerationFor(definition, change));
    SELVAGE_RETURN_IF_ERROR(catalog_.Put(definition, [&](WriteBatch& batch) { change.Stage(batch); }));
    change.Show();
  }
  specs_.ChangedAll();
  return definition;
}

absl::Status FleetStreams::AddPartitions(const std::string& name, int32_t partitions, bool validate_only) {
  CoreDocument::Change change(core_);
  return streams_.AddPartitions(name, partitions, validate_only);
}

absl::StatusOr<int> FleetStreams::Delete(const std::string& name) {
  int logs = 0;
  {
    CoreDocument::Change change(core_);
    SELVAGE_ASSIGN_OR_RETURN(const v1::StreamDefinition definition, Find(name));
    NextGenerationFor(definition, change);
    SELVAGE_ASSIGN_OR_RETURN(logs, streams_.Delete(name, [&](WriteBatch& batch) { change.Stage(batch); }));
    change.Show();
  }
  specs_.ChangedAll();
  return logs;
}

}  // namespace selvage
