#include "fabric/model/model_trust.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/model/manifest.h"

namespace selvage::model {
namespace {

constexpr int kKeysMax = 32;
constexpr size_t kPublicKeySize = 32;
constexpr size_t kRootBytesMax = 64 << 10;
constexpr size_t kAssignmentBytesMax = 4 << 10;

using Floor = v1::StoredModelTrust::Floor;

absl::Status InvalidRoot(std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_root", what, "see docs/models.md, keys");
}

absl::Status InvalidAssignment(std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_assignment", what);
}

absl::Status CheckRole(std::string_view name, const v1::ModelRoot::Role& role, std::set<std::string>& keys) {
  if (role.keys().empty() || role.keys_size() > kKeysMax) {
    return InvalidRoot(
        fmt::format("it names {} {} keys; 1 to {} are taken", role.keys_size(), name, kKeysMax));
  }
  for (const std::string& key : role.keys()) {
    if (key.size() != kPublicKeySize) return InvalidRoot(fmt::format("one of its {} keys is none", name));
    if (!keys.insert(key).second) {
      return InvalidRoot(fmt::format("key {} is there twice: each has one role", KeyId::Of(key).Hex()));
    }
  }
  if (role.threshold() > 0 && role.threshold() <= static_cast<uint32_t>(role.keys_size()))
    return absl::OkStatus();
  return InvalidRoot(fmt::format("{} of {} {} keys have to sign: no number that can", role.threshold(),
                                 role.keys_size(), name));
}

absl::Status OtherDomain(std::string_view there, std::string_view here) {
  return MakeError(
      absl::StatusCode::kPermissionDenied, "other_trust_domain",
      fmt::format("it is for trust domain {}, and this node is of {}", there.substr(0, 100), here));
}

/// Are so many of them keys of the role?
bool Suffice(const std::set<KeyId>& signers, const v1::ModelRoot::Role& role) {
  const auto still = std::count_if(role.keys().begin(), role.keys().end(),
                                   [&](const std::string& key) { return signers.contains(KeyId::Of(key)); });
  return static_cast<uint32_t>(still) >= role.threshold();
}

/// Would who raised the floor still be believed?
bool Holds(const Floor& floor, const v1::ModelRoot::Role& role) {
  std::set<std::string> keys;
  for (const std::string& key : role.keys()) keys.insert(KeyId::Of(key).bytes());
  const auto still = std::count_if(floor.key_ids().begin(), floor.key_ids().end(),
                                   [&](const std::string& id) { return keys.contains(id); });
  return static_cast<uint32_t>(still) >= role.threshold();
}

/// Whoever signs the value that there is answers for it as well.
void RaiseTo(Floor& floor, uint64_t value, const std::set<KeyId>& signers) {
  if (value < floor.value()) return;
  if (value > floor.value()) floor.clear_key_ids();
  floor.set_value(value);
  std::set<std::string> ids(floor.key_ids().begin(), floor.key_ids().end());
  for (const KeyId& id : signers) {
    if (ids.insert(id.bytes()).second) floor.add_key_ids(id.bytes());
  }
}

/// What an assignment decides, apart from when it was signed.
std::string DecisionOf(const v1::ModelAssignment& assignment) {
  return Digest::Of(fmt::format("{} {}", static_cast<int>(assignment.action()), assignment.manifest()))
      .bytes();
}

}  // namespace

absl::StatusOr<v1::ModelRoot> ReadRoot(std::string_view payload) {
  v1::ModelRoot root;
  if (payload.size() > kRootBytesMax ||
      !root.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return InvalidRoot("its bytes are no root");
  }
  if (!IsDnsName(root.trust_domain())) return InvalidRoot("it names no trust domain");
  if (root.version() == 0) return InvalidRoot("it has no version");
  std::set<std::string> keys;
  SELVAGE_RETURN_IF_ERROR(CheckRole("root", root.root(), keys));
  SELVAGE_RETURN_IF_ERROR(CheckRole("model", root.model(), keys));
  SELVAGE_RETURN_IF_ERROR(CheckRole("rollout", root.rollout(), keys));
  return root;
}

ModelTrust::ModelTrust(v1::StoredModelTrust stored, v1::ModelRoot root)
    : stored_(std::move(stored)), root_(std::move(root)) {}

absl::StatusOr<ModelTrust> ModelTrust::Pin(const v1::ModelSigned& root, const Digest& pinned) {
  const Digest digest = Digest::Of(root.payload());
  if (digest != pinned) {
    return MakeError(absl::StatusCode::kPermissionDenied, "root_not_pinned",
                     fmt::format("the root has digest {}, and {} is pinned", digest.Hex(), pinned.Hex()),
                     "pin the digest that selvagectl model root show prints of a root you trust");
  }
  SELVAGE_ASSIGN_OR_RETURN(v1::ModelRoot read, ReadRoot(root.payload()));
  SELVAGE_RETURN_IF_ERROR(CheckSigned(root, kRootType, read.root()).status());
  v1::StoredModelTrust stored;
  *stored.mutable_root() = root;
  stored.set_pinned(pinned.bytes());
  return ModelTrust(std::move(stored), std::move(read));
}

absl::StatusOr<ModelTrust> ModelTrust::FromStored(v1::StoredModelTrust stored) {
  absl::StatusOr<v1::ModelRoot> root = ReadRoot(stored.root().payload());
  if (!root.ok()) {
    return MakeError(absl::StatusCode::kDataLoss, "corrupt_meta", "the stored root of models is damaged",
                     "restore the store from a backup");
  }
  return ModelTrust(std::move(stored), *std::move(root));
}

absl::Status ModelTrust::Advance(const v1::ModelSigned& next) {
  SELVAGE_ASSIGN_OR_RETURN(v1::ModelRoot root, ReadRoot(next.payload()));
  if (root.trust_domain() != root_.trust_domain())
    return OtherDomain(root.trust_domain(), root_.trust_domain());
  if (root.version() != root_.version() + 1) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "root_out_of_order",
                     fmt::format("it has version {}, and {} follows", root.version(), root_.version() + 1),
                     "give the roots one by one");
  }
  SELVAGE_RETURN_IF_ERROR(
      Annotate(CheckSigned(next, kRootType, root_.root()).status(), "by the root before it"));
  SELVAGE_RETURN_IF_ERROR(Annotate(CheckSigned(next, kRootType, root.root()).status(), "by itself"));
  for (auto& [model, floors] : *stored_.mutable_models()) {
    if (!Holds(floors.version(), root.model())) floors.clear_version();
    if (Holds(floors.generation(), root.rollout())) continue;
    floors.clear_generation();
    floors.clear_decision();
  }
  if (!Holds(stored_.time_ms(), root.rollout())) stored_.clear_time_ms();
  *stored_.mutable_root() = next;
  root_ = std::move(root);
  return absl::OkStatus();
}

