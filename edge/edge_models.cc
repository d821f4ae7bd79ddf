#include "edge/edge_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "edge/model_gate.h"
#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/base/utf8.h"
#include "fabric/model/bundle.h"
#include "fabric/model/manifest.h"
#include "fabric/node/log_places.h"
#include "fabric/storage/commit.h"
#include "fabric/storage/synced_file.h"
#include "fabric/stream/meta_keys.h"
#include "fabric/telemetry/log.h"

namespace selvage {
namespace {

namespace fs = std::filesystem;
using model::Digest;
using model::EdgeModel;
using model::ModelTrust;

constexpr absl::Duration kHoldPause = absl::Seconds(30);
/// Of a download whose link was cut: it is up again when Wake says so, or soon.
constexpr absl::Duration kLinkPause = absl::Seconds(2);
constexpr absl::Duration kMeasureEvery = absl::Seconds(1);
/// A version that was committed is told of again at this age, and whenever it has doubled up to the last: by
/// then the edge's status is told now and then anyway.
constexpr absl::Duration kConfirmFirst = absl::Seconds(2);
constexpr absl::Duration kConfirmLast = absl::Minutes(20);
/// Text of an alarm or a status that quotes what others wrote.
constexpr size_t kTextMax = 1'000;

std::string TextOf(const absl::Status& status) {
  return DocumentText(std::string(status.message()), kTextMax);
}

Digest DigestIn(const std::string& bytes) {
  return Digest::FromBytes(bytes).value_or(Digest());
}

absl::Status NoRootPinned() {
  return MakeError(absl::StatusCode::kFailedPrecondition, "no_root_pinned",
                   "this edge pins no root of models, so it believes nobody about them",
                   "set models.root to the digest that selvagectl model root show prints");
}

absl::Status NoRootYet(const Digest& pinned) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "no_root_yet",
                   fmt::format("the root that is pinned, {}, has not come from the core", pinned.Hex()),
                   "add it at the core: selvagectl model root add", Retry::kYes);
}

}  // namespace

/// What is on its way from the core for one version. Shared with those who bring it, who may come late.
struct EdgeModels::Fetch {
  Digest manifest;
  bool of_chunks = false;
  std::unique_ptr<model::ChunkStore::Pin> pin;
  std::vector<model::ManifestChunk> chunks;
  std::set<uint32_t> wanted;
  mutable absl::Mutex mutex;
  uint64_t arrived ABSL_GUARDED_BY(mutex) = 0;
  std::optional<absl::StatusOr<std::string>> result ABSL_GUARDED_BY(mutex);
};

/// A chunk that came and is not stored yet.
struct EdgeModels::Arrived {
  std::shared_ptr<Fetch> fetch;
  uint32_t index = 0;
  std::string data;
  std::function<void(absl::Status)> stored;
};

/// What others leave for the thread that works.
struct EdgeModels::Inbox {
  void Wake() {
    absl::MutexLock lock(&mutex);
    woken = true;
  }

  absl::Mutex mutex;
  bool woken ABSL_GUARDED_BY(mutex) = false;
  bool linked ABSL_GUARDED_BY(mutex) = false;
  bool stop ABSL_GUARDED_BY(mutex) = false;
  std::optional<v1::EdgeSpec> spec ABSL_GUARDED_BY(mutex);
  std::vector<Arrived> arrived ABSL_GUARDED_BY(mutex);  // bounded by the fetcher, which waits for `stored`
};

struct EdgeModels::Model {
  Model(std::string its_name, model::ModelFolder its_folder)
      : name(std::move(its_name)), folder(std::move(its_folder)) {}

  const std::string name;
  model::ModelFolder folder;
  EdgeModel state;
  /// The spec that is there has this assignment, and those who count today signed it.
  bool vouched = false;
  std::optional<std::pair<Digest, model::Verified<v1::ModelManifest>>> manifest;  // of the wanted version
  std::shared_ptr<Fetch> fetch;
  uint64_t have =
      0;  // bytes of the wanted version's distinct chunks that were here when the rest was asked for
  uint64_t want = 0;
  bool verified = false;
  absl::Status held;
  absl::Duration again_at = absl::ZeroDuration();
  // The download's rate.
  uint64_t measured = 0;
  absl::Duration measured_at = absl::ZeroDuration();
  double rate = 0;
};

EdgeModels::EdgeModels(const Parts& parts, Options options)
    : parts_(parts), options_(std::move(options)), inbox_(std::make_shared<Inbox>()) {}

EdgeModels::~EdgeModels() {
  Stop();
}

absl::StatusOr<std::unique_ptr<EdgeModels>> EdgeModels::Open(const Parts& parts, Options options) {
  auto models = std::unique_ptr<EdgeModels>(new EdgeModels(parts, std::move(options)));
  SELVAGE_RETURN_IF_ERROR(models->Load());
  return models;
}

