#include "fabric/api/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "fabric/api/problem.h"
#include "fabric/base/error.h"
#include "fabric/table/canonical_json.h"

namespace selvage::api {
namespace {

absl::Status BadRequest(std::string_view kind, std::string_view message, std::string_view hint = {}) {
  return MakeError(absl::StatusCode::kInvalidArgument, kind, message, hint);
}

std::string_view View(absl::string_view text) {
  return {text.data(), text.size()};
}
absl::string_view View(std::string_view text) {
  return {text.data(), text.size()};
}

struct Target {
  std::string_view path;
  std::string_view query;
};

/// A server also takes the form that proxies get, which names scheme and authority.
Target SplitTarget(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    target.remove_prefix(scheme.size());
    target.remove_prefix(std::min(target.find_first_of("/?"), target.size()));
    break;
  }
  const size_t question = target.find('?');
  if (question == std::string_view::npos) return {target, {}};
  return {target.substr(0, question), target.substr(question + 1)};
}

bool IsParameter(std::string_view segment) {
  return segment.starts_with('{') && segment.ends_with('}');
}

std::vector<std::string_view> Segments(std::string_view path) {
  std::vector<std::string_view> segments;
  for (const absl::string_view segment : absl::StrSplit(View(path), '/')) segments.push_back(View(segment));
  return segments;
}

bool PathMatches(const Route& route, const std::vector<std::string>& segments) {
  const auto parts = Segments(route.path);
  return parts.size() == segments.size() && std::equal(parts.begin(), parts.end(), segments.begin(),
                                                       [](std::string_view part, const std::string& segment) {
                                                         return IsParameter(part) || part == segment;
                                                       });
}

const Parameter* FindParameter(const Route& route, Parameter::Place place, std::string_view name) {
  for (const Parameter& parameter : route.parameters) {
    if (parameter.place == place && parameter.name == name) return &parameter;
  }
  return nullptr;
}

/// A parameter's value as the call holds it.
absl::Status Put(const Parameter& parameter, std::string value, Call& call) {
  const auto wrong = [&](std::string_view must) {
    return BadRequest(parameter.error_kind, fmt::format("{} must be {}", parameter.name, must));
  };
  if (!table::IsValidUtf8(value)) return wrong("valid UTF-8");
  if (parameter.range) {
    int64_t number = 0;
    const char* end = value.data() + value.size();
    const auto read = std::from_chars(value.data(), end, number);
    if (read.ec != std::errc() || read.ptr != end || number < parameter.range->min ||
        number > parameter.range->max) {
      return wrong(fmt::format("an integer from {} to {}", parameter.range->min, parameter.range->max));
    }
  } else if (value.size() < parameter.length_min || value.size() > parameter.length_max.value_or(SIZE_MAX)) {
    if (!parameter.length_max) return wrong(fmt::format("at least {} bytes long", parameter.length_min));
    return wrong(fmt::format("{} to {} bytes long", parameter.length_min, *parameter.length_max));
  }
  call.values[std::string(parameter.name)] = std::move(value);
  return absl::OkStatus();
}

absl::Status ReadPath(const std::vector<std::string>& segments, Call& call) {
  const auto parts = Segments(call.route->path);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!IsParameter(parts[i])) continue;
    const Parameter* parameter =
        FindParameter(*call.route, Parameter::Place::kPath, parts[i].substr(1, parts[i].size() - 2));
    SELVAGE_RETURN_IF_ERROR(Put(*parameter, segments[i], call));
  }
  return absl::OkStatus();
}

std::string KnownParameters(const Route& route) {
  std::vector<std::string> names;
  for (const Parameter& parameter : route.parameters) {
    if (parameter.place == Parameter::Place::kQuery) names.emplace_back(parameter.name);
  }
  return names.empty() ? "this path takes none" : "known here are " + absl::StrJoin(names, ", ");
}

absl::Status ReadQuery(std::string_view query, Call& call) {
  for (const absl::string_view part : absl::StrSplit(View(query), '&', absl::SkipEmpty())) {
    const std::string_view pair = View(part);
    const size_t equals = std::min(pair.find('='), pair.size());
    const auto name = PercentDecode(pair.substr(0, equals), true);
    auto value = PercentDecode(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!name || !value) return BadRequest("invalid_parameter", "the query has a broken %-sequence");
    const Parameter* parameter = FindParameter(*call.route, Parameter::Place::kQuery, *name);
    // One that is misspelled would otherwise do as if it were not there.
    if (parameter == nullptr) {
      return BadRequest("unknown_parameter", fmt::format("there is no parameter {:.100}", *name),
                        KnownParameters(*call.route));
    }
    if (call.Find(*name) != nullptr) {
      return BadRequest("repeated_parameter", fmt::format("{} is given twice", *name));
    }
    SELVAGE_RETURN_IF_ERROR(Put(*parameter, *std::move(value), call));
  }
  return absl::OkStatus();
}

absl::Status ReadHeaders(const RequestHead& head, Call& call) {
  for (const Parameter& parameter : call.route->parameters) {
    if (parameter.place != Parameter::Place::kHeader) continue;
    const auto header = head.headers.find(absl::AsciiStrToLower(View(parameter.name)));
    if (header == head.headers.end()) continue;
    SELVAGE_RETURN_IF_ERROR(Put(parameter, header->second, call));
  }
  return absl::OkStatus();
}

const std::string* FindHeader(const RequestHead& head, const std::string& name) {
  const auto header = head.headers.find(name);
  return header == head.headers.end() ? nullptr : &header->second;
}

