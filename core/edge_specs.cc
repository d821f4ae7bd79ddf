#include "core/edge_specs.h"

#include <algorithm>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/storage/commit.h"

namespace selvage {

/// What all edges have is looked at after its generation: a change in between is then sent again under its
/// own. The other way round the edge would have the new number with the old content, and ignore the new one.
/// For the same reason the common generation is read before the edge's document, which holds its own.
v1::EdgeSpec EdgeSpecs::OwnPart(const std::string& edge) const {
  v1::EdgeSpec spec;
  spec.set_generation(core_.Get().common_generation());
  const auto known = edges_.Find(edge);
  if (!known) return spec;
  spec.set_generation(std::max(spec.generation(), known->spec_generation()));
  *spec.mutable_labels() = known->labels();
  spec.set_max_rate(known->max_rate());
  return spec;
}

uint64_t EdgeSpecs::Generation(const std::string& edge) const {
  return OwnPart(edge).generation();
}

v1::EdgeSpec EdgeSpecs::For(const std::string& edge) const {
  v1::EdgeSpec spec = OwnPart(edge);
  for (v1::StreamDefinition& definition : catalog_.All()) {
    if (definition.direction() != v1::LOCAL) *spec.add_streams() = std::move(definition);
  }
  for (v1::TableDefinition& definition : tables_.All()) {
    if (definition.direction() != v1::TABLE_LOCAL) *spec.add_tables() = std::move(definition);
  }
  for (v1::ModelSigned& assignment : assignments_.For(edge)) {
    *spec.add_model_assignments() = std::move(assignment);
  }
  if (model_roots_) {
    for (v1::ModelSigned& root : model_roots_()) *spec.add_model_roots() = std::move(root);
  }
  return spec;
}

absl::Status EdgeSpecs::ChangeForAll(const std::function<void(WriteBatch&)>& stage,
                                     const std::function<void()>& show) {
  {
    CoreDocument::Change change(core_);
    (void)change.NextGenerationOfAll();
    SELVAGE_RETURN_IF_ERROR(Commit(committer_, [&](WriteBatch& batch) {
      stage(batch);
      change.Stage(batch);
      return absl::OkStatus();
    }));
    show();
    change.Show();
  }
  ChangedAll();
  return absl::OkStatus();
}

absl::Status EdgeSpecs::SetEdge(const v1::SetEdgeRequest& request) {
  {
    CoreDocument::Change change(core_);
    SELVAGE_ASSIGN_OR_RETURN(v1::StoredEdge edge, edges_.Get(request.edge()));
    for (const auto& [key, value] : request.set_labels()) (*edge.mutable_labels())[key] = value;
    for (const std::string& key : request.remove_labels()) edge.mutable_labels()->erase(key);
    if (request.set_max_rate()) edge.set_max_rate(request.max_rate());
    if (request.has_hold_models()) edge.set_hold_models(request.hold_models());
    edge.set_spec_generation(change.NextGeneration());
    SELVAGE_RETURN_IF_ERROR(Commit(committer_, [&](WriteBatch& batch) {
      EdgeRegistry::Stage(batch, edge);
      change.Stage(batch);
      return absl::OkStatus();
    }));
    edges_.Show(change, edge);
    change.Show();
  }
  Changed(request.edge());
  return absl::OkStatus();
}

void EdgeSpecs::Changed(const std::string& edge) {
  ++changes_;
  links_.Wake(edge);
}

void EdgeSpecs::ChangedAll() {
  ++changes_;
  links_.WakeAll();
}

}  // namespace selvage
