#include "fabric/telemetry/health.h"

#include "fabric/base/error.h"
#include "fabric/telemetry/text_escape.h"

namespace selvage {
namespace {

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  internal::AppendJsonEscaped(out, text);
  return out + '"';
}

HttpReply JsonReply(bool good, std::string body) {
  return {.status = good ? 200u : 503u, .content_type = "application/json", .body = std::move(body) + "\n"};
}

}  // namespace

void Health::SetNotReady(std::string_view part, std::string_view reason) {
  absl::MutexLock lock(&mutex_);
  waiting_.insert_or_assign(std::string(part), std::string(reason));
}

void Health::SetReady(std::string_view part) {
  absl::MutexLock lock(&mutex_);
  if (auto at = waiting_.find(part); at != waiting_.end()) waiting_.erase(at);
}

void Health::SetFailed(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (failure_.ok()) failure_ = status;
}

HttpReply Health::Live() const {
  absl::MutexLock lock(&mutex_);
  if (failure_.ok()) return JsonReply(true, R"({"live":true})");
  return JsonReply(false, R"({"live":false,"reason":)" + Quoted(Describe(failure_)) + "}");
}

HttpReply Health::Ready() const {
  absl::MutexLock lock(&mutex_);
  std::string reasons;
  const auto add = [&](std::string_view part, std::string_view reason) {
    if (!reasons.empty()) reasons += ',';
    reasons += R"({"part":)" + Quoted(part) + R"(,"reason":)" + Quoted(reason) + "}";
  };
  if (!failure_.ok()) add("process", Describe(failure_));
  for (const auto& [part, reason] : waiting_) add(part, reason);
  const bool ready = reasons.empty();
  return JsonReply(
      ready, std::string(R"({"ready":)") + (ready ? "true" : "false") + R"(,"reasons":[)" + reasons + "]}");
}

}  // namespace selvage