absl::Status EdgeModels::Load() {
  absl::MutexLock work(&work_mutex_);
  SELVAGE_ASSIGN_OR_RETURN(chunks_, model::ChunkStore::Open(options_.folder / ".chunks"));
  std::error_code error;
  fs::create_directories(options_.folder / ".manifests", error);
  if (error) return FileError("use", options_.folder, error);
  SELVAGE_RETURN_IF_ERROR(LoadTrust());
  std::map<std::string, v1::StoredEdgeModel> stored;
  const auto cursor = parts_.store.Scan(Family::kMeta, kModelPrefix, PrefixEnd(kModelPrefix));
  for (cursor->Seek(kModelPrefix); cursor->Valid(); cursor->Next()) {
    const std::string name(cursor->key().substr(kModelPrefix.size()));
    if (!IsDnsLabel(name) || !stored[name].ParseFromString(std::string(cursor->value()))) {
      return DamagedMeta("state of a model");
    }
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  const auto imports = parts_.store.Scan(Family::kMeta, kModelImportPrefix, PrefixEnd(kModelImportPrefix));
  for (imports->Seek(kModelImportPrefix); imports->Valid(); imports->Next()) {
    imported_[std::string(imports->key().substr(kModelImportPrefix.size()))] =
        DigestIn(std::string(imports->value()));
  }
  SELVAGE_RETURN_IF_ERROR(imports->status());
  for (auto& [name, state] : stored) {
    SELVAGE_ASSIGN_OR_RETURN(Model * model, ModelOf(name));
    EdgeModel opened(state);
    opened.Open(WallMs(parts_.clock));
    if (opened.state().SerializeAsString() != state.SerializeAsString()) {
      SELVAGE_RETURN_IF_ERROR(Store(nullptr, model, &opened.state()));
    }
    model->state = std::move(opened);
    SELVAGE_RETURN_IF_ERROR(Point(*model));
  }
  ShowStatuses();
  return absl::OkStatus();
}

absl::Status EdgeModels::LoadTrust() {
  if (!options_.root) return absl::OkStatus();
  SELVAGE_ASSIGN_OR_RETURN(const auto pin, parts_.store.Get(Family::kMeta, kModelPinKey));
  if (pin != options_.root->bytes()) {
    if (pin) LogWarning("another root of models is pinned: the edge begins anew with it", {});
    return Commit(parts_.committer, [&](WriteBatch& batch) {
      batch.Put(Family::kMeta, kModelPinKey, {options_.root->bytes()});
      batch.Delete(Family::kMeta, kModelTrustKey);
      return absl::OkStatus();
    });
  }
  SELVAGE_ASSIGN_OR_RETURN(const auto stored, parts_.store.Get(Family::kMeta, kModelTrustKey));
  if (!stored) return absl::OkStatus();
  v1::StoredModelTrust trust;
  if (!trust.ParseFromString(*stored)) return DamagedMeta("trust about models");
  SELVAGE_ASSIGN_OR_RETURN(trust_, ModelTrust::FromStored(std::move(trust)));
  return absl::OkStatus();
}

void EdgeModels::Start() {
  thread_ = std::thread([this] { Run(); });
}

void EdgeModels::Stop() {
  {
    absl::MutexLock lock(&inbox_->mutex);
    inbox_->stop = true;
  }
  if (thread_.joinable()) thread_.join();
}

bool EdgeModels::stopping() const {
  absl::MutexLock lock(&inbox_->mutex);
  return inbox_->stop;
}

void EdgeModels::Run() {
  while (!stopping()) {
    const absl::Duration pause = Work();
    absl::MutexLock lock(&inbox_->mutex);
    inbox_->mutex.AwaitWithTimeout(absl::Condition(
                                       +[](Inbox* inbox) ABSL_EXCLUSIVE_LOCKS_REQUIRED(inbox->mutex) {
                                         return inbox->woken || inbox->stop;
                                       },
                                       inbox_.get()),
                                   pause);
  }
}

void EdgeModels::Take(const v1::EdgeSpec& spec) {
  absl::MutexLock lock(&inbox_->mutex);
  // Of all of it, what is of models.
  inbox_->spec.emplace();
  *inbox_->spec->mutable_model_roots() = spec.model_roots();
  *inbox_->spec->mutable_model_assignments() = spec.model_assignments();
  inbox_->woken = true;
}

void EdgeModels::Wake() {
  absl::MutexLock lock(&inbox_->mutex);
  inbox_->woken = true;
  inbox_->linked = true;
}

absl::Duration EdgeModels::Work() {
  absl::MutexLock work(&work_mutex_);
  if (!failed_.ok()) return absl::InfiniteDuration();
  std::optional<v1::EdgeSpec> spec;
  bool linked = false;
  {
    absl::MutexLock lock(&inbox_->mutex);
    inbox_->woken = false;
    linked = std::exchange(inbox_->linked, false);
    spec = std::exchange(inbox_->spec, std::nullopt);
  }
  StoreArrived();
  if (spec) failed_ = TakeSpec(*spec);
  absl::Duration pause = absl::InfiniteDuration();
  for (auto& [name, model] : models_) {
    if (linked) model->again_at = absl::ZeroDuration();
    while (failed_.ok() && !stopping()) {
      const absl::StatusOr<bool> done = Step(*model);
      if (!done.ok()) failed_ = done.status();
      ShowStatuses();
      if (!done.ok() || !*done) break;
    }
    if (model->fetch != nullptr) pause = std::min(pause, kMeasureEvery);
    if (model->again_at > absl::ZeroDuration()) {
      pause = std::min(pause, std::max(absl::Milliseconds(10), model->again_at - parts_.clock.Monotonic()));
    }
  }
  if (failed_.ok() && std::exchange(sweep_, false)) {
    if (absl::Status swept = Sweep(); !swept.ok())
      LogWarning("models are not swept", {{"why", Describe(swept)}});
  }
  ShowStatuses();
  if (!failed_.ok()) LogError("models stand still", {{"why", Describe(failed_)}});
  return std::min(pause, absl::Minutes(1));  // assignments expire
}

void EdgeModels::StoreArrived() {
  std::vector<Arrived> arrived;
  {
    absl::MutexLock lock(&inbox_->mutex);
    arrived.swap(inbox_->arrived);
  }
  std::vector<model::ChunkStore::Chunk> group;
  std::vector<const Arrived*> in_group;
  for (const Arrived& one : arrived) {
    // More than was asked for, or longer than what is signed, is not stored.
    const bool asked = one.fetch->wanted.contains(one.index);
    if (!asked || one.data.size() != one.fetch->chunks[one.index].size ||
        Digest::Of(one.data) != one.fetch->chunks[one.index].digest) {
      one.stored(MakeError(absl::StatusCode::kDataLoss, "corrupt_chunk",
                           fmt::format("what came as chunk {} is not what the manifest names", one.index),
                           "is the core's store damaged? publish the model again", Retry::kYes));
      continue;
    }
    group.push_back({one.fetch->chunks[one.index].digest, one.data});
    in_group.push_back(&one);
  }
  const absl::Status put = group.empty() ? absl::OkStatus() : chunks_->Put(group);
  for (const Arrived* one : in_group) {
    if (put.ok()) {
      absl::MutexLock lock(&one->fetch->mutex);
      one->fetch->arrived += one->data.size();
    }
    one->stored(put);
  }
}

absl::Status EdgeModels::TakeSpec(const v1::EdgeSpec& spec) {
  refused_.clear();
  for (auto& [name, model] : models_) model->vouched = false;
  absl::Status trusted = options_.root ? WalkRoots(spec) : NoRootPinned();
  if (trusted.ok() && !trust_) trusted = NoRootYet(*options_.root);
  if (trusted.ok()) SELVAGE_RETURN_IF_ERROR(EndOrdersOfFormerKeys());
  for (const v1::ModelSigned& document : spec.model_assignments()) {
    if (!trusted.ok()) {
      Refuse(document, trusted);
      continue;
    }
    SELVAGE_RETURN_IF_ERROR(TakeAssignment(document));
  }
  parts_.alarms.ClearExcept("model_refused",
                            [&](const std::string& model) { return refused_.contains(model); });
  return absl::OkStatus();
}

absl::Status EdgeModels::WalkRoots(const v1::EdgeSpec& spec) {
  std::optional<ModelTrust> trust = trust_;
  bool walked = false;
  for (const v1::ModelSigned& root : spec.model_roots()) {
    if (!trust) {
      if (Digest::Of(root.payload()) != *options_.root) continue;
      absl::StatusOr<ModelTrust> pinned = ModelTrust::Pin(root, *options_.root);
      if (!pinned.ok()) {
        LogWarning("the pinned root of models is not taken", {{"why", Describe(pinned.status())}});
        continue;
      }
      trust = *std::move(pinned);
      walked = true;
      continue;
    }
    const absl::StatusOr<v1::ModelRoot> read = model::ReadRoot(root.payload());
    if (!read.ok() || read->version() <= trust->root().version()) continue;
    if (absl::Status next = trust->Advance(root); !next.ok()) {
      parts_.alarms.Report({"model_root_refused", std::to_string(read->version()),
                            std::string(next.message()), ErrorHint(next), false, std::string(kCoreOrigin)});
      break;
    }
    walked = true;
  }
  if (!walked) return absl::OkStatus();
  SELVAGE_RETURN_IF_ERROR(Store(&*trust, nullptr, nullptr));
  trust_ = std::move(trust);
  parts_.alarms.ClearExcept("model_root_refused", [](const std::string&) { return false; });
  LogInfo("the edge trusts a root of models", {{"version", trust_->root().version()}});
  return absl::OkStatus();
}

absl::Status EdgeModels::EndOrdersOfFormerKeys() {
  for (auto& [name, model] : models_) {
    EdgeModel state = model->state;
    if (!state.EndUnlessSigned(trust_->root().rollout())) continue;
    SELVAGE_RETURN_IF_ERROR(Store(nullptr, model.get(), &state.state()));
    model->state = std::move(state);
    LogWarning("a decision about a model ends with the key that signed it", {{"model", name}});
  }
  return absl::OkStatus();
}

void EdgeModels::Refuse(const v1::ModelSigned& document, const absl::Status& why) {
  // Nobody answers for what it says: it only names what is refused.
  v1::ModelAssignment said;
  std::string name = "unknown";
  if (said.ParseFromString(document.payload()) && IsDnsLabel(said.model())) name = said.model();
  if (!refused_.contains(name) && refused_.size() >= kModelsMax) return;
  refused_[name] = why;
  LogWarning("an assignment of a model is refused", {{"model", name}, {"why", Describe(why)}});
  parts_.alarms.Report({"model_refused", name, TextOf(why), ErrorHint(why), false, std::string(kCoreOrigin)});
}

absl::Status EdgeModels::TakeAssignment(const v1::ModelSigned& document) {
  const int64_t now_ms = WallMs(parts_.clock);
  const auto checked = trust_->CheckAssignment(document, options_.edge, now_ms);
  if (!checked.ok()) {
    // The one that is there has expired: StatusOf says so.
    v1::ModelAssignment said;
    if (ErrorKind(checked.status()) == "assignment_expired" && said.ParseFromString(document.payload())) {
      const auto known = models_.find(said.model());
      if (known != models_.end() &&
          known->second->state.state().assignment().generation() == said.generation()) {
        return absl::OkStatus();
      }
    }
    Refuse(document, checked.status());
    return absl::OkStatus();
  }
  const v1::ModelAssignment& assignment = checked->message;
  if (!models_.contains(assignment.model()) && models_.size() >= kModelsMax) {
    Refuse(document, MakeError(absl::StatusCode::kResourceExhausted, "too_many_models",
                               fmt::format("an edge has at most {} models", kModelsMax)));
    return absl::OkStatus();
  }
  SELVAGE_ASSIGN_OR_RETURN(Model * model, ModelOf(assignment.model()));
  model->vouched = true;
  if (model->state.state().assignment().SerializeAsString() == assignment.SerializeAsString()) {
    return absl::OkStatus();
  }
  ModelTrust trust = *trust_;
  trust.Raise(*checked);
  EdgeModel state = model->state;
  state.Assign(assignment, now_ms, checked->signers);
  SELVAGE_RETURN_IF_ERROR(Store(&trust, model, &state.state()));
  if (model->state.state().assignment().generation() != assignment.generation()) {
    LogInfo("a model is assigned", {{"model", model->name},
                                    {"action", v1::ModelAction_Name(assignment.action())},
                                    {"manifest", DigestIn(assignment.manifest()).Hex()},
                                    {"generation", assignment.generation()}});
    model->held = absl::OkStatus();
    model->again_at = absl::ZeroDuration();
    model->fetch.reset();
    model->verified = false;
    model->have = model->want = 0;
    sweep_ = true;
  }
  trust_ = std::move(trust);
  model->state = std::move(state);
  return absl::OkStatus();
}

absl::StatusOr<EdgeModels::Model*> EdgeModels::ModelOf(const std::string& name) {
  auto& model = models_[name];
  if (model == nullptr) {
    absl::StatusOr<model::ModelFolder> folder = model::ModelFolder::Open(options_.folder / name);
    if (!folder.ok()) {
      models_.erase(name);
      return folder.status();
    }
    model = std::make_unique<Model>(name, *std::move(folder));
  }
  return model.get();
}

int64_t EdgeModels::Time() const {
  const int64_t now_ms = WallMs(parts_.clock);
  return trust_ ? trust_->TimeAt(now_ms) : now_ms;
}

absl::StatusOr<bool> EdgeModels::Step(Model& model) {
  const EdgeModel::Next next = model.state.NextStep(Time());
  switch (next.step) {
    case EdgeModel::Step::kNothing:
      model.fetch.reset();
      return false;
    case EdgeModel::Step::kFetch:
      // Who signed it counts no more, or the core took it back: what runs goes on.
      if (!model.vouched || parts_.clock.Monotonic() < model.again_at) return false;
      return FetchStep(model, next.manifest);
    case EdgeModel::Step::kGate:
      return GateStep(model, next.manifest);
    case EdgeModel::Step::kBack: {
      EdgeModel state = model.state;
      if (!state.Cancel(next.manifest)) return false;
      SELVAGE_RETURN_IF_ERROR(Store(nullptr, &model, &state.state()));
      model.state = std::move(state);
      SELVAGE_RETURN_IF_ERROR(Point(model));
      RunHook(model);
      sweep_ = true;
      return true;
    }
    case EdgeModel::Step::kRemove: {
      if (!model.vouched) return false;
      EdgeModel state = model.state;
      if (!state.Remove(state.state().assignment().generation())) return false;
      SELVAGE_RETURN_IF_ERROR(Store(nullptr, &model, &state.state()));
      model.state = std::move(state);
      SELVAGE_RETURN_IF_ERROR(Point(model));
      LogInfo("a model is removed", {{"model", model.name}});
      RunHook(model);
      sweep_ = true;
      return true;
    }
  }
  return false;
}

absl::StatusOr<bool> EdgeModels::FailStep(Model& model, const Digest& manifest, const absl::Status& why) {
  EdgeModel state = model.state;
  const bool was_in_trial = state.state().has_trial();
  if (!state.Fail(manifest, ErrorKind(why), TextOf(why), WallMs(parts_.clock))) return false;
  SELVAGE_RETURN_IF_ERROR(Store(nullptr, &model, &state.state()));
  model.state = std::move(state);
  model.fetch.reset();
  model.held = absl::OkStatus();
  if (was_in_trial) {
    SELVAGE_RETURN_IF_ERROR(Point(model));
    RunHook(model);
  }
  sweep_ = true;
  LogWarning("a version of a model has failed", {{"model", model.name},
                                                 {"manifest", manifest.Hex()},
                                                 {"generation", model.state.state().failure().generation()},
                                                 {"why", Describe(why)}});
  return true;
}

void EdgeModels::Hold(Model& model, const absl::Status& why, absl::Duration pause) {
  model.held = why;
  model.again_at = parts_.clock.Monotonic() + pause;
}

absl::StatusOr<std::optional<v1::ModelSigned>> EdgeModels::ReadManifestFile(const Digest& digest) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto bytes, ReadSyncedFile(options_.folder / ".manifests" / digest.Hex()));
  v1::ModelSigned document;
  if (!bytes || !document.ParseFromString(*bytes) || Digest::Of(document.payload()) != digest) {
    return std::nullopt;  // it is fetched again
  }
  return document;
}

