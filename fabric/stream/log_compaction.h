#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "fabric/stream/compactor.h"
#include "fabric/stream/embedded_log.h"
#include "selvage/v1/stream.pb.h"

namespace selvage {

/// Compacts one log in passes, a piece at a time: reads what came since the last pass to learn the newest
/// offset of each key, then rewrites the log from its start up to there. A pass that is cut short begins
/// anew; each piece of it is whole by itself. For use by one thread at a time, not on the committer's.
class LogCompaction {
 public:
  /// The newest part of a log is left as it is: readers at its end see every record.
  static constexpr uint64_t kNewestBytes = 1u << 20;
  /// Keys of one pass; 32 MiB at most. More take several passes.
  static constexpr size_t kKeysMax = 500'000;

  struct Work {
    size_t read = 0;   ///< bytes of bodies
    size_t freed = 0;  ///< of those that are rewritten
  };

  explicit LogCompaction(std::shared_ptr<EmbeddedLog> log, size_t keys_max = kKeysMax)
      : log_(std::move(log)), keys_max_(keys_max) {}

  /// Goes on until about `max_bytes` were read, or there is nothing to do: a pass begins when what came since
  /// the last one is as large as what that left. `now_ms` is of the age clock.
  absl::StatusOr<Work> Run(const v1::StreamSettings& settings, int64_t now_ms, size_t max_bytes);

 private:
  struct Pass {
    explicit Pass(size_t keys_max) : newest(keys_max) {}
    KeyOffsets newest;
    bool learned = false;
    Offset to;                ///< learned, or to be learned, up to here
    uint64_t counted_to = 0;  ///< Entry::log_bytes there
    Offset next;
    Offset tombstones_to;  ///< those before this may go
    uint64_t kept_bytes = 0;
  };

  absl::Status Begin(const v1::StreamSettings& settings, int64_t now_ms);
  absl::StatusOr<Work> Learn();
  absl::StatusOr<Work> Rewrite();
  absl::Status Finish(int64_t now_ms);

  const std::shared_ptr<EmbeddedLog> log_;
  const size_t keys_max_;
  std::unique_ptr<Pass> pass_;
};

}  // namespace selvage
