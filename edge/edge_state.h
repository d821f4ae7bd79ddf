#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "edge/edge_tables.h"
#include "fabric/base/clock.h"
#include "fabric/base/random.h"
#include "fabric/node/alarm_book.h"
#include "fabric/node/node_identity.h"
#include "fabric/node/node_streams.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"
#include "fabric/stream/disk_budget.h"
#include "fabric/stream/log_flow.h"
#include "fabric/stream/log_store.h"
#include "fabric/stream/stream_catalog.h"
#include "selvage/v1/admin.pb.h"
#include "selvage/v1/control.pb.h"
#include "selvage/v1/link.pb.h"
#include "selvage/v1/store.pb.h"

namespace selvage {

class NodeState;

/// What an edge is beyond its store: its membership in a cluster, the spec the core gave it, the flows it
/// offers. Outlives the links. Safe to use from several threads.
class EdgeState {
 public:
  /// What it uses of the node. All of it must outlive it.
  struct Parts {
    NodeIdentity& identity;
    KvStore& store;
    Committer& committer;
    Clock& clock;
    Random& random;
    LogStore& logs;
    AgeClock& ages;
    StreamCatalog& catalog;
    AlarmBook& alarms;
    const DiskBudget& budget;
    NodeStreams& streams;
    table::TableStore& tables;
  };
  static Parts PartsOf(NodeState& node);

  EdgeState(const Parts& parts, std::string version)
      : parts_(parts), version_(std::move(version)), tables_(parts.tables, parts.random, parts.alarms) {}

  /// Reads membership and spec, and makes the streams of the configuration that are not there yet
  /// (provisional until the core knows them). Call once, after the node state is open.
  absl::Status Open(const std::vector<v1::StreamDefinition>& configured);

  /// What becomes of models, for the spec and the status.
  struct Models {
    std::function<void(const v1::EdgeSpec&)> take;  ///< a spec that was applied; must not block
    std::function<uint64_t()> changes;              ///< grows with what `add` says
    std::function<void(v1::EdgeStatus&)> add;
  };
  /// Before the first link. Gives it the spec that is there.
  void SetModels(Models models);

  const std::string& version() const { return version_; }
  EdgeTables& tables() { return tables_; }
  v1::StoredMembership membership() const;
  v1::EdgeSpec spec() const;

  v1::Hello MakeHello();
  /// Takes the core's answer: remembers the membership and adopts what an empty store is given. Errors:
  /// "foreign_cluster"; "not_empty" when a record was written before an adoption.
  absl::Status TakeWelcome(const v1::Welcome& welcome);
  /// The generation of the core's spec that is applied whole; 0 when there is none of this lineage.
  uint64_t SpecHeld(const std::string& lineage);
  /// Makes the streams what the core wants. False when the spec is not newer than what is there, and that was
  /// applied whole.
  absl::StatusOr<bool> ApplySpec(const v1::EdgeSpec& spec);
  /// The log that the core's offer goes into, made if need be. Errors: "definition_mismatch",
  /// "wrong_partition", "protocol_error".
  absl::StatusOr<std::shared_ptr<Log>> LogForOffer(const v1::FlowOpen& open);
  /// The store's history parted from what the core holds: new log ids from `forks` on, a new store id, and
  /// the slot is given up, all in one batch. Up logs that are not among `forks`, as those of detached
  /// streams, begin anew behind what was acknowledged of them. `as_of`: the flow_changes when `forks` were
  /// found. Error: "streams_changed" when there is another one since, whose fork is not known.
  absl::Status Rebirth(std::vector<LogStore::Branching> forks, uint64_t as_of);

  // Streams made here: provisional, as long as the core does not know them. Errors beside those that are
  // named: "unknown_stream", "wrong_node" for a stream that the core defines.
  /// Errors: "stream_exists", "name_reserved", those of CompleteDefinition.
  absl::StatusOr<v1::StreamDefinition> CreateStream(v1::StreamDefinition definition);
  /// What CreateStream would make.
  absl::StatusOr<v1::StreamDefinition> CheckNew(v1::StreamDefinition definition);
  /// Errors: "generation_mismatch", those of MergeSettings and CompleteDefinition.
  absl::StatusOr<v1::StreamDefinition> SetStream(const v1::SetStreamRequest& request);
  /// More partitions for a local stream. Errors: those of NodeStreams::AddPartitions.
  absl::Status AddPartitions(const std::string& stream, int32_t partitions, bool validate_only);
  /// The number of its logs.
  absl::StatusOr<int> DeleteStream(const std::string& stream);
  /// Another name, with all records: for a stream that the core refuses under the one it has. Errors:
  /// "stream_replicated" when the core holds records of it already, those of CheckNew.
  absl::StatusOr<v1::StreamDefinition> RenameStream(const std::string& stream, const std::string& to);
  /// True once after an operator wanted the link made anew, so that everything is offered again.
  bool TakeRelink() { return relink_.exchange(false); }

