#include "tests/unit/replication/scenario_world.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "fabric/base/error.h"
#include "tests/unit/replication/scenario_parts.h"

namespace selvage::replication::test {
namespace {

std::string Range(int64_t from, int64_t to) {
  return fmt::format("[{},{})", from, to);
}
std::string Range(Offset from, Offset to) {
  return Range(from.value(), to.value());
}

std::string_view StateName(Sender::State state) {
  switch (state) {
    case Sender::State::kOpening:
      return "waits for an answer";
    case Sender::State::kProbing:
      return "compares histories";
    case Sender::State::kStreaming:
      return "streams";
    case Sender::State::kHeld:
      return "is held";
    case Sender::State::kForked:
      return "is forked";
  }
  return "";
}

std::string DescribeData(const Message& message) {
  const v1::Data& data = message.frame.data();
  const std::string range = Range(data.from(), data.to());
  if (static_cast<EntryKind>(data.kind()) == EntryKind::kGap)
    return fmt::format("data {} {} gap", data.flow(), range);
  const size_t end = data.position() + message.payload.size();
  if (data.position() == 0 && end == data.wire_size())
    return fmt::format("data {} {} {} bytes", data.flow(), range, end);
  return fmt::format("data {} {} bytes {} to {} of {}", data.flow(), range, data.position(), end,
                     data.wire_size());
}

}  // namespace

ScenarioWorld::ScenarioWorld() {
  for (auto& node : nodes_) node = std::make_unique<Node>();
  nodes_[kEdge]->options.is_edge = true;
  nodes_[kCore]->options.is_edge = false;
}

ScenarioWorld::~ScenarioWorld() = default;

std::string ScenarioWorld::On(const Link& link) const {
  return links_.size() > 1 ? fmt::format("link {}: ", link.number) : "";
}

void ScenarioWorld::PumpAll() {
  for (bool moved = true; moved;) {
    moved = false;
    for (Side side : {kCore, kEdge}) {
      moved = Persist(side) || moved;
      for (auto& link : links_) moved = Pump(*link, side) || moved;
    }
  }
}

/// True when the session had something that may lead to more.
bool ScenarioWorld::Pump(Link& link, Side side) {
  Link::Half& half = link.halves[side];
  if (half.session == nullptr) return false;
  Session::Ready ready = half.session->TakeReady(now_, 1 << 20);
  EXPECT_EQ(half.session->CheckInvariants(), absl::OkStatus());
  half.wake_at = ready.wake_at;
  const bool moved = ready.more || !ready.events.empty() || !ready.persist.empty();
  for (Session::Persist& persist : ready.persist) {
    nodes_[side]->persisting.push_back({&link, std::move(persist)});
  }
  for (const Session::Event& event : ready.events) Handle(link, side, event);
  Link::Half& other = link.halves[Other(side)];
  for (Message& message : ready.messages) {
    if (other.session != nullptr) other.arriving.push_back(std::move(message));
  }
  if (ready.closed) {
    Say(fmt::format("{}{}: the link ends: {}", On(link), NameOf(side), ErrorKind(ready.reason)));
    End(link, side);
  }
  return moved;
}

void ScenarioWorld::End(Link& link, Side side) {
  link.halves[side].session.reset();
  link.halves[side].arriving.clear();
}

void ScenarioWorld::Handle(Link& link, Side side, const Session::Event& event) {
  Link::Half& half = link.halves[side];
  const std::string who = fmt::format("{}{}", On(link), NameOf(side));
  const bool greeted = std::holds_alternative<Session::PeerHello>(event);
  if (greeted) half.session->SendWelcome({});
  if (greeted || std::holds_alternative<Session::PeerWelcome>(event)) {
    nodes_[side]->newest_link = link.number;
    for (auto& [name, log] : nodes_[side]->logs) {
      if (log.source == nullptr) continue;
      const FlowNumber flow = half.session->Offer(*log.source);
      half.flows[flow] = name;
    }
  } else if (const auto* offered = std::get_if<Session::FlowOffered>(&event)) {
    OnOffered(link, side, *offered);
  } else if (const auto* held = std::get_if<Session::FlowHeld>(&event)) {
    const absl::Duration again = half.session->senders().at(held->flow)->retry_at() - now_;
    Say(fmt::format("{}: {} is held: {}{}", who, half.flows.at(held->flow), ErrorKind(held->why),
                    again == absl::InfiniteDuration() ? "" : ", again in " + absl::FormatDuration(again)));
  } else if (const auto* forked = std::get_if<Session::FlowForked>(&event)) {
    Say(fmt::format("{}: {} is forked, common up to {}", who, half.flows.at(forked->flow),
                    forked->common.offset.value()));
  } else if (const auto* ended = std::get_if<Session::FlowEnded>(&event)) {
    Say(fmt::format("{}: {} ended{}", who, half.offered.at(ended->flow),
                    ended->why.ok() ? " by its source" : ": " + ErrorKind(ended->why)));
  } else if (const auto* requested = std::get_if<Session::Requested>(&event)) {
    OnRequested(link, side, requested->request);
  } else if (const auto* refused = std::get_if<Session::RequestRefused>(&event)) {
    Say(fmt::format("{}: gets no piece of {}: {}", who, half.requests.at(refused->request),
                    ErrorKind(refused->why)));
  }
}

void ScenarioWorld::OnOffered(Link& link, Side side, const Session::FlowOffered& offered) {
  Link::Half& half = link.halves[side];
  Node& node = *nodes_[side];
  const bool repair = offered.open.has_repair();
  const std::string& name = repair ? offered.open.repair().name() : offered.open.stream().name();
  half.offered[offered.flow] = name;
  if (offered.open.kind() != v1::STREAM && offered.open.kind() != v1::REPAIR) {
    return half.session->Refuse(offered.flow, UnknownKind("flow"), absl::InfiniteDuration());
  }
  HeldLog& log = node.logs.try_emplace(name, offered.open.history()).first->second;
  if (!log.refusal.ok()) return half.session->Refuse(offered.flow, log.refusal, log.refused_for);
  std::unique_ptr<FlowSink>& sink = half.sinks[offered.flow];
  if (repair) {
    sink = std::make_unique<PieceSink>(log);
  } else {
    sink = std::make_unique<FencedSink>(log, node, link.number);
  }
  half.session->Accept(offered.flow, *sink);
}

void ScenarioWorld::OnRequested(Link& link, Side side, const v1::FlowRequest& request) {
  Link::Half& half = link.halves[side];
  HeldLog& log = nodes_[side]->logs.at(request.repair().name());
  const auto held = std::ranges::count_if(log.log.entries(), [&](const MemoryLog::Stored& e) {
    return e.kind == EntryKind::kBatch && (e.from.value() == request.repair().from());
  });
  if (held == 0) {
    return half.session->SendRefusal(
        request.request(), MakeError(absl::StatusCode::kOutOfRange, "range_not_held", "it is a gap here"));
  }
  half.pieces.push_back(std::make_unique<Piece>(log, request.repair().name(), request));
  const FlowNumber flow = half.session->Offer(*half.pieces.back());
  half.flows[flow] = request.repair().name();
}

/// Makes durable what waits. True when something did.
bool ScenarioWorld::Persist(Side side) {
  Node& node = *nodes_[side];
  if (node.disk_held || node.persisting.empty()) return false;
  Persisting next = std::move(node.persisting.front());
  node.persisting.pop_front();
  Link::Half& half = next.link->halves[side];
  const std::string what =
      fmt::format("{}{}", half.offered.at(next.what.flow), Range(next.what.entry.from, next.what.entry.to));
  const std::string who = fmt::format("{}{}", On(*next.link), NameOf(side));
  next.what.sink->Persist(
      std::move(next.what.entry), [this, &half, what, who, flow = next.what.flow,
                                   credit = next.what.credit](const absl::StatusOr<FlowPosition>& durable) {
        Say(durable.ok() ? fmt::format("{}: stores {}", who, what)
                         : fmt::format("{}: does not store {}: {}", who, what, ErrorKind(durable.status())));
        if (half.session != nullptr) half.session->Persisted(flow, credit, durable);
      });
  return true;
}

bool ScenarioWorld::Shown(const Message& message) const {
  return (show_credit_ || !message.frame.has_credit()) && (show_heartbeat_ || !message.frame.has_heartbeat());
}

bool ScenarioWorld::DeliverOne(Link& link, Side to) {
  Link::Half& half = link.halves[to];
  if (half.session == nullptr || half.arriving.empty()) return false;
  const Message message = std::move(half.arriving.front());
  half.arriving.pop_front();
  if (Shown(message)) {
    Say(fmt::format("{}{} -> {}: {}", On(link), NameOf(Other(to)), NameOf(to),
                    Describe(link, Other(to), message)));
  }
  half.session->Step(message, now_);
  EXPECT_EQ(half.session->CheckInvariants(), absl::OkStatus());
  return true;
}

void ScenarioWorld::DeliverAll() {
  for (bool moved = true; moved;) {
    moved = false;
    for (size_t i = 0; i < links_.size(); ++i) {
      for (Side to : {kCore, kEdge}) {
        if (nodes_[to]->deaf || !DeliverOne(*links_[i], to)) continue;
        PumpAll();
        moved = true;
      }
    }
  }
}

/// Hashes say nothing to a reader: what matters is whether the two ends hold the same one.
std::string ScenarioWorld::DescribeReply(const Link& link, Side from, const v1::ProbeReply& reply) const {
  if (!reply.known()) {
    return fmt::format("reply {} at {}: {}, held again at {}", reply.flow(), reply.offset(),
                       reply.in_batch() ? "inside of a batch" : "nothing is held", reply.next());
  }
  const std::string& name = link.halves[from].offered.at(FlowNumber(reply.flow()));
  const MemoryLog& source = nodes_[Other(from)]->logs.at(name).log;
  const bool same = source.BoundaryAtOrBefore(Offset(reply.offset())).hash == ChainHash(reply.hash());
  return fmt::format("reply {} at {}: {}", reply.flow(), reply.offset(), same ? "same hash" : "another hash");
}

std::string ScenarioWorld::Describe(const Link& link, Side from, const Message& message) const {
  const v1::Frame& f = message.frame;
  switch (f.body_case()) {
    case v1::Frame::kHello:
      return "hello";
    case v1::Frame::kWelcome:
      return "welcome";
    case v1::Frame::kFlowOpen:
      return fmt::format(
          "open {} {} up to {}{}", f.flow_open().flow(),
          f.flow_open().has_repair() ? f.flow_open().repair().name() + " repair"
                                     : f.flow_open().stream().name(),
          f.flow_open().end(),
          f.flow_open().request() > 0 ? fmt::format(" for request {}", f.flow_open().request()) : "");
    case v1::Frame::kFlowAccept:
      return fmt::format("accept {} at {}", f.flow_accept().flow(), f.flow_accept().position().offset());
    case v1::Frame::kFlowRefuse: {
      const int64_t retry_ms = f.flow_refuse().retry_after_ms();
      return fmt::format("refuse {} {}{}", f.flow_refuse().flow(), f.flow_refuse().problem().kind(),
                         retry_ms > 0 ? fmt::format(", again in {} ms", retry_ms) : "");
    }
    case v1::Frame::kFlowClose:
      return fmt::format("close {}", f.flow_close().flow());
    case v1::Frame::kData:
      return DescribeData(message);
    case v1::Frame::kAck:
      return fmt::format("ack {} up to {}", f.ack().flow(), f.ack().durable().offset());
    case v1::Frame::kCredit:
      return fmt::format("credit received {} limit {}", f.credit().received(), f.credit().limit());
    case v1::Frame::kProbe:
      return fmt::format("probe {} at {}", f.probe().flow(), f.probe().offset());
    case v1::Frame::kProbeReply:
      return DescribeReply(link, from, f.probe_reply());
    case v1::Frame::kFlowRequest:
      return fmt::format("request {} repair of {}{}", f.flow_request().request(),
                         f.flow_request().repair().name(),
                         Range(f.flow_request().repair().from(), f.flow_request().repair().to()));
    case v1::Frame::kRequestRefuse:
      return fmt::format("refuse request {} {}", f.request_refuse().request(),
                         f.request_refuse().problem().kind());
    case v1::Frame::kHeartbeat:
      return "heartbeat";
    case v1::Frame::kClose:
      return fmt::format("close the link: {}", f.close().problem().kind());
    default:
      return "another message";
  }
}

std::string ScenarioWorld::DescribeLog(Side side, const std::string& name, const HeldLog& held) const {
  std::string text = fmt::format("{} {}:", NameOf(side), name);
  if (held.log.entries().empty()) text += " empty";
  for (const MemoryLog::Stored& e : held.log.entries()) {
    text += fmt::format(" {}{}", Range(e.from, e.to), e.kind == EntryKind::kGap ? " gap" : "");
  }
  if (held.damage) text += fmt::format(", damaged {}", Range(held.damage->first, held.damage->second));
  if (held.source == nullptr) return text;
  const auto& acknowledged = held.source->acknowledged;
  text += acknowledged ? fmt::format(", acknowledged up to {}", acknowledged->offset.value())
                       : std::string(", nothing acknowledged");
  for (const auto& link : links_) {
    const Session* session = link->halves[side].session.get();
    if (session == nullptr) continue;
    for (const auto& [flow, sender] : session->senders()) {
      if (&sender->source() == held.source.get()) text += fmt::format(", {}", StateName(sender->state()));
    }
  }
  return text;
}

}  // namespace selvage::replication::test