bool AnnouncesBody(const RequestHead& head) {
  const std::string* length = FindHeader(head, "content-length");
  return (length != nullptr && *length != "0") || FindHeader(head, "transfer-encoding") != nullptr;
}

std::string MediaTypes(const Route& route) {
  std::vector<std::string> types;
  for (const Content& body : route.bodies) types.emplace_back(body.media_type);
  return absl::StrJoin(types, " or ");
}

absl::Status CheckBody(const RequestHead& head, Call& call) {
  const Route& route = *call.route;
  if (route.bodies.empty()) {
    if (!AnnouncesBody(head)) return absl::OkStatus();
    return BadRequest("unexpected_body", "this request takes no body");
  }
  const std::string* type = FindHeader(head, "content-type");
  if (type != nullptr) {
    call.media_type = absl::AsciiStrToLower(
        absl::StripAsciiWhitespace(View(std::string_view(*type).substr(0, type->find(';')))));
  }
  const bool taken = std::any_of(route.bodies.begin(), route.bodies.end(),
                                 [&](const Content& body) { return body.media_type == call.media_type; });
  if (!taken) {
    return BadRequest("unsupported_media_type",
                      type == nullptr ? std::string("the request says no Content-Type")
                                      : fmt::format("a body of type {:.100} is not taken here", *type),
                      "send Content-Type: " + MediaTypes(route));
  }
  const std::string* length = FindHeader(head, "content-length");
  uint64_t bytes = 0;
  if (length != nullptr && (!absl::SimpleAtoi(*length, &bytes) || bytes > route.body_max)) {
    return BodyTooLarge(route.body_max);
  }
  return absl::OkStatus();
}

absl::Status ReadCall(const RequestHead& head, const std::vector<std::string>& segments,
                      std::string_view query, Call& call) {
  SELVAGE_RETURN_IF_ERROR(ReadPath(segments, call));
  SELVAGE_RETURN_IF_ERROR(ReadQuery(query, call));
  SELVAGE_RETURN_IF_ERROR(ReadHeaders(head, call));
  return CheckBody(head, call);
}

Reply RefuseMethod(const RequestHead& head, const std::vector<std::string>& allowed) {
  Reply reply = Refuse(MakeError(absl::StatusCode::kUnimplemented, "method_not_allowed",
                                 fmt::format("{:.20} is not served here", head.method),
                                 "served are " + absl::StrJoin(allowed, ", ")));
  reply.headers.emplace_back("Allow", absl::StrJoin(allowed, ", "));
  return reply;
}

Reply RefusePath(std::string_view path) {
  const bool key_has_slash = path.find("/rows/") != std::string_view::npos;
  return Refuse(MakeError(absl::StatusCode::kNotFound, "unknown_path",
                          fmt::format("nothing is served at {:.200}", path),
                          key_has_slash ? "a / within a key is sent as %2F" : "see /v1/openapi.json"));
}

}  // namespace

const std::string* Call::Find(std::string_view name) const {
  const auto value = values.find(name);
  return value == values.end() ? nullptr : &value->second;
}

std::string Call::Text(std::string_view name) const {
  const std::string* value = Find(name);
  return value == nullptr ? std::string() : *value;
}

std::optional<int64_t> Call::Integer(std::string_view name) const {
  const std::string* value = Find(name);
  int64_t number = 0;
  if (value == nullptr || !absl::SimpleAtoi(*value, &number)) return std::nullopt;
  return number;
}

std::variant<Call, Reply> BeginCall(const RequestHead& head) {
  const Target target = SplitTarget(head.target);
  std::vector<std::string> segments;
  for (const std::string_view segment : Segments(target.path)) {
    auto decoded = PercentDecode(segment, false);
    if (!decoded) return Refuse(BadRequest("invalid_path", "the path has a broken %-sequence"));
    segments.push_back(*std::move(decoded));
  }
  std::vector<std::string> allowed;
  Call call;
  for (const Route& route : Routes()) {
    if (!PathMatches(route, segments)) continue;
    allowed.emplace_back(route.method);
    if (route.has_head()) allowed.emplace_back("HEAD");
    call.head = route.has_head() && head.method == "HEAD";
    if (call.head || route.method == head.method) {
      call.route = &route;
      break;
    }
  }
  if (allowed.empty()) return RefusePath(target.path);
  if (call.route == nullptr) return RefuseMethod(head, allowed);
  const absl::Status read = ReadCall(head, segments, target.query, call);
  if (read.ok()) return call;
  Reply refusal = Refuse(read);
  if (refusal.status == 415 && head.method == "PATCH") {
    std::string types = MediaTypes(*call.route);
    refusal.headers.emplace_back("Accept-Patch", absl::StrJoin(absl::StrSplit(types, " or "), ", "));
  }
  return refusal;
}

absl::Status BodyTooLarge(size_t max) {
  return BadRequest("body_too_large", fmt::format("the body is larger than {} bytes", max));
}

std::optional<std::string> PercentDecode(std::string_view text, bool in_query) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && in_query) {
      decoded.push_back(' ');
    } else if (text[i] == '%') {
      uint8_t byte = 0;
      const auto digits = text.substr(i + 1, 2);
      const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
      if (digits.size() != 2 || read.ec != std::errc() || read.ptr != digits.data() + 2) return std::nullopt;
      decoded.push_back(static_cast<char>(byte));
      i += 2;
    } else {
      decoded.push_back(text[i]);
    }
  }
  return decoded;
}

std::string PercentEncode(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("-._~", c)) {
      encoded.push_back(c);
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

}  // namespace selvage::api
