#include "fabric/link/stream_flows.h"

#include <utility>

#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/replication/message.h"
#include "fabric/telemetry/log.h"

namespace selvage {

using replication::FlowNumber;
using replication::Sender;
using replication::Session;

namespace {

constexpr absl::Duration kRetryRefused = absl::Seconds(5);
/// Where a retry alone does not help: until then somebody may have changed what is wrong.
constexpr absl::Duration kRetryHopeless = absl::Minutes(1);
/// A peer that offers and ends flows in a loop fills no more memory than this. All flows that a peer may have
/// open fit, with definitions of the usual size.
constexpr size_t kUnansweredMax = 32 << 20;
/// Of an offer beside its message.
constexpr size_t kOfferCost = 1024;

}  // namespace

void StreamFlows::Begin(Session& session, const Fence& fence) {
  fence_ = fence;
  // What earlier links said of flows: this one may show that the causes are gone.
  if (!Planted(Canary::kForgetFlowAlarms)) {
    held_ = parts_.alarms.OpenSubjects("flow_held", end_->AlarmPeer());
  }
  Follow(session);
}

void StreamFlows::Tick(Session& session) {
  Follow(session);
  ClearHeld(session);
}

/// Looks for what is to be offered, when that may have changed.
void StreamFlows::Follow(Session&) {
  const std::optional<uint64_t> version = end_->outgoing_version();
  if (!version || offered_version_ == version || looking_) return;
  looking_ = true;
  errands_->Add([this, end = end_, version]() -> Errands::Then {
    return [this, version, outgoing = end->Outgoing()](Session& later) {
      looking_ = false;
      if (!outgoing.ok()) {
        LogWarning("streams cannot be offered", {{"error", Describe(outgoing.status())}});
        return;  // tried again with the next tick
      }
      offered_version_ = version;
      Offer(later, *outgoing);
      std::erase_if(taken_, [&](LogNumber log) { return parts_.logs.FindNumber(log) == nullptr; });
    };
  });
}

void StreamFlows::Offer(Session& session, std::vector<std::shared_ptr<LogFlowSource>> outgoing) {
  std::set<const LogFlowSource*> current;
  for (const auto& source : outgoing) current.insert(source.get());
  std::erase_if(offered_, [&](const auto& entry) {
    const Offered& offered = entry.second;
    if (current.contains(offered.source.get())) return false;
    offered.source->log().Unwatch(offered.watch);
    session.Withdraw(offered.flow);
    return true;
  });
  for (std::shared_ptr<LogFlowSource>& source : outgoing) {
    const auto [at, is_new] = offered_.try_emplace(source->log().number());
    if (!is_new) continue;
    at->second.flow = session.Offer(*source);
    at->second.watch = source->log().Watch(wake_);
    at->second.source = std::move(source);
  }
}

void StreamFlows::OnHeld(Session& session, const Session::FlowHeld& held) {
  const auto sender = session.senders().find(held.flow);
  if (sender == session.senders().end()) return;
  const std::string subject = end_->AlarmSubject(SourceOf(*sender->second)->log().origin());
  held_.insert(subject);
  parts_.alarms.Report({"flow_held", subject, std::string(held.why.message()), ErrorHint(held.why),
                        !IsRetryable(held.why), end_->AlarmPeer()});
}

/// Ends the alarms about flows that the peer takes now, or that are not offered any more.
void StreamFlows::ClearHeld(const Session& session) {
  if (held_.empty() || !offered_version_ || offered_version_ != end_->outgoing_version()) return;
  std::set<std::string> waiting;
  for (const auto& [flow, sender] : session.senders()) {
    LogFlowSource* source = SourceOf(*sender);
    if (source == nullptr || sender->state() == Sender::State::kStreaming) continue;
    waiting.insert(end_->AlarmSubject(source->log().origin()));
  }
  std::erase_if(held_, [&](const std::string& subject) {
    if (waiting.contains(subject)) return false;
    parts_.alarms.Clear("flow_held", subject);
    return true;
  });
}

void StreamFlows::OnForked(Session& session, const Session::FlowForked& forked) {
  const auto sender = session.senders().find(forked.flow);
  if (sender == session.senders().end()) return;
  end_->OnForked(session, SourceOf(*sender->second)->shared_log(), ToLogPosition(forked.common));
}

void StreamFlows::OnOffered(Session& session, FlowNumber flow, const v1::FlowOpen& open) {
  const size_t bytes = open.ByteSizeLong() + kOfferCost;
  if (unanswered_bytes_ + bytes > kUnansweredMax) {
    return session.Close(
        replication::ProtocolError("the peer offers flows faster than they can be answered"));
  }
  unanswered_bytes_ += bytes;
  unanswered_.insert(flow);
  errands_->Add([this, end = end_, flow, open, bytes]() -> Errands::Then {
    auto log = end->LogFor(open);
    return [this, flow, open, bytes, log = std::move(log)](Session& later) {
      unanswered_bytes_ -= bytes;
      OnLogFound(later, flow, open, log);
    };
  });
}

void StreamFlows::OnLogFound(Session& session, FlowNumber flow, const v1::FlowOpen& open,
                             const absl::StatusOr<std::shared_ptr<Log>>& log) {
  if (!unanswered_.contains(flow)) return;  // the peer ended it meanwhile
  if (!log.ok()) {
    unanswered_.erase(flow);
    end_->OnRefused(open, log.status());
    session.Refuse(flow, log.status(), IsRetryable(log.status()) ? kRetryRefused : kRetryHopeless);
    return;
  }
  if (taken_.insert((*log)->number()).second) return Accept(session, flow, open, *log);
  errands_->Add([this, parts = parts_, fence = fence_, flow, open, log = *log]() -> Errands::Then {
    absl::Status drained = RaiseFences(parts.committer, parts.fences, {fence});
    return [this, drained, flow, open, log](Session& later) {
      if (!drained.ok()) return later.Close(drained);
      if (unanswered_.contains(flow)) Accept(later, flow, open, log);
    };
  });
}

void StreamFlows::Accept(Session& session, FlowNumber flow, const v1::FlowOpen& open,
                         std::shared_ptr<Log> log) {
  unanswered_.erase(flow);
  auto sink = std::make_unique<LinkLogSink>(log, parts_.batch_max, fence_, appends_);
  session.Accept(flow, *sink);
  end_->OnTaken(open, *log);
  sinks_[flow] = std::move(sink);
}

void StreamFlows::OnEnded(FlowNumber flow, const absl::Status& why) {
  unanswered_.erase(flow);
  const auto sink = sinks_.find(flow);
  if (sink == sinks_.end()) return;
  end_->OnEnded(sink->second->log(), why);
  sinks_.erase(sink);
}

void StreamFlows::End() {
  for (auto& [number, offered] : offered_) offered.source->log().Unwatch(offered.watch);
  offered_.clear();
}

}  // namespace selvage
