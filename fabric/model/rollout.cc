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

absl::StatusOr<Rollout> Rollout::Start(v1::ModelRolloutPlan plan, int64_t now_ms, uint64_t id) {
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
  plan.clear_edges();
  *state.mutable_plan() = std::move(plan);
  state.set_id(id);
  state.set_revision(1);
  state.set_state(v1::MODEL_ROLLOUT_RUNNING);
  state.set_started_ms(now_ms);
  Rollout rollout(std::move(state));
  rollout.driven_ms_ = now_ms;
  for (const auto& [edge, member] : rollout.state_.members()) rollout.changed_.insert(edge);
  return rollout;
}

bool Rollout::IsActive() const {
  return state_.state() == v1::MODEL_ROLLOUT_RUNNING || state_.state() == v1::MODEL_ROLLOUT_PAUSED;
}

bool Rollout::Overlaps(const Rollout& other) const {
  return state_.plan().model() == other.state_.plan().model() &&
         std::any_of(state_.members().begin(), state_.members().end(),
                     [&](const auto& member) { return other.state_.members().contains(member.first); });
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
  Stop(v1::MODEL_ROLLOUT_PAUSED, "an operator paused it", false);
  return absl::OkStatus();
}

absl::Status Rollout::Resume(uint64_t revision) {
  SELVAGE_RETURN_IF_ERROR(CheckChange(revision));
  if (state_.state() != v1::MODEL_ROLLOUT_PAUSED) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "rollout_not_paused",
                     "the rollout is not paused");
  }
  state_.set_state(v1::MODEL_ROLLOUT_RUNNING);
  state_.clear_reason();
  state_.set_phase_since_ms(state_.clock_ms());
  state_.set_revision(revision + 1);
  for (auto& [edge, member] : *state_.mutable_members()) {
    const bool failed = member.outcome() == v1::MODEL_ROLLOUT_FAILED;
    if (!failed && member.outcome() != v1::MODEL_ROLLOUT_UNREACHED) continue;
    member.set_outcome(v1::MODEL_ROLLOUT_PENDING);
    member.clear_reached();
    // Edges try nothing again under a generation that failed.
    if (failed) member.clear_generation();
    if (failed) member.clear_reason();
    changed_.insert(edge);
  }
  return absl::OkStatus();
}

absl::Status Rollout::Abort(uint64_t revision, std::string_view reason) {
  SELVAGE_RETURN_IF_ERROR(CheckChange(revision));
  Stop(v1::MODEL_ROLLOUT_ABORTED, reason, false);
  return absl::OkStatus();
}

absl::Status Rollout::Promote(uint64_t revision) {
  SELVAGE_RETURN_IF_ERROR(CheckChange(revision));
  state_.set_state(v1::MODEL_ROLLOUT_RUNNING);
  state_.clear_reason();
  NextPhase();
  return absl::OkStatus();
}

absl::Status Rollout::Exclude(uint64_t revision, const std::string& edge) {
  SELVAGE_RETURN_IF_ERROR(CheckChange(revision));
  const auto found = state_.mutable_members()->find(edge);
  if (found == state_.mutable_members()->end()) {
    return MakeError(absl::StatusCode::kNotFound, "unknown_edge", "the edge takes no part in the rollout",
                     "selvagectl model rollout status --edges lists those that do");
  }
  found->second.set_outcome(v1::MODEL_ROLLOUT_EXCLUDED);
  found->second.set_reason("an operator took it out");
  changed_.insert(edge);
  state_.set_revision(revision + 1);
  return absl::OkStatus();
}

void Rollout::Stop(v1::ModelRolloutState state, std::string_view reason, bool by_itself) {
  state_.set_by_itself(by_itself);
  state_.set_state(state);
  state_.set_reason(DocumentText(reason, kWhyMax));
  state_.set_revision(state_.revision() + 1);
}

void Rollout::NextPhase() {
  state_.set_revision(state_.revision() + 1);
  if (static_cast<int>(state_.phase()) + 1 == state_.plan().phases_size()) {
    state_.set_state(v1::MODEL_ROLLOUT_COMPLETED);
    return;
  }
  state_.set_phase(state_.phase() + 1);
  state_.set_phase_since_ms(state_.clock_ms());
}

