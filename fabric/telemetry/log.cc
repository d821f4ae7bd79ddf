#include "fabric/telemetry/log.h"

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <atomic>
#include <cmath>
#include <memory>

#include "fabric/base/error.h"
#include "fabric/telemetry/text_escape.h"

namespace selvage {
namespace {

constexpr char kTime[] = "%Y-%m-%dT%H:%M:%S.%eZ";

spdlog::level::level_enum SpdlogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

class Log {
 public:
  Log() : logger_("selvage", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    // A line that cannot be written (a closed pipe, a full disk) is lost; there is nowhere to say so.
    logger_.set_error_handler([](const std::string&) {});
    Configure({});
  }

  void Configure(const LogOptions& options) {
    format_.store(options.format);
    const std::string pattern = options.format == LogFormat::kJson
                                    ? fmt::format("{{\"time\":\"{}\",\"level\":\"%l\",%v}}", kTime)
                                    : fmt::format("{} %l %v", kTime);
    logger_.set_formatter(
        std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc));
    logger_.set_level(SpdlogLevel(options.level));
  }

  void Write(LogLevel level, std::string_view message, std::span<const LogField> fields) noexcept {
    const auto spdlog_level = SpdlogLevel(level);
    if (!logger_.should_log(spdlog_level)) return;
    try {
      const std::string line =
          format_.load() == LogFormat::kJson ? JsonLine(message, fields) : TextLine(message, fields);
      logger_.log(spdlog_level, spdlog::string_view_t(line.data(), line.size()));
    } catch (...) {  // out of memory: the event is lost, the program goes on
    }
  }

 private:
  static std::string TextLine(std::string_view message, std::span<const LogField> fields) {
    std::string line;
    internal::AppendTextEscaped(line, message, false);
    for (const LogField& field : fields) {
      line += ' ';
      line += field.key();
      line += '=';
      const bool quotes = field.is_text() && internal::NeedsQuotes(field.value());
      if (quotes) line += '"';
      internal::AppendTextEscaped(line, field.value(), quotes);
      if (quotes) line += '"';
    }
    return line;
  }

  /// Everything after the level, without the closing brace.
  static std::string JsonLine(std::string_view message, std::span<const LogField> fields) {
    std::string line = "\"message\":\"";
    internal::AppendJsonEscaped(line, message);
    line += '"';
    for (const LogField& field : fields) {
      line += ",\"";
      internal::AppendJsonEscaped(line, field.key());
      line += "\":";
      if (field.is_text()) line += '"';
      internal::AppendJsonEscaped(line, field.value());
      if (field.is_text()) line += '"';
    }
    return line;
  }

  spdlog::logger logger_;
  std::atomic<LogFormat> format_{LogFormat::kText};
};

/// Never destroyed: static destructors and detached threads may still log at exit.
Log& TheLog() {
  static Log& log = *new Log;
  return log;
}

}  // namespace

std::optional<LogLevel> ParseLogLevel(std::string_view word) {
  if (word == "debug") return LogLevel::kDebug;
  if (word == "info") return LogLevel::kInfo;
  if (word == "warning") return LogLevel::kWarning;
  if (word == "error") return LogLevel::kError;
  return std::nullopt;
}

std::optional<LogFormat> ParseLogFormat(std::string_view word) {
  if (word == "text") return LogFormat::kText;
  if (word == "json") return LogFormat::kJson;
  return std::nullopt;
}

// JSON has no number for infinity and NaN.
LogField::LogField(std::string_view key, double value)
    : LogField(key, fmt::format("{}", value), !std::isfinite(value)) {}

LogField::LogField(std::string_view key, const absl::Status& status)
    : LogField(key, Describe(status), true) {}

void ConfigureLog(const LogOptions& options) {
  TheLog().Configure(options);
}

void WriteLog(LogLevel level, std::string_view message, LogFields fields) noexcept {
  WriteLogFields(level, message, {fields.begin(), fields.size()});
}
void WriteLogFields(LogLevel level, std::string_view message, std::span<const LogField> fields) noexcept {
  TheLog().Write(level, message, fields);
}
void LogDebug(std::string_view message, LogFields fields) noexcept {
  WriteLog(LogLevel::kDebug, message, fields);
}
void LogInfo(std::string_view message, LogFields fields) noexcept {
  WriteLog(LogLevel::kInfo, message, fields);
}
void LogWarning(std::string_view message, LogFields fields) noexcept {
  WriteLog(LogLevel::kWarning, message, fields);
}
void LogError(std::string_view message, LogFields fields) noexcept {
  WriteLog(LogLevel::kError, message, fields);
}

}  // namespace selvage
