#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <variant>

#include "fabric/api/call.h"
#include "fabric/base/error.h"

namespace selvage::api {

inline std::variant<Call, Reply> Begin(std::string method, std::string target,
                                       std::map<std::string, std::string> headers = {}) {
  return BeginCall({std::move(method), std::move(target), std::move(headers)});
}

/// The call of a request that must be taken.
inline Call Taken(std::string method, std::string target, std::map<std::string, std::string> headers = {}) {
  auto begun = Begin(std::move(method), std::move(target), std::move(headers));
  if (const auto* refusal = std::get_if<Reply>(&begun)) {
    ADD_FAILURE() << refusal->body;
    return {};
  }
  return std::get<Call>(begun);
}

/// The refusal of a request that must not be taken.
inline Reply Refused(std::string method, std::string target,
                     std::map<std::string, std::string> headers = {}) {
  auto begun = Begin(std::move(method), std::move(target), std::move(headers));
  if (auto* refusal = std::get_if<Reply>(&begun)) return *refusal;
  ADD_FAILURE() << "taken as " << std::get<Call>(begun).route->id;
  return {};
}

/// "400 invalid_parameter", say.
inline std::string Verdict(const Reply& reply) {
  return std::to_string(reply.status) + " " + ErrorKind(reply.error);
}

inline std::string HeaderOf(const Reply& reply, const std::string& name) {
  for (const auto& [header, value] : reply.headers) {
    if (header == name) return value;
  }
  return "";
}

inline std::map<std::string, std::string> Json(std::map<std::string, std::string> more = {}) {
  more["content-type"] = "application/json";
  return more;
}

}  // namespace selvage::api
