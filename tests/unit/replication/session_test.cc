#include "fabric/replication/session.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/replication/virtual_link.h"

namespace selvage::replication::test {
namespace {

using Kind = Session::Event::Kind;

constexpr size_t kBudget = 1 << 20;

/// One session, spoken to frame by frame.
class RawSession {
 public:
  explicit RawSession(bool is_edge, Session::Options options = {}) {
    options.is_edge = is_edge;
    session = std::make_unique<Session>(options, now);
  }
  void Step(Message message) { session->Step(message, now); }
  Session::Ready Take() { return session->TakeReady(now, kBudget); }
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
    data.set_kind(v1::BATCH);
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
Message Hello() {
  return Frame([](v1::Frame& f) { f.mutable_hello(); });
}
Message Welcome() {
  return Frame([](v1::Frame& f) { f.mutable_welcome(); });
}
Message Heartbeat() {
  return Frame([](v1::Frame& f) { f.mutable_heartbeat(); });
}
Message Accept(uint32_t flow, const LogPosition& position) {
  return Frame([&](v1::Frame& f) {
    f.mutable_flow_accept()->set_flow(flow);
    *f.mutable_flow_accept()->mutable_position() = ToProto(position);
  });
}
Message Refuse(uint32_t flow, int64_t retry_after_ms) {
  return Frame([&](v1::Frame& f) {
    f.mutable_flow_refuse()->set_flow(flow);
    f.mutable_flow_refuse()->mutable_problem()->set_kind("busy");
    f.mutable_flow_refuse()->set_retry_after_ms(retry_after_ms);
  });
}
Message Credit(uint64_t received, uint64_t limit) {
  return Frame([&](v1::Frame& f) {
    f.mutable_credit()->set_received(received);
    f.mutable_credit()->set_limit(limit);
  });
}

const Message* Find(const Session::Ready& ready, v1::Frame::BodyCase body) {
  for (const Message& m : ready.messages) {
    if (m.frame.body_case() == body) return &m;
  }
  return nullptr;
}
/// The credit it announces; 0 if none.
uint64_t LimitIn(const Session::Ready& ready) {
  const Message* credit = Find(ready, v1::Frame::kCredit);
  return credit == nullptr ? 0 : credit->frame.credit().limit();
}
int Count(const Session::Ready& ready, Kind kind) {
  return static_cast<int>(
      std::count_if(ready.events.begin(), ready.events.end(), [&](auto& e) { return e.kind == kind; }));
}
void ExpectProtocolError(RawSession& raw) {
  Session::Ready ready = raw.Take();
  EXPECT_TRUE(ready.closed);
  EXPECT_EQ(ErrorKind(ready.reason), "protocol_error");
  EXPECT_NE(Find(ready, v1::Frame::kClose), nullptr);
}

TEST(SessionHandshake, AnyOtherOrderEndsTheLink) {
  for (Message wrong : {Heartbeat(), Welcome(), Credit(0, 0), Accept(1, {})}) {
    RawSession core(false);
    core.Step(wrong);
    ExpectProtocolError(core);
    RawSession waiting(false);  // the hello was seen, the welcome not sent yet
    waiting.Step(Hello());
    waiting.Step(wrong);
    ExpectProtocolError(waiting);
    waiting.session->SendWelcome({});  // too late, and harmless
    EXPECT_TRUE(waiting.Take().messages.empty());
  }
  RawSession twice(false);
  twice.Step(Hello());
  twice.Step(Hello());
  ExpectProtocolError(twice);
  RawSession late(false);
  late.EstablishCore();
  late.Step(Hello());
  ExpectProtocolError(late);

  RawSession unasked(true);
  unasked.Step(Welcome());
  ExpectProtocolError(unasked);
  for (Message wrong : {Hello(), Heartbeat(), Credit(0, 0)}) {
    RawSession edge(true);
    edge.session->SendHello({});
    edge.Step(wrong);
    ExpectProtocolError(edge);
  }
  RawSession again(true);
  again.EstablishEdge();
  again.Step(Welcome());
  ExpectProtocolError(again);
}

TEST(SessionHandshake, SpecsComeFromTheCoreAndStatusesFromTheEdge) {
  Message spec = Frame([](v1::Frame& f) { f.mutable_spec(); });
  Message status = Frame([](v1::Frame& f) { f.mutable_status(); });
  RawSession edge(true);
  edge.EstablishEdge();
  edge.Step(spec);
  EXPECT_EQ(Count(edge.Take(), Kind::kSpec), 1);
  edge.Step(status);
  ExpectProtocolError(edge);
  RawSession core(false);
  core.EstablishCore();
  core.Step(status);
  EXPECT_EQ(Count(core.Take(), Kind::kStatus), 1);
  core.Step(spec);
  ExpectProtocolError(core);
}

TEST(SessionHandshake, UnknownFramesAreIgnoredAfterIt) {
  RawSession core(false);
  core.EstablishCore();
  core.Step(Message());
  EXPECT_FALSE(core.Take().closed);
}

TEST(SessionTime, HeartbeatsWhenNothingElseIsSent) {
  RawSession core(false);
  core.EstablishCore();
  int heartbeats = 0;
  for (int i = 0; i < 100; ++i) {
    core.Step(Heartbeat());
    Session::Ready ready = core.Take();
    heartbeats += static_cast<int>(ready.messages.size());
    ASSERT_GT(ready.wake_at, core.now);
    core.now = ready.wake_at;
  }
  EXPECT_EQ(heartbeats, 99);
}

TEST(SessionTime, SilenceEndsTheLink) {
  for (bool established : {false, true}) {
    RawSession core(false);
    if (established) core.EstablishCore();
    absl::Duration start = core.now;
    int wakes = 0;
    Session::Ready ready = core.Take();
    while (!ready.closed && ++wakes < 100) {
      ASSERT_GT(ready.wake_at, core.now);
      core.now = ready.wake_at;
      ready = core.Take();
    }
    EXPECT_EQ(ErrorKind(ready.reason), "link_timeout");
    EXPECT_TRUE(IsRetryable(ready.reason));
    EXPECT_LE(core.now - start, absl::Seconds(31));
    EXPECT_GE(core.now - start, absl::Seconds(30));
    EXPECT_LE(wakes, 5);
  }
}

TEST(SessionTime, AnyFragmentIsASignOfLife) {
  RawSession core(false);
  core.EstablishCore();
  MemoryLog log;
  LogSink sink(log);
  core.Open(1, sink);
  for (int i = 0; i < 10; ++i) {
    core.now += absl::Seconds(25);
    core.Data(1, 0, 100, static_cast<size_t>(i), "x");
    EXPECT_FALSE(core.Take().closed);
  }
}

TEST(SessionClose, TellsThePeerAndSaysNothingAfterwards) {
  RawSession edge(true), core(false);
  core.EstablishCore();
  edge.EstablishEdge();
  core.session->Close(
      MakeError(absl::StatusCode::kAborted, "superseded", "another link", "hint", Retry::kYes),
      absl::Seconds(7));
  core.session->SendSpec({});
  Session::Ready ready = core.Take();
  ASSERT_EQ(ready.messages.size(), 1u);
  EXPECT_TRUE(ready.closed);
  edge.Step(ready.messages[0]);
  Session::Ready heard = edge.Take();
  ASSERT_EQ(Count(heard, Kind::kPeerClosed), 1);
  EXPECT_EQ(heard.events.at(0).retry_after, absl::Seconds(7));
  EXPECT_EQ(ErrorKind(heard.reason), "superseded");
  EXPECT_TRUE(heard.messages.empty());
  EXPECT_EQ(heard.wake_at, absl::InfiniteDuration());
}

class SinkSession : public testing::Test {
 protected:
  SinkSession() { Begin(100); }
  void Begin(uint64_t window) {
    Session::Options options;
    options.receive_window = window;
    options.entry_max = 1000;
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
  uint64_t limit = 100;
};

TEST_F(SinkSession, NothingIsAcknowledgedBeforeItIsPersisted) {
  core->Data(1, 0, 3, 0, "abc");
  core->Data(1, 1, 3, 0, "def");
  Session::Ready ready = core->Take();
  ASSERT_EQ(ready.persist.size(), 2u);
  EXPECT_EQ(Find(ready, v1::Frame::kAck), nullptr);
  core->session->Persisted(FlowNumber(1), ready.persist[0].bytes, sink.Append(ready.persist[0].entry));
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
  for (auto& p : ready.persist) core->session->Persisted(p.flow, p.bytes, full);
  Session::Ready after = core->Take();
  const Message* refusal = Find(after, v1::Frame::kFlowRefuse);
  ASSERT_NE(refusal, nullptr);
  EXPECT_GT(refusal->frame.flow_refuse().retry_after_ms(), 0);
  EXPECT_EQ(Count(after, Kind::kFlowEnded), 1);
  EXPECT_EQ(Find(after, v1::Frame::kAck), nullptr);
  EXPECT_EQ(LimitIn(after), 106u);
}

// Its later fragments bring the total above the window as well: only a second entry would be too much.
TEST_F(SinkSession, EntryLargerThanTheWindowPassesInFragments) {
  for (size_t at = 0; at < 1000; at += 100) {
    core->Data(1, 0, 1000, at, std::string(100, 'x'));
    ASSERT_FALSE(core->Take().closed) << at;
  }
  core->Data(2, 0, 1, 0, "y");
  ExpectProtocolError(*core);
}

TEST_F(SinkSession, PeerThatIgnoresCreditIsCutOff) {
  core->Data(1, 0, 60, 0, std::string(60, 'x'));
  core->Data(2, 0, 40, 0, "y");
  Session::Ready ready = core->Take();
  EXPECT_FALSE(ready.closed);
  core->Data(1, 1, 1, 0, "z");
  ExpectProtocolError(*core);
  EXPECT_TRUE(core->Take().persist.empty());
}

TEST_F(SinkSession, PersistingGivesCreditBack) {
  core->Data(1, 0, 60, 0, std::string(60, 'x'));
  EXPECT_EQ(LimitSaid(), 100u);
  ASSERT_EQ(persist.size(), 1u);
  core->session->Persisted(FlowNumber(1), 60, sink.Append(persist[0].entry));
  EXPECT_EQ(LimitSaid(), 160u);
}

TEST_F(SinkSession, DataUnderWayForARefusedFlowGivesCreditBack) {
  core->Data(1, 5, 50, 0, "jump");  // refused by the receiver itself, in the middle of an entry
  core->Data(1, 5, 50, 4, std::string(46, 'x'));
  core->Data(1, 6, 30, 0, std::string(30, 'x'));
  EXPECT_EQ(LimitSaid(), 180u);
  core->Data(2, 0, 80, 0, "begun");
  EXPECT_EQ(LimitSaid(), 180u);
  core->session->Refuse(FlowNumber(2), absl::UnavailableError("deleted"), absl::InfiniteDuration());
  EXPECT_EQ(LimitSaid(), 260u);
  core->Data(2, 0, 80, 5, std::string(75, 'x'));
  EXPECT_EQ(LimitSaid(), 260u);
}

TEST_F(SinkSession, ClosedFlowGivesCreditBack) {
  core->Data(1, 0, 50, 0, "half");
  core->Step(Frame([](v1::Frame& f) { f.mutable_flow_close()->set_flow(1); }));
  Session::Ready ready = core->Take();
  EXPECT_EQ(Count(ready, Kind::kFlowEnded), 1);
  EXPECT_EQ(LimitIn(ready), 150u);
  core->Data(1, 0, 50, 4, "straggler");
  EXPECT_FALSE(core->Take().closed);
}

TEST_F(SinkSession, AnEndedFlowIsReportedOnce) {
  core->Data(1, 5, 50, 0, "jump");
  EXPECT_EQ(Count(core->Take(), Kind::kFlowEnded), 1);
  core->Step(Frame([](v1::Frame& f) { f.mutable_flow_close()->set_flow(1); }));
  EXPECT_EQ(Count(core->Take(), Kind::kFlowEnded), 0);
}

TEST_F(SinkSession, PersistOfAFlowThatEndedGivesCreditBack) {
  core->Data(1, 0, 50, 0, std::string(50, 'x'));
  Session::Ready ready = core->Take();
  ASSERT_EQ(ready.persist.size(), 1u);
  core->Step(Frame([](v1::Frame& f) { f.mutable_flow_close()->set_flow(1); }));
  core->Take();
  core->session->Persisted(FlowNumber(1), 50, sink.Append(ready.persist[0].entry));
  ready = core->Take();
  EXPECT_EQ(LimitIn(ready), 150u);
  EXPECT_EQ(Find(ready, v1::Frame::kAck), nullptr);
}

TEST_F(SinkSession, FlowNumbersAreNeverUsedAgain) {
  for (uint32_t number : {0u, 1u, 2u}) {
    Begin(100);
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
  edge.Step(Accept(1, {log.id(), Offset(0), ChainHash(0)}));
  edge.Take();
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
  ASSERT_EQ(Count(held, Kind::kFlowHeld), 1);
  EXPECT_EQ(held.events[0].flow, flow);
  EXPECT_EQ(held.wake_at, edge.now + absl::Seconds(2));
  EXPECT_NE(Find(held, v1::Frame::kFlowClose), nullptr);
  EXPECT_EQ(Find(held, v1::Frame::kFlowOpen), nullptr);
  // What was on its way for the old number changes nothing.
  edge.Step(Refuse(1, 2000));
  edge.Step(Accept(1, {log.id(), Offset(0), ChainHash(0)}));
  EXPECT_TRUE(edge.Take().messages.empty());

  edge.now += absl::Seconds(2);
  Session::Ready again = edge.Take();
  const Message* offer = Find(again, v1::Frame::kFlowOpen);
  ASSERT_NE(offer, nullptr);
  EXPECT_EQ(offer->frame.flow_open().flow(), 2u);
  edge.Step(Accept(2, {log.id(), Offset(1), log.entries()[0].hash_after}));
  Session::Ready data = edge.Take();
  ASSERT_NE(Find(data, v1::Frame::kData), nullptr);
  EXPECT_EQ(Find(data, v1::Frame::kData)->frame.data().flow(), 2u);
  EXPECT_EQ(Find(data, v1::Frame::kData)->frame.data().from(), 1);

  // The owner still knows it by its first number.
  ASSERT_EQ(edge.session->senders().count(flow), 1u);
  edge.Step(Refuse(2, 0));
  EXPECT_EQ(edge.Take().events.at(0).flow, flow);
  edge.session->Withdraw(flow);
  edge.now += absl::Seconds(5);
  edge.Step(Heartbeat());
  EXPECT_TRUE(edge.session->senders().empty());
  EXPECT_EQ(Find(edge.Take(), v1::Frame::kFlowOpen), nullptr);
}

TEST_F(SourceSession, HeldIsReportedOnce) {
  edge.Step(Accept(1, {log.id(), Offset(0), ChainHash(0)}));
  edge.Take();
  LogPosition wrong{log.id(), Offset(2), ChainHash(77)};
  Message ack = Frame([&](v1::Frame& f) {
    f.mutable_ack()->set_flow(1);
    *f.mutable_ack()->mutable_durable() = ToProto(wrong);
  });
  edge.Step(ack);
  edge.Step(ack);
  EXPECT_EQ(Count(edge.Take(), Kind::kFlowHeld), 1);
  EXPECT_EQ(edge.session->senders().at(flow)->state(), Sender::State::kHeld);
}

TEST_F(SourceSession, WithdrawnFlowIsClosedOnTheLink) {
  edge.Step(Accept(1, {log.id(), Offset(0), ChainHash(0)}));
  edge.Take();
  edge.session->Withdraw(source);
  Session::Ready ready = edge.Take();
  EXPECT_NE(Find(ready, v1::Frame::kFlowClose), nullptr);
  log.AppendBatch(1, "more");
  edge.Step(Credit(5000, 5000 + (1 << 20)));
  EXPECT_EQ(Find(edge.Take(), v1::Frame::kData), nullptr);
}

TEST_F(SourceSession, HighPriorityOvertakesWhatWaits) {
  MemoryLog alarm_log{TestLogId(2)};
  alarm_log.AppendBatch(1, "alarm");
  LogSource alarms(alarm_log, {.priority = 9});
  for (int i = 0; i < 100; ++i) log.AppendBatch(1, std::string(1000, 'x'));
  edge.Step(Accept(1, {log.id(), Offset(0), ChainHash(0)}));
  edge.Take();
  edge.session->Offer(alarms);
  edge.Step(Accept(2, {alarm_log.id(), Offset(0), ChainHash(0)}));
  edge.Step(Credit(4000, 4000 + (1 << 20)));
  Session::Ready ready = edge.Take();
  const Message* first = Find(ready, v1::Frame::kData);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->frame.data().flow(), 2u);
}

TEST_F(SourceSession, BudgetBoundsWhatOneCallHandsOut) {
  edge.Step(Accept(1, {log.id(), Offset(0), ChainHash(0)}));
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

TEST_F(SourceSession, ForkIsReportedAndNothingSent) {
  edge.Step(Accept(1, {TestLogId(9), Offset(3), ChainHash(1)}));
  Session::Ready ready = edge.Take();
  for (int i = 0; i < 20 && Find(ready, v1::Frame::kProbe) != nullptr; ++i) {
    int64_t offset = Find(ready, v1::Frame::kProbe)->frame.probe().offset();
    edge.Step(Frame([&](v1::Frame& f) {
      f.mutable_probe_reply()->set_flow(1);
      f.mutable_probe_reply()->set_offset(offset);
      f.mutable_probe_reply()->set_known(offset <= 2);
      f.mutable_probe_reply()->set_hash(log.BoundaryAtOrBefore(Offset(offset)).hash.value());
    }));
    ready = edge.Take();
    EXPECT_EQ(Find(ready, v1::Frame::kData), nullptr);
  }
  ASSERT_EQ(Count(ready, Kind::kFlowForked), 1);
  EXPECT_EQ(ready.events[0].position, log.BoundaryAtOrBefore(Offset(2)));
  EXPECT_EQ(ready.events[0].flow, flow);
}

/// Two ends that find each other's replicas as they were.
TEST(SessionResume, ByLogPositionAndHash) {
  LogEnd edge(true, {}), core(false, {});
  VirtualLink link(edge, core);
  MemoryLog log(TestLogId(3));
  for (int i = 0; i < 50; ++i) log.AppendBatch(2, std::string(500, static_cast<char>(i)));
  edge.AddSource("log", log);
  auto half = std::make_unique<MemoryLog>(TestLogId(3));
  for (size_t i = 0; i < 20; ++i) half->AppendBatch(2, std::string(log.entries()[i].body.view()));
  core.AddReplica("log", std::move(half));
  size_t stored = 0;
  core.on_stored = [&](const std::string&, const MemoryLog::Stored&, absl::Duration) { ++stored; };
  link.Connect();
  ASSERT_TRUE(
      link.RunFor(absl::Seconds(5), [&] { return edge.sources()[0]->acknowledged == log.position(); }));
  EXPECT_EQ(stored, 30u);
  EXPECT_TRUE(IsPrefix(core.replica("log"), log));
}

TEST(SessionResume, RefusedForDamageAndSentAgain) {
  LogEnd edge(true, {}), core(false, {});
  VirtualLink link(edge, core);
  MemoryLog log(TestLogId(3));
  for (int i = 0; i < 50; ++i) log.AppendBatch(2, std::string(500, static_cast<char>(i)));
  edge.AddSource("log", log);
  core.AddReplica("log", std::make_unique<MemoryLog>(TestLogId(3))).check_error =
      MakeError(absl::StatusCode::kDataLoss, "corrupt_batch", "CRC", "", Retry::kYes);
  link.Connect();
  link.RunFor(absl::Milliseconds(500));
  EXPECT_EQ(core.replica("log").entries().size(), 0u);
  core.sink("log").check_error = absl::OkStatus();
  ASSERT_TRUE(
      link.RunFor(absl::Seconds(5), [&] { return edge.sources()[0]->acknowledged == log.position(); }));
}

// An entry that the source fails to finish must not keep the peer's memory, or nothing else passes any more.
TEST(SessionCredit, SourceThatFailsInTheMiddleOfAnEntryGivesItBack) {
  Session::Options small;
  small.receive_window = 1000;
  LogEnd edge(true, {}), core(false, small);
  VirtualLink link(edge, core);
  link.Shape(10000, absl::Milliseconds(20));
  MemoryLog big(TestLogId(1)), other(TestLogId(2));
  big.AppendBatch(1, "first");
  big.AppendBatch(1, std::string(100000, 'x'));
  edge.AddSource("big", big, {.priority = 5});
  edge.AddSource("other", other);
  link.Connect();
  link.RunFor(absl::Seconds(2));
  // The wrong hash of an entry stored before holds the flow while the large one is under way.
  Message ack = Frame([&](v1::Frame& f) {
    f.mutable_ack()->set_flow(1);
    f.mutable_ack()->mutable_durable()->set_log_id(big.id().bytes());
    f.mutable_ack()->mutable_durable()->set_offset(2);
  });
  edge.Receive(ack, link.now());
  other.AppendBatch(1, std::string(900, 'y'));
  EXPECT_TRUE(
      link.RunFor(absl::Seconds(5), [&] { return edge.sources()[1]->acknowledged == other.position(); }));
}

TEST(SessionCost, IdleCallsDoNotAskEveryFlowForItsSettings) {
  RawSession edge(true);
  edge.EstablishEdge();
  std::vector<std::unique_ptr<MemoryLog>> logs;
  std::vector<std::unique_ptr<LogSource>> sources;
  for (uint32_t i = 1; i <= 300; ++i) {
    logs.push_back(std::make_unique<MemoryLog>(TestLogId(1)));
    sources.push_back(std::make_unique<LogSource>(*logs.back()));
    edge.session->Offer(*sources.back());
    edge.Step(Accept(i, {TestLogId(1), Offset(0), ChainHash(0)}));
  }
  edge.Take();
  for (auto& source : sources) source->settings_calls = 0;
  for (int i = 0; i < 1000; ++i) {
    Session::Ready ready = edge.Take();
    ASSERT_TRUE(ready.messages.empty() && ready.events.empty());
    ASSERT_EQ(ready.messages.capacity() + ready.events.capacity() + ready.persist.capacity(), 0u);
  }
  for (auto& source : sources) EXPECT_EQ(source->settings_calls, 0);
  edge.now += absl::Seconds(1);
  edge.Take();
  for (auto& source : sources) EXPECT_EQ(source->settings_calls, 1);
}

TEST(SessionCost, ChangedSettingsCountWithinASecond) {
  LogEnd edge(true, {}), core(false, {});
  VirtualLink link(edge, core);
  link.Shape(20000, absl::Milliseconds(50));
  MemoryLog a(TestLogId(1)), b(TestLogId(2));
  for (int i = 0; i < 2000; ++i) {
    a.AppendBatch(1, std::string(1000, 'a'));
    b.AppendBatch(1, std::string(1000, 'b'));
  }
  edge.AddSource("a", a);
  LogSource& source_b = edge.AddSource("b", b);
  link.Connect();
  link.RunFor(absl::Seconds(10));
  EXPECT_NEAR(static_cast<double>(core.replica("a").entries().size()),
              static_cast<double>(core.replica("b").entries().size()), 15);
  source_b.set_settings({.priority = 3});
  link.RunFor(absl::Seconds(2));
  size_t before_a = core.replica("a").entries().size(), before_b = core.replica("b").entries().size();
  link.RunFor(absl::Seconds(10));
  EXPECT_GT(core.replica("b").entries().size() - before_b,
            10 * (core.replica("a").entries().size() - before_a));
}

}  // namespace
}  // namespace selvage::replication::test
