#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "fabric/node/alarm_book.h"
#include "fabric/stream/log_repair.h"
#include "fabric/stream/log_store.h"

namespace selvage {

/// What becomes of damaged ranges of a node's logs: what nobody else holds becomes a gap at once, what the
/// other end of its flow holds as well waits until a link fetches it (see RepairFlows). Alarms say so:
/// "entry_damaged" for a log of which something waits, "entry_quarantined" for one that lost something. Safe
/// to use from several threads, but not from the committer's.
class DamageControl {
 public:
  /// Where a log is held beside this node.
  struct OtherCopy {
    Offset to;               ///< everything before it
    bool is_source = false;  ///< this node writes the log, so it decides what is lost
    bool several = false;    ///< more than one other node may hold it
  };
  /// Nothing for a log that belongs to no stream any more.
  using FindCopy = std::function<std::optional<OtherCopy>(const Log&)>;

  DamageControl(LogStore& logs, AlarmBook& alarms, FindCopy find_copy)
      : logs_(logs), alarms_(alarms), find_copy_(std::move(find_copy)) {}

  /// Takes up what an earlier start left waiting: logs with an open alarm are read through again, bit by bit.
  /// Resolving "entry_damaged" gives up what waits. Call once, after alarms and logs are open.
  void Open();
  /// Looks at what readers found damaged since, and at what was made whole. About once a second.
  absl::Status RunOnce();

  /// A range that waits for the other copy, of a log with Log::repair.
  struct Wanted {
    std::shared_ptr<Log> log;
    LogDamage damage;
    Offset to;  ///< where the other copy ends, or the range does
  };
  std::vector<Wanted> Waiting();
  /// The peer cannot give what was asked for: nobody holds it any more, or it has to wait.
  void Refused(Log& log, Offset from, const absl::Status& why);
  /// A piece came and is stored.
  void Fetched();

  struct Counts {
    uint64_t found = 0;        ///< damaged ranges
    uint64_t fetched = 0;      ///< pieces that came from the other copy
    uint64_t quarantined = 0;  ///< ranges that became a gap
  };
  Counts counts() const;

 private:
  /// What waits of one log.
  struct Waits {
    std::string subject;  ///< of the alarm
    /// By the end of the range, which stays the same while it is made whole from its beginning: what the peer
    /// said last.
    std::map<Offset, std::string> ranges;
    std::string first;  ///< what is said of the first of them
  };

  /// How far a log with an alarm of an earlier start was read through.
  struct Reading {
    std::string subject;  ///< of the alarm
    Offset next;
  };

  absl::Status LookAt(Log& log);
  /// The logs of which damage is known, or was the last time.
  std::set<LogNumber> LogsToLookAt() ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_);
  void ForgetDeleted();
  absl::Status ReadOn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_);
  absl::StatusOr<bool> ReadOn(Log& log, Offset& next);
  bool IsKnown(const Log& log, const LogDamage& damage);
  void ReportWaiting(const Log& log, const std::vector<LogDamage>& waiting);
  /// One alarm for each subject: an edge's logs in several slots, and the ones they took the place of, have
  /// one name.
  void ReportSubject(const std::string& subject);
  absl::Status Quarantine(Log& log, const LogDamage& damage);
  absl::Status GiveUp(const std::string& subject);

  LogStore& logs_;
  AlarmBook& alarms_;
  const FindCopy find_copy_;

  absl::Mutex run_mutex_;  // one look at a time; taken before mutex_
  std::map<LogNumber, Reading> reading_ ABSL_GUARDED_BY(run_mutex_);  // logs that are read through
  std::set<LogNumber> damaged_ ABSL_GUARDED_BY(run_mutex_);  // logs that had damage when they were looked at
  uint64_t changes_seen_ ABSL_GUARDED_BY(run_mutex_) = 0;
  mutable absl::Mutex mutex_;
  std::map<LogNumber, Waits> waits_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> reported_ ABSL_GUARDED_BY(mutex_);  // texts of alarms, by subject
  Counts counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage
