#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fabric/replication/flow.h"
#include "fabric/stream/log_store.h"
#include "selvage/v1/stream.pb.h"

/// Streams as flows over the link: the two flow ports, implemented on logs.
namespace selvage {

/// A stored entry on its way out, whole.
replication::SourceEntry ToSourceEntry(const Entry& stored);
/// Checks an entry that came for a log as far as it can be told without the log. Errors: "corrupt_batch"
/// (kDataLoss, a retry helps), "corrupt_gap", "batch_too_large".
absl::Status CheckReceived(const replication::ReceivedEntry& entry, const LogOrigin& origin,
                           size_t batch_max);

/// Offers a log to the peer. The session calls the port; everything else may be called from any thread, and
/// the definition may change while the flow runs: settings at once, the rest with the next offer.
class LogFlowSource : public replication::FlowSource {
 public:
  /// `log` must outlive the source.
  LogFlowSource(Log& log, v1::StreamDefinition definition);

  Log& log() { return log_; }
  v1::StreamDefinition definition() const;
  void set_definition(const v1::StreamDefinition& definition);

  /// Body bytes held here that the replica has not acknowledged.
  uint64_t lag_bytes() const;
  /// Body bytes that were sent and acknowledged since this object was made; for rates.
  uint64_t acknowledged_bytes() const { return acknowledged_bytes_.load(); }

  v1::FlowOpen Describe() override;
  replication::FlowSettings settings() override;
  Offset end() override { return log_.state().end; }
  absl::StatusOr<bool> Continues(const LogPosition& replica) override;
  absl::StatusOr<std::vector<replication::SourceEntry>> Read(Offset from, size_t max_bytes) override;
  absl::StatusOr<LogPosition> BoundaryAtOrBefore(Offset offset) override;
  void Acknowledged(const LogPosition& durable) override;
  Offset last_acknowledged() override { return log_.acknowledged().value_or(Offset(0)); }

 private:
  /// The end of an entry that was read to be sent.
  struct Sent {
    Offset to;
    uint64_t log_bytes;
    uint64_t body_bytes;
  };

  absl::StatusOr<replication::SourceEntry> RestOfGap(const Entry& entry, Offset from);
  absl::StatusOr<replication::SourceEntry> GapBeforeStart(Offset from);
  /// Body bytes of the log before `offset`.
  uint64_t LogBytesAt(Offset offset);

  Log& log_;
  mutable absl::Mutex mutex_;
  v1::StreamDefinition definition_ ABSL_GUARDED_BY(mutex_);
  LogId offered_;          // the log's id when it was described last; the session's alone
  std::deque<Sent> sent_;  // not acknowledged yet; the session's alone
  std::atomic<uint64_t> acknowledged_log_bytes_;
  std::atomic<uint64_t> acknowledged_bytes_{0};
};

/// Checks what arrives for a log; persisting goes through Log::AppendReplica with the session's fence.
class LogFlowSink : public replication::FlowSink {
 public:
  /// `log` must outlive the sink.
  LogFlowSink(Log& log, size_t batch_max) : log_(log), batch_max_(batch_max) {}

  Log& log() { return log_; }

  LogPosition position() override { return log_.state().position(); }
  absl::Status Check(const replication::ReceivedEntry& entry) override;
  replication::Located Locate(Offset offset) override;

 private:
  Log& log_;
  const size_t batch_max_;
};

}  // namespace selvage
