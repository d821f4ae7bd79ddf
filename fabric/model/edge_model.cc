#include "fabric/model/edge_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "fabric/base/utf8.h"

namespace selvage::model {
namespace {

constexpr size_t kReasonMax = 1'000;

Digest DigestOf(const std::string& bytes) {
  return Digest::FromBytes(bytes).value_or(Digest());
}

}  // namespace

void EdgeModel::Assign(const v1::ModelAssignment& assignment, int64_t now_ms,
                       const std::set<KeyId>& signers) {
  const bool is_new = assignment.generation() != state_.assignment().generation();
  *state_.mutable_assignment() = assignment;
  state_.clear_signers();
  for (const KeyId& id : signers) state_.add_signers(id.bytes());
  if (state_.has_trial() && state_.trial().version().manifest() == assignment.manifest()) {
    state_.mutable_trial()->set_generation(assignment.generation());
  }
  if (assignment.action() != v1::MODEL_REVERT || !is_new) return;
  const auto is_it = [&](const v1::StoredEdgeModel::Version& version) {
    return version.manifest() == assignment.manifest();
  };
  if (is_it(state_.committed()) || std::any_of(state_.past().begin(), state_.past().end(), is_it)) return;
  NoteFailure(
      assignment.generation(), {}, "not_committed_here",
      "it is to go back to a version that never ran here: publish the older files under a higher version",
      now_ms);
  state_.mutable_failure()->mutable_version()->set_manifest(assignment.manifest());
}

bool EdgeModel::EndUnlessSigned(const v1::ModelRoot::Role& rollout) {
  if (!state_.has_assignment()) return false;
  const auto still = std::count_if(rollout.keys().begin(), rollout.keys().end(), [&](const std::string& key) {
    const std::string id = KeyId::Of(key).bytes();
    return std::find(state_.signers().begin(), state_.signers().end(), id) != state_.signers().end();
  });
  if (static_cast<uint32_t>(still) >= rollout.threshold()) return false;
  state_.clear_assignment();
  state_.clear_signers();
  return true;
}

bool EdgeModel::HasFailed() const {
  return state_.has_failure() && state_.failure().generation() == state_.assignment().generation() &&
         state_.failure().version().manifest() == state_.assignment().manifest();
}

bool EdgeModel::IsWanted() const {
  if (!state_.has_assignment() || HasFailed()) return false;
  if (state_.assignment().action() == v1::MODEL_REMOVE) return Current().has_value();
  return state_.assignment().manifest() != state_.committed().manifest();
}

EdgeModel::Next EdgeModel::NextStep(int64_t time_ms) const {
  const v1::ModelAssignment& wanted = state_.assignment();
  if (state_.has_trial()) {
    const Digest in_trial = DigestOf(state_.trial().version().manifest());
    return {IsTrialWanted() ? Step::kGate : Step::kBack, in_trial};
  }
  if (!IsWanted() || wanted.expires_ms() <= time_ms) return {};
  if (wanted.action() == v1::MODEL_REMOVE) return {Step::kRemove, DigestOf(state_.committed().manifest())};
  return {Step::kFetch, DigestOf(wanted.manifest())};
}

bool EdgeModel::IsTrialWanted() const {
  return state_.trial().generation() == state_.assignment().generation() &&
         state_.trial().version().manifest() == state_.assignment().manifest();
}

bool EdgeModel::IsInTrial(const Digest& manifest) const {
  return state_.has_trial() && state_.trial().version().manifest() == manifest.bytes();
}

bool EdgeModel::IsExpired(int64_t time_ms) const {
  return state_.has_assignment() && state_.assignment().expires_ms() <= time_ms;
}

bool EdgeModel::Begin(const Digest& manifest, uint64_t version, int64_t now_ms) {
  if (state_.has_trial() || !IsWanted() || state_.assignment().manifest() != manifest.bytes()) return false;
  auto& trial = *state_.mutable_trial();
  trial.mutable_version()->set_manifest(state_.assignment().manifest());
  trial.mutable_version()->set_version(version);
  trial.set_generation(state_.assignment().generation());
  trial.set_starts(1);
  trial.set_since_ms(now_ms);
  return true;
}

bool EdgeModel::Commit(const Digest& digest, int64_t now_ms) {
  if (!IsInTrial(digest) || !IsTrialWanted()) return false;
  const std::string manifest = digest.bytes();
  // A version that is reverted to is not in the past any more.
  auto* past = state_.mutable_past();
  past->erase(std::remove_if(past->begin(), past->end(),
                             [&](const auto& version) { return version.manifest() == manifest; }),
              past->end());
  if (state_.has_committed()) {
    *past->Add() = state_.committed();
    std::rotate(past->begin(), past->end() - 1, past->end());
    if (past->size() > kPastKept) past->DeleteSubrange(kPastKept, past->size() - kPastKept);
  }
  *state_.mutable_committed() = state_.trial().version();
  state_.mutable_committed()->set_committed_ms(now_ms);
  state_.clear_trial();
  return true;
}

bool EdgeModel::Fail(const Digest& manifest, std::string_view kind, std::string_view reason, int64_t now_ms) {
  // Also of a trial that is over by another decision: it goes back either way, and this says more.
  if (IsInTrial(manifest)) {
    NoteFailure(state_.trial().generation(), state_.trial().version(), kind, reason, now_ms);
    state_.clear_trial();
    return true;
  }
  if (state_.has_trial() || !IsWanted() || state_.assignment().manifest() != manifest.bytes()) return false;
  NoteFailure(state_.assignment().generation(), {}, kind, reason, now_ms);
  state_.mutable_failure()->mutable_version()->set_manifest(state_.assignment().manifest());
  return true;
}

void EdgeModel::NoteFailure(uint64_t generation, const v1::StoredEdgeModel::Version& version,
                            std::string_view kind, std::string_view reason, int64_t now_ms) {
  v1::StoredEdgeModel::Failure failure;
  failure.set_generation(generation);
  *failure.mutable_version() = version;
  failure.set_kind(std::string(kind));
  failure.set_reason(DocumentText(reason, kReasonMax));
  failure.set_at_ms(now_ms);
  *state_.mutable_failure() = std::move(failure);
}

bool EdgeModel::Cancel(const Digest& manifest) {
  if (!IsInTrial(manifest)) return false;
  state_.clear_trial();
  return true;
}

bool EdgeModel::Remove(uint64_t generation) {
  if (state_.has_trial() || !IsWanted() || state_.assignment().action() != v1::MODEL_REMOVE ||
      state_.assignment().generation() != generation) {
    return false;
  }
  state_.clear_committed();
  state_.clear_past();
  return true;
}

void EdgeModel::Open(int64_t now_ms) {
  if (!state_.has_trial()) return;
  if (state_.trial().starts() >= kStartsMax) {
    Fail(DigestOf(state_.trial().version().manifest()), "trial_crashed",
         fmt::format("the edge stopped {} times during the trial", state_.trial().starts()), now_ms);
    return;
  }
  state_.mutable_trial()->set_starts(state_.trial().starts() + 1);
}

std::optional<Digest> EdgeModel::Current() const {
  if (state_.has_trial()) return DigestOf(state_.trial().version().manifest());
  if (state_.has_committed()) return DigestOf(state_.committed().manifest());
  return std::nullopt;
}

bool EdgeModel::IsKept(const Digest& manifest) const {
  const std::string bytes = manifest.bytes();
  return (state_.has_trial() && state_.trial().version().manifest() == bytes) ||
         (state_.has_committed() && state_.committed().manifest() == bytes) ||
         (!state_.past().empty() && state_.past(0).manifest() == bytes) ||
         state_.assignment().manifest() == bytes;
}

}  // namespace selvage::model
