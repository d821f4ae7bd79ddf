#include "fabric/transport/dial_error.h"

#include <fmt/format.h>

#include <initializer_list>
#include <string_view>

#include "absl/strings/ascii.h"
#include "fabric/base/error.h"

namespace selvage {
namespace {

bool MentionsAny(const std::string& text, std::initializer_list<std::string_view> words) {
  for (std::string_view word : words) {
    if (text.find(word) != std::string::npos) return true;
  }
  return false;
}

absl::Status Unavailable(std::string_view kind, const std::string& message, const std::string& hint) {
  return MakeError(absl::StatusCode::kUnavailable, kind, message, hint, Retry::kYes);
}

absl::Status ExplainTls(const std::string& said, const DialAttempt& attempt, absl::Time now) {
  if (auto own = CheckTlsFiles(attempt.tls, now); !own.ok()) {
    return Unavailable(ErrorKind(own.status()),
                       fmt::format("no link to {} with this certificate: {}", attempt.address,
                                   std::string(own.status().message())),
                       ErrorHint(own.status()));
  }
  return Unavailable(
      "tls_failed", fmt::format("no trust between this node and {}: {}", attempt.address, said),
      fmt::format("both ends need certificates of the same authority; this end trusts {}, and the "
                  "other end must trust {}",
                  attempt.tls.ca, attempt.tls.cert));
}

absl::Status ExplainUnreachable(const std::string& said, const std::string& low, const DialAttempt& attempt) {
  const bool proxied = !attempt.http_proxy.empty();
  const std::string& target = proxied ? attempt.http_proxy : attempt.address;
  if (MentionsAny(low, {"connection refused"})) {
    if (proxied) {
      return Unavailable("proxy_unreachable", fmt::format("nothing listens at the HTTP proxy {}", target),
                         "check link.http_proxy, and that the proxy runs");
    }
    return Unavailable("connection_refused", fmt::format("nothing listens at {}", target),
                       "check the core's address and port, and that the core runs");
  }
  if (MentionsAny(low, {"dns resolution", "name resolution", "hostname", "domain name"})) {
    return Unavailable("name_unresolved", fmt::format("the name in {} does not resolve: {}", target, said),
                       "check the name and this machine's resolver");
  }
  return Unavailable("unreachable", fmt::format("{} cannot be reached: {}", target, said),
                     "check the network, firewalls and the address");
}

}  // namespace

absl::Status ExplainDialError(const absl::Status& status, const DialAttempt& attempt, absl::Time now) {
  const std::string said(status.message());
  const std::string low = absl::AsciiStrToLower(said);
  if (attempt.gave_up_after > absl::ZeroDuration()) {
    auto own = CheckTlsFiles(attempt.tls, now);
    if (!own.ok()) return ExplainTls(said, attempt, now);
    return Unavailable("connect_timeout",
                       fmt::format("{} did not answer within {} s", attempt.address,
                                   absl::ToInt64Seconds(attempt.gave_up_after)),
                       "check the network, firewalls and the address");
  }
  if (MentionsAny(low, {"http proxy returned", "http connect"})) {
    return Unavailable(
        "proxy_refused",
        fmt::format("the HTTP proxy {} opens no tunnel to {}: {}", attempt.http_proxy, attempt.address, said),
        "check that the proxy allows CONNECT to this address, and that the core can be reached from it");
  }
  if (MentionsAny(low, {"handshake", "ssl", "certificate", "verification", "tsi", "socket closed",
                        "connection reset", "broken pipe", "expected the server"})) {
    return ExplainTls(said, attempt, now);
  }
  if (status.code() == absl::StatusCode::kUnavailable || status.code() == absl::StatusCode::kUnknown) {
    return ExplainUnreachable(said, low, attempt);
  }
  return MakeError(status.code(), "link_refused", fmt::format("{} takes no link: {}", attempt.address, said),
                   "", Retry::kYes);
}

}  // namespace selvage
