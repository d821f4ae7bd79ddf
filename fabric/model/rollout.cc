#include "fabric/model/rollout.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/base/utf8.h"
#include "fabric/model/digest.h"

namespace selvage::model {
namespace {

constexpr size_t kWhyMax = 1'000;

using Member = v1::StoredModelRollout::Member;

absl::Status InvalidPlan(std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_rollout", what,
                   "see docs/models.md, rollouts");
}

absl::Status CheckPhases(const v1::ModelRolloutPlan& plan) {
  if (plan.phases().empty() || plan.phases_size() > Rollout::kPhasesMax) {
    return InvalidPlan(
        fmt::format("it has {} phases; 1 to {} are taken", plan.phases_size(), Rollout::kPhasesMax));
  }
  uint32_t percent = 0;
  for (const auto& phase : plan.phases()) {
    if (phase.percent() <= percent || phase.percent() > 100) return InvalidPlan("phases rise to 100 percent");
    percent = phase.percent();
    if (phase.soak_ms() < 0 || phase.deadline_ms() <= phase.soak_ms()) {
      return InvalidPlan("a phase's deadline has to come after its soak time");
    }
  }
  if (percent == 100) return absl::OkStatus();
  return InvalidPlan(fmt::format("the last phase has {} percent of the edges: 100 are needed", percent));
}

/// How many of the edges take part in a phase: rounded up, so that none is empty.
int EdgesOf(const v1::ModelRolloutPlan& plan, const v1::ModelRolloutPhase& phase) {
  return static_cast<int>((static_cast<uint64_t>(plan.edges_size()) * phase.percent() + 99) / 100);
}

}  // namespace

absl::StatusOr<Rollout> Rollout::Start(v1::ModelRolloutPlan plan, int64_t now_ms) {
  if (!IsDnsLabel(plan.model()) || plan.manifest().size() != Digest::kSize) {
    return InvalidPlan("it names no model and manifest");
  }
  if (plan.edges().empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "invalid_rollout", "no edge is selected",
                     "see selvagectl edge list for labels");
  }
  if (plan.edges_size() > kEdgesMax)
    return InvalidPlan(fmt::format("more than {} edges are selected", kEdgesMax));
  SELVAGE_RETURN_IF_ERROR(CheckPhases(plan));
  v1::StoredModelRollout state;
  for (int i = 0; i < plan.edges_size(); ++i) {
    if (!IsDnsLabel(plan.edges(i))) return InvalidPlan("an edge's id is none");
    if (state.members().contains(plan.edges(i))) {
      return InvalidPlan(fmt::format("edge {} is there twice", plan.edges(i)));
    }
    uint32_t phase = 0;
    while (i >= EdgesOf(plan, plan.phases(static_cast<int>(phase)))) ++phase;
    (*state.mutable_members())[plan.edges(i)].set_phase(phase);
  }
  *state.mutable_plan() = std::move(plan);
  state.set_revision(1);
  state.set_state(v1::MODEL_ROLLOUT_RUNNING);
  state.set_phase_since_ms(now_ms);
  return Rollout(std::move(state));
}

bool Rollout::IsActive() const {
  return state_.state() == v1::MODEL_ROLLOUT_RUNNING || state_.state() == v1::MODEL_ROLLOUT_PAUSED;
}

bool Rollout::Overlaps(const Rollout& other) const {
  return state_.plan().model() == other.state_.plan().model() &&
         std::any_of(state_.plan().edges().begin(), state_.plan().edges().end(),
                     [&](const std::string& edge) { return other.state_.members().contains(edge); });
}

absl::Status Rollout::CheckChange(uint64_t revision) const {
  if (revision != state_.revision()) {
    return MakeError(
        absl::StatusCode::kAborted, "rollout_changed",
        fmt::format("the rollout is at revision {}, and the change is for {}", state_.revision(), revision),
        "look at its status, and say it again if it is still wanted");
  }
  if (IsActive()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, "rollout_over", "the rollout has ended",
                   "start another one");
}

