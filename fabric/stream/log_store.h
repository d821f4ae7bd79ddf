#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/base/flow_entry.h"
#include "fabric/base/id128.h"
#include "fabric/base/ids.h"
#include "fabric/base/log_position.h"
#include "fabric/stream/log_format.h"
#include "fabric/stream/record_batch.h"
#include "selvage/v1/stream.pb.h"

namespace selvage {

/// Whose partition a log is. `edge` is empty (and `slot` 0) for what this node itself is the source of; for a
/// copy it is the origin edge, and at the core the slot tells apart the stores that the edge had over time.
struct LogOrigin {
  std::string edge;
  Slot slot;
  std::string stream;
  PartitionId partition;

  auto operator<=>(const LogOrigin&) const = default;
};
/// "edge/stream/partition", or "stream/partition" for this node's own.
std::string ToString(const LogOrigin& origin);

/// The synced state of a log: what readers, the sender and acknowledgements may rely on.
struct LogState {
  LogId id;
  Offset base;  ///< where this history began: 0, the fork it was branched at, or the position it adopted
  ChainHash base_hash;
  Offset start;          ///< first offset held
  ChainHash start_hash;  ///< chain hash at `start`
  Offset deleted_to;  ///< records before it were deleted on request; it may lie inside the first entry held
  Offset end;         ///< log end offset; equals the high watermark
  ChainHash hash;     ///< chain hash at `end`
  uint64_t bytes_before_start = 0;
  uint64_t log_bytes = 0;  ///< body bytes since the log began; held are log_bytes - bytes_before_start
  int64_t max_timestamp = -1;
  int64_t append_ms = 0;  ///< when this copy stored the last entry (see Entry)
  std::vector<std::pair<LeaderEpoch, Offset>> leader_epochs;  ///< each with its start, rising

  LeaderEpoch leader_epoch() const {
    return leader_epochs.empty() ? LeaderEpoch(0) : leader_epochs.back().first;
  }
  /// An epoch begins at `at`. Epochs that began behind that are of an end that was lost since.
  void BeginLeaderEpoch(LeaderEpoch epoch, Offset at) {
    ForgetLeaderEpochsBehind(at);
    leader_epochs.emplace_back(epoch, at);
  }
  void ForgetLeaderEpochsBehind(Offset offset) {
    std::erase_if(leader_epochs, [&](const auto& known) { return known.second > offset; });
  }
  /// The epoch in which the entry before `offset` was written, as far as the log remembers.
  LeaderEpoch LeaderEpochBefore(Offset offset) const {
    LeaderEpoch before(0);
    for (const auto& [epoch, began] : leader_epochs) {
      if (began < offset) before = epoch;
    }
    return before;
  }
  /// What readers may ask for begins here (Kafka's log start offset); replication goes by `start`.
  Offset log_start() const { return std::max(start, deleted_to); }
  LogPosition position() const { return {id, end, hash}; }
  uint64_t bytes() const { return log_bytes - bytes_before_start; }
  /// True for a log that never held an entry.
  bool never_written() const { return log_bytes == 0 && start == end && end == base; }
};

/// What a replica's append was authorised by: checked in the committer against the newest fence of that peer.
struct Fence {
  std::string peer;
  SessionEpoch epoch;
};

/// Where a producer's batch lies.
struct Appended {
  Offset base;             ///< of its first record
  LogPosition end;         ///< the log's end then: behind the batch, or further for a duplicate
  bool duplicate = false;  ///< the log had it already; nothing was appended
};

/// Called on the committer's thread after the sync, or with the reason why nothing was written. Must not
/// block.
using ProduceDone = std::function<void(const absl::StatusOr<Appended>& appended)>;

/// Called on the committer's thread after the sync, or with the reason why nothing was written. Must not
/// block.
using AppendDone = std::function<void(const absl::StatusOr<LogPosition>& position_after)>;

class LogRepair;
class WriteBatch;

/// One log: batches and gaps from `start` to `end`. The narrow port behind which a partition is stored. Safe
/// to use from several threads. Only synced entries are visible.
class Log {
 public:
  virtual ~Log() = default;

