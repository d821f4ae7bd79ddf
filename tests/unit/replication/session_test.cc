#include "fabric/replication/session.h"

#include <gtest/gtest.h>

#include "tests/unit/replication/raw_session.h"
#include "tests/unit/replication/virtual_link.h"

namespace selvage::replication::test {
namespace {

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

TEST(SessionRequests, TheyAndRefusalsPassBothWays) {
  for (bool is_edge : {true, false}) {
    RawSession asker(is_edge);
    RawSession asked(!is_edge);
    RawSession& edge = is_edge ? asker : asked;
    RawSession& core = is_edge ? asked : asker;
    edge.EstablishEdge();
    core.EstablishCore();
    v1::FlowRequest request;
    request.mutable_repair()->set_from(3);
    asker.session->SendRequest(request);
    for (Message& message : asker.Take().messages) asked.Step(message);
    const Session::Ready heard = asked.Take();
    ASSERT_EQ(Count<Session::Requested>(heard), 1);
    EXPECT_EQ(Get<Session::Requested>(heard).request.repair().from(), 3);

    asked.session->SendRefusal(1, MakeError(absl::StatusCode::kOutOfRange, "range_not_held", "gone"));
    for (Message& message : asked.Take().messages) asker.Step(message);
    const Session::Ready refused = asker.Take();
    ASSERT_EQ(Count<Session::RequestRefused>(refused), 1);
    EXPECT_EQ(Get<Session::RequestRefused>(refused).request, 1u);
    EXPECT_EQ(ErrorKind(Get<Session::RequestRefused>(refused).why), "range_not_held");
  }
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
  core.session->SendRequest({});
  Session::Ready ready = core.Take();
  ASSERT_EQ(ready.messages.size(), 1u);
  EXPECT_TRUE(ready.closed);
  edge.Step(ready.messages[0]);
  Session::Ready heard = edge.Take();
  ASSERT_EQ(Count<Session::PeerClosed>(heard), 1);
  EXPECT_EQ(Get<Session::PeerClosed>(heard).retry_after, absl::Seconds(7));
  EXPECT_EQ(ErrorKind(heard.reason), "superseded");
  EXPECT_TRUE(heard.messages.empty());
  EXPECT_EQ(heard.wake_at, absl::InfiniteDuration());
}

// A kind whose past is not compared: the sink says where it stands, and is believed within what was offered.
TEST(SessionResume, WithoutAHistoryTheSinkSaysWhereItStands) {
  LogEnd edge(true, {}), core(false, {});
  VirtualLink link(edge, core);
  MemoryLog log(TestLogId(3));
  for (int i = 0; i < 50; ++i) log.AppendBatch(2, std::string(500, static_cast<char>(i)));
  edge.AddSource("log", log).compared = false;
  auto half = std::make_unique<MemoryLog>(TestLogId(3));
  for (size_t i = 0; i < 20; ++i) half->AppendBatch(2, "what it made of them");
  core.AddReplica("log", std::move(half));
  size_t stored = 0;
  core.on_stored = [&](const std::string&, const MemoryLog::Stored&, absl::Duration) { ++stored; };
  link.Connect();
  ASSERT_TRUE(link.RunFor(absl::Seconds(5), [&] {
    return edge.sources()[0]->acknowledged && edge.sources()[0]->acknowledged->offset == log.end();
  }));
  EXPECT_EQ(stored, 30u);
}

TEST(SessionResume, WithoutAHistoryAPlaceOutsideOfTheOfferHoldsTheFlow) {
  for (const bool other_history : {false, true}) {
    RawSession edge(true);
    edge.EstablishEdge();
    MemoryLog log(TestLogId(3));
    log.AppendBatch(2, "x");
    LogSource source(log);
    source.compared = false;
    edge.session->Offer(source);
    edge.Take();
    edge.Step(
        Accept(1, {other_history ? TestLogId(4) : TestLogId(3), Offset(other_history ? 0 : 3), {}, {}}));
    const Session::Ready ready = edge.Take();
    ASSERT_EQ(Count<Session::FlowHeld>(ready), 1);
    EXPECT_EQ(ErrorKind(Get<Session::FlowHeld>(ready).why), "protocol_error");
    EXPECT_FALSE(source.acknowledged.has_value());
  }
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
    f.mutable_ack()->mutable_durable()->set_history(big.id());
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
