#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "edge/edge_state.h"
#include "tests/simulation/sim_link.h"
#include "tests/simulation/sim_node.h"

namespace selvage::sim {

/// An edge: dials, produces, is operated.
class SimEdge : public SimNode {
 public:
  /// Asks the world for a connection; null when the core cannot be reached.
  using Dial = std::function<std::shared_ptr<SimLink>(SimEdge&)>;

  SimEdge(Surroundings world, std::string name, Dial dial);

  /// Only while up.
  EdgeState& edge() { return *edge_; }
  const std::shared_ptr<SimLink>& link() const { return link_; }

  /// When this machine was copied, or came into being as a copy: both machines have the same.
  struct Copying {
    size_t number = 0;
    uint64_t mark = 0;  ///< Ledger::mark
    bool operator==(const Copying&) const = default;
  };
  const std::optional<Copying>& copying() const { return copying_; }
  void set_copying(std::optional<Copying> copying) { copying_ = copying; }

  /// Writes one batch to a partition of an own stream, if there is one.
  void Produce();
  /// Creates an up stream here; provisional until the core knows it.
  void CreateStream(const v1::StreamDefinition& definition);

  std::shared_ptr<replication::LinkHandler> MakeUplink(std::function<void()> wake);
  void LinkEnded(const absl::Status& reason, absl::Duration retry_after);

 protected:
  absl::Status OpenLogic() override;
  void CloseLogic() override;
  void Vanished() override;

 private:
  void DialAfter(absl::Duration wait);

  const Dial dial_;
  std::unique_ptr<EdgeState> edge_;
  std::shared_ptr<SimLink> link_;
  uint64_t dials_ = 0;
  std::optional<Copying> copying_;
};

/// A batch of random size with a key that names it; see Ledger.
std::string MakeBatch(Surroundings world, uint64_t payload);

}  // namespace selvage::sim
