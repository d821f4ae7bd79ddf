#include "core/fleet.h"

#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/telemetry/log.h"

namespace selvage {
namespace {

/// The store was another core's until now.
absl::Status TakeStore(NodeState& node) {
  LogWarning("the store of another core is this one's from here on",
             {{"former", node.former_owner()}, {"core", node.node()}});
  return Commit(node.committer(), [&](WriteBatch& batch) {
    node.StageIdentity(batch, node.store_id());
    return absl::OkStatus();
  });
}

}  // namespace

Fleet::Fleet(NodeState& state, const std::string& version)
    : node(state),
      core(node.store(), node.committer(), node.random()),
      edges(node.store(), node.committer()),
      reports(node.store(), node.committer(), node.clock(), links),
      specs(node.committer(), core, edges, node.catalog(), links),
      streams(node, core, edges, specs),
      logs(node, core, streams, links),
      admitter(node, core, edges, links, reports, version),
      view(node.logs(), edges, specs, links, reports) {}

absl::Status Fleet::Open(const std::vector<v1::StreamDefinition>& configured) {
  SELVAGE_RETURN_IF_ERROR(core.Open());
  SELVAGE_RETURN_IF_ERROR(edges.Open());
  SELVAGE_RETURN_IF_ERROR(reports.Open());
  if (!node.former_owner().empty()) SELVAGE_RETURN_IF_ERROR(TakeStore(node));
  admitter.Open();
  // What else is held of an edge is tried again.
  node.alarms().OnResolveHeldOfPeer([this](const v1::AlarmDocument& alarm, const std::string&) {
    links.Close(alarm.peer());
    return absl::OkStatus();
  });
  return streams.Open(configured);
}

PeerLink::Parts Fleet::LinkParts() {
  return {node, admitter, links, reports, specs, logs};
}

}  // namespace selvage
