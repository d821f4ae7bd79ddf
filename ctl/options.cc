#include "ctl/options.h"

#include <fmt/format.h>

#include <utility>

#include "absl/strings/numbers.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

absl::Status BadValue(const std::string& message) {
  return MakeError(absl::StatusCode::kInvalidArgument, "bad_value", message);
}

/// `good` of the number that the text is; a text that is none is left to CLI11, which says so.
CLI::Validator NumberCheck(std::function<bool(double)> good, const std::string& bound) {
  CLI::Validator check;
  check.operation([good = std::move(good), bound](std::string& text) {
    double number = 0;
    if (!absl::SimpleAtod(text, &number) || good(number)) return std::string();
    return text + " " + bound;
  });
  return check;
}

}  // namespace

CLI::Validator AtLeast(int64_t least) {
  return NumberCheck([least](double number) { return number >= static_cast<double>(least); },
                     fmt::format("is less than {}, the least that is allowed", least));
}

CLI::Validator MoreThanZero() {
  return NumberCheck([](double number) { return number > 0; }, "is not more than 0");
}

absl::StatusOr<absl::Duration> ParsePositiveDuration(std::string_view text) {
  SELVAGE_ASSIGN_OR_RETURN(absl::Duration duration, ParseDuration(text));
  if (duration == absl::ZeroDuration()) return BadValue("must be more than 0");
  return duration;
}

absl::StatusOr<absl::Duration> ParseDurationOrNone(std::string_view text) {
  return text == "none" ? absl::ZeroDuration() : ParseDuration(text);
}

absl::StatusOr<uint64_t> ParseSizeOrNone(std::string_view text) {
  return text == "none" ? uint64_t{0} : ParseSize(text);
}

absl::StatusOr<uint64_t> ParseRateOrNone(std::string_view text) {
  return text == "none" ? uint64_t{0} : ParseRate(text);
}

absl::StatusOr<uint64_t> ParsePositiveSize(std::string_view text) {
  SELVAGE_ASSIGN_OR_RETURN(uint64_t size, ParseSize(text));
  if (size == 0) return BadValue("must be more than 0");
  return size;
}

absl::StatusOr<std::pair<std::string, std::string>> ParseLabel(std::string_view text) {
  size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    return BadValue(QuoteValue(text) + " is not a label: write key=value");
  }
  return std::pair(std::string(text.substr(0, equals)), std::string(text.substr(equals + 1)));
}

absl::StatusOr<LabelChanges> ParseLabelChanges(const std::vector<std::string>& texts) {
  LabelChanges changes;
  for (const std::string& text : texts) {
    if (text.find('=') == std::string::npos && text.size() > 1 && text.back() == '-') {
      changes.remove.push_back(text.substr(0, text.size() - 1));
      continue;
    }
    absl::StatusOr<std::pair<std::string, std::string>> label = ParseLabel(text);
    if (!label.ok())
      return BadValue(QuoteValue(text) + " is not a label: write key=value, or key- to remove it");
    changes.set.insert_or_assign(label->first, label->second);
  }
  return changes;
}

}  // namespace selvage::ctl
