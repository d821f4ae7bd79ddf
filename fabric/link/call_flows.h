#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fabric/base/clock.h"
#include "fabric/link/flow_kind.h"

namespace selvage {

/// A call of one of a node's services for operators that comes over a link.
struct NodeCall {
  std::string method;      ///< of selvage.v1.Admin; of Tables: "Tables/GetRow"
  std::string request;     ///< the method's request message, serialized
  std::string caller;      ///< SPIFFE URI of the operator, as the peer says
  absl::Duration timeout;  ///< whoever asks waits no longer
};

/// With the method's response message, serialized, or the error. Called once, on any thread; must not block.
using CallDone = std::function<void(const absl::StatusOr<std::string>& response)>;

/// Makes a call: at the node that it is for, or over the link to it. Never blocks.
using NodeCaller = std::function<void(NodeCall call, CallDone done)>;

/// Bytes of a request that passes over a link, as one frame: alarms and heartbeats wait behind it.
inline constexpr size_t kCallRequestMax = 64 << 10;
/// Bytes of a response that passes over a link.
inline constexpr size_t kCallResponseMax = 16 << 20;
/// Bytes of all responses that wait for one link.
inline constexpr size_t kCallResponsesMax = 32 << 20;

/// Flows of kind CALL: calls of the admin service that one end makes at the other, for operators who can only
/// reach this one. A call is a FlowRequest; the flow that answers it has one entry, the response.
///
/// Few calls are under way on one link at a time, and they share it as streams of the default priority do.
class CallFlows : public FlowKind {
 public:
  static constexpr size_t kCallsMax = 16;  ///< under way, each way

  /// `serve` makes the peer's calls at this node; without it they are refused. `wake` may be called on any
  /// thread, also after the link has ended. `clock` must outlive this.
  CallFlows(Clock& clock, NodeCaller serve, std::function<void()> wake);
  ~CallFlows() override;

  /// Makes calls at the peer; may be used from any thread, also after the link has ended. Errors: those of
  /// the peer's admin service; "request_too_large"; "link_lost" when the link ends before the answer has
  /// come; "timeout"; "overloaded"; "unknown_kind" when the peer answers no calls.
  NodeCaller caller();

  v1::FlowKind kind() const override { return v1::CALL; }
  std::string_view capability() const override { return "call"; }
  void Begin(replication::Session& session, const Fence& fence) override;
  void Absent(replication::Session& session) override;
  void Tick(replication::Session& session) override;
  void Woken(replication::Session& session) override;
  void OnOffered(replication::Session& session, replication::FlowNumber flow,
                 const v1::FlowOpen& open) override;
  void OnEnded(replication::FlowNumber flow, const absl::Status& why) override;
  void OnHeld(replication::Session& session, const replication::Session::FlowHeld& held) override;
  bool OnRequested(replication::Session& session, const v1::FlowRequest& request) override;
  void OnRefused(const replication::Session::RequestRefused& refused) override;
  void End() override;

 private:
  class Source;
  class Sink;
  /// What comes from other threads for the link, and outlives it there.
  struct Exchange {
    explicit Exchange(std::function<void()> wake) : wake(std::move(wake)) {}
    const std::function<void()> wake;
    absl::Mutex mutex;
    absl::Status refused ABSL_GUARDED_BY(mutex);  // why no more calls are made, if none are
    bool ended ABSL_GUARDED_BY(mutex) = false;
    size_t answer_bytes ABSL_GUARDED_BY(mutex) = 0;  // of answers that wait or are on their way
    std::vector<std::pair<NodeCall, CallDone>> calls ABSL_GUARDED_BY(mutex);
    std::vector<std::pair<uint32_t, std::string>> answers ABSL_GUARDED_BY(mutex);  // by request
  };
  /// A call that the peer has not answered yet.
  struct Asked {
    CallDone done;
    absl::Duration until;
    std::optional<replication::FlowNumber> answer;  ///< the flow that brings it
  };

  void Ask(replication::Session& session, NodeCall call, CallDone done);
  void Finish(uint32_t request, const absl::StatusOr<std::string>& response);
  void Serve(const v1::FlowRequest& request);
  void WithdrawFinished(replication::Session& session);
  void Forget(const Source& source);

  Clock& clock_;
  const NodeCaller serve_;
  const std::shared_ptr<Exchange> exchange_;
  bool begun_ = false;
  std::map<uint32_t, Asked> asked_;                                     // by request
  std::map<replication::FlowNumber, std::unique_ptr<Sink>> sinks_;      // of flows that have not ended
  std::map<replication::FlowNumber, std::unique_ptr<Source>> sources_;  // answers on their way
  std::vector<v1::FlowRequest> early_;  // that came before the peer was known to be the right one
  size_t serving_ = 0;                  // calls of the peer that are not answered yet
};

}  // namespace selvage
