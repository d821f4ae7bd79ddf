#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "fabric/replication/flow.h"
#include "fabric/stream/log_store.h"
#include "selvage/v1/stream.pb.h"

/// Streams as flows over the link: the two flow ports, implemented on logs.
namespace selvage {

/// Offers a log to the peer. The definition's settings may change while the flow runs.
class LogFlowSource : public replication::FlowSource {
 public:
  /// `log` must outlive the source.
  LogFlowSource(Log& log, v1::StreamDefinition definition) : log_(log), definition_(std::move(definition)) {}

  Log& log() { return log_; }
  const v1::StreamDefinition& definition() const { return definition_; }
  void set_settings(const v1::StreamSettings& settings) { *definition_.mutable_settings() = settings; }

  v1::FlowOpen Describe() override;
  replication::FlowSettings settings() override;
  Offset end() override { return log_.state().end; }
  absl::StatusOr<bool> Continues(const LogPosition& replica) override;
  absl::StatusOr<std::vector<replication::SourceEntry>> Read(Offset from, size_t max_bytes) override;
  absl::StatusOr<LogPosition> BoundaryAtOrBefore(Offset offset) override;
  void Acknowledged(const LogPosition& durable) override;

 private:
  Log& log_;
  v1::StreamDefinition definition_;
};

/// Checks what arrives for a log; persisting goes through Log::AppendReplica with the session's fence.
class LogFlowSink : public replication::FlowSink {
 public:
  /// `log` must outlive the sink.
  LogFlowSink(Log& log, size_t batch_max) : log_(log), batch_max_(batch_max) {}

  Log& log() { return log_; }

  LogPosition position() override { return log_.state().position(); }
  absl::Status Check(const replication::ReceivedEntry& entry) override;
  std::optional<ChainHash> HashAt(Offset offset) override;

 private:
  Log& log_;
  const size_t batch_max_;
};

}  // namespace selvage
