#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/admitter.h"
#include "core/core_document.h"
#include "core/edge_links.h"
#include "core/edge_logs.h"
#include "core/edge_registry.h"
#include "core/edge_reports.h"
#include "core/edge_specs.h"
#include "core/fleet_streams.h"
#include "core/fleet_tables.h"
#include "core/fleet_view.h"
#include "core/model_assignments.h"
#include "core/model_rollouts.h"
#include "core/peer_link.h"
#include "fabric/node/node_state.h"

namespace selvage {

/// Owns what the core knows of its edges and opens it in order. For whoever wires a core together; all else
/// is given the parts that it uses.
struct Fleet {
  /// `node` must outlive it and be open. `version` of the core is told to edges.
  Fleet(NodeState& node, const std::string& version);

  /// Reads what is stored; a new store founds a cluster. Call once.
  absl::Status Open(const std::vector<v1::StreamDefinition>& configured);
  /// After the store was restored from a backup: edges hear of it, and send again what they hold.
  absl::Status StartLineage();
  PeerLink::Parts LinkParts();

  NodeState& node;
  CoreDocument core;
  EdgeRegistry edges;
  EdgeLinks links;
  EdgeReports reports;
  ModelAssignments assignments;
  EdgeSpecs specs;
  FleetStreams streams;
  FleetTables tables;
  EdgeLogs logs;
  Admitter admitter;
  FleetView view;
  ModelRollouts rollouts;
  model::ModelPieces* models = nullptr;  // of links that begin from here on
};

}  // namespace selvage