absl::Status EdgeModels::KeepManifest(const Digest& digest, const std::string& document) {
  return ReplaceSyncedFile(options_.folder / ".manifests" / digest.Hex(), document);
}

absl::StatusOr<std::optional<model::Verified<v1::ModelManifest>>> EdgeModels::ManifestFor(
    Model& model, const Digest& digest) {
  if (model.fetch != nullptr && model.fetch->manifest != digest) model.fetch.reset();
  std::optional<v1::ModelSigned> document;
  if (model.fetch != nullptr && !model.fetch->of_chunks) {
    std::optional<absl::StatusOr<std::string>> result;
    {
      absl::MutexLock lock(&model.fetch->mutex);
      result = model.fetch->result;
    }
    if (!result) return std::nullopt;
    model.fetch.reset();
    if (!result->ok()) {
      Hold(model, result->status(), ErrorKind(result->status()) == "link_lost" ? kLinkPause : kHoldPause);
      return std::nullopt;
    }
    document.emplace();
    if (!document->ParseFromString(**result) || Digest::Of(document->payload()) != digest) {
      Hold(model,
           MakeError(absl::StatusCode::kDataLoss, "other_manifest",
                     fmt::format("the core's answer is not manifest {}", digest.Hex()), "", Retry::kYes),
           kHoldPause);
      return std::nullopt;
    }
    // What nobody answers for is not kept.
    SELVAGE_RETURN_IF_ERROR(trust_->CheckManifest(*document).status());
    if (absl::Status kept = KeepManifest(digest, **result); !kept.ok()) {
      Hold(model, kept, kHoldPause);
      return std::nullopt;
    }
  } else {
    absl::StatusOr<std::optional<v1::ModelSigned>> there = ReadManifestFile(digest);
    if (!there.ok()) {
      Hold(model, there.status(), kHoldPause);
      return std::nullopt;
    }
    document = *std::move(there);
  }
  if (!document) {
    auto fetch = std::make_shared<Fetch>();
    fetch->manifest = digest;
    model.fetch = fetch;
    parts_.fetcher.FetchManifest(digest, [fetch, inbox = inbox_](absl::StatusOr<std::string> result) {
      {
        absl::MutexLock lock(&fetch->mutex);
        fetch->result = std::move(result);
      }
      inbox->Wake();
    });
    return std::nullopt;
  }
  SELVAGE_ASSIGN_OR_RETURN(model::Verified<v1::ModelManifest> manifest, trust_->CheckManifest(*document));
  if (manifest.message.model() != model.name) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "other_model",
        fmt::format("the manifest is of model {}, and {} is assigned", manifest.message.model(), model.name));
  }
  // A version that ran here may run again, and weakens no floor by that.
  if (model.state.state().assignment().action() != v1::MODEL_REVERT) {
    SELVAGE_RETURN_IF_ERROR(trust_->CheckVersion(manifest.message));
  }
  return manifest;
}

