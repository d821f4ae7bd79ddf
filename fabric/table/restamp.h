#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "fabric/table/document.h"

/// The way back of what a clock stamped that ran far ahead (docs/tables.md, "Quarantine"). Its store gives it
/// new stamps, and each names the one that it withdraws among what it replaced. Nodes that keep the withdrawn
/// write apart drop it when they hear of that. An example, at nine o'clock:
///
///   store A, a day ahead    x = 7, stamp (tomorrow, A)            the core keeps it apart
///   A's clock is set right
///   A restamps              x = 7, stamp (09:00, A), replaced {(tomorrow, A)}
///   the core                merges it, and drops what waits for tomorrow
///
/// A stamp is never withdrawn that another node may have merged: of two copies, one would keep it.
namespace selvage::table {

/// Own stamps that lie further than this after a clock that is right may be withdrawn: a node whose clock
/// differs by no more than the margin has not merged them.
inline constexpr int64_t kWithdrawnAheadMs = 2 * kClockMarginMs;

/// Which parts of a row have stamps, or count on some, after a limit.
struct PartsAhead {
  size_t own = 0;                     ///< written by the store that is asked about
  std::optional<StoreId> other = {};  ///< a store that wrote another one
};
PartsAhead FindAhead(const Row& row, const StoreId& own, Hlc limit);

/// The newest time of a part; 0 when there is none.
Hlc NewestOf(const Row& row);
/// The newest one up to `limit`.
Hlc NewestUpTo(const Row& row, Hlc limit);

/// The row with new stamps, in the order of the old ones, in place of those of `own` after `limit`. `tick`
/// gives times after all others in the row. The parts stand at `sequence` in the feed. No other store may
/// have parts after the limit.
Row Restamp(const Row& row, const StoreId& own, Hlc limit, const std::function<Hlc()>& tick,
            uint64_t sequence);

/// True when a part of the change withdraws an earlier stamp, or replaces one that does.
bool Withdraws(const Change& change);
/// Takes from `waiting` what `change`, of the same row, withdraws. False when that is nothing.
bool DropWithdrawn(Change& waiting, const Change& change);

}  // namespace selvage::table