void Rollout::PassTime(int64_t now_ms) {
  const int64_t passed = now_ms - driven_ms_.value_or(now_ms);
  driven_ms_ = now_ms;
  state_.set_clock_ms(state_.clock_ms() + std::clamp<int64_t>(passed, 0, kGapMaxMs));
}

void Rollout::Decided(const std::string& edge, uint64_t generation,
                      const std::optional<std::string>& before) {
  const auto found = state_.mutable_members()->find(edge);
  if (found == state_.mutable_members()->end()) return;
  Member& member = found->second;
  // What it ran before the rollout is told once: later it may run the version itself.
  if (!member.has_before() && before) member.set_before(*before);
  member.set_generation(generation);
  changed_.insert(edge);
}

void Rollout::OnReport(const std::string& edge, const Report& report, int64_t now_ms) {
  const auto found = state_.mutable_members()->find(edge);
  if (found == state_.mutable_members()->end()) return;
  PassTime(now_ms);
  Member& member = found->second;
  // What it says before it was told anything is of no decision of this rollout.
  if (member.phase() > state_.phase() || member.generation() == 0) return;
  if (state_.state() == v1::MODEL_ROLLOUT_ABORTED || member.outcome() == v1::MODEL_ROLLOUT_EXCLUDED) {
    return TakeReturn(edge, member, report);
  }
  TakeReport(edge, member, report);
}

void Rollout::TakeReport(const std::string& edge, Member& member, const Report& report) {
  Member former = member;
  if (!member.reached()) {
    member.set_reached(true);
    member.set_reached_ms(state_.clock_ms());
  }
  // It came back, and has the whole deadline.
  if (member.outcome() == v1::MODEL_ROLLOUT_UNREACHED) member.set_outcome(v1::MODEL_ROLLOUT_PENDING);
  const std::string& wanted = state_.plan().manifest();
  if (report.committed == wanted) {
    if (!member.committed()) member.set_committed_ms(state_.clock_ms());
    member.set_committed(true);
    // One that was silent for too long, or unreached, and runs it after all.
    member.set_confirmed_ms(state_.clock_ms());
    if (IsSoaked(member)) member.set_outcome(v1::MODEL_ROLLOUT_COMMITTED);
  } else {
    if (!member.has_before()) member.set_before(report.committed);
    const bool failed = report.failed == wanted && report.failed_generation >= member.generation();
    if (failed || member.committed()) {
      member.set_outcome(v1::MODEL_ROLLOUT_FAILED);
      member.set_reason(
          DocumentText(failed ? report.reason : "it does not run the version any more", kWhyMax));
      member.clear_committed();
    }
  }
  // When it confirmed it last is not worth a write: after a restart the next report says it again.
  former.set_confirmed_ms(member.confirmed_ms());
  if (member.SerializeAsString() != former.SerializeAsString()) changed_.insert(edge);
  if (member.outcome() == v1::MODEL_ROLLOUT_FAILED) AbortIfHarmful();
}

/// Who goes back is counted as well: whoever ends a rollout wants to see when it is undone.
void Rollout::TakeReturn(const std::string& edge, Member& member, const Report& report) {
  const Member former = member;
  const std::string& withdrawn = state_.plan().manifest();
  member.set_committed(report.committed == withdrawn);
  if (!member.has_before()) {
    // Where nobody knows what ran before the version, nothing did that anybody had decided.
    member.set_before(report.committed == withdrawn ? "" : report.committed);
  }
  const bool excluded = member.outcome() == v1::MODEL_ROLLOUT_EXCLUDED;
  if (!excluded && report.committed == member.before()) member.set_outcome(v1::MODEL_ROLLOUT_RETURNED);
  if (!excluded && report.committed == withdrawn && member.before() != withdrawn) {
    member.set_outcome(v1::MODEL_ROLLOUT_COMMITTED);
  }
  if (member.SerializeAsString() != former.SerializeAsString()) changed_.insert(edge);
}

