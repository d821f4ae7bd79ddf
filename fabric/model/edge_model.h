#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "fabric/model/digest.h"
#include "fabric/model/signature.h"
#include "selvage/v1/model.pb.h"

namespace selvage::model {

/// What an edge does with one model: from an assignment over a trial to a version that is committed, or back.
/// Pure: the shell asks what is next, does it, and says how it went. It stores the state, synced, after each
/// change and before it acts on it, so that a crash at any moment is one more start.
///
///   assignment taken ──► fetch ──► trial ──► gate passed ──► committed
///                          │         │
///                          │         ├─ gate failed, third crash ─► back to what was committed; failed
///                          │         └─ another decision ─────────► back to what was committed; that one
///                          begins └─ not genuine, no space ──────────────► failed
///
/// A generation that failed is not tried again: the core decides anew. Invariants: `current` points at the
/// version in trial, or else at the committed one, or at nothing (Current); a version comes into trial only
/// complete and verified; what is committed stays until another version is.
class EdgeModel {
 public:
  /// A trial is begun at most so often, once after each crash.
  static constexpr uint32_t kStartsMax = 3;
  /// Versions that a revert may go to.
  static constexpr int kPastKept = 8;

  enum class Step {
    kNothing,
    kFetch,   ///< the version's chunks; then Begin, or Fail
    kGate,    ///< ask whether the version in trial works; then Commit, or Fail
    kBack,    ///< another decision came during the trial: Cancel, and point `current` back
    kRemove,  ///< take `current` away; then Remove
  };
  struct Next {
    Step step = Step::kNothing;
    Digest manifest;  ///< of the version that the step is about
    bool operator==(const Next&) const = default;
  };

  EdgeModel() = default;
  explicit EdgeModel(v1::StoredEdgeModel stored) : state_(std::move(stored)) {}
  const v1::StoredEdgeModel& state() const { return state_; }

  /// Takes an assignment that ModelTrust found good, or the one that is there signed anew. It takes the place
  /// of the decision before it, also when it has failed at once: a revert to a version that never ran here
  /// ("not_committed_here"). A version that is wanted and in trial already goes on.
  /// `signers` as ModelTrust found them.
  void Assign(const v1::ModelAssignment& assignment, int64_t now_ms, const std::set<KeyId>& signers = {});
  /// Another root came: an assignment that its rollout keys could not sign any more is none, and a trial that
  /// it began goes back. What is committed stays. Whether it was ended.
  bool EndUnlessSigned(const v1::ModelRoot::Role& rollout);
  /// What is to be done at `time_ms` (ModelTrust::TimeAt). Under an assignment that has expired nothing new
  /// begins.
  Next NextStep(int64_t time_ms) const;
  /// Is there something to do that waits for an assignment that has not expired?
  bool IsExpired(int64_t time_ms) const;

  // How a step went. Each names the step that it answers: by the time it is known another decision may have
  // come, and then it is ignored: the answer is false, and NextStep says what is next.

  /// The wanted version is complete and verified, and goes into trial.
  bool Begin(const Digest& manifest, uint64_t version, int64_t now_ms);
  /// The version in trial works.
  bool Commit(const Digest& manifest, int64_t now_ms);
  /// The wanted version, or the one in trial, is none. `kind` as of an error.
  bool Fail(const Digest& manifest, std::string_view kind, std::string_view reason, int64_t now_ms);
  /// `current` points away from the version in trial.
  bool Cancel(const Digest& manifest);
  /// `current` is gone, as the assignment of this generation wants it.
  bool Remove(uint64_t generation);
  /// The process starts. A trial that was under way is begun once more, or has failed.
  void Open(int64_t now_ms);

  /// What `current` points at; nothing: there is none.
  std::optional<Digest> Current() const;
  /// Whether the files of this version have to stay: those of the version in trial, the committed one, the
  /// one before it, and the one that is wanted.
  bool IsKept(const Digest& manifest) const;

 private:
  bool HasFailed() const;
  bool IsWanted() const;
  bool IsTrialWanted() const;
  bool IsInTrial(const Digest& manifest) const;
  void NoteFailure(uint64_t generation, const v1::StoredEdgeModel::Version& version, std::string_view kind,
                   std::string_view reason, int64_t now_ms);

  v1::StoredEdgeModel state_;
};

}  // namespace selvage::model
