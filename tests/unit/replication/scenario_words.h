#pragma once

#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace selvage::replication::test {

/// What is wrong with a scenario.
absl::Status WrongScenario(std::string_view what);

template <class Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}
absl::StatusOr<absl::Duration> ParseTime(std::string_view text);

/// The words of one command line.
class ScenarioWords {
 public:
  /// Splits at spaces; words of the form key=value are options.
  explicit ScenarioWords(std::string_view line);

  const std::string& command() const { return command_; }
  bool more() const { return next_ < words_.size(); }
  absl::StatusOr<std::string> Next(std::string_view what);
  absl::StatusOr<int64_t> NextNumber(std::string_view what);
  absl::StatusOr<absl::Duration> NextTime(std::string_view what);
  /// The value of an option that the command knows.
  std::optional<std::string> Option(const std::string& key);
  absl::StatusOr<int64_t> NumberOption(const std::string& key, int64_t otherwise);
  /// Error when a word or an option was left over.
  absl::Status Done() const;

 private:
  std::string command_;
  std::vector<std::string> words_;
  size_t next_ = 0;
  std::map<std::string, std::string> options_;
};

}  // namespace selvage::replication::test
