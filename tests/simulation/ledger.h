#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fabric/node/node_state.h"
#include "fabric/stream/embedded_log.h"
#include "tests/simulation/generation_model.h"
#include "tests/simulation/timeline.h"
#include "tests/support/commit_model.h"

namespace selvage::sim {

/// What was visible on one disk: all of it must still be there when the disk is opened again.
struct Shadow {
  struct Seen {
    LogOrigin origin;
    bool source = false;  ///< this node writes it; else it is a replica
    LogId id;
    Offset base;
    uint64_t trimmed = 0;  ///< LogState::bytes_before_start
    Offset end;
    ChainHash hash;
    LeaderEpoch epoch;
    Offset deletion_asked = Offset(0);  ///< the furthest that a client asked for
    Offset deleted = Offset(0);         ///< and that was acknowledged
  };
  explicit Shadow(std::string node_name) : node(std::move(node_name)) {}
  /// The disk was replaced, or set back: nothing is expected of it.
  void Forget() {
    seen.clear();
    committed.Forget();
    generations.Forget();
  }

  const std::string node;
  std::map<LogNumber, Seen> seen;
  test::CommitModel committed;  ///< offsets of consumers
  GenerationModel generations;  ///< of their groups
  bool set_back = false;        ///< see Ledger::SetBack
  bool damaged = false;         ///< see Ledger::BitsFlipped
  bool lost_tail = false;       ///< the disk lost what it had synced: logs may be held, and have gaps for it
};

/// Knows every entry that any source ever made durable and every record that was acknowledged to a producer,
/// and checks each observation against them:
///
/// - a log is contiguous: each entry follows the one before in offset, chain hash and leader epoch; holes are
/// gaps;
/// - a replica holds only entries that a source of that log had synced, byte for byte, at that place of its
/// chain;
/// - what was visible before a crash is there after it;
/// - a record is in one place at the core, at the offset that was acknowledged. docs/reliability.md lists
/// what is sent
///   again rather than lost;
/// - a gap has a reason that something in this run gave;
/// - an offset that a consumer committed is there, or one that it committed later; who was a member of a
///   group before its newest generation commits nothing;
/// - records that a client deleted stay deleted, and no others are, nor those of a replica;
/// - what was written while a stream was detached stays where it is until the stream is attached.
class Ledger {
 public:
  explicit Ledger(Timeline& time) : time_(time) {}

  // What the run does that gives reason for a gap or an absence.
  void MayDropOldest(const std::string& stream) { drop_oldest_.insert(stream); }
  /// The disk holds again what it held at the mark `to`: replicas may regress, and histories fork.
  void SetBack(Shadow& disk, uint64_t to);
  /// Two machines have what this disk holds.
  void Copied(Shadow& disk) {
    SetBack(disk, mark());
    copied_.insert(disk.node);
  }
  /// The disk cannot read some of what it holds.
  void BitsFlipped(Shadow& disk) { flipped_ = disk.damaged = true; }
  /// The entry at this boundary of a log on `disk` is about to be damaged.
  void EntryDamaged(const Shadow& disk, EmbeddedLog& log, Offset at);
  void StreamDeleted(const std::string& stream) { deleted_.insert(stream); }
  bool WasDeleted(const std::string& stream) const { return deleted_.contains(stream); }
  /// What this disk acknowledged after `since` and the core does not hold is gone.
  void Excuse(const Shadow& disk, uint64_t since);
  /// What was acknowledged on one disk counts as acknowledged on its copy as well.
  void HandOver(const Shadow& from, const Shadow& to, uint64_t until);
  /// The core holds less than it acknowledged: what edges no longer hold may be missing. `backup`: the mark
  /// of the backup it is restored from; nothing when its disk was lost.
  void CoreRegressed(std::optional<uint64_t> backup);

  // Producers. A payload is one batch, named by the timestamp of its first record.
  uint64_t NextPayload() { return last_payload_ += payload_step_; }
  void set_payload_step(uint64_t step) { payload_step_ = step; }
  uint64_t acknowledged() const { return acknowledged_; }
  /// The source acknowledged it: OK after the sync, or what was sent again was there.
  void Acknowledged(const Shadow& disk, const std::string& edge, const LogOrigin& origin, uint64_t payload,
                    Offset end);
  /// A number that grows with each acknowledgement, for Excuse and HandOver.
  uint64_t mark() const { return acknowledged_; }

  // What clients and operators do.
  /// A client is about to delete the records of a log before `to`.
  void DeletionAsked(Shadow& shadow, const EmbeddedLog& log, Offset to);
  /// It was acknowledged. `before`: the log's state then; `at_most`: up to where it may be, if another node
  /// gets the log from here.
  void RecordsDeleted(Shadow& shadow, const EmbeddedLog& log, const LogState& before, Offset to,
                      std::optional<Offset> at_most);
  /// A batch was written while its stream was detached at the node that writes it...
  void StaysHere(const Shadow& disk, const std::string& stream, uint64_t payload);
  /// ...and now it is not any more.
  void MayLeave(const Shadow& disk, const std::string& stream);

