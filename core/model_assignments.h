#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/core_document.h"
#include "core/edge_registry.h"
#include "fabric/base/clock.h"
#include "fabric/model/signature.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"
#include "selvage/v1/model.pb.h"
#include "selvage/v1/rollout.pb.h"

namespace selvage {

/// What the core decided of each edge and model, signed with the rollout key: the assignments in the specs of
/// edges. Durable first, then visible. Safe to read from several threads; one caller at a time decides.
class ModelAssignments {
 public:
  /// A signature holds for so long, and is made anew after half of it.
  static constexpr absl::Duration kLife = absl::Hours(30 * 24);

  struct Parts {
    KvStore& store;
    Committer& committer;
    Clock& clock;
    CoreDocument& core;
    EdgeRegistry& edges;
  };
  /// All of them must outlive it.
  explicit ModelAssignments(const Parts& parts) : parts_(parts) {}

  struct Signer {
    model::SigningKey key;
    /// As of the certificates; it may be known later than the key.
    std::function<std::string()> trust_domain;
  };
  /// Reads the key from a file in PEM. Errors: "key_readable_by_others", "invalid_key", those of
  /// ReadCredentialFile.
  static absl::StatusOr<model::SigningKey> ReadKey(const std::string& path);
  /// Set up before the first decision; without it nothing is decided.
  void SetSigner(Signer signer) { signer_ = std::move(signer); }
  bool can_sign() const { return signer_.has_value(); }

  /// Reads what is stored. Call once, first.
  absl::Status Open();

  /// For the edge's spec.
  std::vector<v1::ModelSigned> For(const std::string& edge) const;
  std::optional<v1::StoredModelAssignment> Find(const std::string& edge, const std::string& model) const;

  /// How many edges are to run the version with this manifest.
  size_t CountOf(const std::string& manifest) const;

  struct Decision {
    std::string edge;
    std::string model;
    v1::ModelAction action = v1::MODEL_ACTION_UNSPECIFIED;  ///< that: what was told is taken back
    std::string manifest = {};
    uint64_t above = 0;  ///< the edge has taken this generation: another core, or this one before it was
                         ///< restored, decided there
  };
  /// The document of a decision, to be stored.
  v1::StoredModelAssignment Decide(const Decision& decision) const;
  /// Those that are to be signed anew, at most so many: their time has half gone, or another key signs.
  std::vector<v1::StoredModelAssignment> SignAnew(size_t most) const;
  /// Stores documents and counts a generation of their edges' specs; `also` is staged in the same batch. Tell
  /// EdgeSpecs afterwards.
  absl::Status Store(const std::vector<v1::StoredModelAssignment>& documents,
                     const std::function<void(WriteBatch&)>& also);

 private:
  v1::StoredModelAssignment Signed(v1::StoredModelAssignment document) const;

  const Parts parts_;
  std::optional<Signer> signer_;
  mutable absl::Mutex mutex_;
  std::map<std::pair<std::string, std::string>, v1::StoredModelAssignment> documents_
      ABSL_GUARDED_BY(mutex_);  // by edge and model
};

}  // namespace selvage
