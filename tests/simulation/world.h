#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/simulation/ledger.h"
#include "tests/simulation/limits.h"
#include "tests/simulation/sim_core.h"
#include "tests/simulation/sim_edge.h"
#include "tests/simulation/timeline.h"

namespace selvage::sim {

/// How a run ended.
struct Outcome {
  uint64_t seed = 0;
  std::string violation;  ///< empty: every rule held
  absl::Duration simulated;
  uint64_t events = 0;
  uint64_t digest = 0;  ///< equal for two runs of one seed
  uint64_t acknowledged = 0;
  std::map<std::string, int> faults;  ///< by name, how often each struck
};

/// A core and some edges, from one seed: they work while faults strike, with every rule checked after each
/// event; then the faults end, an operator settles what waits for one, and everything must come together
/// within a bounded time.
class World {
 public:
  /// Without `tables` the world is as it was before there were any.
  World(uint64_t seed, bool trace, bool tables = true);
  ~World();

  Outcome Run();

 private:
  struct Fault {
    std::string name;
    void (World::*strike)();
    bool of_tables = false;
  };
  static const std::vector<Fault>& AllFaults();
  /// Of edges that were copied, the processes are separate nodes with the same name.
  struct Backup {
    SimDisk::Image image;
    uint64_t mark = 0;
    SimNode* machine = nullptr;
  };

  // The course of a run.
  void Begin();
  void Work(absl::Duration until);
  void RunUntil(absl::Duration until);
  void Settle();
  void Heal();
  /// What is not yet as it must be in the end; empty when all is.
  std::string Unsettled();
  static std::string HeldLog(SimNode& node);
  static std::string Detached(SimNode& node);
  static std::string StaleAlarm(SimNode& node);
  void CheckEnd();
  /// All clocks reach one time, and every row everybody who is to have it.
  void HealTables();
  std::string TablesUnsettled();
  std::string TableUnsettled(const std::string& table);
  void RunUntilTablesSettle();
  void CheckTables();
  /// Whoever has everything is sent nothing, also on a new link; and a change goes to the others, once.
  void CheckCarried();

  // What goes on.
  void ProduceSomething(absl::Duration within);
  void CreateSomeStream();
  std::shared_ptr<SimLink> Dial(SimEdge& edge);
  void ShapeNetwork();
  void StartEverything();
  void Resolve(bool give_up_damaged = false);
  void AttachAll();

  // Faults; each strikes somewhere at random.
  void EdgePowerCut();
  void CorePowerCut();
  void EdgeStopped();
  void CoreStopped();
  void FailedSync();
  void LinkCut();
  void LinkSilent();
  void LinkOneWay();
  void LinkReshaped();
  void ClockWrong();
  void DiskFull();
  void BitsFlipped();
  void StreamDeleted();
  void SettingsChanged();
  void StreamDetached();
  void GroupsDamaged();
  void EdgeDiskLost();
  void EdgeRestored();
  void EdgeTailLost();
  void EdgeCloned();
  void ForeignStore();
  void CoreRestored();
  void CoreDiskLost();
  void TableRowsChanged();
  void TableMadeAgain();

  SimEdge& AnyEdge();
  SimNode& AnyNode();
  std::shared_ptr<SimLink> AnyLink();
  void ArmOrKill(SimNode& node);
  void RestartSoon(SimNode& node);
  absl::Duration Soon(int64_t min_ms, int64_t max_ms);
  v1::StreamDefinition Definition(int number, v1::Direction direction, const std::string& prefix = "");
  void CoreSetBack(std::optional<uint64_t> backup);

  Timeline time_;
  test::SeededRandom random_;
  Limits limits_;
  Ledger ledger_;
  TableLedger tables_;
  ViewRecords views_;
  Surroundings here_;
  SimCore core_;
  std::vector<std::unique_ptr<SimEdge>> edges_;
  std::vector<std::shared_ptr<SimLink>> links_;
  std::vector<Fault> faults_;
  std::vector<Backup> backups_;
  std::map<SimEdge*, bool> retired_;  ///< machines that an operator took away for good
  std::map<std::string, absl::Duration> unreachable_until_;
  std::map<SimNode*, bool> restarting_;
  absl::Duration clocks_ahead_;  ///< the furthest that any was
  absl::Duration second_ends_;
  uint64_t second_events_ = 0;  ///< what had happened when the second began
  bool healed_ = false;
  uint64_t links_made_ = 0;
  int streams_made_ = 0;
  double rate_ = test::Wire::kUnlimited;
  absl::Duration delay_;
  Outcome outcome_;
};

}  // namespace selvage::sim
