#pragma once

/// Known bugs that tests/simulation/canary_hunt and tests of properties switch on, one in each run, to prove
/// that they find each of them. They are compiled into development builds (SELVAGE_CANARIES) and stay off
/// there unless that program says otherwise. In a release Planted is false when the code is compiled, and
/// nothing is left of it.
namespace selvage {

enum class Canary {
  kNone,
  kAcknowledgeBeforeSync,  ///< the committer writes without a sync
  kServeBeforeSync,        ///< an entry is visible when it is staged
  kSkipEpochCheck,         ///< a replica's append is not checked against the newest fence
  kResumeOffByOne,         ///< the sender goes on one entry behind the replica's end
  kSkipHashCheck,          ///< an equal offset counts as an equal history
  kDropGap,                ///< gaps are not sent
  kStoreJump,              ///< gaps are not sent, and the replica does not mind
  kForgetEmptiedEnd,       ///< a log without entries opens at its base
  kReuseSlot,              ///< a new edge gets the slot that was given last
  kIgnoreCredit,           ///< the sender begins entries beyond the peer's window
  kTrimUnacknowledged,     ///< retention takes what the replica does not hold
  kAcceptSupersededBoot,   ///< a process that was superseded may link again
  kSkipOpenCheck,          ///< a store that recovered less than it acknowledged is served
  kForgetFlowAlarms,       ///< a link does not know of alarms that an earlier one raised about its flows
  kForgetProducers,        ///< what was known of idempotent producers is not read at a start
  kBeginAnywhere,          ///< an idempotent producer that is not known may begin with any sequence
  kServeForeignStore,      ///< a node opens the store of another one
  kReserveForNobody,  ///< a dotted name that an edge offers is refused though there is no edge of its first
                      ///< part
  kDeleteBeforeSync,  ///< records are deleted in memory, and on the disk some time later
  kTakeFencedCommit,  ///< a member commits offsets under a generation that is over
  kDropDetached,      ///< retention takes what is not replicated yet of a detached stream
  kCarryDetached,     ///< an edge offers what is detached
  kKeepClaim,         ///< a flow that ended keeps its claim to the credit
  // Of merging rows: found by tests/unit/table/merge_property_test.
  kMergeNewestArrival,  ///< what arrives last wins, not what was written last
  kMergeIgnoreTies,     ///< of two writes with one stamp the one that came first stays
  kForgetTombstone,     ///< a row that was deleted is forgotten with its clear stamp
  kAddContributions,    ///< a contribution that comes again is added once more
  // Of tables that several nodes write: found by tests/contract/table/table_convergence_test.
  kEchoChange,            ///< what came from a peer is sent to it again
  kResumePastRestored,    ///< the end of an epoch that a restored store left behind counts as read
  kFilterDespiteFullTo,   ///< what came from a peer is kept from it though it has nothing
  kSweepAtCore,           ///< a snapshot goes up as well, and takes from the core what the edge does not have
  kSweepUnsent,           ///< a snapshot takes rows that the core has not seen
  kCountByStore,          ///< a store that was restored goes on with the counts that it had
  kIgnoreOverlay,         ///< a change reads the row as it was before the tasks that are under way
  kApplyQuarantined,      ///< a stamp from the future is merged at once
  kDropExpiry,            ///< a change leaves out when the row expires
  kMoveForeignCursor,     ///< the position in one peer's feed is taken for that in another's
  kCursorBeforeRows,      ///< a position is stored before what was read up to it
  kKeepSubscription,      ///< another subscription goes on where the one before it stood
  kKeepLife,              ///< a store that was set back counts as the same
  kDeleteStandingRecord,  ///< of a row that changes again the feed forgets what did not change
  kSkipTableFence,        ///< a superseded session writes rows
  kLoseIntervalBoundary,  ///< a piece of a snapshot begins behind the row at which the one before ended
  kCollectUnseen,         ///< tombstones are collected before every node has them
  kTakeLateWrites,        ///< what was written before a forgotten delete brings the row back
  kAbsenceIsDelete,       ///< what a core that was set back does not have counts as deleted
  kReleaseDeleted,        ///< what comes to its time is there until its delete comes to its own
  kAdvancePastUnread,     ///< a piece of the feed that was cut short counts as the rest of it
  kNoteFirstChange,       ///< readers are told of the first row only that a group changes
  kCaptureBeside,         ///< changes are captured in a write of their own, before that of the rows
  kCaptureSweepAsDelete,  ///< a row that a snapshot does not have is told as deleted (found by
                          ///< tests/unit/node/table_captures_test)
  kForgetCaptureTime,     ///< up to when expiries were told is not stored with them
  kIndexNotWithRow,       ///< a row that changes stays where it was in an index
  // Of views.
  kViewPositionBeside,  ///< how far a view has read is stored in a write of its own, before its rows
  kViewCountsRepeat,    ///< of a batch that was read in part a view counts the first records once more
  kCloseWindowEarly,    ///< windows close at their end: lateness is left out
  // Found by the simulator, and planted again.
  kForkWithoutDetached,  ///< a fork leaves logs that are not offered now under their old ids
  kForkWithoutWaiting,   ///< new logs begin while entries are under way in the old ones
  kForgetFormerStores,   ///< a store that was replaced before is taken for one never seen
  kCopySupersededLog,    ///< a superseded log that comes back is received again from its base
  kKeepOldGeneration,    ///< another core's spec is compared with the generation of the former one's
};

#ifdef SELVAGE_CANARIES
inline Canary planted_canary = Canary::kNone;
inline bool Planted(Canary canary) {
  return planted_canary == canary;
}
#else
constexpr bool Planted(Canary) {
  return false;
}
#endif

}  // namespace selvage
