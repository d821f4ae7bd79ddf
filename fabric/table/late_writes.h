#pragma once

#include <vector>

#include "fabric/table/merge.h"

/// What is left of a deleted row once its tombstone is gone. A delete stays a delete for who had the row: of
/// what such a node sends later, parts as old as the newest tombstone that was collected may be from before
/// the delete.
///
///   core                                    edge, without a link
///   row k {x: 1}                            row k {x: 1}
///   delete k at 12:00                       set k.x = 2 at 11:00
///   60 days: the tombstone is collected
///                          ← x = 2 of 11:00, of a row that the edge had: late, listed as a conflict
///                          ← y = 3 of 13:00: after the delete; the row is {y: 3}, as it were with the
///                          tombstone
namespace selvage::table {

struct LateWrites {
  std::vector<Conflict> late;  ///< fields and increments that are not taken
  Change rest;                 ///< what is; may be empty
};

/// Parts of `change` with times up to `collected` are late.
LateWrites SplitLate(const Change& change, Hlc collected);

/// The time up to which writes are late once this tombstone is gone. Where it is `unseen` by some node, that
/// of its expiry counts too: such a node may still send what the expiry takes.
Hlc TimeOfTombstone(const Row& row, bool unseen);

}  // namespace selvage::table
