#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "fabric/control/node_state.h"
#include "fabric/stream/log_flow.h"
#include "selvage/v1/control.pb.h"
#include "selvage/v1/link.pb.h"
#include "selvage/v1/store.pb.h"

namespace selvage {

/// What an edge is beyond its store: its membership in a cluster, the spec the core gave it, the flows it
/// offers. Outlives the links. Safe to use from several threads.
class EdgeState {
 public:
  EdgeState(NodeState& node, std::string version) : node_(node), version_(std::move(version)) {}

  /// Reads membership and spec, and makes the streams of the configuration that are not there yet
  /// (provisional until the core knows them). Call once, after the node state is open.
  absl::Status Open(const std::vector<v1::StreamDefinition>& configured);

  NodeState& node() { return node_; }
  const std::string& version() const { return version_; }
  v1::StoredMembership membership() const;
  v1::EdgeSpec spec() const;

  v1::Hello MakeHello();
  /// Takes the core's answer: remembers the membership and adopts what an empty store is given. Errors:
  /// "foreign_cluster"; "not_empty" when a record was written before an adoption.
  absl::Status TakeWelcome(const v1::Welcome& welcome);
  /// Makes the streams what the core wants. False when the spec is not newer than what is there.
  absl::StatusOr<bool> ApplySpec(const v1::EdgeSpec& spec);
  /// Makes the streams what the spec that was applied last wants, once more: a stream that stood in its way
  /// is gone.
  absl::Status ReapplySpec();
  /// A stream made here, provisional until the core knows it. Errors: "stream_exists", "name_reserved", those
  /// of CompleteDefinition.
  absl::StatusOr<v1::StreamDefinition> CreateStream(v1::StreamDefinition definition);
  /// What CreateStream would make.
  absl::StatusOr<v1::StreamDefinition> CheckNew(v1::StreamDefinition definition);
  /// The store's history parted from what the core holds: new log ids from `forks` on, a new store id, and
  /// the slot is given up, all in one batch.
  absl::Status Rebirth(std::vector<EmbeddedLogStore::Branching> forks);

  /// What is offered to the core: a source for each own log of an up stream. They live as long as this.
  std::vector<LogFlowSource*> UpFlows();
  /// For status: how each flow stands on the link; one that is not among them is about to be opened. After
  /// LinkEnded all are offline.
  struct FlowState {
    std::string state;
    std::string detail;
  };
  void SetFlowStates(std::map<LogNumber, FlowState> states);
  void LinkEnded();
  /// Measures rates; about once a second.
  void MeasureRates();
  std::vector<v1::FlowStatus> FlowStatuses();
  v1::EdgeStatus MakeStatus();

 private:
  struct Meter {
    uint64_t bytes = 0;
    absl::Duration at;
    double rate = 0;
  };
  /// The core may not know the streams that it gave to this edge before it was restored: that must not delete
  /// them.
  absl::Status MakeProvisional();
  absl::Status DropStream(const std::string& name);
  absl::Status MakeStreams(const v1::EdgeSpec& spec);
  FlowState StateOf(LogNumber number) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::FlowStatus UpFlowStatus(LogFlowSource& source);
  v1::FlowStatus DownFlowStatus(EmbeddedLog& log);

  NodeState& node_;
  const std::string version_;
  mutable absl::Mutex mutex_;
  v1::StoredMembership membership_ ABSL_GUARDED_BY(mutex_);
  v1::EdgeSpec spec_ ABSL_GUARDED_BY(mutex_);
  std::map<LogNumber, std::unique_ptr<LogFlowSource>> sources_ ABSL_GUARDED_BY(mutex_);
  std::map<LogNumber, Meter> meters_ ABSL_GUARDED_BY(mutex_);
  std::map<LogNumber, FlowState> flow_states_ ABSL_GUARDED_BY(mutex_);
  bool linked_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace selvage
