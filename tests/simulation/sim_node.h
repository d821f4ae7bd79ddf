#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fabric/kafka/group_service/group_service.h"
#include "fabric/node/node_state.h"
#include "fabric/stream/synced_ends.h"
#include "selvage/v1/link.pb.h"
#include "tests/simulation/ledger.h"
#include "tests/simulation/sim_capture.h"
#include "tests/simulation/sim_clock.h"
#include "tests/simulation/sim_consumer.h"
#include "tests/simulation/sim_disk.h"
#include "tests/simulation/sim_tables.h"
#include "tests/simulation/sim_views.h"
#include "tests/simulation/surroundings.h"

namespace selvage::sim {

/// A machine with a disk on which the production code of a node runs: everything of a daemon but its threads,
/// sockets and files. Dies and comes back; the object lives as long as the world.
class SimNode {
 public:
  /// What waits for the groups is answered while all else is there.
  virtual ~SimNode() { groups_.reset(); }

  const std::string& name() const { return name_; }
  bool is_edge() const { return is_edge_; }
  bool up() const { return state_ != nullptr; }
  /// Another number for each time that it is up.
  int boots() const { return boots_; }
  /// Only while up.
  NodeState& state() { return *state_; }
  kafka::GroupService& groups() { return *groups_; }
  SimDisk& disk() { return *disk_; }
  /// How many disks it had before this one.
  int former_disks() const { return former_disks_; }
  SimClock& clock() { return clock_; }
  Shadow& shadow() { return shadow_; }

  /// Opens the store as a starting daemon does. Stays down when that fails.
  void Start();
  /// Dead on the spot: what was not synced is lost or torn when it starts again.
  void Die(std::string_view why);
  /// As on SIGTERM: what waits is still committed.
  void Stop();
  /// Dies, and is started on what another node's disk holds, which must be refused. Then it has its own
  /// again.
  void StartOnForeign(const SimDisk::Image& image, const std::string& whose);
  /// Another disk, while down.
  void PutDisk(std::unique_ptr<SimDisk> disk);

  /// Call after every event: dies when the disk did, commits what waits, looks at what became visible.
  void Settle();
  /// Looks at everything that became visible since.
  void Observe();

  SimTables& tables() { return tables_; }
  /// Programs write rows.
  void UseTables();
  /// A client deletes the records of some log that is written here, up to some offset.
  void DeleteRecords();
  /// Consumers do something: members of groups, or somebody who commits without being one.
  void UseGroups();
  /// Some document of the consumer groups cannot be read any more.
  void DamageGroups();
  /// The tables' own, unless a bug is planted that is to be found from outside. Nothing may be under way.
  void CheckTableInvariants();
  /// Views have read everything, and show it.
  void CheckViews();
  /// Compares the offsets that are there with those that were committed.
  void CheckOffsets();
  /// A member of a group was told its generation.
  void Told(const std::string& group, int32_t generation);

  /// A link of an edge passed its fence at this node: no older one may write from here on.
  virtual void Admitted(const std::string& edge, uint64_t link, const v1::Hello& hello);
  /// An entry that came over a link was made durable, or refused.
  void Persisted(const std::string& edge, uint64_t link, const absl::Status& outcome);

  /// Does what an operator does who resolves every alarm that needs one, and perhaps gives up damaged entries
  /// that wait for another copy.
  void ResolveAlarms(bool give_up_damaged);

 protected:
  SimNode(Surroundings world, std::string name, bool is_edge);
  virtual absl::Status OpenLogic() = 0;
  virtual void CloseLogic() = 0;
  /// The machine is gone: its links hear nothing more of it.
  virtual void Vanished() = 0;
  virtual void Upkeep();
  /// A table is not there that programs here would use.
  virtual void MissTable(const std::string&) {}
  /// The logs that clients may write to at this node.
  std::vector<std::shared_ptr<EmbeddedLog>> WrittenHere();
  /// A batch was written here for good: while its stream is detached it stays here.
  void CheckInvariants(const EmbeddedLog& log);
  void Wrote(const EmbeddedLog& log, uint64_t payload);

  Surroundings world_;

 private:
  NodeState::Options Options();
  /// Follows which streams are detached.
  void LookAtStreams();
  /// Somebody who is no member of a group commits an offset.
  void CommitOffset();
  void DeleteGroup(const std::string& group);
  void Close();
  void ScheduleUpkeep();

  const std::string name_;
  const bool is_edge_;
  std::unique_ptr<SimDisk> disk_ = std::make_unique<SimDisk>();
  SimClock clock_;
  std::unique_ptr<test::SeededRandom> random_;
  std::unique_ptr<NodeState> state_;
  std::unique_ptr<kafka::GroupService> groups_;
  std::unique_ptr<SyncedEnds> ends_;  // of this life
  Shadow shadow_;
  SimTables tables_;
  SimCapture capture_;
  SimViews views_;
  std::map<std::string, uint64_t> newest_link_;  // of each edge, the one admitted last since the start
  std::set<std::weak_ptr<EmbeddedLog>, std::owner_less<>> watched_;
  std::vector<std::unique_ptr<SimConsumer>> consumers_;
  std::map<std::string, absl::Duration> detached_;  // streams, since when
  uint64_t streams_seen_ = 0;
  std::set<std::string> deleting_;            // groups of which nobody heard whether they are deleted
  std::optional<std::string> damaged_group_;  // its members' document was damaged in this boot
  int groups_damaged_ = 0;                    // the boot in which a document was damaged last
  int boots_ = 0;
  int former_disks_ = 0;
  uint64_t groups_seen_ = 0;
  bool commit_scheduled_ = false;
};

}  // namespace selvage::sim
