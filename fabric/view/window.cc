#include "fabric/view/window.h"

#include <fmt/format.h>

#include <chrono>

#include "fabric/base/canary.h"

namespace selvage::view {
namespace {

using std::chrono::milliseconds;
using std::chrono::sys_time;

constexpr int64_t StartOfYear(int year) {
  return sys_time<milliseconds>(std::chrono::sys_days(std::chrono::year(year) / 1 / 1))
      .time_since_epoch()
      .count();
}
constexpr int64_t kTimesFrom = StartOfYear(0);
constexpr int64_t kTimesTo = StartOfYear(10'000);
constexpr int64_t kNoTimestamp = -1;

}  // namespace

std::optional<Window> WindowOf(int64_t timestamp_ms, int64_t length_ms) {
  if (timestamp_ms == kNoTimestamp || timestamp_ms < kTimesFrom || timestamp_ms >= kTimesTo) {
    return std::nullopt;
  }
  // Towards the past, also before 1970.
  const int64_t into = timestamp_ms % length_ms;
  const int64_t start = timestamp_ms - into - (into < 0 ? length_ms : 0);
  if (start < kTimesFrom || start > kTimesTo - length_ms) return std::nullopt;
  return Window{start, start + length_ms};
}

std::string WindowText(const Window& window) {
  const sys_time<milliseconds> time{milliseconds(window.start_ms)};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

bool IsLate(const Window& window, std::optional<int64_t> watermark_ms, int64_t lateness_ms) {
  // A window's end lies within 10,000 years, and lateness within ten: no overflow.
  if (Planted(Canary::kCloseWindowEarly)) lateness_ms = 0;
  return watermark_ms && window.end_ms + lateness_ms <= *watermark_ms;
}

}  // namespace selvage::view
