#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/edge_registry.h"
#include "core/edge_reports.h"
#include "core/edge_specs.h"
#include "core/model_assignments.h"
#include "fabric/base/clock.h"
#include "fabric/model/digest.h"
#include "fabric/model/rollout.h"
#include "fabric/node/alarm_book.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"
#include "selvage/v1/rollout.pb.h"

namespace selvage {

/// Drives the rollouts of models: what edges report goes into them, what they want of edges becomes
/// assignments. Durable first, then visible to edges. Safe to use from several threads. Its mutex is taken
/// before a CoreDocument::Change.
///
/// Of several rollouts of a model that took in an edge, the newest alone decides of it: at most one of them
/// is active. One that has ended still says what an edge gets that comes back later.
class ModelRollouts {
 public:
  /// So many that have ended are kept.
  static constexpr size_t kEndedMax = 100;

  struct Parts {
    KvStore& store;
    Clock& clock;
    AlarmBook& alarms;
    ModelAssignments& assignments;
    const EdgeRegistry& edges;
    const EdgeReports& reports;
    EdgeSpecs& specs;
  };
  /// All of them must outlive it.
  explicit ModelRollouts(const Parts& parts) : parts_(parts) {}

  /// Digest of the manifest of a published version. Error: "unknown_model".
  using FindManifest =
      std::function<absl::StatusOr<model::Digest>(const std::string& model, uint64_t version)>;
  /// Set up before the first rollout starts; without it there is no model.
  void SetFindManifest(FindManifest find) { find_ = std::move(find); }

  /// Reads what is stored. Call once, first.
  absl::Status Open();

  /// Errors: "invalid_rollout", "unknown_edge", "models_held" for an edge that is named and held out,
  /// "rollout_active" when another one has taken in one of the edges, "no_rollout_key", those of
  /// FindManifest.
  absl::StatusOr<v1::ModelRollout> Start(const v1::StartRolloutRequest& request);
  /// Who needs the version with this manifest, for people: edges that are to run it, rollouts that are
  /// active, or whose edges may go back to it. Empty: nobody.
  std::string NeededBy(const model::Digest& manifest) const;
  /// The newest first, without their edges.
  std::vector<v1::ModelRollout> List(const std::string& model) const;
  /// Error: "unknown_rollout".
  absl::StatusOr<v1::ModelRollout> Get(uint64_t id) const;
  /// Errors: "unknown_rollout", those of model::Rollout, "no_rollout_key".
  absl::StatusOr<v1::ModelRollout> Change(const v1::ChangeRolloutRequest& request);
  /// How many edges are to remove the model. Errors: as of Start.
  absl::StatusOr<uint32_t> Remove(const v1::RemoveModelRequest& request);

  /// Takes what edges reported since the last time, opens gates, decides, signs anew what is due. To be
  /// called every few seconds: a rollout's time is that in which it is called.
  absl::Status Drive();

 private:
  struct Entry {
    model::Rollout rollout;
    bool unstored = false;  ///< its head; its members know themselves
    bool stirred = true;    ///< something may be to decide of any member
    uint64_t told = 0;      ///< the revision that alarms were told of
  };
  using Id = uint64_t;

  absl::StatusOr<std::vector<std::string>> Select(const v1::ModelEdges& edges) const;
  absl::Status CheckFree(const std::string& model, const std::vector<std::string>& edges) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CanDecide() const;
  absl::StatusOr<Entry*> FindLocked(Id id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Index(const Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status DriveLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeReports(std::vector<ModelAssignments::Decision>& decisions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectDecisions(Entry& entry, std::vector<ModelAssignments::Decision>& decisions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<ModelAssignments::Decision> DecisionOf(const model::Rollout& rollout,
                                                       const std::string& edge) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<std::string> BeforeOf(const std::string& edge, const std::string& model,
                                      const std::string& manifest) const;
  absl::Status StoreDecisions(const std::vector<ModelAssignments::Decision>& decisions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellAlarms(const model::Rollout& rollout);
  void DropOld(std::vector<Id>& gone) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Parts parts_;
  FindManifest find_;
  mutable absl::Mutex mutex_;
  std::map<Id, Entry> rollouts_ ABSL_GUARDED_BY(mutex_);
  Id next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<std::string, std::map<std::string, Id>> newest_ ABSL_GUARDED_BY(mutex_);  // by edge and model
  uint64_t reports_seen_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t edges_seen_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t stored_ms_ ABSL_GUARDED_BY(mutex_) = 0;  // when the clocks of rollouts were stored
};

}  // namespace selvage
