#include "fabric/link/table_flows.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/replication/message.h"
#include "fabric/telemetry/log.h"

namespace selvage {

using replication::FlowNumber;
using replication::Session;
using table::TableSink;
using table::TableSource;

namespace {

/// More tables than a node has are not read from one peer.
constexpr size_t kIncomingMax = 1'000;
/// About a minute: what a peer has read is known so far back, where none of its rows change.
constexpr uint64_t kTicksToCatchUp = 60;

}  // namespace

TableFlows::TableFlows(table::TableStore& tables, Random& random, std::shared_ptr<Errands> errands,
                       std::shared_ptr<TableEnd> end, std::function<void()> wake)
    : tables_(tables),
      random_(random),
      errands_(std::move(errands)),
      end_(std::move(end)),
      wake_(std::move(wake)) {}

TableFlows::~TableFlows() {
  End();
}

void TableFlows::Begin(Session& session, const Fence& fence) {
  fence_ = fence;
  OfferAll(session);
}

void TableFlows::End() {
  for (auto& [name, outgoing] : outgoing_) {
    if (const int watch = std::exchange(outgoing.watch, 0); watch != 0) tables_.Unwatch(watch);
  }
}

void TableFlows::Tick(Session& session) {
  if (offered_version_ != end_->version()) OfferAll(session);
  AcceptReady(session);
  if (++ticks_ % kTicksToCatchUp != 0) return;
  for (const auto& [name, outgoing] : outgoing_) outgoing.source->CatchUp();
}

void TableFlows::Woken(Session& session) {
  if (!offered_version_) return;
  if (offered_version_ != end_->version()) OfferAll(session);
  AcceptReady(session);
}

void TableFlows::OfferAll(Session& session) {
  offered_version_ = end_->version();
  std::map<std::string, TableEnd::Offer> wanted = end_->Offers();
  for (auto it = wanted.begin(); it != wanted.end();) {
    const table::TableCursor* taken = TakenOf(it->first);
    const TableEnd::Offer& offer = it->second;
    if (offer.after_peer && (taken == nullptr || (offer.if_set_back && !taken->source_set_back))) {
      it = wanted.erase(it);
      continue;
    }
    if (offer.after_peer) it->second.source.reader_life = taken->source_life;
    ++it;
  }
  for (auto it = outgoing_.begin(); it != outgoing_.end();) {
    const auto now = wanted.find(it->first);
    if (now != wanted.end() && now->second.source == it->second.source->options()) {
      wanted.erase(now);
      ++it;
      continue;
    }
    session.Withdraw(it->second.flow);
    tables_.Unwatch(it->second.watch);
    it = outgoing_.erase(it);
  }
  for (auto& [name, offer] : wanted) {
    const int watch = tables_.WatchRows(offer.source.table, offer.source.prefix, wake_);
    auto source = std::make_unique<TableSource>(tables_, std::move(offer.source), wake_, watch);
    const FlowNumber flow = session.Offer(*source);
    outgoing_[name] = {std::move(source), flow, watch};
  }
}

void TableFlows::OnOffered(Session& session, FlowNumber flow, const v1::FlowOpen& open) {
  if (!open.has_table()) {
    return session.Refuse(flow, replication::ProtocolError("a table flow that names no table"),
                          absl::InfiniteDuration());
  }
  if (incoming_.size() + looked_for_ >= kIncomingMax) {
    return session.Refuse(flow,
                          MakeError(absl::StatusCode::kResourceExhausted, "too_many_flows",
                                    fmt::format("more than {} tables are offered on one link", kIncomingMax)),
                          absl::InfiniteDuration());
  }
  ++looked_for_;
  unanswered_.insert(flow);
  errands_->Add([this, &tables = tables_, &random = random_, end = end_, flow, open]() -> Errands::Then {
    absl::StatusOr<Incoming> prepared = [&]() -> absl::StatusOr<Incoming> {
      SELVAGE_ASSIGN_OR_RETURN(TableSink::Options options, end->TableFor(open));
      SELVAGE_ASSIGN_OR_RETURN(const auto cursor, tables.Cursor(options.table, options.peer));
      const table::TableCursor at = TableSink::Resume(cursor, open, random);
      return Incoming{std::move(options),    at,     open.history(), TableSink::IsAnotherLife(cursor, at),
                      tables.End().sequence, nullptr};
    }();
    auto shared = std::make_shared<absl::StatusOr<Incoming>>(std::move(prepared));
    return [this, flow, open, shared](Session& later) { OnPrepared(later, flow, open, std::move(*shared)); };
  });
}

void TableFlows::OnPrepared(Session& session, FlowNumber flow, const v1::FlowOpen& open,
                            absl::StatusOr<Incoming> prepared) {
  --looked_for_;
  if (unanswered_.erase(flow) == 0) return;  // the peer ended it meanwhile
  if (!prepared.ok()) {
    LogWarning(
        "a table of the peer is not taken",
        {{"table", open.table().definition().name().substr(0, 200)}, {"error", Describe(prepared.status())}});
    return session.Refuse(flow, prepared.status(),
                          IsRetryable(prepared.status()) ? absl::Seconds(5) : absl::Minutes(1));
  }
  incoming_.insert_or_assign(flow, *std::move(prepared));
  AcceptReady(session);
}

void TableFlows::AcceptReady(Session& session) {
  bool accepted = false;
  for (auto& [flow, incoming] : incoming_) {
    if (incoming.sink != nullptr) continue;
    incoming.options.fence = fence_;
    if (incoming.options.snapshots && incoming.options.sweeps && TableSink::NeedsSnapshot(incoming.at)) {
      const auto unsent = UnsentFrom(incoming);
      if (!unsent) continue;
      incoming.options.unsent = *unsent;
    }
    incoming.sink = std::make_unique<TableSink>(tables_, incoming.options, incoming.at, incoming.history,
                                                [errands = errands_](std::function<void()> run) {
                                                  errands->Add([run = std::move(run)]() -> Errands::Then {
                                                    run();
                                                    return {};
                                                  });
                                                });
    if (incoming.another_life) incoming.sink->Remember();
    session.Accept(flow, *incoming.sink);
    accepted = true;
  }
  // What waits for the life of the peer's store may be offered now.
  if (accepted) OfferAll(session);
}

std::optional<uint64_t> TableFlows::UnsentFrom(const Incoming& incoming) const {
  // Nothing is written here.
  if (!end_->Offers().contains(incoming.options.table)) return UINT64_MAX;
  const auto sent = outgoing_.find(incoming.options.table);
  if (sent == outgoing_.end()) return std::nullopt;
  const auto acknowledged = sent->second.source->acknowledged();
  if (!acknowledged || *acknowledged < incoming.written) return std::nullopt;
  return acknowledged;
}

const table::TableCursor* TableFlows::TakenOf(const std::string& table) const {
  for (const auto& [flow, incoming] : incoming_) {
    if (incoming.options.table == table && incoming.sink != nullptr) return &incoming.at;
  }
  return nullptr;
}

void TableFlows::OnEnded(FlowNumber flow, const absl::Status& why) {
  unanswered_.erase(flow);
  const auto ended = incoming_.find(flow);
  if (ended == incoming_.end()) return;
  if (!why.ok()) {
    LogWarning("a table of the peer is not taken any further",
               {{"table", ended->second.options.table}, {"error", Describe(why)}});
  }
  incoming_.erase(ended);
}

void TableFlows::OnHeld(Session&, const Session::FlowHeld& held) {
  for (const auto& [name, outgoing] : outgoing_) {
    if (outgoing.flow != held.flow) continue;
    LogWarning("a table is not taken by the peer", {{"table", name}, {"error", Describe(held.why)}});
  }
}

}  // namespace selvage
