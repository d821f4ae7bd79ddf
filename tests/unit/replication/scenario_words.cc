#include "tests/unit/replication/scenario_words.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"

namespace selvage::replication::test {

absl::Status WrongScenario(std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "bad_scenario", what);
}

absl::StatusOr<absl::Duration> ParseTime(std::string_view text) {
  absl::Duration time;
  if (!absl::ParseDuration(std::string(text), &time)) {
    return WrongScenario(fmt::format("{} is no time, such as 1.5s", text));
  }
  return time;
}

ScenarioWords::ScenarioWords(std::string_view line) {
  while (!line.empty()) {
    const size_t space = std::min(line.find(' '), line.size());
    const std::string word(line.substr(0, space));
    line.remove_prefix(std::min(space + 1, line.size()));
    const size_t equals = word.find('=');
    if (word.empty()) continue;
    if (command_.empty()) {
      command_ = word;
    } else if (equals == std::string::npos) {
      words_.push_back(word);
    } else {
      options_[word.substr(0, equals)] = word.substr(equals + 1);
    }
  }
}

absl::StatusOr<std::string> ScenarioWords::Next(std::string_view what) {
  if (!more()) return WrongScenario(fmt::format("{}: {} is missing", command_, what));
  return words_[next_++];
}

absl::StatusOr<int64_t> ScenarioWords::NextNumber(std::string_view what) {
  SELVAGE_ASSIGN_OR_RETURN(const std::string word, Next(what));
  const auto number = ParseNumber<int64_t>(word);
  if (!number) return WrongScenario(fmt::format("{}: {} is no number", command_, word));
  return *number;
}

absl::StatusOr<absl::Duration> ScenarioWords::NextTime(std::string_view what) {
  SELVAGE_ASSIGN_OR_RETURN(const std::string word, Next(what));
  return ParseTime(word);
}

std::optional<std::string> ScenarioWords::Option(const std::string& key) {
  const auto option = options_.extract(key);
  return option.empty() ? std::nullopt : std::optional(option.mapped());
}

absl::StatusOr<int64_t> ScenarioWords::NumberOption(const std::string& key, int64_t otherwise) {
  const std::optional<std::string> word = Option(key);
  if (!word) return otherwise;
  const auto number = ParseNumber<int64_t>(*word);
  if (!number) return WrongScenario(fmt::format("{}={} is no number", key, *word));
  return *number;
}

absl::Status ScenarioWords::Done() const {
  if (more()) return WrongScenario(fmt::format("{}: {} is one word too many", command_, words_[next_]));
  if (!options_.empty())
    return WrongScenario(fmt::format("{}: unknown option {}", command_, options_.begin()->first));
  return absl::OkStatus();
}

}  // namespace selvage::replication::test
