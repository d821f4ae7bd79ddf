#include "fabric/telemetry/log_limit.h"

#include <utility>
#include <vector>

namespace selvage {
namespace {

constexpr absl::Duration kWhile = absl::Seconds(10);
constexpr int kSaid = 5;

}  // namespace

void LogLimit::Line::Write(LogLevel level, std::string_view message, LogFields fields) const {
  std::vector<LogField> all(fields);
  if (unsaid_ > 0) all.emplace_back("unsaid", unsaid_);
  WriteLogFields(level, message, all);
}

std::optional<LogLimit::Line> LogLimit::Admit(absl::Duration now) {
  absl::MutexLock lock(&mutex_);
  if (now - began_ >= kWhile) {
    began_ = now;
    said_ = 0;
  }
  if (said_ >= kSaid) {
    ++unsaid_;
    return std::nullopt;
  }
  ++said_;
  return Line(std::exchange(unsaid_, 0));
}

}  // namespace selvage
