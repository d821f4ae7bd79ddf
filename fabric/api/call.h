#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/statusor.h"
#include "fabric/api/message.h"
#include "fabric/api/route.h"

namespace selvage::api {

/// A request that a route takes, its parameters decoded and within what the route says of them.
struct Call {
  const Route* route = nullptr;
  bool head = false;  ///< asks for all but the body
  std::map<std::string, std::string, std::less<>> values =
      {};                       ///< of parameters, by their names in the route
  std::string media_type = {};  ///< of the body, in lower case
  std::string body = {};

  /// Of a parameter; null when it was not given.
  const std::string* Find(std::string_view name) const;
  /// The same; empty when it was not given.
  std::string Text(std::string_view name) const;
  /// Of a parameter that is an integer.
  std::optional<int64_t> Integer(std::string_view name) const;
};

/// Finds the route and checks all but the body, which the caller reads and adds, up to Route::body_max. Or
/// the reply that refuses the request: kinds "unknown_path", "method_not_allowed", "invalid_path",
/// Parameter::error_kind, "invalid_parameter", "unknown_parameter", "repeated_parameter",
/// "unsupported_media_type", "body_too_large", "unexpected_body".
std::variant<Call, Reply> BeginCall(const RequestHead& head);

/// The error of a body that is larger than the route takes.
absl::Status BodyTooLarge(size_t max);

/// `text` with its %-sequences decoded; nothing when one is broken. In a query '+' is a space.
std::optional<std::string> PercentDecode(std::string_view text, bool in_query);
/// `text` as one segment of a path.
std::string PercentEncode(std::string_view text);

}  // namespace selvage::api
