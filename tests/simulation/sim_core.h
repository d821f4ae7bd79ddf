#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/fleet.h"
#include "fabric/telemetry/metrics.h"
#include "tests/simulation/sim_link.h"
#include "tests/simulation/sim_node.h"

namespace selvage::sim {

/// The core: takes links, produces down streams, is operated.
class SimCore : public SimNode {
 public:
  explicit SimCore(Surroundings world);

  /// Only while up.
  Fleet& fleet() { return *fleet_; }
  /// Started with --restored from here on, once.
  void SetRestored() { restored_ = true; }
  /// The disk holds less than it did: what was checked of fleet-wide promises begins anew.
  void Regressed();
  /// The operator let an edge link again: what it was held for is settled.
  void Forgive();

  void Link(std::shared_ptr<SimLink> link) { links_.push_back(std::move(link)); }
  std::shared_ptr<replication::LinkHandler> MakePeerLink(const std::string& edge, std::function<void()> wake);
  void Admitted(const std::string& edge, uint64_t link, const v1::Hello& hello) override;

  /// Writes one batch to a down or local stream.
  void Produce();
  void CreateStream(const v1::StreamDefinition& definition);
  void DeleteStream(const std::string& name);
  void CreateTable(const std::string& table);
  void DropTable(const std::string& table);
  /// The rows that each edge has.
  void SetTablePrefix(const std::string& table, const std::string& prefix);
  void SetStream(const v1::SetStreamRequest& request);

 protected:
  absl::Status OpenLogic() override;
  void CloseLogic() override;
  void Vanished() override;
  void Upkeep() override;

 private:
  struct Boots {
    std::string current;
    std::set<std::string> superseded;
  };

  Metrics metrics_{"selvage-core"};
  std::unique_ptr<Fleet> fleet_;
  std::vector<std::shared_ptr<SimLink>> links_;
  bool restored_ = false;
  std::map<std::string, Boots> boots_;     // of each edge, as admitted
  std::map<uint32_t, std::string> slots_;  // who had each slot
};

}  // namespace selvage::sim
