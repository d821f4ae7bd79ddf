#include <gtest/gtest.h>

#include "tests/unit/replication/memory_log.h"
#include "tests/unit/replication/raw_session.h"

namespace selvage::replication::test {
namespace {

class SinkSession : public testing::Test {
 protected:
  SinkSession() { Begin(1000); }
  void Begin(uint64_t window) {
    Session::Options options;
    options.receive_window = window;
    options.entry_max = 10000;
    core = std::make_unique<RawSession>(false, options);
    core->EstablishCore();
    core->Open(1, sink);
    core->Open(2, sink2);
  }
  uint64_t LimitSaid() {
    Session::Ready ready = core->Take();
    for (const Message& m : ready.messages) {
      if (m.frame.has_credit()) limit = m.frame.credit().limit();
    }
    for (auto& p : ready.persist) persist.push_back(std::move(p));
    return limit;
  }

  MemoryLog log, log2;
  LogSink sink{log}, sink2{log2};
  std::unique_ptr<RawSession> core;
  std::vector<Session::Persist> persist;
  uint64_t limit = 1000;
};

TEST_F(SinkSession, NothingIsAcknowledgedBeforeItIsPersisted) {
  core->Data(1, 0, 3, 0, "abc");
  core->Data(1, 1, 3, 0, "def");
  Session::Ready ready = core->Take();
  ASSERT_EQ(ready.persist.size(), 2u);
  EXPECT_EQ(Find(ready, v1::Frame::kAck), nullptr);
  core->session->Persisted(FlowNumber(1), ready.persist[0].credit, sink.Append(ready.persist[0].entry));
  Session::Ready after = core->Take();
  const Message* ack = Find(after, v1::Frame::kAck);
  ASSERT_NE(ack, nullptr);
  EXPECT_EQ(FromProto(ack->frame.ack().durable()), log.position());
  EXPECT_EQ(Find(core->Take(), v1::Frame::kAck), nullptr);
}

TEST_F(SinkSession, FailedPersistRefusesTheFlow) {
  core->Data(1, 0, 3, 0, "abc");
  core->Data(1, 1, 3, 0, "def");
  Session::Ready ready = core->Take();
  absl::Status full = MakeError(absl::StatusCode::kResourceExhausted, "disk_full", "full", "", Retry::kYes);
  for (auto& p : ready.persist) core->session->Persisted(p.flow, p.credit, full);
  Session::Ready after = core->Take();
  const Message* refusal = Find(after, v1::Frame::kFlowRefuse);
  ASSERT_NE(refusal, nullptr);
  EXPECT_GT(refusal->frame.flow_refuse().retry_after_ms(), 0);
  EXPECT_EQ(Count<Session::FlowEnded>(after), 1);
  EXPECT_EQ(Find(after, v1::Frame::kAck), nullptr);
  EXPECT_EQ(LimitIn(after), 1000 + 2 * CreditOf(3));
}

// Its later fragments bring the total above the window as well: only a second entry would be too much.
TEST_F(SinkSession, EntryLargerThanTheWindowPassesInFragments) {
  for (size_t at = 0; at < 10000; at += 1000) {
    core->Data(1, 0, 10000, at, std::string(1000, 'x'));
    ASSERT_FALSE(core->Take().closed) << at;
  }
  core->Data(2, 0, 1, 0, "y");
  ExpectProtocolError(*core);
}

TEST_F(SinkSession, PeerThatIgnoresCreditIsCutOff) {
  core->Data(1, 0, 600, 0, std::string(600, 'x'));
  core->Data(2, 0, 400, 0, "y");
  Session::Ready ready = core->Take();
  EXPECT_FALSE(ready.closed);
  core->Data(1, 1, 1, 0, "z");
  ExpectProtocolError(*core);
  EXPECT_TRUE(core->Take().persist.empty());
}

TEST_F(SinkSession, DataUnderWayForARefusedFlowGivesCreditBack) {
  core->Data(1, 5, 500, 0, "jump");  // refused by the receiver itself, in the middle of an entry
  core->Data(1, 5, 500, 4, std::string(496, 'x'));
  core->Data(1, 6, 300, 0, std::string(300, 'x'));
  EXPECT_EQ(LimitSaid(), 1800u);
  core->Data(2, 0, 800, 0, "begun");
  EXPECT_EQ(LimitSaid(), 1800u);
  core->session->Refuse(FlowNumber(2), absl::UnavailableError("deleted"), absl::InfiniteDuration());
  EXPECT_EQ(LimitSaid(), 2600u);
  core->Data(2, 0, 800, 5, std::string(795, 'x'));
  EXPECT_EQ(LimitSaid(), 2600u);
}

TEST_F(SinkSession, ClosedFlowGivesCreditBack) {
  core->Data(1, 0, 500, 0, "half");
  core->Step(Frame([](v1::Frame& f) { f.mutable_flow_close()->set_flow(1); }));
  Session::Ready ready = core->Take();
  EXPECT_EQ(Count<Session::FlowEnded>(ready), 1);
  EXPECT_EQ(LimitIn(ready), 1500u);
  core->Data(1, 0, 500, 4, "straggler");
  EXPECT_FALSE(core->Take().closed);
}

TEST_F(SinkSession, AnEndedFlowIsReportedOnce) {
  core->Data(1, 5, 500, 0, "jump");
  EXPECT_EQ(Count<Session::FlowEnded>(core->Take()), 1);
  core->Step(Frame([](v1::Frame& f) { f.mutable_flow_close()->set_flow(1); }));
  EXPECT_EQ(Count<Session::FlowEnded>(core->Take()), 0);
}

TEST_F(SinkSession, PersistOfAFlowThatEndedGivesCreditBack) {
  core->Data(1, 0, 500, 0, std::string(500, 'x'));
  Session::Ready ready = core->Take();
  ASSERT_EQ(ready.persist.size(), 1u);
  core->Step(Frame([](v1::Frame& f) { f.mutable_flow_close()->set_flow(1); }));
  core->Take();
  core->session->Persisted(FlowNumber(1), 500, sink.Append(ready.persist[0].entry));
  ready = core->Take();
  EXPECT_EQ(LimitIn(ready), 1500u);
  EXPECT_EQ(Find(ready, v1::Frame::kAck), nullptr);
}

TEST_F(SinkSession, FlowNumbersAreNeverUsedAgain) {
  for (uint32_t number : {0u, 1u, 2u}) {
    Begin(1000);
    core->Step(Frame([&](v1::Frame& f) { f.mutable_flow_open()->set_flow(number); }));
    ExpectProtocolError(*core);
  }
}

TEST_F(SinkSession, DataOfAFlowThatWasNeverOfferedEndsTheLink) {
  core->Data(3, 0, 1, 0, "x");
  ExpectProtocolError(*core);
}

TEST_F(SinkSession, OffersAreBounded) {
  for (uint32_t number = 3; number < 20000; ++number) {
    core->Step(Frame([&](v1::Frame& f) { f.mutable_flow_open()->set_flow(number); }));
  }
  ExpectProtocolError(*core);
}

TEST_F(SinkSession, AnswersToFlowsThatEndedHaveNoEffect) {
  core->session->Accept(FlowNumber(1), sink2);  // a second answer
  core->session->Accept(FlowNumber(9), sink);
  core->session->Refuse(FlowNumber(9), absl::UnavailableError("x"), absl::ZeroDuration());
  EXPECT_TRUE(core->Take().messages.empty());
}

class SourceSession : public testing::Test {
 protected:
  SourceSession() {
    for (int i = 0; i < 5; ++i) log.AppendBatch(1, std::string(1000, 'x'));
    edge.EstablishEdge();
    flow = edge.session->Offer(source);
  }
  RawSession edge{true};
  MemoryLog log{TestLogId(1)};
  LogSource source{log};
  FlowNumber flow;
};

TEST_F(SourceSession, CreditForBytesThatWereNeverSentEndsTheLink) {
  edge.Step(Accept(1, {log.id(), Offset(0), ChainHash(0), {}}));
  edge.TakeFor(absl::Seconds(1));
  edge.Step(Credit(5000, 5000 + (1 << 20)));
  EXPECT_FALSE(edge.Take().closed);
  edge.Step(Credit(5001, 5000 + (1 << 20)));
  ExpectProtocolError(edge);
  RawSession other(true);
  other.EstablishEdge();
  other.Step(Credit(0, (1 << 20) + 1));
  ExpectProtocolError(other);
}

TEST_F(SourceSession, RefusedFlowIsOfferedAgainUnderANewNumber) {
  edge.Take();
  edge.Step(Refuse(1, 2000));
  Session::Ready held = edge.Take();
  ASSERT_EQ(Count<Session::FlowHeld>(held), 1);
  EXPECT_EQ(Get<Session::FlowHeld>(held).flow, flow);
  EXPECT_EQ(held.wake_at, edge.now + absl::Seconds(2));
  EXPECT_NE(Find(held, v1::Frame::kFlowClose), nullptr);
  EXPECT_EQ(Find(held, v1::Frame::kFlowOpen), nullptr);
  // What was on its way for the old number changes nothing.
  edge.Step(Refuse(1, 2000));
  edge.Step(Accept(1, {log.id(), Offset(0), ChainHash(0), {}}));
  EXPECT_TRUE(edge.Take().messages.empty());

  edge.now += absl::Seconds(2);
  Session::Ready again = edge.Take();
  const Message* offer = Find(again, v1::Frame::kFlowOpen);
  ASSERT_NE(offer, nullptr);
  EXPECT_EQ(offer->frame.flow_open().flow(), 2u);
  edge.Step(Accept(2, {log.id(), Offset(1), log.entries()[0].hash_after, {}}));
  Session::Ready data = edge.TakeFor(absl::Seconds(1));
  ASSERT_NE(Find(data, v1::Frame::kData), nullptr);
  EXPECT_EQ(Find(data, v1::Frame::kData)->frame.data().flow(), 2u);
  EXPECT_EQ(Find(data, v1::Frame::kData)->frame.data().from(), 1);

  // The owner still knows it by its first number.
  ASSERT_EQ(edge.session->senders().count(flow), 1u);
  edge.Step(Refuse(2, 0));
  EXPECT_EQ(Get<Session::FlowHeld>(edge.Take()).flow, flow);
  edge.session->Withdraw(flow);
  edge.now += absl::Seconds(5);
  edge.Step(Heartbeat());
  EXPECT_TRUE(edge.session->senders().empty());
  EXPECT_EQ(Find(edge.Take(), v1::Frame::kFlowOpen), nullptr);
}

TEST_F(SourceSession, HeldIsReportedOnce) {
  edge.Step(Accept(1, {log.id(), Offset(0), ChainHash(0), {}}));
  edge.Take();
  FlowPosition wrong{log.id(), Offset(2), ChainHash(77), {}};
  Message ack = Frame([&](v1::Frame& f) {
    f.mutable_ack()->set_flow(1);
    *f.mutable_ack()->mutable_durable() = ToProto(wrong);
  });
  edge.Step(ack);
  edge.Step(ack);
  EXPECT_EQ(Count<Session::FlowHeld>(edge.Take()), 1);
  EXPECT_EQ(edge.session->senders().at(flow)->state(), Sender::State::kHeld);
}

TEST_F(SourceSession, HighPriorityOvertakesWhatWaits) {
  MemoryLog alarm_log{TestLogId(2)};
  alarm_log.AppendBatch(1, "alarm");
  LogSource alarms(alarm_log, {.priority = 9});
  for (int i = 0; i < 100; ++i) log.AppendBatch(1, std::string(1000, 'x'));
  edge.Step(Accept(1, {log.id(), Offset(0), ChainHash(0), {}}));
  edge.TakeFor(absl::Seconds(1));
  edge.session->Offer(alarms);
  edge.Step(Accept(2, {alarm_log.id(), Offset(0), ChainHash(0), {}}));
  edge.Step(Credit(4000, 4000 + (1 << 20)));
  Session::Ready ready = edge.TakeFor(absl::Milliseconds(300));
  const Message* first = Find(ready, v1::Frame::kData);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->frame.data().flow(), 2u);
}

TEST_F(SourceSession, BudgetBoundsWhatOneCallHandsOut) {
  // A fast link, on which frames need not be apart.
  log.AppendBatch(1, std::string(1000, 'x'));
  edge.Step(Accept(1, {log.id(), Offset(5), log.entries()[4].hash_after, {}}));
  edge.TakeFor(absl::Seconds(1));
  log.AppendBatch(1, std::string(1000, 'x'));
  edge.Take();
  edge.now += absl::Milliseconds(1);
  edge.Step(Credit(2000, 2000 + (1 << 20)));
  edge.TakeFor(absl::Seconds(1));
  for (int i = 0; i < 5; ++i) log.AppendBatch(1, std::string(1000, 'x'));
  Session::Ready none = edge.session->TakeReady(edge.now, 0);
  EXPECT_TRUE(none.more);
  EXPECT_EQ(Find(none, v1::Frame::kData), nullptr);
  Session::Ready some = edge.session->TakeReady(edge.now, 1500);
  EXPECT_TRUE(some.more);
  size_t bytes = 0;
  for (const Message& m : some.messages) bytes += m.payload.size();
  EXPECT_GE(bytes, 1500u);
  EXPECT_LE(bytes, 3000u);
}

TEST_F(SourceSession, WhileOnlyTimePassesFlowsAreNotLookedThrough) {
  edge.Step(Accept(1, {log.id(), Offset(5), log.entries()[4].hash_after}));
  edge.TakeFor(absl::Seconds(1));
  const uint64_t activity = edge.session->activity();
  log.AppendBatch(1, std::string(1000, 'x'));
  edge.session->OnlyTimePassed();
  EXPECT_EQ(Find(edge.Take(), v1::Frame::kData), nullptr);
  EXPECT_EQ(edge.session->activity(), activity);
  EXPECT_NE(Find(edge.TakeFor(absl::Seconds(1)), v1::Frame::kData), nullptr) << "whoever appends wakes";
  EXPECT_GT(edge.session->activity(), activity);
}

TEST_F(SourceSession, WhatIsUnderWayIsSentOnWhileOnlyTimePasses) {
  edge.Step(Accept(1, {log.id(), Offset(0), ChainHash(0)}));
  size_t bytes = 0;
  for (int i = 0; i < 1000; ++i) {
    if (i > 0) edge.session->OnlyTimePassed();
    const Session::Ready ready = edge.session->TakeReady(edge.now, 1000);
    for (const Message& message : ready.messages) bytes += message.payload.size();
    edge.now += absl::Milliseconds(10);
  }
  EXPECT_EQ(bytes, 5000u);
}

}  // namespace
}  // namespace selvage::replication::test