absl::Status Rollout::Pause(uint64_t revision) {
  SELVAGE_RETURN_IF_ERROR(CheckChange(revision));
  state_.set_state(v1::MODEL_ROLLOUT_PAUSED);
  state_.set_reason("an operator paused it");
  state_.set_revision(revision + 1);
  return absl::OkStatus();
}

absl::Status Rollout::Resume(uint64_t revision, int64_t now_ms) {
  SELVAGE_RETURN_IF_ERROR(CheckChange(revision));
  if (state_.state() != v1::MODEL_ROLLOUT_PAUSED) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "rollout_not_paused",
                     "the rollout is not paused");
  }
  state_.set_state(v1::MODEL_ROLLOUT_RUNNING);
  state_.clear_reason();
  state_.set_phase_since_ms(now_ms);
  state_.set_revision(revision + 1);
  for (auto& [edge, member] : *state_.mutable_members()) {
    if (member.outcome() == v1::MODEL_ROLLOUT_UNREACHED && member.phase() == state_.phase()) {
      member.set_outcome(v1::MODEL_ROLLOUT_PENDING);
    }
  }
  return absl::OkStatus();
}

absl::Status Rollout::Abort(uint64_t revision, std::string_view reason) {
  SELVAGE_RETURN_IF_ERROR(CheckChange(revision));
  state_.set_state(v1::MODEL_ROLLOUT_ABORTED);
  state_.set_reason(DocumentText(reason, kWhyMax));
  state_.set_revision(revision + 1);
  return absl::OkStatus();
}

absl::Status Rollout::Promote(uint64_t revision, int64_t now_ms) {
  SELVAGE_RETURN_IF_ERROR(CheckChange(revision));
  state_.set_state(v1::MODEL_ROLLOUT_RUNNING);
  state_.clear_reason();
  NextPhase(now_ms);
  return absl::OkStatus();
}

void Rollout::NextPhase(int64_t now_ms) {
  state_.set_revision(state_.revision() + 1);
  if (static_cast<int>(state_.phase()) + 1 == state_.plan().phases_size()) {
    state_.set_state(v1::MODEL_ROLLOUT_COMPLETED);
    return;
  }
  state_.set_phase(state_.phase() + 1);
  state_.set_phase_since_ms(now_ms);
}

void Rollout::Decided(const std::string& edge, uint64_t generation, const std::string& before) {
  const auto found = state_.mutable_members()->find(edge);
  if (found == state_.mutable_members()->end()) return;
  Member& member = found->second;
  // What it ran before the rollout is told once: later it may run the version itself.
  if (member.generation() == 0) member.set_before(before);
  member.set_generation(generation);
}

void Rollout::OnReport(const std::string& edge, const Report& report, int64_t now_ms) {
  const auto found = state_.mutable_members()->find(edge);
  if (found == state_.mutable_members()->end() || state_.state() == v1::MODEL_ROLLOUT_ABORTED) return;
  Member& member = found->second;
  // What it says before it was told anything is of no decision of this rollout.
  if (member.phase() > state_.phase() || member.generation() == 0) return;
  if (member.reached_ms() == 0) member.set_reached_ms(now_ms);
  // It came back, and has its time until the deadline of the phase.
  if (member.outcome() == v1::MODEL_ROLLOUT_UNREACHED) member.set_outcome(v1::MODEL_ROLLOUT_PENDING);
  const std::string& wanted = state_.plan().manifest();
  if (report.committed == wanted) {
    if (member.committed_ms() == 0) member.set_committed_ms(now_ms);
    member.set_confirmed_ms(now_ms);
    // One that was silent for too long, or unreached, and runs it after all.
    if (IsSoaked(member)) member.set_outcome(v1::MODEL_ROLLOUT_COMMITTED);
    return;
  }
  const bool failed = report.failed == wanted && report.failed_generation >= member.generation();
  if (failed || member.committed_ms() != 0) {
    member.set_outcome(v1::MODEL_ROLLOUT_FAILED);
    member.set_reason(DocumentText(failed ? report.reason : "it does not run the version any more", kWhyMax));
    member.clear_committed_ms();
    AbortIfHarmful();
  }
}

