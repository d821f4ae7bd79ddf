#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka {

/// Where a partition is led, beside an error that says it is not here.
struct LeaderIdAndEpoch {
  int32_t leader_id = -1;
  int32_t leader_epoch = -1;

  bool operator==(const LeaderIdAndEpoch&) const = default;
  static void Fields(auto& field, auto& m) {
    field("leader_id", m.leader_id);
    field("leader_epoch", m.leader_epoch);
  }
};

/// The address of a leader.
struct NodeEndpoint {
  int32_t node_id = 0;
  std::string host;
  int32_t port = 0;
  std::optional<std::string> rack;

  bool operator==(const NodeEndpoint&) const = default;
  static void Fields(auto& field, auto& m) {
    field("node_id", m.node_id);
    field("host", m.host);
    field("port", m.port);
    field("rack", m.rack);
  }
};

}  // namespace selvage::kafka