  virtual LogNumber number() const = 0;
  virtual const LogOrigin& origin() const = 0;
  virtual LogState state() const = 0;
  /// What state() says of it, without a copy of the rest.
  virtual Offset end() const = 0;
  /// This is not the log of its origin any more: another took its place, and it is kept and can be read; or
  /// its stream was deleted.
  virtual bool superseded() const = 0;
  /// Why nothing may be read, written or trimmed here: it recovered less than it acknowledged, or is damaged
  /// at its end, until an operator decides; or its stream was deleted. OK for others.
  virtual absl::Status held() const = 0;

  /// As the source: stamps offset and leader epoch into a batch that passed ValidateProducedBatch and appends
  /// it. A batch of an idempotent producer that is among its last five here is not appended again. Errors at
  /// once: "overloaded", "disk_full" (retry helps; `batch` is as it was), "log_closed", "stopping". Through
  /// `done` also "out_of_order_sequence" when batches of its producer are missing before it,
  /// "unknown_producer" when it is not the first of a producer that is not known here, "stale_producer_epoch"
  /// when a newer instance of the producer has begun. What is refused was charged to nobody, and nothing was
  /// dropped for it that is not used by the next.
  virtual absl::Status Append(std::string&& batch, ProduceDone done) = 0;

  /// As a replica: appends an entry exactly as it is. Refused, with nothing written: "stale_session"
  /// (fenced), "out_of_sequence" (`from` is not the end), "corrupt_batch"/"corrupt_gap", "disk_full".
  virtual absl::Status AppendReplica(FlowEntry entry, Fence fence, AppendDone done) = 0;

  /// As the source: a gap from the end to `to`.
  virtual absl::Status AppendGap(Offset to, GapReason reason, AppendDone done) = 0;

  /// Entries from the one that contains `from`, whole, until `max_bytes` are reached (at least one if there
  /// is any). Empty at the end. Errors: "offset_out_of_range" outside [start, end]; "corrupt_entry"
  /// (kDataLoss) when what is stored there is damaged; a retry helps, since it is fetched again or becomes a
  /// gap. With `from_disk` no cache answers.
  virtual absl::StatusOr<std::vector<Entry>> Read(Offset from, size_t max_bytes, bool from_disk = false) = 0;

  /// The position at the largest entry boundary that is <= `offset` and held, for resume and for finding
  /// forks.
  virtual absl::StatusOr<LogPosition> BoundaryAtOrBefore(Offset offset) = 0;

  /// The first record that readers may ask for with a timestamp of at least `timestamp_ms`; nothing when no
  /// record has. Where a late timestamp was trimmed away it reads on through the log: `cancelled` is asked
  /// now and then. Errors: "corrupt_entry" when it may lie in what is damaged; kCancelled.
  virtual absl::StatusOr<std::optional<RecordTime>> FirstRecordAtOrAfter(
      int64_t timestamp_ms, const std::function<bool()>& cancelled) = 0;
  absl::StatusOr<std::optional<RecordTime>> FirstRecordAtOrAfter(int64_t timestamp_ms) {
    return FirstRecordAtOrAfter(timestamp_ms, [] { return false; });
  }

  /// Hides the records before `to` (at most the end) from readers, and forgets the entries that hold no
  /// others. Raises LogState::log_start only. Durable when it returns.
  virtual absl::Status DeleteRecords(Offset to) = 0;

  /// First entry from `start` on for which `wanted` holds; `wanted` must be monotone along the log. A damaged
  /// range counts as one entry, a gap without a body.
  virtual absl::StatusOr<std::optional<Entry>> Search(const std::function<bool(const Entry&)>& wanted) = 0;

  /// What the peer has acknowledged, for a log that is replicated from here; nothing before the first time.
  virtual std::optional<Offset> acknowledged() const = 0;
  /// Follows the replica's durable end, down as well as up. Kept over restarts, lazily.
  virtual void SetAcknowledged(Offset offset) = 0;

