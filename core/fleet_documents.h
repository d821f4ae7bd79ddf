#pragma once

#include <string>

#include "fabric/storage/kv_store.h"
#include "selvage/v1/store.pb.h"

/// The core's documents in its store (docs/formats.md).
namespace selvage {

void StageCore(WriteBatch& batch, const v1::StoredCore& core);
void StageEdge(WriteBatch& batch, const v1::StoredEdge& edge);
/// `report`: a StoredReport, serialized.
void StageReport(WriteBatch& batch, const std::string& edge, const std::string& report);

}  // namespace selvage
