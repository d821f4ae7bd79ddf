#pragma once

#include <cstdint>
#include <optional>
#include <string>

/// Windows of one length that follow each other without a gap: each begins at a multiple of its length since
/// 1970 UTC. Times are those of records, in milliseconds.
///
///   windows of an hour, lateness 10 minutes; the newest record of a log is of 13:09:59.999
///     a record of 12:30 is taken into the window of 12:00 to 13:00
///     once the log has come to 13:10 it is late
namespace selvage::view {

struct Window {
  int64_t start_ms = 0;
  int64_t end_ms = 0;  ///< the first time behind it
  bool operator==(const Window&) const = default;
};

/// The window of `length_ms`, above 0, that holds `timestamp_ms`. Nothing for -1, with which Kafka's clients
/// say that a record has no time, and for windows that are not whole within the years 0000 to 9999.
std::optional<Window> WindowOf(int64_t timestamp_ms, int64_t length_ms);

/// Its start, as in "2026-11-30T17:00:00.000Z": the order of the texts is that of the times.
std::string WindowText(const Window& window);

/// True when a log whose newest record is of `watermark_ms` adds nothing to the window any more. Each log has
/// its own: what one edge sends weeks after the others is not late for that.
bool IsLate(const Window& window, std::optional<int64_t> watermark_ms, int64_t lateness_ms);

}  // namespace selvage::view