  /// Calls `advanced` whenever `end` grew, or the log is superseded, on whatever thread that happens. Must
  /// not block. A log whose stream was deleted forgets its watchers once they were told. Returns a handle for
  /// Unwatch.
  virtual int Watch(std::function<void()> advanced) = 0;
  /// After it returns the callback neither runs nor will run.
  virtual void Unwatch(int handle) = 0;

  /// What can be done about damaged entries, as long as the log lives; null for a log that nobody here can
  /// repair.
  virtual LogRepair* repair() { return nullptr; }
};

struct CreateLog {
  LogOrigin origin;
  LogId id;
  Offset base;
  ChainHash base_hash;
  LeaderEpoch leader_epoch;
};

/// All logs of a node. Safe to use from several threads. A log that was deleted stays usable for whoever
/// holds it, and answers with errors; it is freed when the last one lets go of it.
///
/// Where a change of logs must become durable together with something else that the node stores, the method
/// takes `also`: it adds that to the same batch, on the committer's thread.
class LogStore {
 public:
  using Also = std::function<void(WriteBatch&)>;

  virtual ~LogStore() = default;

  /// Creates a log durably and makes it the current one of its origin; an earlier one is superseded, not
  /// touched. A superseded log of that origin and id becomes the current one again, as it is.
  virtual absl::StatusOr<std::shared_ptr<Log>> Create(const CreateLog& create) = 0;
  /// The current log of an origin, or null.
  virtual std::shared_ptr<Log> Find(const LogOrigin& origin) = 0;
  /// The log with that number, also a superseded one, or null.
  virtual std::shared_ptr<Log> FindNumber(LogNumber number) = 0;
  /// Every log, also superseded ones, in no order.
  virtual std::vector<std::shared_ptr<Log>> All() = 0;
  /// Grows whenever Find may find another log, or none, for some origin.
  virtual uint64_t changes() const = 0;
  /// The logs that changed since the call that left `seen`, all of them for 0: state, what was acknowledged,
  /// hold or damage. Moves `seen` on. So whoever looks after all logs pays for those that are used.
  virtual std::vector<std::shared_ptr<Log>> ChangedSince(uint64_t& seen) = 0;
  /// Deletes the logs of a stream on this node, current and superseded, with all their entries.
  virtual absl::StatusOr<int> DeleteStream(const std::string& stream, const Also& also) = 0;

  /// A log that gets a new identity from `from` on, a boundary: its history parted from the replica's there.
  struct Branching {
    std::shared_ptr<Log> log;
    LogId id;
    LogPosition from;
  };
  /// Gives every log its new identity, all or nothing; what lies before `from` counts as acknowledged.
  /// Durable when it returns, published after the sync. Fails without an effect if one log is held.
  virtual absl::Status BranchAll(const std::vector<Branching>& logs, const Also& also) = 0;
  /// A place that a replaced store held: its log goes on here, at `at`, in a new leader epoch.
  struct Adoption {
    LogOrigin origin;
    LogPosition at;
    LeaderEpoch epoch;
  };
  /// Takes over places, all or nothing: logs that never held an entry get the id and begin at the position;
  /// where one is missing, or already further than the position, another is made. Durable when it returns.
  /// Error: "not_empty" (kFailedPrecondition).
  virtual absl::Status AdoptAll(const std::vector<Adoption>& adoptions, const Also& also) = 0;
  /// For `also`: what was acknowledged of any log and is not stored yet becomes part of the batch, where it
  /// must not lag behind what is stored with it.
  virtual void StageAcknowledged(WriteBatch& batch) = 0;
  /// The loss ledger: all gap entries held.
  struct LostRange {
    LogOrigin origin;
    Gap gap;
  };
  virtual absl::StatusOr<std::vector<LostRange>> Losses() = 0;
};

}  // namespace selvage
