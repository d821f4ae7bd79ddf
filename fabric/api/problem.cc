#include "fabric/api/problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "fabric/base/error.h"
#include "fabric/base/utf8.h"
#include "fabric/table/canonical_json.h"

namespace selvage::api {
namespace {

/// Of a problem's detail and hint. Messages may quote what a client sent.
constexpr size_t kTextMax = 4096;
constexpr std::string_view kRetryAfterSeconds = "1";

/// Kinds whose status is not the one of their code.
const std::map<std::string, int, std::less<>>& StatusOfKind() {
  static const auto* statuses = new std::map<std::string, int, std::less<>>{
      {"method_not_allowed", 405},
      {"request_timeout", 408},
      // The row as it is does not allow what the request, which is a good one, asks for.
      {"not_a_number", 409},
      {"counter_out_of_range", 409},
      {"position_expired", 410},
      {"row_exists", 412},
      {"row_absent", 412},
      {"version_mismatch", 412},
      {"body_too_large", 413},
      {"row_too_large", 413},
      {"batch_too_large", 413},
      {"unsupported_media_type", 415},
      {"header_too_large", 431},
      {"disk_full", 507},
  };
  return *statuses;
}

int StatusOfCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
      return 409;
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kCancelled:
      return 503;
    default:
      return 500;
  }
}

/// "version_mismatch" as "Version mismatch".
std::string TitleOf(std::string kind) {
  std::replace(kind.begin(), kind.end(), '_', ' ');
  if (!kind.empty() && kind[0] >= 'a' && kind[0] <= 'z') kind[0] = static_cast<char>(kind[0] - 'a' + 'A');
  return kind;
}

void AppendMember(std::string& json, std::string_view name, std::string_view text) {
  json += fmt::format(",\"{}\":", name);
  table::AppendJsonString(json, DocumentText(text, kTextMax));
}

}  // namespace

int HttpStatusOf(const absl::Status& error) {
  const auto known = StatusOfKind().find(ErrorKind(error));
  return known != StatusOfKind().end() ? known->second : StatusOfCode(error.code());
}

std::string ProblemJson(const absl::Status& error) {
  const std::string kind = ErrorKind(error);
  std::string json = fmt::format("{{\"status\":{}", HttpStatusOf(error));
  AppendMember(json, "type", "urn:selvage:problem:" + kind);
  AppendMember(json, "title", TitleOf(kind));
  AppendMember(json, "detail", {error.message().data(), error.message().size()});
  AppendMember(json, "kind", kind);
  AppendMember(json, "hint", ErrorHint(error));
  json += IsRetryable(error) ? ",\"retryable\":true}" : ",\"retryable\":false}";
  return json;
}

Reply Refuse(const absl::Status& error) {
  Reply reply{.status = HttpStatusOf(error), .body = ProblemJson(error) + "\n", .error = error};
  reply.headers.emplace_back("Content-Type", kProblemType);
  if (reply.status == 503) reply.headers.emplace_back("Retry-After", kRetryAfterSeconds);
  return reply;
}

}  // namespace selvage::api
