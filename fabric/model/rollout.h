#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "selvage/v1/rollout.pb.h"

namespace selvage::model {

/// Brings a version of a model to a set of edges in phases, and stops by itself when it does harm. Pure: the
/// shell hands in what edges report and the time, gives each edge what WantedOf says, and stores the state
/// after each change.
///
///   phase 0 (5 %) ──gate──► phase 1 (25 %) ──gate──► phase 2 (100 %) ──gate──► completed
///        │                        │                        │
///        └── too many failed ─────┴────────────────────────┴──► aborted: who moved goes back
///        └── too few reached or confirmed ────────────────────► paused: an operator decides
///
/// The gate of a phase opens when every edge that takes part is settled: it confirmed the version and went on
/// confirming it for the soak time, or has failed; at the deadline also those that were not reached. Only
/// reports count, never time that passed: an edge that was connected and did not confirm has failed; one that
/// was not connected is unreached, which is no success and has a limit of its own. It takes the outcome when
/// it comes back.
///
/// Time is that of the rollout's own clock, which goes on only while it is driven: a core that was down for a
/// day judges nobody by that day. An edge has the whole deadline from its first report in the phase, and from
/// its commit, so one that had just come back is not judged either.
class Rollout {
 public:
  static constexpr int kEdgesMax = 100'000;
  static constexpr int kPhasesMax = 20;
  /// By so much its clock goes on from one Tick or report to the next, at most; in milliseconds.
  static constexpr int64_t kGapMaxMs = 30'000;

  /// What an edge says about the model.
  struct Report {
    std::string committed = {};      ///< manifest of the version that it runs; empty: none
    std::string failed = {};         ///< manifest of the version that failed last; empty: none
    uint64_t failed_generation = 0;  ///< under this decision
    std::string reason = {};         ///< why it failed
  };
  /// What an edge is to be told.
  struct Wanted {
    v1::ModelAction action = v1::MODEL_ACTION_UNSPECIFIED;  ///< that: nothing from this rollout
    std::string manifest = {};
    /// What it was told is taken back, and nobody knows yet what it ran before.
    bool withdraw = false;
    bool operator==(const Wanted&) const = default;
  };
  struct Counts {
    uint32_t waiting = 0;  ///< their phase has not begun
    uint32_t pending = 0, committed = 0, failed = 0, unreached = 0, returned = 0, excluded = 0;
    bool operator==(const Counts&) const = default;
  };

  /// Error: "invalid_rollout".
  static absl::StatusOr<Rollout> Start(v1::ModelRolloutPlan plan, int64_t now_ms, uint64_t id = 0);
  explicit Rollout(v1::StoredModelRollout stored) : state_(std::move(stored)) {}
  const v1::StoredModelRollout& state() const { return state_; }

  /// Whether it may still go on. Only one such rollout may take in an edge and model.
  bool IsActive() const;
  bool Overlaps(const Rollout& other) const;

  /// `revision` is that of the state an operator has seen. Errors: "rollout_changed" when it has moved since,
  /// "rollout_over", "rollout_not_paused".
  absl::Status Pause(uint64_t revision);
  /// The phase begins anew, with its whole deadline. Edges that were not reached have another try, and so
  /// have those that failed, under another decision.
  absl::Status Resume(uint64_t revision);
  absl::Status Abort(uint64_t revision, std::string_view reason);
  /// The gate of the phase opens now, whoever has confirmed.
  absl::Status Promote(uint64_t revision);
  /// The edge takes no part any more; it goes back when it had moved. Errors: also "unknown_edge".
  absl::Status Exclude(uint64_t revision, const std::string& edge);

  /// The edge was told what is wanted of it, under this generation. `before` is the manifest it ran until
  /// then, empty for none; nothing: nobody knows.
  void Decided(const std::string& edge, uint64_t generation, const std::optional<std::string>& before);
  /// Reports come in their order. Those after the end are counted as well.
  void OnReport(const std::string& edge, const Report& report, int64_t now_ms);
  /// Opens gates and judges deadlines.
  void Tick(int64_t now_ms);

  Wanted WantedOf(const std::string& edge) const;
  Counts Count() const;

  /// The edges whose member is to be stored again since this was asked last.
  std::set<std::string> TakeChanged() { return std::exchange(changed_, {}); }
  /// They could not be stored.
  void KeepChanged(const std::set<std::string>& edges) { changed_.insert(edges.begin(), edges.end()); }

 private:
  using Member = v1::StoredModelRollout::Member;
  absl::Status CheckChange(uint64_t revision) const;
  const v1::ModelRolloutPhase& Phase() const {
    return state_.plan().phases(static_cast<int>(state_.phase()));
  }
  void PassTime(int64_t now_ms);
  void NextPhase();
  void Stop(v1::ModelRolloutState state, std::string_view reason, bool by_itself);
  void AbortIfHarmful();
  void JudgeAtDeadline();
  void TakeReport(const std::string& edge, Member& member, const Report& report);
  void TakeReturn(const std::string& edge, Member& member, const Report& report);
  int64_t DueMs(const Member& member) const;
  bool IsSoaked(const Member& member) const;

  v1::StoredModelRollout state_;
  std::set<std::string> changed_;
  std::optional<int64_t> driven_ms_;  // until when, by the caller's clock
};

}  // namespace selvage::model
