#pragma once

#include <concepts>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "fabric/base/id128.h"
#include "fabric/base/ids.h"

/// Structured logs on standard error: a message that is the same for every event of its kind, and key=value
/// fields for what differs. One line for each event, whatever the text in it. Safe from any thread; never
/// throws.
namespace selvage {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat {
  kText,  ///< 2018-03-01T12:00:00.000Z info link up edge=rig-7 address=10.0.0.1:7443
  kJson,  ///< {"time":"2018-03-01T12:00:00.000Z","level":"info","message":"link up","edge":"rig-7",...}
};

struct LogOptions {
  LogLevel level = LogLevel::kInfo;  ///< the least that is written
  LogFormat format = LogFormat::kText;
};

/// From "debug", "info", "warning" or "error"; nothing for any other word.
std::optional<LogLevel> ParseLogLevel(std::string_view word);
/// From "text" or "json"; nothing for any other word.
std::optional<LogFormat> ParseLogFormat(std::string_view word);

/// One key=value pair. Keys are snake_case words of our own; the values may be anything.
class LogField {
 public:
  LogField(std::string_view key, std::string_view value) : LogField(key, std::string(value), true) {}
  LogField(std::string_view key, const std::string& value) : LogField(key, value, true) {}
  LogField(std::string_view key, const char* value) : LogField(key, std::string(value), true) {}
  LogField(std::string_view key, bool value) : LogField(key, value ? "true" : "false", false) {}
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  LogField(std::string_view key, T value) : LogField(key, std::to_string(value), false) {}
  LogField(std::string_view key, double value);
  template <class Tag, class Rep>
  LogField(std::string_view key, StrongInt<Tag, Rep> value)
      : LogField(key, std::to_string(value.value()), false) {}
  template <class Tag>
  LogField(std::string_view key, const Id128<Tag>& value) : LogField(key, value.hex(), true) {}
  /// Message, hint and whether a retry helps, as Describe gives them.
  LogField(std::string_view key, const absl::Status& status);

  std::string_view key() const { return key_; }
  const std::string& value() const { return value_; }
  bool is_text() const { return is_text_; }  ///< false: a number or a bool, bare in JSON

 private:
  LogField(std::string_view key, std::string value, bool is_text)
      : key_(key), value_(std::move(value)), is_text_(is_text) {}

  std::string key_;
  std::string value_;
  bool is_text_;
};

using LogFields = std::initializer_list<LogField>;

/// Sets level and format from here on; before the first call they are those of LogOptions{}.
void ConfigureLog(const LogOptions& options);

void WriteLog(LogLevel level, std::string_view message, LogFields fields = {}) noexcept;
/// The same for fields that are put together when the event happens.
void WriteLogFields(LogLevel level, std::string_view message, std::span<const LogField> fields) noexcept;
void LogDebug(std::string_view message, LogFields fields = {}) noexcept;
void LogInfo(std::string_view message, LogFields fields = {}) noexcept;
void LogWarning(std::string_view message, LogFields fields = {}) noexcept;
void LogError(std::string_view message, LogFields fields = {}) noexcept;

}  // namespace selvage
