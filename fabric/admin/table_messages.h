#pragma once

#include "absl/status/statusor.h"
#include "fabric/table/query.h"
#include "fabric/table/table_types.h"
#include "selvage/v1/table.pb.h"

/// What tables are asked and answer, as messages of the service Tables.
namespace selvage {

/// Error (kInvalidArgument): those of ParseFields, "not_a_number" and "invalid_version"; "invalid_operation"
/// for one that does nothing. Each names the row. Other errors come when it is done.
absl::StatusOr<table::RowOperation> OperationOf(const v1::RowOperation& message);

/// Bounded as the messages say.
table::ScanRequest ScanOf(const v1::ScanRowsRequest& message);
/// The same. Errors: "invalid_filter", "invalid_query".
absl::StatusOr<table::QueryRequest> QueryOf(const v1::QueryRowsRequest& message);

/// Bounded as the message says.
table::DigestRequest DigestOf(const v1::DigestRowsRequest& message);

/// Bounds that ScanRows and WatchTable have in common; 0 is what a request leaves open.
size_t PageRows(uint32_t asked);
size_t PageBytes(uint32_t asked);

v1::RowWritten ToMessage(const table::RowWritten& written);
v1::TableRow ToMessage(table::RowView row);
v1::ScanRowsResponse ToMessage(table::ScanPage page);
v1::QueryRowsResponse ToMessage(table::QueryPage page);
v1::TableIndex ToMessage(const table::IndexFacts& index);
v1::WatchTableResponse ToMessage(table::ChangePage page);
v1::DigestRowsResponse ToMessage(table::DigestPage page);

}  // namespace selvage
