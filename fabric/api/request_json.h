#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "fabric/api/call.h"
#include "fabric/table/query.h"
#include "fabric/table/table_types.h"
#include "selvage/v1/table.pb.h"

/// What the bodies and parameters of requests ask for. Errors are those of Members, and those named.
namespace selvage::api {

/// The operation of PUT, PATCH or DELETE of a row. `now_ms` is the wall time that a time to live counts from.
/// Errors: "invalid_condition", those of CanonicalJson::Parse.
absl::StatusOr<table::RowOperation> ReadRowOperation(const Call& call, int64_t now_ms);

/// The operations of a batch.
absl::StatusOr<std::vector<table::RowOperation>> ReadBatch(std::string_view json, int64_t now_ms);

/// A scan, by its parameters. Error: "invalid_continuation".
absl::StatusOr<table::ScanRequest> ReadScan(const Call& call);

struct QueryCall {
  table::QueryRequest query;
  bool explain = false;  ///< only how it would be answered
};
/// A query, by its body. Errors: "invalid_continuation", "invalid_filter", "invalid_query".
absl::StatusOr<QueryCall> ReadQuery(std::string_view json);

/// The path of an index, by the body that makes it.
absl::StatusOr<std::string> ReadIndex(std::string_view json);

/// A definition as a client gives it: a setting that is left out has its default; the direction may be none.
absl::StatusOr<v1::TableDefinition> ReadDefinition(const std::string& name, std::string_view json);

/// ScanPage::next and QueryPage::next as clients are given it, and back.
std::string Continuation(std::string_view next);
/// Error: "invalid_continuation" (kInvalidArgument).
absl::StatusOr<std::string> ReadContinuation(std::string_view token);

}  // namespace selvage::api
