#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "fabric/api/message.h"

namespace selvage::api {

inline constexpr std::string_view kProblemType = "application/problem+json";

/// The HTTP status of an error: that of its kind, else that of its code.
int HttpStatusOf(const absl::Status& error);

/// An error as RFC 9457 has it: type, title, status and detail, and the project's own kind, hint and
/// retryable.
std::string ProblemJson(const absl::Status& error);

/// The reply that refuses a request. One that a retry helps says after how many seconds.
Reply Refuse(const absl::Status& error);

}  // namespace selvage::api