absl::Status EdgeModels::CheckRoom(const v1::ModelManifest& manifest, uint64_t missing_bytes,
                                   bool assemble) const {
  const uint64_t need = missing_bytes + (assemble ? model::BytesOf(manifest) : 0);
  const uint64_t used = bytes();
  if (options_.quota > 0 && used + need > options_.quota) {
    return MakeError(absl::StatusCode::kResourceExhausted, "quota_exceeded",
                     fmt::format("models use {} bytes, the version needs {} more, and models.quota is {}",
                                 used, need, options_.quota),
                     "raise models.quota, or remove a model", Retry::kYes);
  }
  // The budget reckons two bytes of files for each that is written; of a model there is one.
  if (need == 0 || parts_.budget.Fits((need + 1) / 2)) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kResourceExhausted, "disk_full",
      fmt::format("the version needs {} bytes, which do not fit into the edge's disk budget", need),
      "raise storage.budget, or make room on the volume", Retry::kYes);
}

bool EdgeModels::HasChunks(Model& model, const Digest& digest, const v1::ModelManifest& manifest) {
  if (model.fetch != nullptr) {
    std::optional<absl::StatusOr<std::string>> result;
    {
      absl::MutexLock lock(&model.fetch->mutex);
      result = model.fetch->result;
    }
    if (!result) return false;
    if (!result->ok()) {
      {
        absl::MutexLock lock(&model.fetch->mutex);
        model.have += model.fetch->arrived;
      }
      model.fetch.reset();
      Hold(model, result->status(), ErrorKind(result->status()) == "link_lost" ? kLinkPause : kHoldPause);
      return false;
    }
  }
  std::vector<model::ManifestChunk> chunks = model::DistinctChunks(manifest);
  std::vector<uint32_t> missing;
  uint64_t missing_bytes = 0;
  model.want = 0;
  for (size_t i = 0; i < chunks.size(); ++i) {
    model.want += chunks[i].size;
    if (chunks_->Has(chunks[i].digest)) continue;
    missing.push_back(static_cast<uint32_t>(i));
    missing_bytes += chunks[i].size;
  }
  model.have = model.want - missing_bytes;
  if (absl::Status room = CheckRoom(manifest, missing_bytes, !model.folder.Has(digest)); !room.ok()) {
    model.fetch.reset();
    Hold(model, room, kHoldPause);
    return false;
  }
  if (missing.empty()) return true;
  if (model.fetch != nullptr) {  // it came to its end, and something lacks all the same
    model.fetch.reset();
    Hold(model,
         MakeError(absl::StatusCode::kDataLoss, "chunks_missing", "the core did not send all chunks", "",
                   Retry::kYes),
         kHoldPause);
    return false;
  }
  auto fetch = std::make_shared<Fetch>();
  fetch->manifest = digest;
  fetch->of_chunks = true;
  std::vector<Digest> digests;
  digests.reserve(chunks.size());
  for (const model::ManifestChunk& chunk : chunks) digests.push_back(chunk.digest);
  fetch->pin = chunks_->PinAll(digests);
  model.fetch = fetch;
  model.measured = 0;
  model.measured_at = parts_.clock.Monotonic();
  model.rate = 0;
  fetch->chunks = std::move(chunks);
  fetch->wanted = {missing.begin(), missing.end()};
  parts_.fetcher.FetchChunks(
      digest, std::move(missing),
      [fetch, inbox = inbox_](uint32_t index, std::string data, std::function<void(absl::Status)> stored) {
        absl::MutexLock lock(&inbox->mutex);
        inbox->arrived.push_back({fetch, index, std::move(data), std::move(stored)});
        inbox->woken = true;
      },
      [fetch, inbox = inbox_](absl::Status result) {
        {
          absl::MutexLock lock(&fetch->mutex);
          fetch->result = result.ok() ? absl::StatusOr<std::string>(std::string()) : result;
        }
        inbox->Wake();
      });
  return false;
}

