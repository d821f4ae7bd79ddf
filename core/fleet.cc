#include "core/fleet.h"

#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/telemetry/log.h"

namespace selvage {
namespace {

/// The store was another core's until now.
absl::Status TakeStore(const NodeIdentity& identity, Committer& committer) {
  LogWarning("the store of another core is this one's from here on",
             {{"former", identity.former_owner()}, {"core", identity.node()}});
  return Commit(committer, [&](WriteBatch& batch) {
    identity.Stage(batch, identity.store_id());
    return absl::OkStatus();
  });
}

}  // namespace

Fleet::Fleet(NodeState& state, const std::string& version)
    : node(state),
      core(node.store(), node.committer(), node.random()),
      edges(node.store(), node.committer()),
      reports(node.store(), node.committer(), node.clock(), links),
      assignments({node.store(), node.committer(), node.clock(), core, edges}),
      specs(node.committer(), core, edges, node.catalog(), node.tables(), assignments, links),
      streams(node.catalog(), node.streams(), core, edges, specs),
      tables(node.tables(), core, specs, node.random()),
      logs({node.random(), node.logs(), node.catalog(), node.alarms(), core, streams, links}),
      admitter({node.identity(), node.clock(), node.committer(), node.fences(), node.logs(), node.catalog(),
                node.alarms(), core, edges, links, reports},
               version),
      view(node.logs(), edges, specs, links, reports),
      rollouts({node.store(), node.clock(), node.alarms(), assignments, edges, reports, specs}) {}

absl::Status Fleet::Open(const std::vector<v1::StreamDefinition>& configured) {
  SELVAGE_RETURN_IF_ERROR(core.Open());
  SELVAGE_RETURN_IF_ERROR(edges.Open());
  SELVAGE_RETURN_IF_ERROR(reports.Open());
  SELVAGE_RETURN_IF_ERROR(assignments.Open());
  SELVAGE_RETURN_IF_ERROR(rollouts.Open());
  if (!node.identity().former_owner().empty())
    SELVAGE_RETURN_IF_ERROR(TakeStore(node.identity(), node.committer()));
  admitter.Open();
  // What else is held of an edge is tried again.
  node.alarms().OnResolveHeldOfPeer([this](const v1::AlarmDocument& alarm, const std::string&) {
    links.Close(alarm.peer());
    return absl::OkStatus();
  });
  return streams.Open(configured);
}

absl::Status Fleet::StartLineage() {
  return core.StartLineage([this](WriteBatch& batch) { node.tables().StageForgetCursors(batch); });
}

PeerLink::Parts Fleet::LinkParts() {
  const size_t batch_max = node.options().batch_max;
  return {.clock = node.clock(),
          .catalog = node.catalog(),
          .alarms = node.alarms(),
          .budget = node.budget(),
          .streams = {node.committer(), node.fences(), node.logs(), node.alarms(), batch_max},
          .repairs = {node.clock(), node.logs(), node.damage(), batch_max},
          .admitter = admitter,
          .links = links,
          .reports = reports,
          .specs = specs,
          .logs = logs,
          .tables = {node.tables(), tables, node.identity(), edges},
          .random = node.random(),
          .models = models};
}

}  // namespace selvage
