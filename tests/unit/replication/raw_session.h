#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/replication/session.h"

/// One session, spoken to frame by frame.
namespace selvage::replication::test {

class RawSession {
 public:
  explicit RawSession(bool is_edge, Session::Options options = {}) {
    options.is_edge = is_edge;
    session = std::make_unique<Session>(options, now);
  }
  void Step(Message message) {
    session->Step(message, now);
    EXPECT_EQ(session->CheckInvariants(), absl::OkStatus());
  }
  Session::Ready Take() {
    Session::Ready ready = session->TakeReady(now, 1 << 20);
    EXPECT_EQ(session->CheckInvariants(), absl::OkStatus());
    return ready;
  }
  /// Goes on for that long, and returns all that was ready.
  Session::Ready TakeFor(absl::Duration time) {
    const absl::Duration until = now + time;
    Session::Ready all = Take();
    while (!all.closed && all.wake_at <= until) {
      now = std::max(now, all.wake_at);
      Session::Ready next = Take();
      std::move(all.messages.begin(), all.messages.end(),
                std::inserter(next.messages, next.messages.begin()));
      std::move(all.events.begin(), all.events.end(), std::inserter(next.events, next.events.begin()));
      std::move(all.persist.begin(), all.persist.end(), std::inserter(next.persist, next.persist.begin()));
      all = std::move(next);
    }
    now = until;
    return all;
  }
  /// The core after its handshake, with `window` of the peer.
  void EstablishCore(uint64_t window = 1 << 20) {
    Message hello;
    hello.frame.mutable_hello()->set_receive_window(window);
    Step(hello);
    session->SendWelcome({});
    Take();
  }
  void EstablishEdge() {
    session->SendHello({});
    Message welcome;
    welcome.frame.mutable_welcome()->set_receive_window(1 << 20);
    Step(welcome);
    Take();
  }
  /// The peer offers a flow, which is accepted into `sink`.
  void Open(uint32_t flow, FlowSink& sink) {
    Message open;
    open.frame.mutable_flow_open()->set_flow(flow);
    Step(open);
    session->Accept(FlowNumber(flow), sink);
    Take();
  }
  void Data(uint32_t flow, int64_t from, size_t size, size_t position, std::string payload) {
    Message message;
    v1::Data& data = *message.frame.mutable_data();
    data.set_flow(flow);
    data.set_from(from);
    data.set_to(from + 1);
    data.set_kind(static_cast<uint32_t>(EntryKind::kBatch));
    data.set_entry_size(static_cast<uint32_t>(size));
    data.set_wire_size(static_cast<uint32_t>(size));
    data.set_position(static_cast<uint32_t>(position));
    message.payload = Bytes(std::move(payload));
    Step(message);
  }

  absl::Duration now = absl::Seconds(100);
  std::unique_ptr<Session> session;
};

template <class Set>
Message Frame(Set set) {
  Message message;
  set(message.frame);
  return message;
}
inline Message Hello() {
  return Frame([](v1::Frame& f) { f.mutable_hello(); });
}
inline Message Welcome() {
  return Frame([](v1::Frame& f) { f.mutable_welcome(); });
}
inline Message Heartbeat() {
  return Frame([](v1::Frame& f) { f.mutable_heartbeat(); });
}
inline Message Accept(uint32_t flow, const FlowPosition& position) {
  return Frame([&](v1::Frame& f) {
    f.mutable_flow_accept()->set_flow(flow);
    *f.mutable_flow_accept()->mutable_position() = ToProto(position);
  });
}
inline Message Refuse(uint32_t flow, int64_t retry_after_ms) {
  return Frame([&](v1::Frame& f) {
    f.mutable_flow_refuse()->set_flow(flow);
    f.mutable_flow_refuse()->mutable_problem()->set_kind("busy");
    f.mutable_flow_refuse()->set_retry_after_ms(retry_after_ms);
  });
}
inline Message Credit(uint64_t received, uint64_t limit) {
  return Frame([&](v1::Frame& f) {
    f.mutable_credit()->set_received(received);
    f.mutable_credit()->set_limit(limit);
  });
}

inline const Message* Find(const Session::Ready& ready, v1::Frame::BodyCase body) {
  for (const Message& m : ready.messages) {
    if (m.frame.body_case() == body) return &m;
  }
  return nullptr;
}
/// The credit it announces; 0 if none.
inline uint64_t LimitIn(const Session::Ready& ready) {
  const Message* credit = Find(ready, v1::Frame::kCredit);
  return credit == nullptr ? 0 : credit->frame.credit().limit();
}
template <class Event>
int Count(const Session::Ready& ready) {
  return static_cast<int>(std::count_if(ready.events.begin(), ready.events.end(),
                                        [](auto& e) { return std::holds_alternative<Event>(e); }));
}
/// The first event of that kind; there must be one.
template <class Event>
const Event& Get(const Session::Ready& ready) {
  for (const Session::Event& event : ready.events) {
    if (const auto* wanted = std::get_if<Event>(&event)) return *wanted;
  }
  SELVAGE_CHECK(false);
}
inline void ExpectProtocolError(RawSession& raw) {
  Session::Ready ready = raw.Take();
  EXPECT_TRUE(ready.closed);
  EXPECT_EQ(ErrorKind(ready.reason), "protocol_error");
  EXPECT_NE(Find(ready, v1::Frame::kClose), nullptr);
}

}  // namespace selvage::replication::test
