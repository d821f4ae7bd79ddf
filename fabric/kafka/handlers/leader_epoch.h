#pragma once

#include <cstdint>

#include "fabric/kafka/protocol/error_code.h"
#include "fabric/stream/log_store.h"

namespace selvage::kafka {

/// KIP-320: whether a client knows of the partition's newest source. Clients that do not check say -1.
inline ErrorCode CheckLeaderEpoch(const LogState& state, int32_t current_leader_epoch) {
  if (current_leader_epoch < 0) return ErrorCode::kNone;
  const int32_t epoch = state.leader_epoch().value();
  if (current_leader_epoch < epoch) return ErrorCode::kFencedLeaderEpoch;
  if (current_leader_epoch > epoch) return ErrorCode::kUnknownLeaderEpoch;
  return ErrorCode::kNone;
}

}  // namespace selvage::kafka
