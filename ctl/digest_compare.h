#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "selvage/v1/admin.pb.h"

namespace selvage::ctl {

/// Reads the digests of one copy of a log from an offset on: a page of entries, at least one unless the end
/// is reached.
using DigestPages = std::function<absl::StatusOr<v1::ReadDigestsResponse>(int64_t offset)>;

/// Offsets [from, to) that are a gap in one copy while the other holds records.
struct OneSidedGap {
  bool at_core = false;
  int64_t from = 0;
  int64_t to = 0;
};

/// What comparing two copies of one log over their common range found.
struct Comparison {
  int64_t from = 0;  ///< the common range [from, to): what both hold
  int64_t to = 0;
  int64_t core_end = 0;
  int64_t edge_end = 0;
  int64_t entries = 0;  ///< that are the same at both ends
  int64_t records = 0;  ///< in the batches among them
  std::vector<OneSidedGap> gaps;
  std::string difference;  ///< the first one, in words; empty: none

  bool equal() const { return difference.empty(); }
};

/// Compares entry by entry until the first difference. Gaps at one end alone are listed, and are not a
/// difference. Works while records arrive and expire: the end of the range is fixed at the first answers, and
/// its start moves when a copy forgets entries meanwhile. Errors: those of the pages; "unexpected_answer"
/// when a node's entries do not follow each other.
absl::StatusOr<Comparison> CompareDigests(const DigestPages& core, const DigestPages& edge);

}  // namespace selvage::ctl
