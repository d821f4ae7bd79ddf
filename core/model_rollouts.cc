#include "core/model_rollouts.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/stream/meta_keys.h"

namespace selvage {
namespace {

using model::Rollout;
using Decision = ModelAssignments::Decision;

/// Decisions that are stored at once: a batch of a few hundred kilobytes, and a moment in which nobody else
/// changes an edge.
constexpr size_t kDecisionsAtOnce = 1'000;
/// A restart forgets so much of a rollout's time, at most.
constexpr int64_t kStoreClockEveryMs = 60'000;
constexpr std::string_view kPausedAlarm = "model_rollout_paused";
constexpr std::string_view kAbortedAlarm = "model_rollout_aborted";

std::string HeadKey(uint64_t id) {
  return fmt::format("{}{:016x}", kRolloutPrefix, id);
}

std::string MemberKeys(uint64_t id) {
  return fmt::format("{}{:016x}/", kRolloutMemberPrefix, id);
}

std::string AlarmSubject(const v1::ModelRolloutPlan& plan, uint64_t id) {
  return fmt::format("rollout {} of {} version {}", id, plan.model(), plan.version());
}

v1::ModelRollout Shown(const Rollout& rollout) {
  const v1::StoredModelRollout& state = rollout.state();
  const Rollout::Counts counts = rollout.Count();
  v1::ModelRollout shown;
  shown.set_id(state.id());
  *shown.mutable_plan() = state.plan();
  shown.set_revision(state.revision());
  shown.set_state(state.state());
  shown.set_reason(state.reason());
  shown.set_phase(state.phase());
  shown.set_started_ms(state.started_ms());
  shown.set_waiting(counts.waiting);
  shown.set_pending(counts.pending);
  shown.set_committed(counts.committed);
  shown.set_failed(counts.failed);
  shown.set_unreached(counts.unreached);
  shown.set_returned(counts.returned);
  shown.set_excluded(counts.excluded);
  return shown;
}

void ShowEdges(const Rollout& rollout, v1::ModelRollout& shown) {
  for (const auto& [name, member] : rollout.state().members()) {
    v1::ModelRolloutEdge& edge = *shown.add_edges();
    edge.set_edge(name);
    edge.set_phase(member.phase());
    edge.set_generation(member.generation());
    edge.set_outcome(member.outcome());
    edge.set_reason(member.reason());
  }
  std::sort(shown.mutable_edges()->begin(), shown.mutable_edges()->end(),
            [](const auto& a, const auto& b) { return a.edge() < b.edge(); });
}

Rollout::Report ReportOf(const v1::ModelStatus& status) {
  return {.committed = status.committed(),
          .failed = status.failed(),
          .failed_generation = status.failed_generation(),
          .reason = status.kind().empty() ? status.reason()
                                          : fmt::format("{}: {}", status.kind(), status.reason())};
}

const v1::ModelStatus* StatusOf(const v1::EdgeStatus& status, const std::string& model) {
  for (const v1::ModelStatus& one : status.models()) {
    if (one.model() == model) return &one;
  }
  return nullptr;
}

void StageRollout(WriteBatch& batch, const Rollout& rollout, const std::set<std::string>& members) {
  const v1::StoredModelRollout& state = rollout.state();
  v1::StoredModelRollout head;
  *head.mutable_plan() = state.plan();
  head.set_id(state.id());
  head.set_revision(state.revision());
  head.set_state(state.state());
  head.set_reason(state.reason());
  head.set_phase(state.phase());
  head.set_clock_ms(state.clock_ms());
  head.set_phase_since_ms(state.phase_since_ms());
  head.set_started_ms(state.started_ms());
  head.set_by_itself(state.by_itself());
  batch.Put(Family::kMeta, HeadKey(state.id()), {head.SerializeAsString()});
  for (const std::string& edge : members) {
    batch.Put(Family::kMeta, MemberKeys(state.id()) + edge, {state.members().at(edge).SerializeAsString()});
  }
}

}  // namespace

absl::Status ModelRollouts::Open() {
  absl::MutexLock lock(&mutex_);
  auto heads = parts_.store.Scan(Family::kMeta, kRolloutPrefix, PrefixEnd(kRolloutPrefix));
  for (heads->Seek(kRolloutPrefix); heads->Valid(); heads->Next()) {
    v1::StoredModelRollout state;
    if (!state.ParseFromString(std::string(heads->value()))) return DamagedMeta("rollout of a model");
    const std::string prefix = MemberKeys(state.id());
    auto members = parts_.store.Scan(Family::kMeta, prefix, PrefixEnd(prefix));
    for (members->Seek(prefix); members->Valid(); members->Next()) {
      const std::string edge(members->key().substr(prefix.size()));
      if (!(*state.mutable_members())[edge].ParseFromString(std::string(members->value()))) {
        return DamagedMeta("edge of a rollout");
      }
    }
    SELVAGE_RETURN_IF_ERROR(members->status());
    if (state.plan().phases().empty() || static_cast<int>(state.phase()) >= state.plan().phases_size()) {
      return DamagedMeta("phase of a rollout");
    }
    const Id id = state.id();
    next_id_ = std::max(next_id_, id + 1);
    const uint64_t told = state.revision();
    const auto [entry, fresh] =
        rollouts_.emplace(id, Entry{.rollout = Rollout(std::move(state)), .told = told});
    Index(entry->second);
  }
  return heads->status();
}

void ModelRollouts::Index(const Entry& entry) {
  const v1::StoredModelRollout& state = entry.rollout.state();
  for (const auto& [edge, member] : state.members()) {
    // An operator took the model away since: no earlier rollout brings it back.
    const auto known = parts_.assignments.Find(edge, state.plan().model());
    const bool removed = known && known->decision().action() == v1::MODEL_REMOVE &&
                         known->decision().generation() > member.generation();
    if (removed && !entry.rollout.IsActive()) continue;
    Id& newest = newest_[edge][state.plan().model()];
    newest = std::max(newest, state.id());
  }
}

absl::Status ModelRollouts::CanDecide() const {
  if (parts_.assignments.can_sign()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, "no_rollout_key",
                   "this core has no key that signs who runs what",
                   "set models.rollout_key to the file of a key that the root names as a rollout key");
}

absl::StatusOr<std::vector<std::string>> ModelRollouts::Select(const v1::ModelEdges& edges) const {
  const int ways = (edges.edges().empty() ? 0 : 1) + (edges.labels().empty() ? 0 : 1) + (edges.all() ? 1 : 0);
  if (ways != 1) {
    return MakeError(absl::StatusCode::kInvalidArgument, "invalid_rollout",
                     "edges are named, or chosen by labels, or all of them", "give one of the three");
  }
  std::vector<std::string> selected;
  for (const std::string& name : edges.edges()) {
    SELVAGE_ASSIGN_OR_RETURN(const v1::StoredEdge edge, parts_.edges.Get(name));
    if (edge.hold_models() || edge.retired()) {
      return MakeError(
          absl::StatusCode::kFailedPrecondition, "models_held",
          fmt::format("edge {} is {}", name, edge.retired() ? "retired" : "held out of rollouts"),
          "selvagectl edge set EDGE --take-models lets it in");
    }
    selected.push_back(name);
  }
  if (!selected.empty()) return selected;
  for (const v1::StoredEdge& edge : parts_.edges.All()) {
    const bool has_all = std::all_of(edges.labels().begin(), edges.labels().end(), [&](const auto& label) {
      const auto found = edge.labels().find(label.first);
      return found != edge.labels().end() && found->second == label.second;
    });
    if (has_all && !edge.hold_models() && !edge.retired()) selected.push_back(edge.edge());
  }
  return selected;
}

absl::Status ModelRollouts::CheckFree(const std::string& model, const std::vector<std::string>& edges) const {
  for (const std::string& edge : edges) {
    const auto known = newest_.find(edge);
    if (known == newest_.end()) continue;
    const auto newest = known->second.find(model);
    if (newest == known->second.end()) continue;
    const auto rollout = rollouts_.find(newest->second);
    if (rollout == rollouts_.end() || !rollout->second.rollout.IsActive()) continue;
    return MakeError(absl::StatusCode::kFailedPrecondition, "rollout_active",
                     fmt::format("rollout {} of model {} has taken in edge {}", newest->second, model, edge),
                     "wait for its end, or abort it, or exclude the edge");
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::ModelRollout> ModelRollouts::Start(const v1::StartRolloutRequest& request) {
  SELVAGE_RETURN_IF_ERROR(CanDecide());
  if (!find_) {
    return MakeError(absl::StatusCode::kNotFound, "unknown_model", "no model was published at this core");
  }
  SELVAGE_ASSIGN_OR_RETURN(const model::Digest manifest, find_(request.model(), request.version()));
  SELVAGE_ASSIGN_OR_RETURN(std::vector<std::string> edges, Select(request.edges()));
  v1::ModelRolloutPlan plan;
  plan.set_model(request.model());
  plan.set_version(request.version());
  plan.set_manifest(manifest.bytes());
  // By chance, but the same again: those whose names come first would else try every version.
  if (request.edges().edges().empty()) {
    const auto chance = [&](const std::string& edge) { return model::Digest::Of(plan.manifest() + edge); };
    std::sort(edges.begin(), edges.end(),
              [&](const auto& a, const auto& b) { return chance(a) < chance(b); });
  }
  for (const std::string& edge : edges) plan.add_edges(edge);
  *plan.mutable_phases() = request.phases();
  plan.set_failures_max(request.failures_max());
  plan.set_unreached_max(request.unreached_max());

  absl::MutexLock lock(&mutex_);
  SELVAGE_RETURN_IF_ERROR(CheckFree(request.model(), edges));
  SELVAGE_ASSIGN_OR_RETURN(Rollout started, Rollout::Start(std::move(plan), WallMs(parts_.clock), next_id_));
  const std::set<std::string> members = started.TakeChanged();
  std::vector<Id> gone;
  DropOld(gone);
  SELVAGE_RETURN_IF_ERROR(parts_.assignments.Store({}, [&](WriteBatch& batch) {
    StageRollout(batch, started, members);
    for (const Id id : gone) {
      batch.Delete(Family::kMeta, HeadKey(id));
      batch.DeleteRange(Family::kMeta, MemberKeys(id), PrefixEnd(MemberKeys(id)));
    }
  }));
  const Id id = next_id_++;
  for (const Id old : gone) rollouts_.erase(old);
  const auto [entry, fresh] = rollouts_.emplace(id, Entry{.rollout = std::move(started)});
  Index(entry->second);
  parts_.alarms.ClearExcept(kAbortedAlarm, [&](const std::string& subject) {
    return subject.find(fmt::format(" of {} version ", request.model())) == std::string::npos;
  });
  SELVAGE_RETURN_IF_ERROR(DriveLocked());
  return Shown(rollouts_.at(id).rollout);
}

void ModelRollouts::DropOld(std::vector<Id>& gone) {
  size_t ended = 0;
  for (auto it = rollouts_.rbegin(); it != rollouts_.rend(); ++it) {
    if (it->second.rollout.IsActive()) continue;
    if (++ended >= kEndedMax) gone.push_back(it->first);
  }
}

std::string ModelRollouts::NeededBy(const model::Digest& manifest) const {
  const std::string wanted = manifest.bytes();
  if (const size_t edges = parts_.assignments.CountOf(wanted); edges > 0) {
    return fmt::format("{} edges are to run it", edges);
  }
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, entry] : rollouts_) {
    if (!entry.rollout.IsActive()) continue;
    const v1::StoredModelRollout& state = entry.rollout.state();
    const bool goes_back = std::any_of(state.members().begin(), state.members().end(),
                                       [&](const auto& member) { return member.second.before() == wanted; });
    if (state.plan().manifest() == wanted) return fmt::format("rollout {} brings it to edges", id);
    if (goes_back) return fmt::format("edges of rollout {} may go back to it", id);
  }
  return "";
}

std::vector<v1::ModelRollout> ModelRollouts::List(const std::string& model) const {
  absl::MutexLock lock(&mutex_);
  std::vector<v1::ModelRollout> shown;
  for (auto it = rollouts_.rbegin(); it != rollouts_.rend(); ++it) {
    const Rollout& rollout = it->second.rollout;
    if (model.empty() || rollout.state().plan().model() == model) shown.push_back(Shown(rollout));
  }
  return shown;
}

absl::StatusOr<ModelRollouts::Entry*> ModelRollouts::FindLocked(Id id) {
  const auto found = rollouts_.find(id);
  if (found != rollouts_.end()) return &found->second;
  return MakeError(absl::StatusCode::kNotFound, "unknown_rollout", fmt::format("there is no rollout {}", id),
                   "selvagectl model rollout list shows them");
}

absl::StatusOr<v1::ModelRollout> ModelRollouts::Get(uint64_t id) const {
  absl::MutexLock lock(&mutex_);
  const auto found = rollouts_.find(id);
  if (found == rollouts_.end()) {
    return MakeError(absl::StatusCode::kNotFound, "unknown_rollout",
                     fmt::format("there is no rollout {}", id), "selvagectl model rollout list shows them");
  }
  v1::ModelRollout shown = Shown(found->second.rollout);
  ShowEdges(found->second.rollout, shown);
  return shown;
}

absl::StatusOr<v1::ModelRollout> ModelRollouts::Change(const v1::ChangeRolloutRequest& request) {
  SELVAGE_RETURN_IF_ERROR(CanDecide());
  absl::MutexLock lock(&mutex_);
  SELVAGE_ASSIGN_OR_RETURN(Entry * entry, FindLocked(request.id()));
  Rollout changed = entry->rollout;  // what is not stored is not so
  absl::Status done;
  switch (request.change()) {
    case v1::MODEL_ROLLOUT_PAUSE:
      done = changed.Pause(request.revision());
      break;
    case v1::MODEL_ROLLOUT_RESUME:
      done = changed.Resume(request.revision());
      break;
    case v1::MODEL_ROLLOUT_ABORT:
      done = changed.Abort(request.revision(),
                           request.reason().empty() ? "an operator aborted it" : request.reason());
      break;
    case v1::MODEL_ROLLOUT_PROMOTE:
      done = changed.Promote(request.revision());
      break;
    case v1::MODEL_ROLLOUT_EXCLUDE:
      done = changed.Exclude(request.revision(), request.edge());
      break;
    default:
      done = MakeError(absl::StatusCode::kInvalidArgument, "invalid_rollout",
                       "the change is none that this version knows");
  }
  SELVAGE_RETURN_IF_ERROR(done);
  const std::set<std::string> members = changed.TakeChanged();
  SELVAGE_RETURN_IF_ERROR(
      parts_.assignments.Store({}, [&](WriteBatch& batch) { StageRollout(batch, changed, members); }));
  *entry = {.rollout = std::move(changed)};
  // They know what they did.
  parts_.alarms.Clear(kPausedAlarm, AlarmSubject(entry->rollout.state().plan(), request.id()));
  SELVAGE_RETURN_IF_ERROR(DriveLocked());
  return Shown(entry->rollout);
}

absl::StatusOr<uint32_t> ModelRollouts::Remove(const v1::RemoveModelRequest& request) {
  SELVAGE_RETURN_IF_ERROR(CanDecide());
  if (!IsDnsLabel(request.model())) {
    return MakeError(absl::StatusCode::kInvalidArgument, "invalid_rollout", "it names no model");
  }
  SELVAGE_ASSIGN_OR_RETURN(const std::vector<std::string> edges, Select(request.edges()));
  absl::MutexLock lock(&mutex_);
  SELVAGE_RETURN_IF_ERROR(CheckFree(request.model(), edges));
  std::vector<Decision> decisions;
  for (const std::string& edge : edges) {
    // No rollout that has ended may bring it back; it is not the one that decides this.
    newest_[edge].erase(request.model());
    const auto known = parts_.assignments.Find(edge, request.model());
    if (known && known->has_document() && known->decision().action() == v1::MODEL_REMOVE) continue;
    // Also where nothing was decided: the edge may have it of another core.
    decisions.push_back({edge, request.model(), v1::MODEL_REMOVE});
  }
  for (size_t at = 0; at < decisions.size(); at += kDecisionsAtOnce) {
    const size_t end = std::min(at + kDecisionsAtOnce, decisions.size());
    SELVAGE_RETURN_IF_ERROR(StoreDecisions({decisions.begin() + static_cast<std::ptrdiff_t>(at),
                                            decisions.begin() + static_cast<std::ptrdiff_t>(end)}));
  }
  return static_cast<uint32_t>(edges.size());
}

absl::Status ModelRollouts::Drive() {
  absl::MutexLock lock(&mutex_);
  return DriveLocked();
}

absl::Status ModelRollouts::DriveLocked() {
  const int64_t now_ms = WallMs(parts_.clock);
  std::vector<Decision> decisions;
  TakeReports(decisions);
  // An edge may have been let in again.
  const uint64_t edges = parts_.edges.changes();
  const bool edges_changed = std::exchange(edges_seen_, edges) != edges;
  for (auto& [id, entry] : rollouts_) {
    const uint64_t revision = entry.rollout.state().revision();
    entry.rollout.Tick(now_ms);
    if (entry.rollout.state().revision() != revision || edges_changed) entry.stirred = true;
    if (entry.rollout.state().revision() != revision) entry.unstored = true;
    if (parts_.assignments.can_sign()) CollectDecisions(entry, decisions);
  }
  if (now_ms - stored_ms_ >= kStoreClockEveryMs || now_ms < stored_ms_) {
    stored_ms_ = now_ms;
    for (auto& [id, entry] : rollouts_) entry.unstored |= entry.rollout.IsActive();
  }
  SELVAGE_RETURN_IF_ERROR(StoreDecisions(decisions));
  const std::vector<v1::StoredModelAssignment> anew = parts_.assignments.SignAnew(kDecisionsAtOnce);
  if (anew.empty()) return absl::OkStatus();
  SELVAGE_RETURN_IF_ERROR(parts_.assignments.Store(anew, [](WriteBatch&) {}));
  for (const v1::StoredModelAssignment& one : anew) parts_.specs.Changed(one.edge());
  return absl::OkStatus();
}

void ModelRollouts::TakeReports(std::vector<Decision>& decisions) {
  const int64_t now_ms = WallMs(parts_.clock);
  for (const EdgeReports::Models& report : parts_.reports.ModelsSince(reports_seen_)) {
    reports_seen_ = std::max(reports_seen_, report.number);
    for (const v1::ModelStatus& status : report.models) {
      const auto known = parts_.assignments.Find(report.edge, status.model());
      if (!known || !known->has_document()) continue;
      const uint64_t generation = known->decision().generation();
      // This core was restored, or is another one: what it decides has to be above what the edge has taken.
      const bool reused = status.kind() == "generation_reused" && status.generation() == generation;
      if (parts_.assignments.can_sign() && decisions.size() < kDecisionsAtOnce &&
          (status.generation() > generation || reused)) {
        decisions.push_back({report.edge, status.model(), known->decision().action(),
                             known->decision().manifest(), status.generation()});
      }
    }
    const auto newest = newest_.find(report.edge);
    if (newest == newest_.end()) continue;
    for (const auto& [model, id] : newest->second) {
      const auto found = rollouts_.find(id);
      if (found == rollouts_.end()) continue;
      Entry& entry = found->second;
      const auto status = std::find_if(report.models.begin(), report.models.end(),
                                       [&](const auto& one) { return one.model() == model; });
      const uint64_t revision = entry.rollout.state().revision();
      entry.rollout.OnReport(report.edge,
                             status == report.models.end() ? Rollout::Report() : ReportOf(*status), now_ms);
      if (entry.rollout.state().revision() != revision) entry.unstored = true;
      // One that has ended learns by reports what edges go back to.
      if (entry.rollout.state().revision() != revision || !entry.rollout.IsActive()) entry.stirred = true;
    }
  }
}

void ModelRollouts::CollectDecisions(Entry& entry, std::vector<Decision>& decisions) {
  if (!entry.stirred) return;
  const std::string& model = entry.rollout.state().plan().model();
  std::set<std::string> decided;
  for (const Decision& decision : decisions) {
    if (decision.model == model) decided.insert(decision.edge);
  }
  for (const auto& [edge, member] : entry.rollout.state().members()) {
    if (decisions.size() >= kDecisionsAtOnce) return;  // the rest the next time
    if (decided.contains(edge)) continue;
    if (auto decision = DecisionOf(entry.rollout, edge)) decisions.push_back(*std::move(decision));
  }
  entry.stirred = false;
}

std::optional<Decision> ModelRollouts::DecisionOf(const Rollout& rollout, const std::string& edge) const {
  const v1::StoredModelRollout& state = rollout.state();
  const std::string& model = state.plan().model();
  const auto newest = newest_.find(edge);
  if (newest == newest_.end()) return std::nullopt;
  const auto of_model = newest->second.find(model);
  if (of_model == newest->second.end() || of_model->second != state.id()) return std::nullopt;
  const Rollout::Wanted wanted = rollout.WantedOf(edge);
  if (wanted == Rollout::Wanted()) return std::nullopt;
  const auto known = parts_.assignments.Find(edge, model);
  if (wanted.withdraw) {
    if (!known || !known->has_document()) return std::nullopt;
    return Decision{edge, model};
  }
  const bool stands = known && known->has_document() && known->decision().action() == wanted.action &&
                      known->decision().manifest() == wanted.manifest &&
                      known->decision().generation() == state.members().at(edge).generation();
  if (stands) return std::nullopt;
  // What is held out stays as it is.
  const auto stored = parts_.edges.Find(edge);
  if (!stored || stored->hold_models() || stored->retired()) return std::nullopt;
  return Decision{edge, model, wanted.action, wanted.manifest};
}

/// What the edge ran before it is told of this manifest; nothing: nobody knows. What it reported, or what it
/// was told before, where it did not report anything or has moved already.
std::optional<std::string> ModelRollouts::BeforeOf(const std::string& edge, const std::string& model,
                                                   const std::string& manifest) const {
  const auto report = parts_.reports.Find(edge);
  const bool reported = report && report->has_status();
  std::string runs;
  if (reported) {
    const v1::ModelStatus* status = StatusOf(report->status(), model);
    if (status != nullptr) runs = status->committed();
    if (runs != manifest) return runs;
  }
  const auto known = parts_.assignments.Find(edge, model);
  if (known && known->decision().manifest() != manifest) return known->decision().manifest();
  return reported ? std::optional<std::string>(runs) : std::nullopt;
}

absl::Status ModelRollouts::StoreDecisions(const std::vector<Decision>& decisions) {
  std::vector<v1::StoredModelAssignment> documents;
  for (const Decision& decision : decisions) {
    documents.push_back(parts_.assignments.Decide(decision));
    const auto newest = newest_.find(decision.edge);
    if (newest == newest_.end() || decision.action == v1::MODEL_ACTION_UNSPECIFIED) continue;
    const auto of_model = newest->second.find(decision.model);
    if (of_model == newest->second.end()) continue;
    const auto found = rollouts_.find(of_model->second);
    if (found == rollouts_.end()) continue;
    Rollout& rollout = found->second.rollout;
    rollout.Decided(decision.edge, documents.back().decision().generation(),
                    BeforeOf(decision.edge, decision.model, rollout.state().plan().manifest()));
  }
  std::map<Id, std::set<std::string>> unstored;
  for (auto& [id, entry] : rollouts_) {
    std::set<std::string> members = entry.rollout.TakeChanged();
    if (!members.empty() || entry.unstored) unstored[id] = std::move(members);
  }
  if (documents.empty() && unstored.empty()) return absl::OkStatus();
  std::vector<std::pair<const Rollout*, const std::set<std::string>*>> changed;
  changed.reserve(unstored.size());
  for (const auto& [id, members] : unstored) changed.emplace_back(&rollouts_.at(id).rollout, &members);
  absl::Status stored = parts_.assignments.Store(documents, [&](WriteBatch& batch) {
    for (const auto& [rollout, members] : changed) StageRollout(batch, *rollout, *members);
  });
  for (const auto& [id, members] : unstored) {
    Entry& entry = rollouts_.at(id);
    if (stored.ok()) {
      entry.unstored = false;
      if (std::exchange(entry.told, entry.rollout.state().revision()) != entry.rollout.state().revision()) {
        TellAlarms(entry.rollout);
      }
    } else {
      entry.unstored = true;
      entry.stirred = true;
      entry.rollout.KeepChanged(members);
    }
  }
  SELVAGE_RETURN_IF_ERROR(stored);
  for (const v1::StoredModelAssignment& document : documents) parts_.specs.Changed(document.edge());
  return absl::OkStatus();
}

/// Operators hear of what they did not do.
void ModelRollouts::TellAlarms(const Rollout& rollout) {
  const v1::StoredModelRollout& state = rollout.state();
  const std::string subject = AlarmSubject(state.plan(), state.id());
  const std::string hint = fmt::format("selvagectl model rollout status {}", state.id());
  if (state.state() == v1::MODEL_ROLLOUT_PAUSED && state.by_itself()) {
    parts_.alarms.Report({.kind = kPausedAlarm,
                          .subject = subject,
                          .message = fmt::format("the rollout pauses: {}", state.reason()),
                          .hint = hint});
  } else {
    parts_.alarms.Clear(kPausedAlarm, subject);
  }
  if (state.state() == v1::MODEL_ROLLOUT_ABORTED && state.by_itself()) {
    parts_.alarms.Report(
        {.kind = kAbortedAlarm,
         .subject = subject,
         .message = fmt::format("the rollout was aborted, and its edges go back: {}", state.reason()),
         .hint = hint});
  }
}

}  // namespace selvage
