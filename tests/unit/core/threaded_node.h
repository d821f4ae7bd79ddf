#pragma once

#include <memory>
#include <string>

#include "core/fleet.h"
#include "edge/edge_state.h"
#include "fabric/base/check.h"
#include "fabric/node/node_state.h"
#include "fabric/storage/memory_store.h"

namespace selvage {

/// A node in memory with a committer thread, as in a daemon; used by several threads.
class ThreadedNode {
 public:
  ThreadedNode(const std::string& name, bool is_edge) {
    NodeState::Options options;
    options.node = name;
    options.is_edge = is_edge;
    state = std::make_unique<NodeState>(options, store, SystemClock(), SystemRandom());
    committer_ = std::make_unique<CommitterThread>(state->committer());
    SELVAGE_CHECK(state->Open({}).ok());
    if (is_edge) {
      edge = std::make_unique<EdgeState>(EdgeState::PartsOf(*state), "test");
      SELVAGE_CHECK(edge->Open({}).ok());
    } else {
      fleet = std::make_unique<Fleet>(*state, "test");
      SELVAGE_CHECK(fleet->Open({}).ok());
    }
  }

  MemoryStore store;
  std::unique_ptr<NodeState> state;
  std::unique_ptr<EdgeState> edge;  // at an edge
  std::unique_ptr<Fleet> fleet;     // at the core

 private:
  std::unique_ptr<CommitterThread> committer_;  // stops first
};

}  // namespace selvage
