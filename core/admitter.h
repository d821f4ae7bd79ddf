#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/admission.h"
#include "core/core_document.h"
#include "core/edge_links.h"
#include "core/edge_registry.h"
#include "core/edge_reports.h"
#include "fabric/base/clock.h"
#include "fabric/node/alarm_book.h"
#include "fabric/node/node_identity.h"
#include "fabric/storage/committer.h"
#include "fabric/stream/fence_table.h"
#include "fabric/stream/log_store.h"
#include "fabric/stream/stream_catalog.h"
#include "selvage/v1/link.pb.h"

namespace selvage {

/// What an admitted edge goes on with.
struct Admission {
  v1::Welcome welcome;
  Fence fence;
  Slot slot;
};

/// Carries out who may link (admission.h): decides on hellos in rounds, makes each round durable in one batch
/// with the fences of its edges, and holds, releases and retires edges. Safe to use from several threads.
class Admitter {
 public:
  using Done = std::function<void(const absl::StatusOr<Admission>&)>;

  /// What it uses of the core. All of it must outlive it.
  struct Parts {
    const NodeIdentity& identity;
    Clock& clock;
    Committer& committer;
    FenceTable& fences;
    LogStore& logs;
    const StreamCatalog& catalog;
    AlarmBook& alarms;
    CoreDocument& core;
    EdgeRegistry& edges;
    const EdgeLinks& links;
    EdgeReports& reports;
  };

  /// `version` of the core is told to edges.
  Admitter(const Parts& parts, std::string version) : parts_(parts), version_(std::move(version)) {}

  /// From here on resolving the alarm that holds an edge releases it. Call once, first.
  void Open();

  /// Decides on a hello (DESIGN section 6) and fences every earlier session of this edge. May wait for the
  /// disk; what comes meanwhile is taken along, many with one sync. `done` is called once, when the decision
  /// is durable, here or by who takes it along; it must not block. Errors: "edge_retired", "edge_held" (an
  /// operator must decide), "clone", "second_new_store", "foreign_cluster", "unsupported_protocol",
  /// "protocol_error".
  void Admit(v1::Hello hello, Done done);
  /// Ends the edge's link and refuses it from here on. Error: "unknown_edge".
  absl::Status Retire(const std::string& edge);

 private:
  /// A hello that waits to be decided on, and what was.
  struct Admitting {
    v1::Hello hello;
    Done done;
    absl::StatusOr<Admission> outcome{};
    std::optional<AdmissionDecision> decision{};  // unless it is refused
  };
  using Round = std::vector<Admitting>;
  using DecidedEdges = std::map<std::string, v1::StoredEdge>;

  Round TakeRound();
  /// Gives all of them their outcome.
  void Admit(Round& round);
  /// The edges as they are to be stored; the core as it is to be comes into `change`.
  DecidedEdges DecideOn(Round& round, CoreDocument::Change& change);
  absl::Status Store(const Round& round, const DecidedEdges& decided, CoreDocument::Change& change);
  Admission WelcomeOf(const v1::Hello& hello, const v1::StoredCore& core, const AdmissionDecision& decision);
  void AddAdoptions(const std::string& edge, Slot slot, v1::Welcome& welcome);
  void ReportForeign(const v1::Hello& hello, const absl::Status& why);
  void ReportHold(const v1::StoredEdge& edge);
  absl::Status Change(const std::string& edge, const std::function<void(v1::StoredEdge&)>& change);

  const Parts parts_;
  const std::string version_;
  absl::Mutex waiting_mutex_;  // taken alone
  std::deque<Admitting> waiting_ ABSL_GUARDED_BY(waiting_mutex_);
  bool someone_admits_ ABSL_GUARDED_BY(waiting_mutex_) = false;
};

}  // namespace selvage