absl::StatusOr<bool> EdgeModels::FetchStep(Model& model, const Digest& digest) {
  // A version that ran here may be whole without its manifest's file only after damage: it is asked for.
  if (!model.manifest || model.manifest->first != digest) {
    auto manifest = ManifestFor(model, digest);
    if (!manifest.ok()) return FailStep(model, digest, manifest.status());
    if (!*manifest) {
      // A fetcher may have answered already.
      if (model.fetch == nullptr) return false;
      absl::MutexLock lock(&model.fetch->mutex);
      return model.fetch->result.has_value();
    }
    model.manifest.emplace(digest, **std::move(manifest));
  }
  // Roots may have changed since.
  if (const auto document = ReadManifestFile(digest); document.ok() && *document) {
    auto again = trust_->CheckManifest(**document);
    absl::Status good = again.status();
    if (good.ok() && model.state.state().assignment().action() != v1::MODEL_REVERT) {
      good = trust_->CheckVersion(again->message);
    }
    if (!good.ok()) {
      model.manifest.reset();
      return FailStep(model, digest, good);
    }
    model.manifest->second = *std::move(again);
  } else {
    model.manifest.reset();
    return true;
  }
  const model::Verified<v1::ModelManifest> manifest = model.manifest->second;
  if (!HasChunks(model, digest, manifest.message)) {
    if (model.fetch == nullptr) return false;
    absl::MutexLock lock(&model.fetch->mutex);
    return model.fetch->result.has_value();
  }
  return Install(model, digest, manifest);
}

absl::StatusOr<bool> EdgeModels::Install(Model& model, const Digest& digest,
                                         const model::Verified<v1::ModelManifest>& manifest) {
  absl::Status assembled = model.folder.Assemble(digest, manifest.message, *chunks_);
  model.fetch.reset();
  if (!assembled.ok()) {
    const std::string kind = ErrorKind(assembled);
    if (kind == "corrupt_model") return FailStep(model, digest, assembled);
    // A chunk that was damaged on the disk is gone, and fetched again.
    Hold(model, assembled, kind == "corrupt_chunk" || kind == "unknown_chunk" ? kLinkPause : kHoldPause);
    return false;
  }
  model.verified = true;
  model.held = absl::OkStatus();
  model.again_at = absl::ZeroDuration();
  ShowStatuses();
  ModelTrust trust = *trust_;
  if (model.state.state().assignment().action() != v1::MODEL_REVERT) trust.Raise(manifest);
  EdgeModel state = model.state;
  if (!state.Begin(digest, manifest.message.version(), WallMs(parts_.clock))) return false;
  SELVAGE_RETURN_IF_ERROR(Store(&trust, &model, &state.state()));
  trust_ = std::move(trust);
  model.state = std::move(state);
  SELVAGE_RETURN_IF_ERROR(Point(model));
  return true;
}

absl::Status EdgeModels::AskGate(const Model& model) {
  const auto& version = model.state.state().trial().version();
  const std::string digest = DigestIn(version.manifest()).Hex();
  const Stopped stopped = [this] { return stopping(); };
  if (!options_.gate.command.empty()) {
    SELVAGE_RETURN_IF_ERROR(RunCommand(options_.gate.command,
                                       {{"SELVAGE_MODEL", model.name},
                                        {"SELVAGE_MODEL_VERSION", std::to_string(version.version())},
                                        {"SELVAGE_MODEL_MANIFEST", digest},
                                        {"SELVAGE_MODEL_PATH", CurrentPath(model.name).string()}},
                                       options_.gate.timeout, stopped));
  }
  if (options_.gate.http.empty()) return absl::OkStatus();
  return AskHttp(options_.gate.http, fmt::format("model={}&manifest={}", model.name, digest),
                 options_.gate.timeout, stopped);
}

absl::StatusOr<bool> EdgeModels::GateStep(Model& model, const Digest& manifest) {
  ShowStatuses();
  absl::Status works = model.folder.Has(manifest) ? AskGate(model)
                                                  : MakeError(absl::StatusCode::kDataLoss, "version_missing",
                                                              "the version's files are gone");
  if (ErrorKind(works) == "stopped") return false;
  if (!works.ok()) return FailStep(model, manifest, works);
  EdgeModel state = model.state;
  if (!state.Commit(manifest, WallMs(parts_.clock))) return false;
  SELVAGE_RETURN_IF_ERROR(Store(nullptr, &model, &state.state()));
  model.state = std::move(state);
  sweep_ = true;
  {
    absl::MutexLock lock(&shown_mutex_);
    committed_at_[model.name] = parts_.clock.Monotonic();
  }
  LogInfo("a version of a model is committed", {{"model", model.name},
                                                {"version", model.state.state().committed().version()},
                                                {"manifest", manifest.Hex()}});
  ShowStatuses();
  RunHook(model);
  return true;
}

void EdgeModels::RunHook(const Model& model) {
  if (options_.gate.hook.empty()) return;
  const auto& state = model.state.state();
  const std::optional<Digest> current = model.state.Current();
  const absl::Status told =
      RunCommand(options_.gate.hook,
                 {{"SELVAGE_MODEL", model.name},
                  {"SELVAGE_MODEL_VERSION", current ? std::to_string(state.committed().version()) : ""},
                  {"SELVAGE_MODEL_MANIFEST", current ? current->Hex() : ""},
                  {"SELVAGE_MODEL_PATH", current ? CurrentPath(model.name).string() : ""}},
                 options_.gate.timeout, [this] { return stopping(); });
  if (told.ok()) {
    parts_.alarms.Clear("model_hook_failed", model.name);
  } else if (ErrorKind(told) != "stopped") {
    parts_.alarms.Report({"model_hook_failed", model.name, std::string(told.message()),
                          "the version runs all the same: look at models.hook"});
  }
}