bool Rollout::IsSoaked(const Member& member) const {
  const auto& phase = state_.plan().phases(static_cast<int>(member.phase()));
  return member.committed_ms() != 0 && member.confirmed_ms() - member.committed_ms() >= phase.soak_ms();
}

void Rollout::AbortIfHarmful() {
  if (!IsActive()) return;
  const uint32_t failed = Count().failed;
  if (failed <= state_.plan().failures_max()) return;
  state_.set_state(v1::MODEL_ROLLOUT_ABORTED);
  state_.set_reason(fmt::format("{} edges failed, and {} may", failed, state_.plan().failures_max()));
  state_.set_revision(state_.revision() + 1);
}

void Rollout::JudgeAtDeadline() {
  for (auto& [edge, member] : *state_.mutable_members()) {
    if (member.phase() > state_.phase() || member.outcome() != v1::MODEL_ROLLOUT_PENDING) continue;
    if (member.reached_ms() == 0) {
      member.set_outcome(v1::MODEL_ROLLOUT_UNREACHED);
    } else {
      member.set_outcome(v1::MODEL_ROLLOUT_FAILED);
      member.set_reason("it was connected, and did not confirm the version until the deadline");
    }
  }
}

void Rollout::Tick(int64_t now_ms) {
  if (state_.state() != v1::MODEL_ROLLOUT_RUNNING) return;
  const bool late = now_ms - state_.phase_since_ms() >= Phase().deadline_ms();
  if (late) JudgeAtDeadline();
  AbortIfHarmful();
  if (!IsActive()) return;
  const Counts counts = Count();
  if (counts.pending > 0) return;
  uint32_t members = 0, confirmed = 0;
  for (const auto& [edge, member] : state_.members()) {
    if (member.phase() != state_.phase()) continue;
    ++members;
    confirmed += member.outcome() == v1::MODEL_ROLLOUT_COMMITTED ? 1 : 0;
  }
  // A phase adds no edge where there are few of them.
  const uint32_t least = std::min(std::max(Phase().least(), 1u), members);
  const bool few = confirmed < least;
  if (!few && counts.unreached <= state_.plan().unreached_max()) return NextPhase(now_ms);
  state_.set_state(v1::MODEL_ROLLOUT_PAUSED);
  state_.set_reason(few ? fmt::format("{} edges of the phase confirmed, and {} are needed", confirmed, least)
                        : fmt::format("{} edges were not reached, and {} may be", counts.unreached,
                                      state_.plan().unreached_max()));
  state_.set_revision(state_.revision() + 1);
}

Rollout::Wanted Rollout::WantedOf(const std::string& edge) const {
  const auto found = state_.members().find(edge);
  if (found == state_.members().end()) return {};
  const Member& member = found->second;
  if (state_.state() != v1::MODEL_ROLLOUT_ABORTED) {
    if (member.phase() > state_.phase()) return {};
    // Nobody else begins while it pauses.
    if (state_.state() == v1::MODEL_ROLLOUT_PAUSED && member.generation() == 0) return {};
    return {v1::MODEL_RUN, state_.plan().manifest()};
  }
  // Whoever was told of it may have moved, and not have said so yet.
  if (member.generation() == 0) return {};
  if (member.before().empty()) return {v1::MODEL_REMOVE, ""};
  return {v1::MODEL_REVERT, member.before()};
}

Rollout::Counts Rollout::Count() const {
  Counts counts;
  for (const auto& [edge, member] : state_.members()) {
    if (member.phase() > state_.phase()) {
      ++counts.waiting;
      continue;
    }
    switch (member.outcome()) {
      case v1::MODEL_ROLLOUT_COMMITTED:
        ++counts.committed;
        break;
      case v1::MODEL_ROLLOUT_FAILED:
        ++counts.failed;
        break;
      case v1::MODEL_ROLLOUT_UNREACHED:
        ++counts.unreached;
        break;
      default:
        ++counts.pending;
    }
  }
  return counts;
}

}  // namespace selvage::model
