#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

/// HTTP as values, without a connection.
namespace selvage::api {

/// A request without its body.
struct RequestHead {
  std::string method;  ///< as it was sent
  std::string target;  ///< path and query, as they were sent
  /// By name in lower case; what was sent on several lines of one name is joined with ", ".
  std::map<std::string, std::string> headers = {};
};

struct Reply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  /// What the reply is about when it refuses something, for who counts errors; OK otherwise.
  absl::Status error = {};
};

}  // namespace selvage::api
