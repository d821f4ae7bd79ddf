#pragma once

#include <map>
#include <string>

#include "fabric/table/table_exchange.h"
#include "selvage/v1/store.pb.h"
#include "selvage/v1/table.pb.h"

/// What operators are shown of a table beside its rows: conflicts, quarantine, how far peers were read.
namespace selvage {

/// Whose a store is, as far as that is known here.
using StoreNames = std::map<StoreId, std::string>;

v1::TableConflict ToMessage(const v1::StoredConflict& stored, const StoreNames& names);
v1::QuarantinedChange ToMessage(const table::QuarantinedChange& waiting, const StoreNames& names);
v1::TableReader ToMessage(const std::string& node, const table::TableReader& reader, uint64_t end);
v1::TableReadFrom ToMessage(const StoreId& peer, const table::TableCursor& cursor, const StoreNames& names);

}  // namespace selvage
