#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "ctl/client.h"
#include "fabric/stream/record_batch.h"
#include "selvage/v1/admin.pb.h"

namespace selvage::ctl {

/// Where reading begins.
struct TailFrom {
  enum class Kind { kStart, kEnd, kOffset, kTimestamp };
  Kind kind = Kind::kEnd;
  int64_t value = 0;  ///< offset, or milliseconds since 1970
};

/// Offsets [from, to) of one log that have no record to show.
struct MissingRange {
  int64_t from = 0;
  int64_t to = 0;
  std::string reason;  ///< of the gap entry; "expired" when the log begins later than where reading had come
};

/// Reads several logs of one node with one long poll each, in order within a log. Survives broken connections
/// when it follows. Run and the callbacks are on one thread.
class LogFollower {
 public:
  struct Options {
    std::vector<v1::LogAddress> logs;
    TailFrom from;
    bool follow = true;                      ///< false: each log until the end it had at the first answer
    int64_t max_records = -1;                ///< -1: no limit
    absl::Duration poll = absl::Seconds(5);  ///< how long the node may hold an answer back
    std::function<void(const v1::LogAddress&, const Record&)> record;
    std::function<void(const v1::LogAddress&, const MissingRange&)> missing;
    /// Stored, but not to be shown here: a batch of another codec, or a damaged one.
    std::function<void(const v1::LogAddress&, int64_t from, int64_t to, const absl::Status&)> unreadable;
    std::function<void()> flush;                      ///< after the entries of one answer
    std::function<void(const absl::Status&)> broken;  ///< the connection; it is tried again
    std::function<bool()> interrupted;
  };

  /// `client` must outlive it.
  LogFollower(const Client& client, Options options);
  ~LogFollower();

  /// Until max_records, the ends (without follow), an interruption, or an error that trying again does not
  /// mend.
  absl::Status Run();

 private:
  struct LogReader;
  class Fetch;

  absl::Status Position(LogReader& reader);
  absl::Status Handle(LogReader& reader);
  absl::Status HandleError(LogReader& reader, const absl::Status& error);
  void Show(LogReader& reader, const v1::FetchedEntry& entry);
  void ShowBatch(LogReader& reader, const v1::FetchedEntry& entry);
  void ShowMissing(LogReader& reader, int64_t to, const std::string& reason);
  void StartDue();
  bool Done() const;
  std::optional<size_t> NextFinished();

  const Client& client_;
  const Options options_;
  std::vector<std::unique_ptr<LogReader>> readers_;
  int64_t shown_ = 0;

  absl::Mutex mutex_;
  std::deque<size_t> finished_ ABSL_GUARDED_BY(mutex_);  // readers whose fetch has come back
};

}  // namespace selvage::ctl
