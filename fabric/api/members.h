#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "fabric/table/canonical_json.h"

namespace selvage::api {

/// The members of a JSON object in a request. Each is taken once; what is left at the end is unknown. Errors:
/// those of table::ParseFields, and "invalid_request" (kInvalidArgument), which name `where` and the member.
class Members {
 public:
  /// `where` names the object in messages, such as "operations[3]"; empty for the whole body.
  static absl::StatusOr<Members> Parse(std::string_view json, std::string where);

  /// Nothing when it is not there; the same below, where null is a value like any other.
  std::optional<table::CanonicalJson> Take(std::string_view name);
  absl::StatusOr<std::optional<std::string>> TakeText(std::string_view name);
  absl::StatusOr<std::optional<int64_t>> TakeInteger(std::string_view name, int64_t min, int64_t max);
  absl::StatusOr<std::optional<table::Fields>> TakeObject(std::string_view name);
  /// The elements of an array, at most so many.
  absl::StatusOr<std::optional<std::vector<std::string>>> TakeArray(std::string_view name, size_t max);
  absl::StatusOr<std::optional<std::vector<std::string>>> TakeTexts(std::string_view name, size_t max);
  /// "invalid_request" when something was not taken.
  absl::Status NothingElse() const;

  absl::Status Wrong(std::string_view name, std::string_view must) const;

 private:
  Members(table::Fields fields, std::string where) : fields_(std::move(fields)), where_(std::move(where)) {}

  table::Fields fields_;
  std::string where_;
};

}  // namespace selvage::api
