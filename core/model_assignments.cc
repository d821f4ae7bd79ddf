#include "core/model_assignments.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "fabric/base/error.h"
#include "fabric/security/files.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"

namespace selvage {
namespace {

const int64_t kLifeMs = absl::ToInt64Milliseconds(ModelAssignments::kLife);

std::string AssignmentKey(const v1::StoredModelAssignment& document) {
  return std::string(kModelAssignmentPrefix) + document.edge() + "/" + document.decision().model();
}

}  // namespace

absl::StatusOr<model::SigningKey> ModelAssignments::ReadKey(const std::string& path) {
  SELVAGE_ASSIGN_OR_RETURN(const std::string pem, ReadCredentialFile(path));
  std::error_code error;
  const auto mode = std::filesystem::status(path, error).permissions();
  constexpr auto kOthers = std::filesystem::perms::group_all | std::filesystem::perms::others_all;
  if (error || (mode & kOthers) != std::filesystem::perms::none) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "key_readable_by_others",
        fmt::format("others than its owner may read the rollout key {}", path),
        fmt::format("chmod 600 {}; if others could have read it, make a root with another key", path));
  }
  auto key = model::SigningKey::FromPem(pem);
  if (!key.ok()) return Annotate(key.status(), path);
  return key;
}

absl::Status ModelAssignments::Open() {
  absl::MutexLock lock(&mutex_);
  auto cursor = parts_.store.Scan(Family::kMeta, kModelAssignmentPrefix, PrefixEnd(kModelAssignmentPrefix));
  for (cursor->Seek(kModelAssignmentPrefix); cursor->Valid(); cursor->Next()) {
    v1::StoredModelAssignment document;
    if (!document.ParseFromString(std::string(cursor->value()))) return DamagedMeta("assignment of a model");
    documents_[{document.edge(), document.decision().model()}] = std::move(document);
  }
  return cursor->status();
}

std::vector<v1::ModelSigned> ModelAssignments::For(const std::string& edge) const {
  absl::MutexLock lock(&mutex_);
  std::vector<v1::ModelSigned> assignments;
  for (auto it = documents_.lower_bound({edge, ""}); it != documents_.end() && it->first.first == edge;
       ++it) {
    if (it->second.has_document()) assignments.push_back(it->second.document());
  }
  return assignments;
}

size_t ModelAssignments::CountOf(const std::string& manifest) const {
  absl::MutexLock lock(&mutex_);
  return static_cast<size_t>(std::count_if(documents_.begin(), documents_.end(), [&](const auto& entry) {
    return entry.second.has_document() && entry.second.decision().manifest() == manifest;
  }));
}

std::optional<v1::StoredModelAssignment> ModelAssignments::Find(const std::string& edge,
                                                                const std::string& model) const {
  absl::MutexLock lock(&mutex_);
  const auto found = documents_.find({edge, model});
  if (found == documents_.end()) return std::nullopt;
  return found->second;
}

v1::StoredModelAssignment ModelAssignments::Decide(const Decision& decision) const {
  v1::StoredModelAssignment document;
  uint64_t former = 0;
  if (auto known = Find(decision.edge, decision.model)) {
    former = known->decision().generation();
    if (decision.action == v1::MODEL_ACTION_UNSPECIFIED) {
      // The generation stays: what comes next has to be above it.
      document = *std::move(known);
      document.clear_document();
      return document;
    }
  }
  document.set_edge(decision.edge);
  v1::ModelAssignment& decided = *document.mutable_decision();
  decided.set_edge(decision.edge);
  decided.set_model(decision.model);
  decided.set_action(decision.action);
  decided.set_manifest(decision.manifest);
  decided.set_generation(std::max(former, decision.above) + 1);
  return Signed(std::move(document));
}

v1::StoredModelAssignment ModelAssignments::Signed(v1::StoredModelAssignment document) const {
  if (!signer_) return document;
  v1::ModelAssignment& decided = *document.mutable_decision();
  decided.set_trust_domain(signer_->trust_domain());
  decided.set_issued_ms(WallMs(parts_.clock));
  decided.set_expires_ms(decided.issued_ms() + kLifeMs);
  v1::ModelSigned& signed_document = *document.mutable_document();
  signed_document.Clear();
  signed_document.set_type(std::string(model::kAssignmentType));
  signed_document.set_payload(decided.SerializeAsString());
  model::AddSignature(signed_document, signer_->key);
  return document;
}

std::vector<v1::StoredModelAssignment> ModelAssignments::SignAnew(size_t most) const {
  std::vector<v1::StoredModelAssignment> due;
  if (!signer_) return due;
  const std::string key = signer_->key.id().bytes();
  const int64_t now_ms = WallMs(parts_.clock);
  absl::MutexLock lock(&mutex_);
  for (const auto& [at, document] : documents_) {
    if (due.size() == most) break;
    if (!document.has_document()) continue;
    const auto& signatures = document.document().signatures();
    const bool is_ours = signatures.size() == 1 && signatures.begin()->key_id() == key;
    const int64_t issued_ms = document.decision().issued_ms();
    // One of the future was signed while this clock was ahead: edges would hold on to that time.
    if (is_ours && issued_ms <= now_ms && now_ms - issued_ms < kLifeMs / 2) continue;
    due.push_back(Signed(document));
  }
  return due;
}

absl::Status ModelAssignments::Store(const std::vector<v1::StoredModelAssignment>& documents,
                                     const std::function<void(WriteBatch&)>& also) {
  if (documents.empty()) {
    return Commit(parts_.committer, [&](WriteBatch& batch) {
      also(batch);
      return absl::OkStatus();
    });
  }
  CoreDocument::Change change(parts_.core);
  std::map<std::string, v1::StoredEdge> edges;
  for (const v1::StoredModelAssignment& document : documents) {
    if (edges.contains(document.edge())) continue;
    SELVAGE_ASSIGN_OR_RETURN(v1::StoredEdge edge, parts_.edges.Get(document.edge()));
    edge.set_spec_generation(change.NextGeneration());
    edges[document.edge()] = std::move(edge);
  }
  SELVAGE_RETURN_IF_ERROR(Commit(parts_.committer, [&](WriteBatch& batch) {
    for (const auto& [name, edge] : edges) EdgeRegistry::Stage(batch, edge);
    for (const v1::StoredModelAssignment& document : documents) {
      batch.Put(Family::kMeta, AssignmentKey(document), {document.SerializeAsString()});
    }
    change.Stage(batch);
    also(batch);
    return absl::OkStatus();
  }));
  {
    // Before the generations: a spec is never older than its generation says.
    absl::MutexLock lock(&mutex_);
    for (const v1::StoredModelAssignment& document : documents) {
      documents_[{document.edge(), document.decision().model()}] = document;
    }
  }
  for (const auto& [name, edge] : edges) parts_.edges.Show(change, edge);
  change.Show();
  return absl::OkStatus();
}

}  // namespace selvage
