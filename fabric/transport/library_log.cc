#include "fabric/transport/library_log.h"

#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>

#include <cstring>
#include <string>

#include "fabric/telemetry/log_throttle.h"

namespace selvage {
namespace {

std::string Place(const char* file, int line) {
  const char* slash = std::strrchr(file, '/');
  return fmt::format("{}:{}", slash == nullptr ? file : slash + 1, line);
}

void OnGrpcLine(gpr_log_func_args* line) {
  static LogThrottle& throttle = *new LogThrottle;  // threads of gRPC may outlive static objects
  // What gRPC calls an error ends one connection or call, not this process.
  const LogLevel level = line->severity == GPR_LOG_SEVERITY_ERROR  ? LogLevel::kWarning
                         : line->severity == GPR_LOG_SEVERITY_INFO ? LogLevel::kInfo
                                                                   : LogLevel::kDebug;
  throttle.Log(level, "gRPC says", {{"text", line->message}, {"at", Place(line->file, line->line)}});
}

void OnProtobufLine(google::protobuf::LogLevel severity, const char* file, int line,
                    const std::string& text) {
  static LogThrottle& throttle = *new LogThrottle;
  const LogLevel level = severity >= google::protobuf::LOGLEVEL_FATAL ? LogLevel::kError : LogLevel::kWarning;
  throttle.Log(level, "protobuf says", {{"text", text}, {"at", Place(file, line)}});
}

}  // namespace

void LogRefusedPeer(const std::string& claimed, const absl::Status& why) {
  static LogThrottle& throttle = *new LogThrottle;
  throttle.Warning("a TLS connection is refused",
                   {{"claims_to_be", claimed.empty() ? "nobody" : claimed}, {"error", why}});
}

void RouteLibraryLogs() {
  gpr_set_log_function(OnGrpcLine);
  google::protobuf::SetLogHandler(OnProtobufLine);
}

}  // namespace selvage