absl::StatusOr<Verified<v1::ModelManifest>> ModelTrust::CheckManifest(const v1::ModelSigned& document) const {
  // Nothing is read that nobody answers for.
  SELVAGE_ASSIGN_OR_RETURN(std::set<KeyId> signers, CheckSigned(document, kManifestType, root_.model()));
  SELVAGE_ASSIGN_OR_RETURN(v1::ModelManifest manifest, ReadManifest(document.payload()));
  if (manifest.trust_domain() != root_.trust_domain()) {
    return OtherDomain(manifest.trust_domain(), root_.trust_domain());
  }
  return Verified<v1::ModelManifest>{std::move(manifest), std::move(signers)};
}

absl::StatusOr<Verified<v1::ModelAssignment>> ModelTrust::CheckAssignment(const v1::ModelSigned& document,
                                                                          std::string_view edge,
                                                                          int64_t now_ms) const {
  SELVAGE_ASSIGN_OR_RETURN(std::set<KeyId> signers, CheckSigned(document, kAssignmentType, root_.rollout()));
  v1::ModelAssignment assignment;
  if (document.payload().size() > kAssignmentBytesMax || !assignment.ParseFromString(document.payload())) {
    return InvalidAssignment("its bytes are no assignment");
  }
  if (!IsDnsLabel(assignment.model())) return InvalidAssignment("it names no model");
  const bool removes = assignment.action() == v1::MODEL_REMOVE;
  if (!removes && assignment.action() != v1::MODEL_RUN && assignment.action() != v1::MODEL_REVERT) {
    return InvalidAssignment("its action is none that this version knows");
  }
  if (assignment.manifest().size() != (removes ? 0 : Digest::kSize)) {
    return InvalidAssignment("it names no manifest, or one to remove");
  }
  if (assignment.generation() == 0) return InvalidAssignment("it has no generation");
  if (assignment.trust_domain() != root_.trust_domain()) {
    return OtherDomain(assignment.trust_domain(), root_.trust_domain());
  }
  if (assignment.edge() != edge) {
    return MakeError(
        absl::StatusCode::kPermissionDenied, "other_edge",
        fmt::format("it is for edge {}, and this is {}", assignment.edge().substr(0, 100), edge));
  }
  if (const auto floors = stored_.models().find(assignment.model()); floors != stored_.models().end()) {
    const uint64_t taken = floors->second.generation().value();
    if (assignment.generation() < taken) {
      return MakeError(absl::StatusCode::kFailedPrecondition, "old_generation",
                       fmt::format("it has generation {}, and {} was taken", assignment.generation(), taken),
                       "was the core restored? start the rollout again: it goes on from what edges report");
    }
    if (assignment.generation() == taken && floors->second.decision() != DecisionOf(assignment)) {
      return MakeError(absl::StatusCode::kFailedPrecondition, "generation_reused",
                       fmt::format("generation {} was taken with another decision", taken),
                       "was the core restored? start the rollout again: it goes on from what edges report");
    }
  }
  if (stored_.models_size() >= kModelsMax && !stored_.models().contains(assignment.model())) {
    return MakeError(absl::StatusCode::kResourceExhausted, "too_many_models",
                     fmt::format("this edge has heard of {} models, and takes no more", kModelsMax));
  }
  const int64_t time_ms = TimeAt(now_ms);
  if (assignment.expires_ms() <= time_ms) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "assignment_expired",
                     fmt::format("it expired {} s ago", (time_ms - assignment.expires_ms()) / 1000),
                     "what runs goes on; the core signs assignments anew while the link is up", Retry::kYes);
  }
  return Verified<v1::ModelAssignment>{std::move(assignment), std::move(signers)};
}

