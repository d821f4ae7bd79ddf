#include "tests/fuzz/session_world.h"

#include <cstdio>
#include <string>

#include "fabric/base/check.h"
#include "fabric/base/error.h"

/// Of the address sanitizer, when the program is built with it.
extern "C" size_t __sanitizer_get_current_allocated_bytes() __attribute__((weak));

namespace selvage::fuzz {
namespace {

using replication::CreditOf;
using replication::FlowNumber;
using replication::Message;
using replication::Session;
using replication::test::TestLogId;

constexpr size_t kBytesOfFlow = 2 << 10;  // state of one, here and in the session
constexpr size_t kHeapSlack = 64 << 10;

size_t HeapBytes() {
  return __sanitizer_get_current_allocated_bytes != nullptr ? __sanitizer_get_current_allocated_bytes() : 0;
}

Session::Options OptionsOf(const SessionWorld::Limits& limits) {
  Session::Options options;
  options.is_edge = limits.is_edge;
  options.receive_window = limits.receive_window;
  options.entry_max = limits.entry_max;
  return options;
}

}  // namespace

replication::FlowPosition SessionWorld::Sink::position() {
  return {TestLogId(9), durable, ChainHash(1), {}};
}
absl::Status SessionWorld::Sink::Check(const FlowEntry& entry) {
  if (!entry.body.view().starts_with('X')) return absl::OkStatus();
  return MakeError(absl::StatusCode::kDataLoss, "corrupt_batch", "marked as damaged", "", Retry::kYes);
}
replication::Located SessionWorld::Sink::Locate(Offset offset) {
  return {offset <= durable ? std::optional(ChainHash(1)) : std::nullopt, offset, offset};
}

SessionWorld::SessionWorld(const Limits& limits)
    : limits_(limits),
      session_(OptionsOf(limits), now_),
      heap_at_start_(HeapBytes()),
      credit_limit_(limits.receive_window) {
  SELVAGE_CHECK(limits.receive_window >= 2 * CreditOf(0) && limits.receive_window <= limits.entry_max);
  for (uint8_t i = 0; i < kSources; ++i) {
    Source& source = *sources_.emplace_back(std::make_unique<Source>());
    source.log.set_id(TestLogId(i));
    source.port.compressible = i == 0;
    source.log.AppendBatch(3, std::string(40, 'a'));
    source.log.AppendGap(5);
    source.log.AppendBatch(1, std::string(600, 'b'));
    source.log.AppendBatch(2, std::string(7, 'c'));
    source.port.start = Offset(i == 0 ? 0 : 3);
  }
  if (limits.is_edge) session_.SendHello({});
}

Offset SessionWorld::EndOf(uint32_t flow) const {
  const auto it = sinks_.find(flow);
  return it == sinks_.end() ? Offset(0) : it->second->handed;
}

void SessionWorld::Step(const Message& message) {
  Observe(message);
  session_.Step(message, now_);
  CheckInvariants();
}

/// Notes what the peer may count on afterwards.
void SessionWorld::Observe(const Message& message) {
  const v1::Frame& frame = message.frame;
  if (!introduced_ && (limits_.is_edge ? frame.has_welcome() : frame.has_hello())) {
    introduced_ = true;
    peer_window_ = limits_.is_edge ? frame.welcome().receive_window() : frame.hello().receive_window();
    peer_limit_ = peer_window_;
  }
  if (frame.has_credit()) peer_limit_ = std::max(peer_limit_, frame.credit().limit());
  if (frame.has_data()) {
    promised_bytes_ += CreditOf(frame.data().entry_size());
    received_bytes_ += message.payload.size();
  }
  if (frame.has_flow_open()) highest_flow_ = std::max(highest_flow_, frame.flow_open().flow());
  if (!frame.has_flow_accept()) return;
  const auto it = outgoing_.find(frame.flow_accept().flow());
  if (it == outgoing_.end() || it->second.accepted) return;
  it->second.accepted = true;
  it->second.next = Offset(frame.flow_accept().position().offset());
}

void SessionWorld::Take(size_t budget) {
  const Session::Ready ready = session_.TakeReady(now_, budget);
  CheckInvariants();
  CheckReady(ready);
  if (ready.events.empty() && !ready.more) {
    // Nothing happened, so there is nothing to do: a driver would go round in circles otherwise.
    const Session::Ready again = session_.TakeReady(now_, budget);
    SELVAGE_CHECK(again.messages.empty() && again.persist.empty() && again.events.empty() && !again.more);
    SELVAGE_CHECK(again.wake_at > now_);
  }
  for (const Session::Event& event : ready.events) Handle(event);
  CheckInvariants();
}

void SessionWorld::CheckInvariants() const {
  const absl::Status held = session_.CheckInvariants();
  if (!held.ok()) std::fprintf(stderr, "%s\n", std::string(held.message()).c_str());
  SELVAGE_CHECK(held.ok());
}

void SessionWorld::CheckReady(const Session::Ready& ready) {
  SELVAGE_CHECK(!closed_ || (ready.messages.empty() && ready.persist.empty() && ready.events.empty()));
  for (const Session::Persist& persist : ready.persist) CheckPersist(persist);
  for (const Message& message : ready.messages) CheckMessage(message);
  SELVAGE_CHECK(!closed_ || ready.closed);
  SELVAGE_CHECK(!ready.closed || !ready.reason.ok());
  closed_ = ready.closed;
  for (const auto& source : sources_) {
    const auto& acknowledged = source->port.acknowledged;
    SELVAGE_CHECK(!acknowledged ||
                  (acknowledged->history == source->log.id() && acknowledged->offset <= source->log.end()));
  }
  CheckMemory();
}

void SessionWorld::Handle(const Session::Event& event) {
  if (std::holds_alternative<Session::PeerHello>(event)) session_.SendWelcome({});
  if (const auto* forked = std::get_if<Session::FlowForked>(&event)) {
    // The peer may have ended the flow since.
    const auto found = session_.senders().find(forked->flow);
    if (found == session_.senders().end()) return;
    replication::Sender& sender = *found->second;
    SELVAGE_CHECK(forked->common.offset >= Offset(0));
    SELVAGE_CHECK(forked->common.offset <= sender.source().end());
  }
  if (const auto* offered = std::get_if<Session::FlowOffered>(&event)) {
    SELVAGE_CHECK(offered_.insert(offered->flow).second);
    if (offered->flow.value() % 4 != 3) Accept(offered->flow.value());
  }
}

/// An entry goes on where the one before it ended.
void SessionWorld::CheckPersist(const Session::Persist& persist) {
  const FlowEntry& entry = persist.entry;
  Sink& sink = *sinks_.at(persist.flow.value());
  SELVAGE_CHECK(entry.from == sink.handed && entry.from < entry.to);
  SELVAGE_CHECK(persist.credit == CreditOf(entry.body.size()) && entry.body.size() <= limits_.entry_max);
  sink.handed = entry.to;
  to_persist_.push_back(persist);
  to_persist_bytes_ += persist.credit;
  SELVAGE_CHECK(to_persist_bytes_ <= std::max<uint64_t>(limits_.receive_window, limits_.entry_max));
  SELVAGE_CHECK(to_persist_bytes_ <= limits_.receive_window || to_persist_.size() == 1);
}

void SessionWorld::CheckMessage(const Message& message) {
  const v1::Frame& frame = message.frame;
  switch (frame.body_case()) {
    case v1::Frame::kFlowOpen:
      SELVAGE_CHECK(outgoing_.emplace(frame.flow_open().flow(), Outgoing{}).second);
      break;
    case v1::Frame::kFlowClose:
      outgoing_.at(frame.flow_close().flow()).ended = true;
      break;
    case v1::Frame::kData:
      CheckData(frame.data(), message.payload.size());
      break;
    case v1::Frame::kAck:
      SELVAGE_CHECK(Offset(frame.ack().durable().offset()) <= sinks_.at(frame.ack().flow())->durable);
      break;
    case v1::Frame::kCredit:
      CheckCredit(frame.credit());
      break;
    default:
      break;
  }
}

/// Whole entries one after another, within what the peer lends: its window, or one entry alone.
void SessionWorld::CheckData(const v1::Data& data, size_t payload) {
  Outgoing& flow = outgoing_.at(data.flow());
  SELVAGE_CHECK(flow.accepted && !flow.ended && (payload > 0 || data.wire_size() == 0));
  if (data.position() == 0) {
    SELVAGE_CHECK(flow.unsent_bytes == 0 && Offset(data.from()) == flow.next && data.to() > data.from());
    const uint64_t held = begun_bytes_ + peer_window_ - peer_limit_;
    SELVAGE_CHECK(held == 0 || held + CreditOf(data.entry_size()) <= peer_window_);
    begun_bytes_ += CreditOf(data.entry_size());
    flow.unsent_bytes = data.wire_size();
    flow.next = Offset(data.to());
  }
  SELVAGE_CHECK(payload <= flow.unsent_bytes);
  flow.unsent_bytes -= payload;
}

/// Never more than the window beyond what the peer has begun.
void SessionWorld::CheckCredit(const v1::Credit& credit) {
  SELVAGE_CHECK(credit.limit() >= credit_limit_);
  SELVAGE_CHECK(credit.limit() <= promised_bytes_ + limits_.receive_window);
  SELVAGE_CHECK(credit.received() <= received_bytes_);
  credit_limit_ = credit.limit();
}

void SessionWorld::CheckMemory() const {
  const size_t entries = std::max<size_t>(limits_.receive_window, limits_.entry_max);
  const size_t flows = kBytesOfFlow * (sinks_.size() + outgoing_.size() + to_persist_.size());
  SELVAGE_CHECK(HeapBytes() <= heap_at_start_ + entries + flows + kHeapSlack);
}

void SessionWorld::Persist(bool ok) {
  if (to_persist_.empty()) return;
  const Session::Persist persist = std::move(to_persist_.front());
  to_persist_.pop_front();
  to_persist_bytes_ -= persist.credit;
  Sink& sink = *sinks_.at(persist.flow.value());
  sink.failed = sink.failed || !ok;
  if (sink.failed) {
    session_.Persisted(persist.flow, persist.credit,
                       MakeError(absl::StatusCode::kUnavailable, "store_failed", "disk"));
    return;
  }
  sink.durable = persist.entry.to;
  session_.Persisted(persist.flow, persist.credit, sink.position());
}

void SessionWorld::Offer(size_t source) {
  if (!session_.established() || sources_[source]->offered) return;
  sources_[source]->offered = true;
  session_.Offer(sources_[source]->port);
  Take(1);  // the peer answers what it was sent
}

void SessionWorld::Withdraw(size_t source) {
  sources_[source]->offered = false;
  for (const auto& [flow, sender] : session_.senders()) {
    if (&sender->source() != &sources_[source]->port) continue;
    return session_.Withdraw(flow);
  }
}

void SessionWorld::Accept(uint32_t flow) {
  if (flow > highest_flow_) return;
  auto& sink = sinks_[flow];
  if (sink != nullptr) return;  // a flow is answered once
  sink = std::make_unique<Sink>();
  session_.Accept(FlowNumber(flow), *sink);
}

void SessionWorld::Refuse(uint32_t flow) {
  session_.Refuse(FlowNumber(flow), MakeError(absl::StatusCode::kUnavailable, "busy", "not now"),
                  absl::Seconds(1));
}

void SessionWorld::SendOpen(uint32_t flow) {
  Message message;
  message.frame.mutable_flow_open()->set_flow(flow);
  Step(message);
  Take(1 << 20);
}

/// The first byte of an entry.
void SessionWorld::SendData(uint32_t flow, int64_t from, uint32_t size) {
  Message message;
  v1::Data& data = *message.frame.mutable_data();
  data.set_flow(flow);
  data.set_from(from);
  data.set_to(from + 1);
  data.set_kind(static_cast<uint32_t>(EntryKind::kBatch));
  data.set_entry_size(size);
  data.set_wire_size(size);
  message.payload = Bytes(std::string(1, 'd'));
  Step(message);
  Take(1 << 20);
}

void SessionWorld::Settle() {
  Take(1 << 20);
  while (!to_persist_.empty()) Persist(true);
  Take(1 << 20);
  if (closed_ || !session_.established() || highest_flow_ > UINT32_MAX - 16) return;
  for (const auto& [flow, sink] : sinks_) {
    Message close;
    close.frame.mutable_flow_close()->set_flow(flow);
    Step(close);
  }
  Take(1 << 20);
  SELVAGE_CHECK(!closed_);

  const uint32_t first = (highest_flow_ | 3) + 1;  // accepted at once, and so is the next
  const auto window = static_cast<uint32_t>(limits_.receive_window);
  SendOpen(first);
  const auto least = static_cast<uint32_t>(CreditOf(0));
  SendData(first, 0, 1);
  SendData(first, 1, window - least);
  SELVAGE_CHECK(!closed_);
  SendOpen(first + 1);
  SendData(first + 1, 0, 1);
  SELVAGE_CHECK(closed_);
}

}  // namespace selvage::fuzz
