#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/model/digest.h"
#include "fabric/model/signature.h"
#include "selvage/v1/model.pb.h"

namespace selvage::model {

/// A message whose signatures hold, and who signed it.
template <class Message>
struct Verified {
  Message message;
  std::set<KeyId> signers;
};

/// Reads a root, whoever signed it. Error: "invalid_root": no version, a role without keys, a threshold of
/// none or of more than there are, a key in two roles.
absl::StatusOr<v1::ModelRoot> ReadRoot(std::string_view payload);

/// Whom a node believes about models, and how far it has come; the rules of The Update Framework
/// (theupdateframework.github.io) and Uptane, as far as a fleet needs them. Pure: whoever holds it stores it
/// before acting on what it says.
///
///   attack                         what answers it
///   another model                  two keys: model keys sign what there is, rollout keys who runs it
///   rollback                       floors of versions and generations, which only rise
///   freeze                         assignments expire; time is at least what was seen signed
///   clock set back                 as above
///   mix and match                  one manifest names all files; an assignment names the manifest's digest
///   stolen key, fast-forward       a root without the key also resets what it had raised
///
/// Errors of all checks, besides those of CheckSigned: "other_trust_domain".
class ModelTrust {
 public:
  /// That one edge ever heard of.
  static constexpr int kModelsMax = 1'000;

  /// Begins with the root whose payload has the digest `pinned`. Errors: "root_not_pinned", "not_signed",
  /// "invalid_root".
  static absl::StatusOr<ModelTrust> Pin(const v1::ModelSigned& root, const Digest& pinned);
  /// As Stored gave it. Error: "corrupt_meta".
  static absl::StatusOr<ModelTrust> FromStored(v1::StoredModelTrust stored);
  const v1::StoredModelTrust& Stored() const { return stored_; }

  const v1::ModelRoot& root() const { return root_; }
  /// What Pin was given: where the configuration says another one by now, this trust has no ground.
  const std::string& pinned() const { return stored_.pinned(); }
  /// Goes on to the next root, which enough root keys of this one and of itself have signed. What keys had
  /// raised that are no longer named is reset. Errors: "root_out_of_order" when its version is not one more,
  /// "not_signed", "invalid_root".
  absl::Status Advance(const v1::ModelSigned& next);

  /// Errors: those of ReadManifest.
  absl::StatusOr<Verified<v1::ModelManifest>> CheckManifest(const v1::ModelSigned& document) const;
  /// What `edge` may be told, at the time `now_ms`. Errors: "invalid_assignment", "other_edge",
  /// "too_many_models" beyond kModelsMax,
  /// "old_generation", "generation_reused" for another decision under a generation that was taken,
  /// "assignment_expired".
  absl::StatusOr<Verified<v1::ModelAssignment>> CheckAssignment(const v1::ModelSigned& document,
                                                                std::string_view edge, int64_t now_ms) const;
  /// May this version be installed? Error: "version_below_floor".
  absl::Status CheckVersion(const v1::ModelManifest& manifest) const;

  // Neither remembers anything that its keys could not sign any more: a root may have come since the check.

  /// Remembers that a manifest is about to run: none below its version will. To be stored before it is
  /// activated.
  void Raise(const Verified<v1::ModelManifest>& manifest);
  /// Remembers an assignment that was taken.
  void Raise(const Verified<v1::ModelAssignment>& assignment);

  /// `now_ms`, or the newest time that was seen signed.
  int64_t TimeAt(int64_t now_ms) const;

 private:
  ModelTrust(v1::StoredModelTrust stored, v1::ModelRoot root);

  v1::StoredModelTrust stored_;
  v1::ModelRoot root_;
};

}  // namespace selvage::model
