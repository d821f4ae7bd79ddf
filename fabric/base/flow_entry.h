#pragma once

#include <cstdint>

#include "fabric/base/bytes.h"
#include "fabric/base/ids.h"

namespace selvage {

/// What an entry is: a number that only the source and the sink of a flow interpret; the link carries any.
/// Those of streams are stored as well. Numbers differ between kinds of flows, so that an entry cannot be
/// taken for another kind's.
enum class EntryKind : uint32_t {
  kBatch = 1,
  kGap = 2,
  kDocument = 3,
  kAnswer = 4,
  kTableChanges = 5,
  kTableInterval = 6,
  kModelPiece = 7
};

/// An entry on its way from one node to another, whole: [from, to) of a flow's history.
struct FlowEntry {
  EntryKind kind = EntryKind::kBatch;
  Offset from;
  Offset to;
  Bytes body = {};  ///< may be empty, of an entry that only advances the position
  /// At the source alone: the hash of the history behind it, of kinds whose histories are compared.
  ChainHash hash_after = {};
  bool compressible = false;  ///< at the source alone: worth trying zstd on the link
};

}  // namespace selvage
