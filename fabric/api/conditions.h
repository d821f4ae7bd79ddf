#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "fabric/api/call.h"
#include "fabric/table/table_types.h"

/// Conditional requests, as RFC 9110 has them. The entity tag of a row is its version.
namespace selvage::api {

inline constexpr std::string_view kIfMatch = "If-Match";
inline constexpr std::string_view kIfNoneMatch = "If-None-Match";

/// A row's version as an entity tag.
std::string ETag(const table::RowDigest& version);

/// What must hold of the row that is to be written. Error: "invalid_condition" (kInvalidArgument).
absl::StatusOr<table::Condition> WriteCondition(const Call& call);

enum class ReadOutcome { kSend, kNotModified, kFailed };
/// Whether a row, which is there in this version or is not there, is to be sent. Error: "invalid_condition".
absl::StatusOr<ReadOutcome> ReadCondition(const Call& call, const std::optional<table::RowDigest>& version);

}  // namespace selvage::api
