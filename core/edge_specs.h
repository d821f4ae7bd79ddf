#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/core_document.h"
#include "core/edge_links.h"
#include "core/edge_registry.h"
#include "core/model_assignments.h"
#include "fabric/stream/stream_catalog.h"
#include "fabric/table/table_store.h"
#include "selvage/v1/admin.pb.h"
#include "selvage/v1/control.pb.h"

namespace selvage {

/// What each edge is to be: the spec that the core's side of its link keeps up to date there. Put together of
/// what others decide and store, when it is asked for; nothing is kept here. Safe to use from several
/// threads.
///
/// Whatever else edges are to have gets its place in For. A change of it counts a generation in the batch
/// that makes it durable (CoreDocument::Change), of one edge or of all, and is then told by Changed or
/// ChangedAll.
class EdgeSpecs {
 public:
  /// All of them must outlive it.
  EdgeSpecs(Committer& committer, CoreDocument& core, EdgeRegistry& edges, const StreamCatalog& catalog,
            const table::TableStore& tables, const ModelAssignments& assignments, const EdgeLinks& links)
      : committer_(committer),
        core_(core),
        edges_(edges),
        catalog_(catalog),
        tables_(tables),
        assignments_(assignments),
        links_(links) {}

  /// The generation of what this edge is to be: of the last change of what all have, or of the edge itself.
  uint64_t Generation(const std::string& edge) const;
  /// It is never older than its generation says; it may be newer, and then comes again.
  v1::EdgeSpec For(const std::string& edge) const;
  /// Grows with every change of what any edge is to be.
  uint64_t changes() const { return changes_; }

  /// Changes the edge's labels and rate, and whether it takes part in rollouts of models. Error:
  /// "unknown_edge".
  absl::Status SetEdge(const v1::SetEdgeRequest& request);

  /// Where edges' roots of models come from: those that are shown, in their order. Call once, before links
  /// begin. What it calls takes none of the core's locks but its own.
  void SetModelRoots(std::function<std::vector<v1::ModelSigned>()> roots) { model_roots_ = std::move(roots); }
  /// Changes what all edges have and is stored elsewhere: makes `stage` durable with a new generation, and
  /// calls `show` before the generation is seen.
  absl::Status ChangeForAll(const std::function<void(WriteBatch&)>& stage, const std::function<void()>& show);

  /// The spec of this edge is another one now: its link looks at it. Not while a CoreDocument::Change is
  /// held.
  void Changed(const std::string& edge);
  void ChangedAll();

 private:
  /// With the content that is the edge's own.
  v1::EdgeSpec OwnPart(const std::string& edge) const;

  Committer& committer_;
  CoreDocument& core_;
  EdgeRegistry& edges_;
  const StreamCatalog& catalog_;
  const table::TableStore& tables_;
  const ModelAssignments& assignments_;
  const EdgeLinks& links_;
  std::function<std::vector<v1::ModelSigned>()> model_roots_;
  std::atomic<uint64_t> changes_{0};
};

}  // namespace selvage
