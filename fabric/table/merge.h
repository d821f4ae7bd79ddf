#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fabric/table/document.h"

/// Who wins. Merging is commutative, associative and idempotent: copies that merged the same changes are
/// equal, in whatever order and however often they came. docs/tables.md has the rules with an example.
///
/// One thing is asked of whoever makes changes: stamps of one node only grow.
namespace selvage::table {

enum class MergeOutcome {
  kApplied,    ///< some part of the change is in the row now
  kKeptNewer,  ///< the row had something newer of all that was not in it already
  kIdentical,  ///< the row had it all
};
std::string_view MergeOutcomeName(MergeOutcome outcome);

enum class ConflictKind {
  kOverwritten,    ///< a set or unset lost to another one of the same field
  kCleared,        ///< a set was removed by a put or delete
  kUncounted,      ///< increments count on something that was replaced, and are dropped
  kLate,           ///< written before a delete that is forgotten already, of a row that its writer had
  kOutlivesDelete  ///< a field that was set stays though the row was deleted; other fields are gone
};
std::string_view ConflictKindName(ConflictKind kind);

/// Something that was lost though the writer of what won is not known to have seen it. Not an error: the
/// merge is done. Listed for people.
struct Conflict {
  ConflictKind kind = ConflictKind::kOverwritten;
  std::string field;
  Stamp winner;
  std::optional<CanonicalJson> winning_value;
  Stamp loser;
  /// Of increments: the amount of their contributor on that base, seen or not.
  std::optional<CanonicalJson> losing_value;
};

/// How a change came to this copy.
struct Arrival {
  StoreId via;            ///< the peer that sent it; none: made here
  uint64_t sequence = 0;  ///< the place in this store's change feed of all that the change brings
};

struct MergeResult {
  MergeOutcome outcome = MergeOutcome::kIdentical;
  std::vector<Conflict> conflicts;
};

/// Merges `change` into `row`. What came from the same peer that sends its winner now is not listed: the peer
/// had both, and has judged.
MergeResult Merge(Row& row, const Change& change, const Arrival& arrival);

/// Takes out of `change` what a later delete of its row removes, and says which of it the writer of that did
/// not know.
std::vector<Conflict> RemoveDeleted(Change& change, const Clear& later);

}  // namespace selvage::table
