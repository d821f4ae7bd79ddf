#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/admission.h"
#include "fabric/link/call_flows.h"
#include "fabric/node/node_state.h"
#include "selvage/v1/admin.pb.h"
#include "selvage/v1/control.pb.h"
#include "selvage/v1/link.pb.h"
#include "selvage/v1/store.pb.h"

namespace selvage {

/// What the core knows of its edges: who is linked, slots, specs, the streams of the fleet. Durable; safe to
/// use from several threads. Links are in fleet_links.cc (decided by admission.h), what is shown in
/// fleet_status.cc.
class Fleet {
 public:
  Fleet(NodeState& node, std::string version) : node_(node), version_(std::move(version)) {}

  /// Reads what is stored; a new store founds a cluster. Call once, after the node state is open.
  absl::Status Open(const std::vector<v1::StreamDefinition>& configured);
  /// After the store was restored from a backup: a new lineage, so that edges know.
  absl::Status StartLineage();

  NodeState& node() { return node_; }
  const std::string& version() const { return version_; }
  /// The generation of what this edge is to be: of the last change of streams, or of the edge itself.
  uint64_t SpecGeneration(const std::string& edge) const;
  /// Grows with every change of what any edge is to be.
  uint64_t spec_changes() const { return spec_changes_; }

  // Links.
  /// What an admitted edge goes on with.
  struct Admission {
    v1::Welcome welcome;
    Fence fence;
    Slot slot;
  };
  using AdmitDone = std::function<void(const absl::StatusOr<Admission>&)>;
  /// Decides on a hello (DESIGN section 6) and fences every earlier session of this edge. May wait for the
  /// disk; what comes meanwhile is taken along, many with one sync. `done` is called once, when the decision
  /// is durable, here or by who takes it along; it must not block. Errors: "edge_retired", "edge_held" (an
  /// operator must decide), "clone", "foreign_cluster", "unsupported_protocol".
  void Admit(v1::Hello hello, AdmitDone done);
  /// The link that counts from here on; `close` ends it when another takes its place. Returns a number for
  /// Unlinked; 0 when a link that was admitted later is there already: then this one must end.
  uint64_t Linked(const std::string& edge, SessionEpoch epoch, std::function<void()> close,
                  std::function<void()> wake, NodeCaller call = {});
  void Unlinked(const std::string& edge, uint64_t link);
  /// The edge at the other end of this link is alive.
  void Heard(const std::string& edge, uint64_t link);
  /// Whether this link takes entries of a log of its edge now.
  void SetFlowOpen(const std::string& edge, uint64_t link, LogNumber log, bool open);
  bool IsLinked(const std::string& edge, uint64_t link) const;
  /// Makes a call of an edge's admin service over its link. Errors beside those of CallFlows::caller:
  /// "unknown_edge", "edge_offline".
  void CallEdge(const std::string& edge, NodeCall call, CallDone done) const;
  int links() const;

  // Logs of an edge.
  /// The log that an edge's offer goes into, made if need be. Errors: "definition_mismatch",
  /// "wrong_partition", "protocol_error".
  absl::StatusOr<std::shared_ptr<Log>> LogForOffer(const std::string& edge, Slot slot,
                                                   const v1::FlowOpen& open);
  /// The logs to send to an edge: its own of each per-edge down stream, and the shared ones.
  struct DownLog {
    std::shared_ptr<Log> log;
    v1::StreamDefinition definition;
  };
  absl::StatusOr<std::vector<DownLog>> DownLogs(const std::string& edge);
  /// An edge holds another history of a down log from `from` on: this core was set back. The log gets a new
  /// id, so that nothing the edges hold is overwritten, and every link that has it ends. What a shared log
  /// holds is sent anew from its start, since not every edge is where this one is.
  absl::Status BranchDownLog(const std::shared_ptr<Log>& log, const LogPosition& from);

  // Control.
  /// Errors: "stream_exists", "name_reserved", those of CompleteDefinition.
  absl::StatusOr<v1::StreamDefinition> CreateStream(v1::StreamDefinition definition) {
    return CreateStream(std::move(definition), Maker::kOperator);
  }
  /// What CreateStream would make now.
  absl::StatusOr<v1::StreamDefinition> CheckNew(v1::StreamDefinition definition) const {
    return CheckNew(std::move(definition), Maker::kOperator);
  }
  absl::StatusOr<v1::StreamDefinition> SetStream(const v1::SetStreamRequest& request);
  /// More partitions for a local stream; errors of NodeState::AddPartitions.
  absl::Status AddPartitions(const std::string& name, int32_t partitions, bool validate_only);
  absl::StatusOr<int> DeleteStream(const std::string& name);
  /// What an edge is to be. It is never older than its generation says; it may be newer, and then comes
  /// again.
  v1::EdgeSpec SpecFor(const std::string& edge) const;
  /// What the edge says on its link of this number. Error: "stale_session" when another link took its place.
  absl::Status TakeStatus(const std::string& edge, uint64_t link, const v1::EdgeStatus& status);
  /// Stores what links and statuses changed since; about once in ten seconds and at the end.
  absl::Status Flush();
  std::vector<v1::EdgeSummary> Summaries() const;
  absl::StatusOr<v1::EdgeSummary> Summary(const std::string& edge) const;
  absl::StatusOr<v1::EdgeSummary> SetEdge(const v1::SetEdgeRequest& request);
  absl::StatusOr<v1::EdgeSummary> Retire(const std::string& edge);
  /// Ends the edge's link, so that it dials again and offers everything anew.
  void Relink(const std::string& edge);
  /// Which edges are linked; every edge has a row.
  std::map<std::string, bool> Connected() const;
  /// The alarms that edges reported last, by edge.
  std::map<std::string, std::vector<v1::AlarmDocument>> ReportedAlarms() const;
  std::map<std::string, int> ReportedAlarmCounts() const;
  /// The slot an edge writes to now.
  std::optional<Slot> SlotOf(const std::string& edge) const;
  bool IsRetired(const std::string& edge) const;
  /// The edge that writes, or once wrote, to a slot.
  std::optional<std::string> EdgeOf(Slot slot) const;
  /// Slots below this number were given away.
  uint32_t slots_used() const;
  /// Grows with every change of an edge, and so of slots.
  uint64_t changes() const { return changes_; }
  /// The cluster's name.
  std::string cluster_id() const;
  /// One row for each flow of each edge (or of one), as the core sees it.
  std::vector<v1::FlowStatus> FlowStatuses(const std::string& edge) const;

