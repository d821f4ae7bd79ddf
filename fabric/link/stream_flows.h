#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/link/errands.h"
#include "fabric/link/flow_kind.h"
#include "fabric/link/link_appends.h"
#include "fabric/node/alarm_book.h"
#include "fabric/storage/committer.h"
#include "fabric/stream/fence_table.h"
#include "fabric/stream/log_flow.h"
#include "fabric/stream/log_store.h"

namespace selvage {

/// What an edge and the core decide differently about the streams on their link. Implemented by each of them;
/// belongs to one link.
class StreamEnd {
 public:
  virtual ~StreamEnd() = default;

  // As errands, which may wait for the disk and outlive the link: they use nothing that ends with it.
  /// All logs to offer. A log that was among them before comes with its former source.
  virtual absl::StatusOr<std::vector<std::shared_ptr<LogFlowSource>>> Outgoing() = 0;
  /// The log that an offer of the peer goes into, made if need be; or why it is refused.
  virtual absl::StatusOr<std::shared_ptr<Log>> LogFor(const v1::FlowOpen& open) = 0;

  // As the link is called.
  /// Another number whenever Outgoing may give something else; nothing while that cannot be said.
  virtual std::optional<uint64_t> outgoing_version() = 0;
  /// The offer is accepted: entries go into `log`.
  virtual void OnTaken(const v1::FlowOpen& open, Log& log) = 0;
  virtual void OnRefused(const v1::FlowOpen& open, const absl::Status& why) = 0;
  /// No more comes for `log`: the peer ended the flow (OK), or what came was refused.
  virtual void OnEnded(Log& log, const absl::Status& why) = 0;
  /// The peer holds another history of `log` from `common` on.
  virtual void OnForked(replication::Session& session, std::shared_ptr<Log> log,
                        const LogPosition& common) = 0;
  /// What an alarm about a flow out is about, and whose doing it is (AlarmBook::Raise).
  virtual std::string AlarmSubject(const LogOrigin& origin) const = 0;
  virtual std::string AlarmPeer() const = 0;
};

/// Flows of kind STREAM: the logs of streams, in both directions. Offers what its end says, and nothing else;
/// watches the logs that are offered, so that the session is woken when one grows; appends what comes.
///
/// Of an offer that comes again on one link, what came before it was refused may still be on its way to the
/// disk: it is answered after a fence behind that, so that the position in the answer counts it.
class StreamFlows : public FlowKind {
 public:
  /// What it uses of the node. All of it must outlive the errands.
  struct Parts {
    Committer& committer;
    FenceTable& fences;
    LogStore& logs;
    AlarmBook& alarms;
    size_t batch_max;  ///< bytes of one record batch
  };

  /// `appends` must outlive this. `wake` may be called on any thread.
  StreamFlows(const Parts& parts, std::shared_ptr<Errands> errands, LinkAppends& appends,
              std::shared_ptr<StreamEnd> end, std::function<void()> wake)
      : parts_(parts),
        errands_(std::move(errands)),
        appends_(appends),
        end_(std::move(end)),
        wake_(std::move(wake)) {}
  ~StreamFlows() override { End(); }

  /// The source of an outgoing flow; null for one of another kind.
  static LogFlowSource* SourceOf(replication::Sender& sender) {
    return sender.kind() == v1::STREAM ? static_cast<LogFlowSource*>(&sender.source()) : nullptr;
  }

  /// StreamEnd::outgoing_version of what is offered now; nothing before the first offer.
  std::optional<uint64_t> offered_version() const { return offered_version_; }

  v1::FlowKind kind() const override { return v1::STREAM; }
  std::string_view capability() const override { return ""; }
  void Begin(replication::Session& session, const Fence& fence) override;
  void Tick(replication::Session& session) override;
  void Woken(replication::Session& session) override { Follow(session); }
  void OnOffered(replication::Session& session, replication::FlowNumber flow,
                 const v1::FlowOpen& open) override;
  void OnEnded(replication::FlowNumber flow, const absl::Status& why) override;
  void OnHeld(replication::Session& session, const replication::Session::FlowHeld& held) override;
  void OnForked(replication::Session& session, const replication::Session::FlowForked& forked) override;
  void End() override;

 private:
  struct Offered {
    std::shared_ptr<LogFlowSource> source;
    replication::FlowNumber flow;
    int watch;
  };
  void Follow(replication::Session& session);
  void Offer(replication::Session& session, std::vector<std::shared_ptr<LogFlowSource>> outgoing);
  void OnLogFound(replication::Session& session, replication::FlowNumber flow, const v1::FlowOpen& open,
                  const absl::StatusOr<std::shared_ptr<Log>>& log);
  void Accept(replication::Session& session, replication::FlowNumber flow, const v1::FlowOpen& open,
              std::shared_ptr<Log> log);
  void ClearHeld(const replication::Session& session);

  const Parts parts_;
  const std::shared_ptr<Errands> errands_;
  LinkAppends& appends_;
  const std::shared_ptr<StreamEnd> end_;
  const std::function<void()> wake_;
  Fence fence_;

  std::map<LogNumber, Offered> offered_;
  std::optional<uint64_t> offered_version_;  // of what is offered
  bool looking_ = false;                     // for what to offer; an errand is under way
  std::set<std::string> held_;               // subjects of alarms "flow_held", also of earlier links

  std::map<replication::FlowNumber, std::unique_ptr<LogFlowSink>> sinks_;  // of flows that have not ended
  std::set<replication::FlowNumber> unanswered_;  // offered by the peer; their logs are looked for
  size_t unanswered_bytes_ = 0;                   // of their offers, and of those that ended meanwhile
  std::set<LogNumber> taken_;                     // logs whose flows were accepted on this link
};

}  // namespace selvage
