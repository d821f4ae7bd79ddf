#include "fabric/transport/library_log.h"

#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>

#include <cstring>
#include <string>

#include "fabric/base/clock.h"
#include "fabric/telemetry/log.h"
#include "fabric/telemetry/log_limit.h"

namespace selvage {
namespace {

std::string Place(const char* file, int line) {
  const char* slash = std::strrchr(file, '/');
  return fmt::format("{}:{}", slash == nullptr ? file : slash + 1, line);
}

/// Each has its limit. None is ever destroyed: threads of the libraries may outlive static objects.
LogLimit& GrpcLines() {
  static LogLimit& limit = *new LogLimit;
  return limit;
}

LogLimit& ProtobufLines() {
  static LogLimit& limit = *new LogLimit;
  return limit;
}

LogLimit& RefusedPeers() {
  static LogLimit& limit = *new LogLimit;
  return limit;
}

void OnGrpcLine(gpr_log_func_args* said) {
  // What gRPC calls an error ends one connection or call, not this process.
  const LogLevel level = said->severity == GPR_LOG_SEVERITY_ERROR  ? LogLevel::kWarning
                         : said->severity == GPR_LOG_SEVERITY_INFO ? LogLevel::kInfo
                                                                   : LogLevel::kDebug;
  if (const auto line = GrpcLines().Admit(SystemClock().Monotonic())) {
    line->Write(level, "gRPC says", {{"text", said->message}, {"at", Place(said->file, said->line)}});
  }
}

void OnProtobufLine(google::protobuf::LogLevel severity, const char* file, int line_number,
                    const std::string& text) {
  const LogLevel level = severity >= google::protobuf::LOGLEVEL_FATAL ? LogLevel::kError : LogLevel::kWarning;
  if (const auto line = ProtobufLines().Admit(SystemClock().Monotonic())) {
    line->Write(level, "protobuf says", {{"text", text}, {"at", Place(file, line_number)}});
  }
}

}  // namespace

void LogRefusedPeer(const std::string& claimed, const absl::Status& why) {
  if (const auto line = RefusedPeers().Admit(SystemClock().Monotonic())) {
    line->Write(LogLevel::kWarning, "a TLS connection is refused",
                {{"claims_to_be", claimed.empty() ? "nobody" : claimed}, {"error", why}});
  }
}

void RouteLibraryLogs() {
  gpr_set_log_function(OnGrpcLine);
  google::protobuf::SetLogHandler(OnProtobufLine);
}

}  // namespace selvage
