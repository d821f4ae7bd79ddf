#include "fabric/base/error.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"

namespace selvage {
namespace {

constexpr char kKindUrl[] = "selvage/kind";
constexpr char kHintUrl[] = "selvage/hint";
constexpr char kRetryUrl[] = "selvage/retry";

std::string Payload(const absl::Status& status, const char* url) {
  auto payload = status.GetPayload(url);
  return payload ? std::string(*payload) : std::string();
}

std::string MessageOf(const absl::Status& status) {
  return std::string(status.message().data(), status.message().size());
}

}  // namespace

absl::Status MakeError(absl::StatusCode code, std::string_view kind, std::string_view message,
                       std::string_view hint, Retry retry) {
  absl::Status status(code, absl::string_view(message.data(), message.size()));
  status.SetPayload(kKindUrl, absl::Cord(std::string(kind)));
  if (!hint.empty()) status.SetPayload(kHintUrl, absl::Cord(std::string(hint)));
  status.SetPayload(kRetryUrl, absl::Cord(retry == Retry::kYes ? "yes" : "no"));
  return status;
}

bool IsErrorKind(std::string_view word) {
  return !word.empty() && word.size() <= 64 && std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

std::string ErrorKind(const absl::Status& status) {
  if (status.ok()) return {};
  std::string kind = Payload(status, kKindUrl);
  return kind.empty() ? absl::AsciiStrToLower(absl::StatusCodeToString(status.code())) : kind;
}

std::string ErrorHint(const absl::Status& status) {
  return Payload(status, kHintUrl);
}

bool IsRetryable(const absl::Status& status) {
  std::string retry = Payload(status, kRetryUrl);
  return retry.empty() ? status.code() == absl::StatusCode::kUnavailable : retry == "yes";
}

std::string Describe(const absl::Status& status) {
  if (status.ok()) return "ok";
  std::string hint = ErrorHint(status);
  return fmt::format("{}{}{}; {}", MessageOf(status), hint.empty() ? "" : "; ", hint,
                     IsRetryable(status) ? "a retry helps" : "a retry does not help");
}

absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  return MakeError(status.code(), ErrorKind(status), fmt::format("{}: {}", context, MessageOf(status)),
                   ErrorHint(status), IsRetryable(status) ? Retry::kYes : Retry::kNo);
}

}  // namespace selvage
