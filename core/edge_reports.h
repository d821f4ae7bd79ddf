#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "core/edge_links.h"
#include "fabric/base/clock.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"
#include "selvage/v1/control.pb.h"
#include "selvage/v1/store.pb.h"
#include "selvage/v1/stream.pb.h"

namespace selvage {

/// What is remembered of each edge: the status that it reported last, and when it was heard of. Never decided
/// on; stored now and then, each edge's by itself. Safe to use from several threads.
class EdgeReports {
 public:
  /// All of them must outlive it.
  EdgeReports(KvStore& store, Committer& committer, Clock& clock, const EdgeLinks& links)
      : store_(store), committer_(committer), clock_(clock), links_(links) {}

  /// Reads what is stored. Call once, first.
  absl::Status Open();

  /// What the edge says on its link of this number. Error: "stale_session" when another link took its place.
  absl::Status Take(const std::string& edge, uint64_t link, const v1::EdgeStatus& status);
  /// The edge at the other end of this link is alive.
  void Heard(const std::string& edge, uint64_t link);
  /// The edge came, or went: to be stored.
  void Seen(const std::string& edge);
  /// Stores what changed since; about once in ten seconds and at the end.
  absl::Status Flush();

  std::optional<v1::StoredReport> Find(const std::string& edge) const;
  int64_t LastSeenMs(const std::string& edge) const;
  /// How an edge said that it stands with its models.
  struct Models {
    std::string edge;
    uint64_t number;  ///< of the status, rising
    std::vector<v1::ModelStatus> models;
  };
  /// Of edges whose newest status has a number above `seen`: since the core started alone.
  std::vector<Models> ModelsSince(uint64_t seen) const;
  /// The alarms that edges reported last, by edge.
  std::map<std::string, std::vector<v1::AlarmDocument>> Alarms() const;
  std::map<std::string, int> AlarmCounts() const;
  /// The flows that an edge reported last.
  struct Flows {
    std::string edge;
    uint64_t link;  ///< on which it did; 0: before the core started
    std::vector<v1::FlowStatus> flows;
  };
  /// Of one edge, or of each for an empty name.
  std::vector<Flows> ReportedFlows(const std::string& only) const;

 private:
  struct Report {
    v1::StoredReport document;
    uint64_t link = 0;    // that brought the status
    uint64_t number = 0;  // of the status; 0: it came before the core started
  };

  KvStore& store_;
  Committer& committer_;
  Clock& clock_;
  const EdgeLinks& links_;
  absl::Mutex flush_mutex_;  // one flush at a time; taken before mutex_
  mutable absl::Mutex
      mutex_;  // taken before that of links_: which of two links brings a status is decided once
  std::map<std::string, Report> reports_ ABSL_GUARDED_BY(mutex_);
  uint64_t taken_ ABSL_GUARDED_BY(mutex_) = 0;              // statuses
  std::set<std::string> unstored_ ABSL_GUARDED_BY(mutex_);  // of these edges
};

}  // namespace selvage
