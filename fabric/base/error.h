#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace selvage {

/// Whether trying the same thing again can help.
enum class Retry { kNo, kYes };

/// An error an operator or a client sees. The one error type is absl::Status; the parts below ride as
/// payloads, so that they survive every return and can be shown, counted and sent apart.
///
/// `kind`     a stable snake_case word, the label of the metric that counts it, for example
/// "offset_out_of_range" `message`  what happened, with the names and numbers of this case `hint`     what to
/// do about it; may be empty
absl::Status MakeError(absl::StatusCode code, std::string_view kind, std::string_view message,
                       std::string_view hint = {}, Retry retry = Retry::kNo);

/// A stable word as the project's errors have it: lower case letters, digits and underscores, not long. What
/// a peer says may be none.
bool IsErrorKind(std::string_view word);
/// The kind given to MakeError; the status code's name in lower case for any other error; empty for OK.
std::string ErrorKind(const absl::Status& status);
/// The hint given to MakeError; empty when there is none.
std::string ErrorHint(const absl::Status& status);
/// True when the error says that a retry helps (or, for errors of other origin, when the code is
/// kUnavailable).
bool IsRetryable(const absl::Status& status);
/// "message; hint; a retry helps|a retry does not help": one line for logs and terminals.
std::string Describe(const absl::Status& status);
/// The same error with "context: " before its message.
absl::Status Annotate(const absl::Status& status, std::string_view context);

}  // namespace selvage

/// Returns from the enclosing function when `expression` is an error status.
#define SELVAGE_RETURN_IF_ERROR(expression)                                                         \
  do {                                                                                              \
    if (absl::Status selvage_status_ = (expression); !selvage_status_.ok()) return selvage_status_; \
  } while (false)

#define SELVAGE_CONCAT_INNER_(a, b) a##b
#define SELVAGE_CONCAT_(a, b) SELVAGE_CONCAT_INNER_(a, b)
/// `SELVAGE_ASSIGN_OR_RETURN(auto x, StatusOrExpression())`
#define SELVAGE_ASSIGN_OR_RETURN(lhs, expression) \
  SELVAGE_ASSIGN_OR_RETURN_IMPL_(SELVAGE_CONCAT_(selvage_or_, __LINE__), lhs, expression)
#define SELVAGE_ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expression) \
  auto tmp = (expression);                                   \
  if (!tmp.ok()) return tmp.status();                        \
  lhs = std::move(tmp).value()
