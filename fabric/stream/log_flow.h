#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fabric/replication/flow.h"
#include "fabric/stream/log_store.h"
#include "selvage/v1/stream.pb.h"

/// Streams as flows over the link: the ports of a flow, implemented on logs.
namespace selvage {

replication::FlowPosition ToFlowPosition(const LogPosition& position);
/// A history that is no log id reads as none.
LogPosition ToLogPosition(const replication::FlowPosition& position);
v1::LogPosition ToProto(const LogPosition& position);
/// A missing or malformed log id reads as none.
LogPosition FromProto(const v1::LogPosition& position);

/// A stored entry on its way out, whole.
FlowEntry ToFlowEntry(const Entry& stored);
/// Checks an entry that came for a log as far as it can be told without the log. Errors: "corrupt_batch"
/// (kDataLoss, a retry helps), "corrupt_gap", "batch_too_large", "unknown_encoding" of a kind that is not
/// known.
absl::Status CheckReceived(const FlowEntry& entry, const LogOrigin& origin, size_t batch_max);

/// The past of a log, at either end.
class LogHistory : public replication::History {
 public:
  explicit LogHistory(std::shared_ptr<Log> log) : log_(std::move(log)) {}

  absl::StatusOr<bool> Continues(const replication::FlowPosition& replica) override;
  absl::StatusOr<replication::FlowPosition> FirstBoundary() override;
  absl::StatusOr<replication::FlowPosition> BoundaryAtOrBefore(Offset offset) override;
  replication::Located Locate(Offset offset) override;
  Offset LastAcknowledged() override { return log_->acknowledged().value_or(Offset(0)); }

 private:
  const std::shared_ptr<Log> log_;
};

/// Offers a log to the peer. The session calls the port; everything else may be called from any thread, and
/// the definition may change while the flow runs: settings at once, the rest with the next offer.
class LogFlowSource : public replication::FlowSource {
 public:
  LogFlowSource(std::shared_ptr<Log> log, v1::StreamDefinition definition);

  Log& log() { return *log_; }
  const std::shared_ptr<Log>& shared_log() const { return log_; }
  v1::StreamDefinition definition() const;
  void set_definition(const v1::StreamDefinition& definition);

  /// Body bytes held here that the replica has not acknowledged.
  uint64_t lag_bytes() const;
  /// Body bytes that were sent and acknowledged since this object was made; for rates.
  uint64_t acknowledged_bytes() const { return acknowledged_bytes_.load(); }

  v1::FlowOpen Describe() override;
  replication::FlowSettings settings() override;
  Offset end() override { return log_->end(); }
  absl::StatusOr<std::vector<FlowEntry>> Read(Offset from, size_t max_bytes) override;
  void Acknowledged(const replication::FlowPosition& durable) override;
  replication::History* history() override { return &history_; }

 private:
  /// The end of an entry that was read to be sent.
  struct Sent {
    Offset to;
    uint64_t log_bytes;
    uint64_t body_bytes;
  };

  absl::StatusOr<FlowEntry> RestOfGap(const Entry& entry, Offset from);
  absl::StatusOr<FlowEntry> GapBeforeStart(Offset from);
  /// Body bytes of the log before `offset`.
  uint64_t LogBytesAt(Offset offset);

  const std::shared_ptr<Log> log_;
  LogHistory history_{log_};
  mutable absl::Mutex mutex_;
  v1::StreamDefinition definition_ ABSL_GUARDED_BY(mutex_);
  LogId offered_;          // the log's id when it was described last; the session's alone
  std::deque<Sent> sent_;  // not acknowledged yet; the session's alone
  std::atomic<uint64_t> acknowledged_log_bytes_;
  std::atomic<uint64_t> acknowledged_bytes_{0};
};

/// Appends what arrives to a log, as long as the link's session is not fenced.
class LogFlowSink : public replication::FlowSink {
 public:
  LogFlowSink(std::shared_ptr<Log> log, size_t batch_max, Fence fence)
      : log_(std::move(log)), batch_max_(batch_max), fence_(std::move(fence)) {}

  Log& log() { return *log_; }
  const std::shared_ptr<Log>& shared_log() const { return log_; }
  const Fence& fence() const { return fence_; }

  replication::FlowPosition position() override { return ToFlowPosition(log_->state().position()); }
  absl::Status Check(const FlowEntry& entry) override;
  void Persist(FlowEntry entry, Done done) override;
  replication::History* history() override { return &history_; }

 private:
  const std::shared_ptr<Log> log_;
  LogHistory history_{log_};
  const size_t batch_max_;
  const Fence fence_;
};

}  // namespace selvage