 private:
  struct Link {
    uint64_t number;
    std::function<void()> close;
    std::function<void()> wake;
    NodeCaller call;
    SessionEpoch epoch;
    bool reported = false;  ///< its status, since it linked
    std::set<LogNumber> open_flows{};
  };
  /// What an edge reported of its flows, and how the edge stands now.
  struct ReportedFlows {
    std::string edge;
    Slot slot;
    bool connected = false;
    bool fresh = false;                ///< reported since it linked
    std::set<LogNumber> open_flows{};  ///< that this end takes
    std::vector<v1::FlowStatus> flows;
  };
  std::vector<ReportedFlows> FlowsReported(const std::string& only) const;
  /// A hello that waits to be decided on, and what was.
  struct Admitting {
    v1::Hello hello;
    AdmitDone done;
    absl::StatusOr<Admission> outcome{};
    std::optional<AdmissionDecision> decision{};  // unless it is refused
  };
  std::vector<Admitting> TakeAdmitting();
  /// Gives all of them their outcome.
  void AdmitTogether(std::vector<Admitting>& together);
  /// The core and the edges as they are to be stored.
  struct Decided {
    v1::StoredCore core;
    std::map<std::string, v1::StoredEdge> edges;
  };
  Decided DecideOn(std::vector<Admitting>& together);
  absl::Status StoreDecided(const Decided& decided, const std::vector<Admitting>& together);
  Admission WelcomeOf(const v1::Hello& hello, const v1::StoredCore& core, const AdmissionDecision& decision);
  void AddAdoptions(const std::string& edge, Slot slot, v1::Welcome& welcome);
  void ReportForeign(const v1::Hello& hello, const absl::Status& why);
  /// Edges that belong to that cluster, in hexadecimal digits, belong to this one from here on.
  absl::Status TakeOverCluster(const std::string& cluster_hex);
  // Durable first, then visible.
  absl::Status StoreEdge(const v1::StoredEdge& edge);
  absl::Status StoreCore(const v1::StoredCore& core);
  void Show(const v1::StoredEdge& edge) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// The spec of this edge, or of every one for an empty name, is another now: their links look at it.
  void SpecChanged(const std::string& edge = "");
  v1::StoredCore NextGeneration() const;
  /// NextGeneration for a change of a stream, which is news for every edge unless the stream is local.
  v1::StoredCore NextGenerationFor(const v1::StreamDefinition& changed) const;
  uint64_t SpecGenerationOf(const std::string& edge) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  /// Who makes a stream.
  enum class Maker {
    kOperator,  ///< may choose another name
    kOffer,     ///< an edge that holds records of it already
  };
  /// Error: "name_reserved" for a name that means a part of another stream: of an edge that there is, and for
  /// an operator also of one that there may be.
  absl::Status CheckNameFree(const std::string& name, Maker maker) const;
  absl::StatusOr<v1::StreamDefinition> CheckNew(v1::StreamDefinition definition, Maker maker) const;
  absl::StatusOr<v1::StreamDefinition> CreateStream(v1::StreamDefinition definition, Maker maker);
  static absl::Status UnknownEdge(const std::string& edge);
  void ReportHold(const v1::StoredEdge& edge);
  absl::Status OpenEdges();
  /// The store was another core's until now.
  absl::Status TakeStore();
  enum class SpecChanges { kNo, kYes };
  absl::Status ChangeEdge(const std::string& edge, const std::function<void(v1::StoredEdge&)>& change,
                          SpecChanges spec);
  v1::EdgeSummary SummaryOf(const v1::StoredEdge& edge) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  /// Error: "too_many_logs".
  absl::Status CheckLogCount(const std::string& edge);
  absl::Status CreateSharedLogs(const v1::StreamDefinition& definition);

  NodeState& node_;
  const std::string version_;
  absl::Mutex admitting_mutex_;  // taken alone
  std::deque<Admitting> admitting_ ABSL_GUARDED_BY(admitting_mutex_);
  bool someone_admits_ ABSL_GUARDED_BY(admitting_mutex_) = false;
  absl::Mutex change_mutex_;  // one round of admissions or control change at a time; taken before mutex_
  mutable absl::Mutex mutex_;
  v1::StoredCore core_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::StoredEdge> edges_ ABSL_GUARDED_BY(mutex_);
  std::map<Slot, std::string> slot_edges_ ABSL_GUARDED_BY(mutex_);  // also of former slots
  std::atomic<uint64_t> spec_changes_{0};
  std::atomic<uint64_t> changes_{0};  // of what is shown of edges
  // What edges report, apart from what is decided of them: each is stored by itself, so neither overtakes the
  // other.
  std::map<std::string, v1::StoredReport> reports_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> unstored_reports_ ABSL_GUARDED_BY(mutex_);  // of these edges
  absl::Mutex flush_mutex_;  // one flush at a time; taken before mutex_
  std::map<std::string, Link> links_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_link_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace selvage
