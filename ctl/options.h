#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/config/value.h"

/// Options of the command line that are parsed by our own parsers, with their errors. CLI11 reports wrong
/// usage with exceptions; they stay between these functions and Run.
namespace selvage::ctl {

/// `parse` gives the value or an error whose message names what is allowed.
template <class T>
CLI::Option* AddParsed(CLI::App& app, const std::string& name, T& target,
                       absl::StatusOr<T> (*parse)(std::string_view), const std::string& help) {
  return app.add_option_function<std::string>(
      name,
      [name, &target, parse](const std::string& text) {
        absl::StatusOr<T> value = parse(text);
        if (!value.ok()) throw CLI::ValidationError(name, std::string(value.status().message()));
        target = *std::move(value);
      },
      help);
}

/// One word of several.
template <class T>
CLI::Option* AddChoice(CLI::App& app, const std::string& name, T& target,
                       const std::map<std::string, T>& choices, const std::string& help) {
  std::string words;
  for (const auto& [word, value] : choices) words += (words.empty() ? "" : "|") + word;
  return app
      .add_option_function<std::string>(
          name,
          [name, &target, choices, words](const std::string& text) {
            auto found = choices.find(text);
            if (found == choices.end()) {
              throw CLI::ValidationError(name, QuoteValue(text) + " is none of " + words);
            }
            target = found->second;
          },
          help)
      ->type_name(words);
}

/// Checks a number, and names the bound in words: CLI11's own checks without an upper bound print the largest
/// double.
CLI::Validator AtLeast(int64_t least);
CLI::Validator MoreThanZero();

absl::StatusOr<absl::Duration> ParsePositiveDuration(std::string_view text);

/// A duration, a size, a rate, or "none" for no limit (0).
absl::StatusOr<absl::Duration> ParseDurationOrNone(std::string_view text);
absl::StatusOr<uint64_t> ParseSizeOrNone(std::string_view text);
absl::StatusOr<uint64_t> ParseRateOrNone(std::string_view text);

/// A size that is not 0.
absl::StatusOr<uint64_t> ParsePositiveSize(std::string_view text);

/// "key=value".
absl::StatusOr<std::pair<std::string, std::string>> ParseLabel(std::string_view text);

/// "key=value" sets and "key-" removes.
struct LabelChanges {
  std::map<std::string, std::string> set;
  std::vector<std::string> remove;
};
absl::StatusOr<LabelChanges> ParseLabelChanges(const std::vector<std::string>& texts);

}  // namespace selvage::ctl