bool Rollout::IsSoaked(const Member& member) const {
  const auto& phase = state_.plan().phases(static_cast<int>(member.phase()));
  return member.committed() && member.confirmed_ms() - member.committed_ms() >= phase.soak_ms();
}

void Rollout::AbortIfHarmful() {
  if (!IsActive()) return;
  const uint32_t failed = Count().failed;
  if (failed <= state_.plan().failures_max()) return;
  Stop(v1::MODEL_ROLLOUT_ABORTED,
       fmt::format("{} edges failed, and {} may", failed, state_.plan().failures_max()), true);
}

/// By when the edge has to confirm the version, by the rollout's clock.
int64_t Rollout::DueMs(const Member& member) const {
  int64_t since = state_.phase_since_ms();
  if (member.reached()) since = std::max(since, member.reached_ms());
  if (member.committed()) since = std::max(since, member.committed_ms());
  return since + Phase().deadline_ms();
}

void Rollout::JudgeAtDeadline() {
  for (auto& [edge, member] : *state_.mutable_members()) {
    if (member.phase() > state_.phase() || member.outcome() != v1::MODEL_ROLLOUT_PENDING) continue;
    if (state_.clock_ms() < DueMs(member)) continue;
    changed_.insert(edge);
    if (!member.reached()) {
      member.set_outcome(v1::MODEL_ROLLOUT_UNREACHED);
    } else {
      member.set_outcome(v1::MODEL_ROLLOUT_FAILED);
      member.set_reason("it was connected, and did not confirm the version until the deadline");
    }
  }
}

void Rollout::Tick(int64_t now_ms) {
  if (!IsActive()) return;
  PassTime(now_ms);
  if (state_.state() != v1::MODEL_ROLLOUT_RUNNING) return;
  JudgeAtDeadline();
  AbortIfHarmful();
  if (!IsActive()) return;
  const Counts counts = Count();
  if (counts.pending > 0) return;
  uint32_t members = 0, confirmed = 0;
  for (const auto& [edge, member] : state_.members()) {
    if (member.phase() != state_.phase() || member.outcome() == v1::MODEL_ROLLOUT_EXCLUDED) continue;
    ++members;
    confirmed += member.outcome() == v1::MODEL_ROLLOUT_COMMITTED ? 1 : 0;
  }
  // A phase adds no edge where there are few of them.
  const uint32_t least = std::min(std::max(Phase().least(), 1u), members);
  const bool few = confirmed < least;
  if (!few && counts.unreached <= state_.plan().unreached_max()) return NextPhase();
  Stop(v1::MODEL_ROLLOUT_PAUSED,
       few ? fmt::format("{} edges of the phase confirmed, and {} are needed", confirmed, least)
           : fmt::format("{} edges were not reached, and {} may be", counts.unreached,
                         state_.plan().unreached_max()),
       true);
}

Rollout::Wanted Rollout::WantedOf(const std::string& edge) const {
  const auto found = state_.members().find(edge);
  if (found == state_.members().end()) return {};
  const Member& member = found->second;
  if (state_.state() != v1::MODEL_ROLLOUT_ABORTED && member.outcome() != v1::MODEL_ROLLOUT_EXCLUDED) {
    if (member.phase() > state_.phase()) return {};
    // Nobody else begins while it pauses.
    if (state_.state() == v1::MODEL_ROLLOUT_PAUSED && member.generation() == 0) return {};
    return {v1::MODEL_RUN, state_.plan().manifest()};
  }
  // Whoever was told of it may have moved, and not have said so yet. One that ran this very version before
  // did not move.
  if (member.has_before() && member.before() == state_.plan().manifest()) return {};
  if (!member.has_before()) return {.withdraw = member.generation() != 0};
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
      case v1::MODEL_ROLLOUT_RETURNED:
        ++counts.returned;
        break;
      case v1::MODEL_ROLLOUT_EXCLUDED:
        ++counts.excluded;
        break;
      default:
        ++counts.pending;
    }
  }
  return counts;
}

}  // namespace selvage::model
