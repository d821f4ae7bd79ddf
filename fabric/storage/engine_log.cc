#include "fabric/storage/engine_log.h"

#include <cstdio>

#include "fabric/telemetry/log.h"

namespace selvage::internal {

void EngineLog::Logv(const char* format, std::va_list arguments) {
  char line[1024];
  std::vsnprintf(line, sizeof line, format, arguments);
  // Not an error of ours: what the engine could not do is reported by whoever asked for it.
  LogWarning("storage engine", {{"text", line}});
}

void EngineLog::Logv(rocksdb::InfoLogLevel level, const char* format, std::va_list arguments) {
  if (level >= GetInfoLogLevel()) Logv(format, arguments);
}

}  // namespace selvage::internal
