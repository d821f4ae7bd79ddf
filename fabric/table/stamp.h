#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "fabric/base/id128.h"
#include "fabric/table/hlc.h"

namespace selvage::table {

/// One opening of a store, for the change feed of its tables: made anew each time, so that a restored or
/// cloned store never goes on with one that another copy of it uses.
using FeedEpoch = Id128<struct FeedEpochTag>;

/// Names the operation that wrote something: its time and the store where it was made. The newest stamp wins.
/// One operation has one stamp. Only a clone, or a store that was restored, may give one to two operations.
struct Stamp {
  Hlc hlc;
  StoreId node;

  /// Before all operations: what stands where nothing was written.
  bool none() const { return *this == Stamp(); }
  auto operator<=>(const Stamp&) const = default;
};

/// What is known of the write of one part of a row.
struct Write {
  Stamp stamp;
  /// What the writer saw and replaced: the newest stamp of each other node, in the order of the nodes. A
  /// writer has seen its own. It tells a conflict from a replacement, and decides nothing.
  std::vector<Stamp> replaced = {};

  // These two belong to this copy of the row and differ between nodes.
  uint64_t sequence = 0;  ///< place in this store's change feed
  StoreId via = {};       ///< the peer it came from; none: written here
};

/// True when the writer of `write` is known to have had the operation `other` in sight.
bool Knew(const Write& write, const Stamp& other);

}  // namespace selvage::table
