#include "ctl/units.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "absl/time/time.h"
#include "fabric/base/error.h"
#include "fabric/config/value.h"

namespace selvage::ctl {
namespace {

std::string TwoUnits(int64_t large, const char* large_unit, int64_t small, const char* small_unit) {
  std::string text = fmt::format("{}{}", large, large_unit);
  return small == 0 ? text : fmt::format("{} {}{}", text, small, small_unit);
}

}  // namespace

absl::StatusOr<int64_t> ParseTimestampMs(std::string_view text) {
  int64_t ms = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (error == std::errc() && end == text.data() + text.size() && ms >= 0) return ms;
  absl::Time time;
  std::string ignored;
  if (absl::ParseTime(absl::RFC3339_full, std::string(text), &time, &ignored))
    return absl::ToUnixMillis(time);
  return MakeError(absl::StatusCode::kInvalidArgument, "bad_value",
                   fmt::format("{} is not a time: write 2026-03-01T12:00:00Z or milliseconds since 1970",
                               QuoteValue(text)));
}

std::string HumanBytes(double bytes) {
  constexpr std::array<const char*, 5> kNames{"B", "KiB", "MiB", "GiB", "TiB"};
  constexpr double kRoundsUp = 1023.95;  // would be shown as 1024.0 of the smaller unit
  size_t unit = 0;
  while (bytes >= kRoundsUp && unit + 1 < kNames.size()) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.1f} {}", bytes, kNames[unit]);
}

std::string HumanRate(double bytes_per_second) {
  return HumanBytes(bytes_per_second) + "/s";
}

std::string HumanBitRate(double bytes_per_second) {
  double kbit = bytes_per_second * 8 / 1000;
  return kbit < 1000 ? fmt::format("{:.4g} kbit/s", kbit) : fmt::format("{:.4g} Mbit/s", kbit / 1000);
}

std::string HumanSeconds(double seconds) {
  constexpr double kShownMax = 1e12;
  if (!(seconds >= 0) || seconds > kShownMax) return "-";
  if (seconds > 0 && seconds < 0.0995) return fmt::format("{:.3g}ms", seconds * 1e3);
  if (seconds < 9.995) return fmt::format("{:.2f}s", seconds);
  int64_t whole = std::llround(seconds);
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return TwoUnits(whole / 60, "m", whole % 60, "s");
  if (whole < 86400) return TwoUnits(whole / 3600, "h", whole % 3600 / 60, "m");
  return TwoUnits(whole / 86400, "d", whole % 86400 / 3600, "h");
}

std::string HumanTimeMs(int64_t ms) {
  if (ms == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%SZ", absl::FromUnixMillis(ms), absl::UTCTimeZone());
}

}  // namespace selvage::ctl
