#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fabric/base/clock.h"
#include "fabric/storage/kv_store.h"
#include "fabric/stream/disk_budget.h"
#include "fabric/stream/embedded_log_store.h"
#include "fabric/stream/log_compaction.h"
#include "fabric/stream/log_schedule.h"
#include "fabric/stream/retention.h"
#include "fabric/stream/stream_catalog.h"

namespace selvage {

/// What keeps a node's logs within their limits: retention, measuring the disk, giving space back. It has no
/// thread of its own; a daemon calls RunOnce every few seconds, MaybeReclaim on another thread, since that
/// may take long, and hands MakeRoom to EmbeddedLogStore::set_make_room. The methods may run at the same
/// time, but none on the committer's thread.
class Maintenance {
 public:
  /// Whether a log is replicated from here, so that what is not acknowledged must not be forgotten.
  using ReplicatedFromHere = std::function<bool(const LogOrigin&, const v1::StreamDefinition&)>;

  /// All must outlive this.
  Maintenance(KvStore& store, EmbeddedLogStore& logs, StreamCatalog& catalog, DiskBudget& budget,
              Clock& clock, AgeClock& ages, ReplicatedFromHere replicated_from_here);

  /// Trims logs as their streams say, forgets idle producers, stores acknowledgements, measures the disk. A
  /// log that cannot be trimmed does not stop the others: the first error is returned at the end. Held logs
  /// are left alone. Looks only at logs that changed and at those of which something is due, so that it costs
  /// nothing while nobody writes.
  absl::Status RunOnce();

  /// Files beside the store count as the store's do: `bytes` says how many they hold; an empty one ends that,
  /// and no call is under way when this returns.
  void CountBeside(std::function<uint64_t()> bytes);

  /// Gives trimmed and deleted ranges back to the file system when that is worth it: much was trimmed since
  /// the last time, or the disk is out of room.
  absl::Status MaybeReclaim();

  /// Compacts the streams that say so, some of it at each call. May take seconds; call it where MaybeReclaim
  /// is called.
  absl::Status Compact();

  /// For streams with on_full drop_oldest: drops the oldest entries of the log, as a gap where they were not
  /// acknowledged, so that `bytes` may be written from the reserve, to which they are admitted. Nothing is
  /// dropped where an earlier write dropped enough and did not come to be. Nothing is returned when nothing
  /// could be dropped, or when the reserve is used up and what was dropped before has yet to be reclaimed.
  std::optional<DiskCharge> MakeRoom(EmbeddedLog& log, size_t bytes);

 private:
  struct Range {
    LogNumber log;
    Offset to;
    uint64_t trimmed_bytes;  ///< as of now, since the log began
  };

  /// The first entry of a log that did not reach a limit when it was looked for: where it begins, the limit
  /// and what the limit is held against, which never decreases along a log.
  struct FirstKept {
    Offset from;
    int64_t limit = 0;
    int64_t value = 0;
  };
  /// What the last look at a log found.
  struct Look {
    std::optional<FirstKept> by_age;
    std::optional<FirstKept> by_bytes;
  };

  std::map<LogNumber, std::shared_ptr<EmbeddedLog>> LogsToLookAt();
  absl::Status LookAt(EmbeddedLog& log);
  absl::Status TrimLog(EmbeddedLog& log, const v1::StreamDefinition& definition, Look& look);
  absl::StatusOr<Offset> ExpiredTo(EmbeddedLog& log, const v1::StreamSettings& settings,
                                   const RetentionView& view, Look& look);
  absl::StatusOr<Offset> FindFirstKept(EmbeddedLog& log, const RetentionView& view, int64_t limit,
                                       const std::function<int64_t(const Entry&)>& value,
                                       std::optional<FirstKept>& known);
  RetentionView ViewOf(const EmbeddedLog& log, const v1::StreamDefinition& definition) const;
  absl::StatusOr<uint64_t> DropOldest(EmbeddedLog& log, const v1::StreamDefinition& definition,
                                      uint64_t bytes);
  absl::Status Measure();
  uint64_t BytesToReclaim() ABSL_LOCKS_EXCLUDED(mutex_);
  void CountTrimmed(LogNumber log, uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Compacts some of one log; true when there is more to do.
  absl::StatusOr<bool> CompactLog(LogNumber number, size_t& bytes_left);
  bool WorthReclaiming(uint64_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<Range> TakeRanges();

  KvStore& store_;
  EmbeddedLogStore& logs_;
  StreamCatalog& catalog_;
  DiskBudget& budget_;
  Clock& clock_;
  AgeClock& ages_;
  const ReplicatedFromHere replicated_from_here_;

  // For RunOnce alone.
  LogSchedule schedule_;
  std::map<LogNumber, Look> looks_;
  uint64_t changes_seen_ = 0;
  uint64_t catalog_seen_ = 0;
  uint64_t logs_seen_ = 0;  // EmbeddedLogStore::changes

  // For Compact alone: one log at a time, since what is known of its keys takes memory.
  std::unique_ptr<LogCompaction> compaction_;
  LogNumber compacting_;
  std::set<LogNumber> to_compact_;  // logs that changed, and those with more to do
  uint64_t compact_changes_seen_ = 0;
  uint64_t compact_catalog_seen_ = 0;

  absl::Mutex room_mutex_;  // one writer makes room at a time; taken before mutex_

  absl::Mutex mutex_;
  /// Bytes trimmed of each log that were reclaimed. Empty after a start: what was trimmed before is reclaimed
  /// again.
  std::map<LogNumber, uint64_t> reclaimed_ ABSL_GUARDED_BY(mutex_);
  std::map<LogNumber, uint64_t> trimmed_ ABSL_GUARDED_BY(mutex_);  // bytes since then, where there are any
  uint64_t trimmed_bytes_ ABSL_GUARDED_BY(mutex_) = 0;             // of all of them
  uint64_t trims_seen_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<LogNumber, uint64_t> deleted_ ABSL_GUARDED_BY(mutex_);    // whole logs, with their bytes
  std::map<LogNumber, uint64_t> compacted_ ABSL_GUARDED_BY(mutex_);  // bytes that compaction freed since
  bool dropped_ ABSL_GUARDED_BY(mutex_) = false;  // room was made by dropping, and not reclaimed yet
  absl::Duration next_reclaim_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
  absl::Mutex beside_mutex_;
  std::function<uint64_t()> beside_ ABSL_GUARDED_BY(beside_mutex_);
};

}  // namespace selvage