absl::Status ModelTrust::CheckVersion(const v1::ModelManifest& manifest) const {
  const auto floors = stored_.models().find(manifest.model());
  if (floors == stored_.models().end() || manifest.version() >= floors->second.version().value()) {
    return absl::OkStatus();
  }
  return MakeError(absl::StatusCode::kFailedPrecondition, "version_below_floor",
                   fmt::format("model {} has version {}, and {} was trusted already", manifest.model(),
                               manifest.version(), floors->second.version().value()),
                   "publish the older files under a higher version, or revert to a version that ran here");
}

void ModelTrust::Raise(const Verified<v1::ModelManifest>& manifest) {
  if (!Suffice(manifest.signers, root_.model())) return;
  auto& floors = (*stored_.mutable_models())[manifest.message.model()];
  RaiseTo(*floors.mutable_version(), manifest.message.version(), manifest.signers);
}

void ModelTrust::Raise(const Verified<v1::ModelAssignment>& assignment) {
  if (!Suffice(assignment.signers, root_.rollout())) return;
  auto& floors = (*stored_.mutable_models())[assignment.message.model()];
  RaiseTo(*floors.mutable_generation(), assignment.message.generation(), assignment.signers);
  floors.set_decision(DecisionOf(assignment.message));
  const int64_t issued_ms = std::max<int64_t>(assignment.message.issued_ms(), 0);
  RaiseTo(*stored_.mutable_time_ms(), static_cast<uint64_t>(issued_ms), assignment.signers);
}

int64_t ModelTrust::TimeAt(int64_t now_ms) const {
  return std::max(now_ms, static_cast<int64_t>(stored_.time_ms().value()));
}

}  // namespace selvage::model
