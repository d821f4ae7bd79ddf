#include "core/fleet_documents.h"

#include <string>

#include "fabric/stream/meta_keys.h"

namespace selvage {

void StageCore(WriteBatch& batch, const v1::StoredCore& core) {
  batch.Put(Family::kMeta, kCoreKey, {core.SerializeAsString()});
}

void StageEdge(WriteBatch& batch, const v1::StoredEdge& edge) {
  batch.Put(Family::kMeta, std::string(kEdgePrefix) + edge.edge(), {edge.SerializeAsString()});
}

void StageReport(WriteBatch& batch, const std::string& edge, const std::string& report) {
  batch.Put(Family::kMeta, std::string(kReportPrefix) + edge, {report});
}

}  // namespace selvage