  /// What is offered to the core: a source for each own log of an up stream, the same one each time.
  std::vector<std::shared_ptr<LogFlowSource>> UpFlows();
  /// Grows whenever UpFlows may say something else.
  uint64_t flow_changes() const { return parts_.logs.changes() + parts_.catalog.changes(); }
  /// For status: how each flow stands on the link; one that is not among them is about to be opened. After
  /// LinkEnded all are offline.
  struct FlowState {
    std::string state;
    std::string detail;

    bool operator==(const FlowState&) const = default;
  };
  void SetFlowStates(std::map<LogNumber, FlowState> states);
  void LinkEnded();
  /// Measures rates; about once a second while there is a link. Costs nothing where nothing is acknowledged.
  void MeasureRates();
  std::vector<v1::FlowStatus> FlowStatuses();
  v1::EdgeStatus MakeStatus();
  /// What somebody was told with a status.
  struct Told {
    uint64_t logs_seen = 0;
    uint64_t flow_changes = 0;
    uint64_t flow_state_changes = 0;
    uint64_t alarm_changes = 0;
    uint64_t model_changes = 0;
    uint64_t store_bytes = 0;
    uint64_t volume_free = 0;
    bool changes_with_time = true;  ///< it told of lags or rates

    bool operator==(const Told&) const = default;
  };
  /// The status, if there is something new to tell; costs nothing while nothing happens. Sizes that differ
  /// little are not news. For a `told` that is new there is always something.
  std::optional<v1::EdgeStatus> MakeStatusIfNews(Told& told);

 private:
  struct Meter {
    uint64_t bytes = 0;
    absl::Duration at;
    double rate = 0;
  };
  /// Adds the up logs that are not there yet, each with a new id behind what was acknowledged of it.
  absl::Status BranchAtAcknowledged(std::vector<LogStore::Branching>& branchings);
  void MeasureRate(Meter& meter, uint64_t bytes, absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// The store was another edge's until now: it becomes this one's, as a store with a history of its own.
  /// What the core had acknowledged stays there under the former name; the logs begin anew behind it.
  absl::Status TakeStore();
  /// The core may not know the streams that it gave to this edge before it was restored: that must not delete
  /// them.
  absl::Status MakeProvisional() ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  /// The definition, if the core does not know it yet. Errors: "unknown_stream", "wrong_node".
  absl::StatusOr<v1::StreamDefinition> Provisional(const std::string& stream) const;
  absl::Status CheckNotReplicated(const std::string& stream);
  /// True when all of the spec's streams are as they are to be; false when one disagrees, with an alarm.
  absl::StatusOr<bool> MakeStreams(const v1::EdgeSpec& spec) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  /// A name is free: a stream that the core wants there is made.
  absl::Status MakeRoomTaken() ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  absl::StatusOr<bool> MakeStream(const v1::StreamDefinition& definition)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  absl::Status DropStream(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  /// What was said of a stream that is not there any more under this name.
  void ClearAlarms(const v1::StreamDefinition& gone);
  void ShowDefinition(const v1::StreamDefinition& definition);
  /// A change is shown to the sources after it is in the catalog: what is found there is found under the
  /// lock.
  std::vector<std::shared_ptr<LogFlowSource>> FindUpFlows() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  FlowState StateOf(LogNumber number) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::FlowStatus UpFlowStatus(LogFlowSource& source);
  v1::FlowStatus DownFlowStatus(Log& log);

  const Parts parts_;
  const std::string version_;
  EdgeTables tables_;
  Models models_;
  std::atomic<bool> relink_{false};
  /// One change of streams, spec or membership at a time, whoever makes it: an operator, a Kafka client or
  /// the core. Taken before mutex_.
  absl::Mutex change_mutex_;
  bool spec_whole_ ABSL_GUARDED_BY(change_mutex_) =
      true;  // no stream of spec_ disagreed with one that is here
  mutable absl::Mutex mutex_;
  v1::StoredMembership membership_ ABSL_GUARDED_BY(mutex_);
  v1::EdgeSpec spec_ ABSL_GUARDED_BY(mutex_);
  std::map<LogNumber, std::shared_ptr<LogFlowSource>> sources_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<LogFlowSource>> up_flows_ ABSL_GUARDED_BY(mutex_);  // found last, at
  uint64_t up_flows_at_ ABSL_GUARDED_BY(mutex_) = UINT64_MAX;  // this count of flow_changes
  std::map<LogNumber, Meter> meters_ ABSL_GUARDED_BY(mutex_);
  std::set<LogNumber> running_meters_ ABSL_GUARDED_BY(mutex_);  // that show a rate
  uint64_t meters_seen_ ABSL_GUARDED_BY(mutex_) = 0;            // changes of logs, when rates were measured
  absl::Duration measured_at_ ABSL_GUARDED_BY(mutex_);          // last on this link
  std::map<LogNumber, FlowState> flow_states_ ABSL_GUARDED_BY(mutex_);
  uint64_t flow_state_changes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool linked_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace selvage