absl::Status EdgeModels::Point(Model& model) {
  const std::optional<Digest> current = model.state.Current();
  if (current && !model.folder.Has(*current)) {
    // Somebody took the files away. What programs find is nothing, rather than a link to nowhere.
    LogError("the files of a version are gone", {{"model", model.name}, {"manifest", current->Hex()}});
    return model.folder.Point(std::nullopt);
  }
  if (current == model.folder.Current()) return absl::OkStatus();
  return model.folder.Point(current);
}

absl::Status EdgeModels::Store(const ModelTrust* trust, const Model* model,
                               const v1::StoredEdgeModel* state) {
  return Commit(parts_.committer, [&](WriteBatch& batch) {
    if (trust != nullptr) batch.Put(Family::kMeta, kModelTrustKey, {trust->Stored().SerializeAsString()});
    if (model != nullptr) {
      batch.Put(Family::kMeta, std::string(kModelPrefix) + model->name, {state->SerializeAsString()});
    }
    return absl::OkStatus();
  });
}

absl::Status EdgeModels::Sweep() {
  std::set<Digest> needed;
  uint64_t assembled = 0;
  std::error_code error;
  std::vector<fs::path> gone;
  for (auto& [name, model] : models_) {
    SELVAGE_RETURN_IF_ERROR(
        model->folder.Sweep([&](const Digest& digest) { return model->state.IsKept(digest); }));
  }
  fs::directory_iterator at(options_.folder / ".manifests", error);
  for (const fs::directory_iterator end; !error && at != end; at.increment(error)) {
    const auto digest = Digest::FromHex(at->path().filename().string());
    const bool kept =
        digest && (std::any_of(models_.begin(), models_.end(),
                               [&](const auto& model) { return model.second->state.IsKept(*digest); }) ||
                   std::any_of(imported_.begin(), imported_.end(),
                               [&](const auto& one) { return one.second == *digest; }));
    if (!kept) {
      gone.push_back(at->path());
      continue;
    }
    SELVAGE_ASSIGN_OR_RETURN(const auto document, ReadManifestFile(*digest));
    if (!document) continue;
    SELVAGE_ASSIGN_OR_RETURN(const v1::ModelManifest manifest, model::ReadManifest(document->payload()));
    for (const model::ManifestChunk& chunk : model::DistinctChunks(manifest)) needed.insert(chunk.digest);
    const auto model = models_.find(manifest.model());
    if (model != models_.end() && model->second->folder.Has(*digest)) assembled += model::BytesOf(manifest);
  }
  for (const fs::path& path : gone) fs::remove(path, error);
  if (error) return FileError("use", options_.folder, error);
  SELVAGE_RETURN_IF_ERROR(chunks_->Sweep(needed).status());
  {
    absl::MutexLock lock(&shown_mutex_);
    bytes_ = assembled;
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::ModelManifest> EdgeModels::Import(const fs::path& bundle) {
  absl::MutexLock work(&work_mutex_);
  SELVAGE_RETURN_IF_ERROR(failed_);
  if (!options_.root) return NoRootPinned();
  if (!trust_) return NoRootYet(*options_.root);
  SELVAGE_ASSIGN_OR_RETURN(model::BundleReader reader, model::BundleReader::Open(bundle));
  SELVAGE_ASSIGN_OR_RETURN(const model::Verified<v1::ModelManifest> manifest,
                           trust_->CheckManifest(reader.document()));
  SELVAGE_RETURN_IF_ERROR(trust_->CheckVersion(manifest.message));
  std::vector<Digest> digests;
  uint64_t missing = 0;
  for (const model::ManifestChunk& chunk : model::DistinctChunks(manifest.message)) {
    digests.push_back(chunk.digest);
    if (!chunks_->Has(chunk.digest)) missing += chunk.size;
  }
  SELVAGE_RETURN_IF_ERROR(CheckRoom(manifest.message, missing, true));
  const auto pin = chunks_->PinAll(digests);
  sweep_ = true;  // also of what comes of a bundle that is cut short
  SELVAGE_RETURN_IF_ERROR(
      reader.ReadChunks(manifest.message, [&](const Digest& digest, std::string_view data) {
        return chunks_->Put({{digest, data}});
      }));
  const Digest digest = Digest::Of(reader.document().payload());
  SELVAGE_RETURN_IF_ERROR(KeepManifest(digest, reader.document().SerializeAsString()));
  SELVAGE_RETURN_IF_ERROR(Commit(parts_.committer, [&](WriteBatch& batch) {
    batch.Put(Family::kMeta, std::string(kModelImportPrefix) + manifest.message.model(), {digest.bytes()});
    return absl::OkStatus();
  }));
  imported_[manifest.message.model()] = digest;
  LogInfo("a model is imported",
          {{"model", manifest.message.model()}, {"version", manifest.message.version()}});
  Wake();
  return manifest.message;
}

v1::ModelStatus EdgeModels::StatusOf(Model& model) {
  const v1::StoredEdgeModel& state = model.state.state();
  const int64_t time_ms = Time();
  const EdgeModel::Next next = model.state.NextStep(time_ms);
  v1::ModelStatus status;
  status.set_model(model.name);
  status.set_action(state.assignment().action());
  status.set_manifest(state.assignment().manifest());
  status.set_generation(state.assignment().generation());
  status.set_expires_ms(state.assignment().expires_ms());
  status.set_committed(state.committed().manifest());
  status.set_committed_version(state.committed().version());
  status.set_committed_ms(state.committed().committed_ms());
  if (model.manifest && model.manifest->first.bytes() == state.assignment().manifest()) {
    status.set_version(model.manifest->second.message.version());
  } else if (state.committed().manifest() == state.assignment().manifest()) {
    status.set_version(state.committed().version());
  }
  if (state.has_failure()) {
    status.set_failed_generation(state.failure().generation());
    status.set_failed(state.failure().version().manifest());
    status.set_kind(state.failure().kind());
    status.set_reason(state.failure().reason());
  }
  const bool has_failed = state.has_failure() &&
                          state.failure().generation() == state.assignment().generation() &&
                          state.failure().version().manifest() == state.assignment().manifest();
  if (state.has_trial()) {
    status.set_state("trial");
  } else if (has_failed) {
    status.set_state("failed");
  } else if (next.step == EdgeModel::Step::kFetch) {
    status.set_state(!model.held.ok() && ErrorKind(model.held) != "link_lost" ? "held"
                     : model.verified                                         ? "verified"
                                                                              : "downloading");
    uint64_t arrived = 0;
    if (model.fetch != nullptr) {
      absl::MutexLock lock(&model.fetch->mutex);
      arrived = model.fetch->arrived;
    }
    const absl::Duration now = parts_.clock.Monotonic();
    const double seconds = absl::ToDoubleSeconds(now - model.measured_at);
    if (model.fetch != nullptr && model.fetch->of_chunks && seconds >= 0.5) {
      const double rate = static_cast<double>(arrived - std::min(arrived, model.measured)) / seconds;
      model.rate = model.rate == 0 ? rate : model.rate * 0.7 + rate * 0.3;
      model.measured = arrived;
      model.measured_at = now;
    }
    status.set_bytes(std::min(model.want, model.have + arrived));
    status.set_bytes_total(model.want);
    if (model.fetch != nullptr) status.set_rate_bytes(model.rate);
    if (!model.held.ok()) {
      status.set_kind(ErrorKind(model.held));
      status.set_reason(TextOf(model.held));
    }
  } else if (state.assignment().action() == v1::MODEL_REMOVE && !state.has_committed()) {
    status.set_state("removed");
  } else {
    status.set_state(state.has_committed() ? "committed" : "held");
  }
  // An expired assignment is told of where it holds something up, and as an alarm either way.
  if (model.state.IsExpired(time_ms) && !state.has_trial() && !has_failed) status.set_state("expired");
  if (const auto refused = refused_.find(model.name); refused != refused_.end()) {
    status.set_state("refused");
    status.set_kind(ErrorKind(refused->second));
    status.set_reason(TextOf(refused->second));
  }
  return status;
}

void EdgeModels::ShowStatuses() {
  std::map<std::string, v1::ModelStatus> statuses;
  for (auto& [name, model] : models_) {
    statuses[name] = StatusOf(*model);
    // Not those that the core removed for good.
    const auto report = [&](bool is, std::string_view kind, std::string message, std::string hint) {
      if (is && !parts_.alarms.IsOpen(kind, name)) {
        parts_.alarms.Report(
            {kind, name, std::move(message), std::move(hint), false, std::string(kCoreOrigin)});
      } else if (!is) {
        parts_.alarms.Clear(kind, name);
      }
    };
    const v1::ModelStatus& status = statuses[name];
    report(status.state() == "expired", "model_expired",
           "the assignment of this model has expired: what runs goes on, and nothing new begins",
           "the core signs assignments anew while the link is up");
    report(status.state() == "held", "model_held", status.reason(), ErrorHint(model->held));
    report(status.state() == "failed", "model_failed", fmt::format("{}: {}", status.kind(), status.reason()),
           "publish another version, or start the rollout again");
  }
  for (const auto& [name, why] : refused_) {
    if (statuses.contains(name)) continue;
    v1::ModelStatus& status = statuses[name];
    status.set_model(name);
    status.set_state("refused");
    status.set_kind(ErrorKind(why));
    status.set_reason(TextOf(why));
  }
  const auto same = [](const auto& a, const auto& b) {
    return a.first == b.first && a.second.SerializeAsString() == b.second.SerializeAsString();
  };
  bool changed = false;
  {
    absl::MutexLock lock(&shown_mutex_);
    const uint64_t root = trust_ ? trust_->root().version() : 0;
    changed = root != shown_root_ ||
              !std::equal(statuses.begin(), statuses.end(), shown_.begin(), shown_.end(), same);
    shown_root_ = root;
    shown_ = std::move(statuses);
    changes_ += changed ? 1 : 0;
  }
  if (changed && changed_) changed_();
}

std::vector<v1::ModelStatus> EdgeModels::Statuses() const {
  absl::MutexLock lock(&shown_mutex_);
  std::vector<v1::ModelStatus> statuses;
  statuses.reserve(shown_.size());
  for (const auto& [name, status] : shown_) statuses.push_back(status);
  return statuses;
}

void EdgeModels::AddTo(v1::EdgeStatus& status) const {
  for (v1::ModelStatus& model : Statuses()) *status.add_models() = std::move(model);
  status.set_model_root_version(root_version());
}

absl::StatusOr<v1::ModelStatus> EdgeModels::Find(const std::string& model) const {
  absl::MutexLock lock(&shown_mutex_);
  if (const auto status = shown_.find(model); status != shown_.end()) return status->second;
  return MakeError(absl::StatusCode::kNotFound, "unknown_model",
                   fmt::format("no model {} is assigned to this edge", DocumentText(model, 100)));
}

uint64_t EdgeModels::root_version() const {
  absl::MutexLock lock(&shown_mutex_);
  return shown_root_;
}

uint64_t EdgeModels::changes() const {
  const absl::Duration now = parts_.clock.Monotonic();
  absl::MutexLock lock(&shown_mutex_);
  uint64_t changes = changes_;
  for (const auto& [name, at] : committed_at_) {
    for (absl::Duration age = kConfirmFirst; age <= std::min(now - at, kConfirmLast); age *= 2) ++changes;
  }
  return changes;
}

uint64_t EdgeModels::bytes() const {
  absl::MutexLock lock(&shown_mutex_);
  return bytes_ + chunks_->bytes();
}

}  // namespace selvage
