#include "fabric/link/repair_flows.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"
#include "fabric/telemetry/log.h"

namespace selvage {

using replication::FlowNumber;
using replication::Session;

namespace {

/// A piece is held until it is complete: a quarter of the credit always remains for what is more urgent.
constexpr uint64_t kWindowShare = 4;
constexpr absl::Duration kAfterRefusal = absl::Seconds(30);
constexpr absl::Duration kAfterFailure = absl::Seconds(5);
/// Pieces given at the same time; an honest peer asks for one.
constexpr size_t kSourcesMax = 4;

}  // namespace

void RepairFlows::OnHeld(Session& session, const Session::FlowHeld& held) {
  if (!sources_.contains(held.flow)) return;
  session.Withdraw(held.flow);  // whoever asked asks again
  sources_.erase(held.flow);
}

void RepairFlows::Tick(Session& session) {
  for (auto it = sources_.begin(); it != sources_.end();) {
    if (!it->second->finished()) {
      ++it;
      continue;
    }
    session.Withdraw(it->first);
    it = sources_.erase(it);
  }
  if (fetching_ && sinks_.at(*fetching_)->stored()) {
    node_.damage().Fetched();
    AskLater(absl::ZeroDuration());
  }
  if (!asked_) Ask(session);
}

void RepairFlows::Ask(Session& session) {
  const absl::Duration now = node_.clock().Monotonic();
  std::erase_if(not_before_, [&](const auto& entry) { return entry.second <= now; });
  for (DamageControl::Wanted& wanted : node_.damage().Waiting()) {
    if (!shared_(wanted.log->origin()) || not_before_.contains({wanted.log->number(), wanted.damage.from}))
      continue;
    v1::FlowRequest asking;
    v1::RepairRequest& request = *asking.mutable_repair();
    request.set_name(wanted.log->origin().stream);
    request.set_partition(wanted.log->origin().partition.value());
    request.set_log_id(wanted.log->state().id.bytes());
    request.set_from(wanted.damage.from.value());
    request.set_to(wanted.to.value());
    request.set_hash_before(wanted.damage.hash_before.value());
    request.set_has_hash_after(wanted.to == wanted.damage.to);
    if (request.has_hash_after()) request.set_hash_after(wanted.damage.hash_after.value());
    request.set_max_bytes(std::min(kRepairPieceMax, session.receive_window() / kWindowShare));
    asked_ = Question{session.SendRequest(std::move(asking)), std::move(wanted)};
    return;
  }
}

void RepairFlows::AskLater(absl::Duration after) {
  not_before_[{asked_->wanted.log->number(), asked_->wanted.damage.from}] = node_.clock().Monotonic() + after;
  asked_.reset();
  fetching_.reset();
}

void RepairFlows::OnRefused(const Session::RequestRefused& refused) {
  if (!asked_ || asked_->request != refused.request || fetching_) return;
  errands_->Add([&damage = node_.damage(), log = asked_->wanted.log, from = asked_->wanted.damage.from,
                 why = refused.why]() -> Errands::Then {
    damage.Refused(*log, from, why);
    return {};
  });
  AskLater(kAfterRefusal);
}

void RepairFlows::OnOffered(Session& session, FlowNumber flow, const v1::FlowOpen& open) {
  const bool answers = asked_ && !fetching_ && asked_->request == open.request() &&
                       open.start() == asked_->wanted.damage.from.value() && open.end() > open.start() &&
                       open.end() <= asked_->wanted.to.value();
  if (!answers) {
    return session.Refuse(
        flow,
        MakeError(absl::StatusCode::kInvalidArgument, "protocol_error", "a repair that nobody asked for"),
        absl::InfiniteDuration());
  }
  fetching_ = flow;
  auto sink = std::make_unique<RepairSink>(asked_->wanted.log, asked_->wanted.damage, Offset(open.end()),
                                           node_.options().batch_max, fence_);
  session.Accept(flow, *sink);
  sinks_[flow] = std::move(sink);
}

void RepairFlows::OnEnded(FlowNumber flow, const absl::Status& status) {
  const auto sink = sinks_.find(flow);
  if (sink == sinks_.end()) return;
  const bool stored = sink->second->stored();
  sinks_.erase(sink);  // what it still waited for is given up
  if (fetching_ != flow) return;
  if (!stored) {
    if (!status.ok()) {
      LogWarning("a piece of a log that was fetched is not taken",
                 {{"log", ToString(asked_->wanted.log->origin())}, {"error", Describe(status)}});
    }
    return AskLater(status.ok() || IsRetryable(status) ? kAfterFailure : kAfterRefusal);
  }
  // The source ends a flow also when all of it was acknowledged.
  node_.damage().Fetched();
  AskLater(absl::ZeroDuration());
}

absl::StatusOr<std::shared_ptr<Log>> RepairFlows::LogOf(const v1::RepairRequest& request) {
  if (sources_.size() + looked_for_ >= kSourcesMax) {
    return MakeError(absl::StatusCode::kResourceExhausted, "overloaded", "too many repairs at the same time",
                     "", Retry::kYes);
  }
  const auto id = LogId::FromBytes(request.log_id());
  for (const std::shared_ptr<Log>& log : node_.logs().All()) {
    const LogOrigin& origin = log->origin();
    if (origin.stream != request.name() || origin.partition != PartitionId(request.partition())) continue;
    if (id && log->state().id == *id && shared_(origin)) return log;
  }
  return MakeError(
      absl::StatusCode::kNotFound, kRangeNotHeld,
      fmt::format("no such log of {}/{} is held here", request.name().substr(0, 200), request.partition()));
}

bool RepairFlows::OnRequested(Session& session, const v1::FlowRequest& request) {
  if (!request.has_repair()) return false;
  const auto log = LogOf(request.repair());
  if (!log.ok()) {
    session.SendRefusal(request.request(), log.status());
    return true;
  }
  ++looked_for_;
  errands_->Add([this, log = *log, request]() -> Errands::Then {
    auto source = std::make_shared<absl::StatusOr<std::unique_ptr<RepairSource>>>(
        RepairSource::Make(log, request.request(), request.repair()));
    return [this, number = request.request(), source](Session& later) {
      Answer(later, number, std::move(*source));
    };
  });
  return true;
}

void RepairFlows::Answer(Session& session, uint32_t request,
                         absl::StatusOr<std::unique_ptr<RepairSource>> source) {
  --looked_for_;
  if (!source.ok()) return session.SendRefusal(request, source.status());
  const FlowNumber flow = session.Offer(**source);
  sources_[flow] = *std::move(source);
}

}  // namespace selvage
