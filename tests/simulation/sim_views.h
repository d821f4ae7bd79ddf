#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "fabric/node/node_state.h"
#include "tests/simulation/sim_disk.h"
#include "tests/simulation/surroundings.h"

namespace selvage::sim {

/// Runs the views of one node, where it has any, and checks after each piece that their rows are what the
/// records up to their positions add up to, and that they tell what they went on behind. Lives as long as
/// the node.
class SimViews {
 public:
  SimViews(Surroundings world, std::string node) : world_(world), node_(std::move(node)) {}

  /// The node starts, perhaps with another disk than it had.
  void Opened(NodeState& state, SimDisk& disk);
  /// Does some of what a daemon does all the time. The disk may fail meanwhile.
  void Feed(NodeState& state, SimDisk& disk);
  /// Reads everything there is, and compares all rows. Nothing else is under way.
  void CheckEnd(NodeState& state, SimDisk& disk);

 private:
  using Stored = std::map<LogNumber, v1::StoredViewLog>;

  void Make(NodeState& state);
  /// One step of all views; true when there may be more to do.
  bool Run(NodeState& state, SimDisk& disk);
  /// Finds out what views have read since. After a start that may have been in the midst of other things.
  void CatchUp(NodeState& state, ViewModel& model, bool started);
  /// False when it cannot be told any more what the view has read of this log.
  bool CatchUpWith(EmbeddedLog& log, const v1::ViewDefinition& view, const v1::StoredViewLog& now,
                   test::ViewBuildModel& build, bool started);
  void CheckHistory(const EmbeddedLog& log, const test::ViewBuildModel::Place& before,
                    const v1::StoredViewLog& now, const Entry& first);
  void Compare(NodeState& state, const std::string& table, test::ViewBuildModel& build, bool all);
  void CompareRow(const std::string& table, const std::string& key, const std::optional<std::string>& row,
                  test::ViewBuildModel& build);
  void CheckRead(NodeState& state);
  void Violate(const std::string& what);

  Surroundings world_;
  const std::string node_;
  std::map<LogNumber, Offset> starts_;  // of the logs, before the last step
};

}  // namespace selvage::sim