  // Observations.
  void Observe(Shadow& shadow, NodeState& state, EmbeddedLog& log);
  /// `acknowledged_ends`: of the file beside the store, as it was found.
  void CheckReopened(Shadow& shadow, NodeState& state, const std::map<LogNumber, Offset>& acknowledged_ends);
  /// No committed offset is lost.
  void CheckOffsets(const Shadow& shadow, const kafka::GroupService& groups);
  /// The same, after opening.
  void CheckRestoredOffsets(Shadow& shadow, const kafka::GroupService& groups);
  /// True when something that was committed by this group must be there, so that the group is.
  bool HoldsOffsets(const Shadow& shadow, const std::string& group) const;
  /// The end of a run: everything acknowledged is at the core, or accounted for.
  void CheckDelivered();
  /// Reads everything that a node holds.
  void CheckHeld(Shadow& shadow, NodeState& state);
  /// Both hold one history up to the same end, and the replica has every batch that the source holds.
  void CheckReplica(Log& source, Log& replica);

 private:
  struct Known {
    Offset to;
    ChainHash hash_before;
    ChainHash hash_after;
    size_t body;
    friend bool operator==(const Known&, const Known&) = default;
  };
  struct Payload {
    const Shadow* disk = nullptr;
    uint64_t mark = 0;  ///< of its acknowledgement
    std::string edge;
    LogOrigin origin;
    Offset last;  ///< offset of its last record
    bool delivered = false;
    bool regressed = false;  ///< it was delivered, and then the core was set back
    bool excused = false;
  };
  struct Place {
    LogNumber log;
    LogId id;
    Offset from;
    Offset to;
  };
  using Partition = std::pair<std::string, std::pair<std::string, PartitionId>>;  // edge, stream, partition

  void CheckBounds(const Shadow& shadow, const Shadow::Seen& seen, const EmbeddedLog& log);
  void CheckMayBeHere(const Shadow& shadow, const LogOrigin& origin, const Entry& entry);
  /// The stream of this topic was deleted at some time, and so what was committed for it.
  bool MayBeForgotten(const std::string& topic) const;
  void CheckEntry(const Shadow& shadow, const Shadow::Seen& log, const Entry& entry);
  void CheckGap(const Shadow& shadow, const LogOrigin& origin, const Entry& entry);
  void Delivered(NodeState& core, EmbeddedLog& log, const Entry& entry);
  static std::string Describe(const Entry& entry);

  Timeline& time_;
  std::map<LogId, std::map<Offset, std::vector<Known>>> known_;
  std::map<uint64_t, Payload> payloads_;
  std::map<uint64_t, Place> at_core_;
  std::set<uint64_t> were_at_core_;  // when the core was set back
  std::map<std::pair<LogNumber, LogId>, Offset>
      trimmed_at_core_;  // the furthest start of the core's logs, of any time
  std::map<Partition, std::vector<std::pair<Offset, Offset>>>
      accounted_;  // gaps that stand for a loss, at the core or at the edge
  std::map<std::pair<std::string, std::string>, std::set<uint64_t>>
      detached_;  // node and stream: what was written while it was detached there
  std::set<std::string> drop_oldest_;
  std::set<std::string> deleted_;
  std::set<std::string> set_back_;
  std::set<std::string> copied_;
  std::set<std::pair<std::string, std::string>>
      forked_detached_;                     // edge and stream: its logs got new ids while it was detached
  std::map<std::string, uint64_t> forked_;  // edges, with the mark of when their logs last got new ids
  std::set<std::string> lost_tails_;        // edges that lost the end of a log
  std::set<LogNumber> held_at_core_;        // the core's logs whose end was ever damaged
  std::set<std::pair<LogNumber, LogId>>
      damaged_at_core_;               // the core's logs of which an entry was ever damaged
  std::set<std::string> may_repeat_;  // edges of which a copy from before a fork is at work, or the core's is
  std::optional<uint64_t> core_regressed_;  // the mark of when the core last held less than before
  std::set<std::string> damaged_edges_;     // edges of which an entry was ever damaged
  std::set<uint64_t> core_losses_;          // the marks of all those times
  std::set<uint64_t> repeated_;             // payloads that were sent again, as they may be
  bool tails_lost_ = false;
  bool flipped_ = false;
  uint64_t last_payload_ = 0;
  uint64_t payload_step_ = 1;
  uint64_t acknowledged_ = 0;
};

}  // namespace selvage::sim
