#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

/// Amounts as people read them. What people write is parsed by fabric/config/value.h.
namespace selvage::ctl {

/// An RFC 3339 time ("2026-03-01T12:00:00Z") or milliseconds since 1970. Error: "bad_value".
absl::StatusOr<int64_t> ParseTimestampMs(std::string_view text);

/// "812 B", "1.5 MiB".
std::string HumanBytes(double bytes);
/// "812 B/s", "1.5 MiB/s".
std::string HumanRate(double bytes_per_second);
/// As links are sold, from bytes per second: "64 kbit/s", "1.5 Mbit/s".
std::string HumanBitRate(double bytes_per_second);
/// "0.25s", "12s", "3m 20s", "5h 10m", "2d 3h", "7d"; "-" when negative or not finite, which stands for
/// unknown.
std::string HumanSeconds(double seconds);
/// "2026-03-01 12:00:00Z"; "-" for 0.
std::string HumanTimeMs(int64_t ms);

}  // namespace selvage::ctl
