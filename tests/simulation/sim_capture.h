#pragma once

#include <map>
#include <memory>
#include <string>

#include "fabric/node/node_state.h"
#include "tests/simulation/surroundings.h"

namespace selvage::sim {

/// A log of captured changes: apart from those that the ledger knows each record of.
bool IsCaptureLog(const Log& log);

/// A program that follows the captured changes of the shared table at one node, and checks that each goes on
/// from where the one before ended, and that together they are what readers see. Lives as long as the node.
class SimCapture {
 public:
  SimCapture(Surroundings world, std::string node) : world_(world), node_(std::move(node)) {}

  /// The node starts, perhaps with another state than it had.
  void Opened(NodeState& state);
  /// Looks at what was captured since, and switches capture on where it is off. While nothing else is under
  /// way.
  void Follow(NodeState& state);

 private:
  using Rows = std::map<std::string, std::string>;  // JSON by key

  void Begin(NodeState& state);
  void ReadOn(EmbeddedLog& log);
  void Take(const Record& record);
  void Compare(NodeState& state);
  void Violate(const std::string& what);

  Surroundings world_;
  const std::string node_;
  struct Beginning {
    Rows rows;
    Offset offset;
  };
  std::map<LogId, Beginning> beginnings_;  // what was there when capture of it began
  LogId log_;                              // none: capture has to begin anew
  Rows rows_;
  Offset read_to_;
};

}  // namespace selvage::sim
