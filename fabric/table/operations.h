#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "fabric/table/document.h"

/// Operations on one row. Each looks at the row as the node has it and gives the change that it is; the
/// caller merges it. An operation has one stamp: this node, and a tick of a clock that has observed all that
/// the row holds.
namespace selvage::table {

/// Replaces the whole row. It expires at `expires_at_ms`, or not at all.
Change Put(const Row& row, const Fields& fields, std::optional<int64_t> expires_at_ms, const Stamp& stamp);

/// What an update does to a row. Each field is named once.
struct Update {
  Fields set = {};
  std::set<std::string> unset = {};
  std::map<std::string, JsonNumber> increment = {};
  struct NewExpiry {
    std::optional<int64_t> at_ms;  ///< nothing: never
  };
  std::optional<NewExpiry> expiry = {};  ///< nothing: as it is
};

/// Sets, unsets and increments fields and leaves the others as they are. Increments count for this store in
/// `epoch`. A field that is not there counts from 0. The change carries the row's expiry also when it stays.
/// Errors (kInvalidArgument): "field_named_twice", "not_a_number" (of a field to be incremented),
/// "counter_out_of_range" (this store's own contribution would not be a 64-bit integer any more).
absl::StatusOr<Change> MakeUpdate(const Row& row, const Update& update, const Stamp& stamp,
                                  const FeedEpoch& epoch);

/// What an expiry that has passed removes, said by a clear stamp of its time. `node`: who says it.
Clear ClearOfExpiry(const Row& row, const StoreId& node);

/// Deletes the row, or says again that it is deleted.
Change Delete(const Row& row, const Stamp& stamp);

}  // namespace selvage::table
