#include "fabric/link/call_flows.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/link/link.h"
#include "tests/contract/log/log_node.h"

namespace selvage {
namespace {

using replication::Session;

/// Two ends of a link with nothing but calls: the core asks, the edge answers.
class CallFlowsTest : public ::testing::Test {
 protected:
  inline static const std::vector<std::string> kCapabilities = {"call"};
  struct End {
    End(bool is_edge, absl::Duration now) : session(Options(is_edge), now) {}
    static Session::Options Options(bool is_edge) {
      Session::Options options;
      options.is_edge = is_edge;
      return options;
    }
    Session session;
    std::shared_ptr<Errands> errands = std::make_shared<Errands>(Errands::AtOnce(), [] {});
  };

  CallFlowsTest() {
    edge_.session.SendHello({});
    Settle();
    core_.session.SendWelcome({});
    Settle();
    core_link_.Begin(core_.session, kCapabilities, {});
    edge_link_.Begin(edge_.session, kCapabilities, {});
  }
  void Settle() {
    for (int round = 0; round < 6; ++round) {
      Carry(core_, core_link_, edge_);
      Carry(edge_, edge_link_, core_);
    }
  }
  void Carry(End& from, Link& link, End& to) {
    link.Woken(from.session);
    Session::Ready ready = from.session.TakeReady(clock_.Monotonic(), 1 << 20);
    for (Session::Persist& persist : ready.persist) {
      persist.sink->Persist(std::move(persist.entry), [&](const auto& durable) {
        from.session.Persisted(persist.flow, persist.credit, durable);
      });
    }
    for (const Session::Event& event : ready.events) link.Handle(from.session, event);
    for (const replication::Message& message : ready.messages) {
      to.session.Step(message, clock_.Monotonic());
    }
    clock_.Advance(absl::Milliseconds(20));
  }
  /// The core asks; the outcome goes to `outcomes_`.
  void Ask(const std::string& method, absl::Duration timeout = absl::Seconds(10)) {
    core_calls_.caller()({.method = method, .request = "ask", .caller = "ann", .timeout = timeout},
                         [this](const auto& response) { outcomes_.push_back(response); });
  }

  FakeClock clock_;
  End edge_{true, clock_.Monotonic()};
  End core_{false, clock_.Monotonic()};
  std::vector<std::pair<NodeCall, CallDone>> served_;
  std::vector<absl::StatusOr<std::string>> outcomes_;
  CallFlows core_calls_{clock_, {}, [] {}};
  CallFlows edge_calls_{
      clock_,
      [this](NodeCall call, CallDone done) { served_.emplace_back(std::move(call), std::move(done)); },
      [] {}};
  Link core_link_{core_.errands, {&core_calls_}};
  Link edge_link_{edge_.errands, {&edge_calls_}};
};

TEST_F(CallFlowsTest, ACallAndItsResponsePass) {
  Ask("GetStatus");
  Settle();
  ASSERT_EQ(served_.size(), 1u);
  EXPECT_EQ(served_[0].first.method, "GetStatus");
  EXPECT_EQ(served_[0].first.request, "ask");
  EXPECT_EQ(served_[0].first.caller, "ann");
  EXPECT_EQ(served_[0].first.timeout, absl::Seconds(10));
  EXPECT_TRUE(outcomes_.empty());
  served_[0].second("answer");
  Settle();
  ASSERT_EQ(outcomes_.size(), 1u);
  EXPECT_EQ(*outcomes_[0], "answer");
}

TEST_F(CallFlowsTest, AnErrorKeepsItsCodeKindHintAndRetry) {
  Ask("GetStatus");
  Settle();
  served_[0].second(MakeError(absl::StatusCode::kNotFound, "unknown_stream", "none", "look", Retry::kYes));
  Settle();
  ASSERT_EQ(outcomes_.size(), 1u);
  const absl::Status& error = outcomes_[0].status();
  EXPECT_EQ(error.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ErrorKind(error), "unknown_stream");
  EXPECT_EQ(ErrorHint(error), "look");
  EXPECT_TRUE(IsRetryable(error));
}

TEST_F(CallFlowsTest, AnEmptyResponseIsOne) {
  Ask("ListGroups");
  Settle();
  served_[0].second("");
  Settle();
  ASSERT_EQ(outcomes_.size(), 1u);
  EXPECT_EQ(*outcomes_[0], "");
}

TEST_F(CallFlowsTest, ALateAnswerIsNobodys) {
  Ask("GetStatus", absl::Seconds(2));
  Settle();
  clock_.Advance(absl::Seconds(3));
  core_link_.Tick(core_.session);
  ASSERT_EQ(outcomes_.size(), 1u);
  EXPECT_EQ(ErrorKind(outcomes_[0].status()), "timeout");
  served_[0].second("late");
  Settle();
  EXPECT_EQ(outcomes_.size(), 1u);
  Ask("GetStatus");
  Settle();
  served_[1].second("again");
  Settle();
  ASSERT_EQ(outcomes_.size(), 2u);
  EXPECT_EQ(*outcomes_[1], "again") << "the link goes on";
}

TEST_F(CallFlowsTest, TheEndOfTheLinkEndsWhatIsUnderWay) {
  Ask("GetStatus");
  Settle();
  Ask("ListStreams");  // not even sent
  core_link_.End();
  ASSERT_EQ(outcomes_.size(), 2u);
  for (const auto& outcome : outcomes_) {
    EXPECT_EQ(ErrorKind(outcome.status()), "link_lost");
    EXPECT_TRUE(IsRetryable(outcome.status()));
  }
  Ask("GetStatus");
  ASSERT_EQ(outcomes_.size(), 3u);
  EXPECT_EQ(ErrorKind(outcomes_[2].status()), "link_lost");
  edge_link_.End();
  served_[0].second("nobody hears it");
}

TEST_F(CallFlowsTest, SoManyAtATime) {
  for (size_t i = 0; i < CallFlows::kCallsMax; ++i) {
    Ask("GetStatus");
    Settle();
  }
  Ask("GetStatus");
  Settle();
  ASSERT_EQ(outcomes_.size(), 1u);
  EXPECT_EQ(ErrorKind(outcomes_[0].status()), "overloaded");
  served_[0].second("one is done");
  Settle();
  core_link_.Tick(core_.session);
  edge_link_.Tick(edge_.session);
  Ask("GetStatus");
  Settle();
  EXPECT_EQ(served_.size(), CallFlows::kCallsMax + 1);
}

TEST_F(CallFlowsTest, APeerThatAsksForMoreIsRefusedByTheNodeItself) {
  for (size_t i = 0; i < CallFlows::kCallsMax + 5; ++i) {
    v1::FlowRequest request;
    request.mutable_call()->set_method("GetStatus");
    core_.session.SendRequest(request);
  }
  Settle();
  EXPECT_EQ(served_.size(), CallFlows::kCallsMax);
}

// As verify makes them, one after the other, faster than the link is looked after once a second.
TEST_F(CallFlowsTest, CallsThatFollowOneAnotherAreAnswered) {
  for (size_t i = 0; i < 3 * CallFlows::kCallsMax; ++i) {
    Ask("ReadDigests");
    Settle();
    ASSERT_EQ(served_.size(), i + 1);
    served_[i].second("page");
    Settle();
    ASSERT_EQ(outcomes_.size(), i + 1);
    ASSERT_TRUE(outcomes_[i].ok()) << outcomes_[i].status();
  }
}

TEST_F(CallFlowsTest, APeerWithoutCallsSaysSoAtOnce) {
  CallFlows calls(clock_, {}, [] {});
  Link link(core_.errands, {&calls});
  const auto ask = [&] {
    calls.caller()({.method = "GetStatus", .request = "", .caller = "", .timeout = absl::Seconds(5)},
                   [this](const auto& response) { outcomes_.push_back(response); });
  };
  ask();
  link.Begin(core_.session, std::vector<std::string>(), {});
  ask();
  ASSERT_EQ(outcomes_.size(), 2u);
  for (const auto& outcome : outcomes_) EXPECT_EQ(ErrorKind(outcome.status()), "unknown_kind");
}

TEST_F(CallFlowsTest, WhatComesBeforeThePeerIsKnownToBeTheRightOneWaits) {
  std::vector<NodeCall> served;
  CallFlows calls(
      clock_, [&](NodeCall call, const CallDone&) { served.push_back(std::move(call)); }, [] {});
  Link link(edge_.errands, {&calls});
  v1::FlowRequest request;
  request.set_request(1);
  request.mutable_call()->set_method("DeleteStream");
  EXPECT_TRUE(calls.OnRequested(edge_.session, request));
  EXPECT_TRUE(served.empty());
  link.Begin(edge_.session, kCapabilities, {});
  EXPECT_EQ(served.size(), 1u);
}

TEST_F(CallFlowsTest, ALargeRequestIsNotSent) {
  core_calls_.caller()({.method = "Produce",
                        .request = std::string(kCallRequestMax + 1, 'x'),
                        .caller = "ann",
                        .timeout = absl::Seconds(5)},
                       [this](const auto& response) { outcomes_.push_back(response); });
  Settle();
  EXPECT_TRUE(served_.empty());
  ASSERT_EQ(outcomes_.size(), 1u);
  EXPECT_EQ(ErrorKind(outcomes_[0].status()), "request_too_large");
}

TEST_F(CallFlowsTest, WhatAPeerCallsAnErrorIsAWord) {
  Ask("GetStatus");
  Settle();
  served_[0].second(MakeError(absl::StatusCode::kInternal, "a\nb", "odd"));
  Settle();
  ASSERT_EQ(outcomes_.size(), 1u);
  EXPECT_EQ(ErrorKind(outcomes_[0].status()), "other");
}

TEST_F(CallFlowsTest, AnswersThatWaitAreBounded) {
  for (int i = 0; i < 4; ++i) Ask("Fetch");
  Settle();
  ASSERT_EQ(served_.size(), 4u);
  for (const auto& [call, done] : served_) done(std::string(kCallResponsesMax / 3, 'x'));
  for (int i = 0; i < 50 && outcomes_.size() < 4; ++i) Settle();
  ASSERT_EQ(outcomes_.size(), 4u);
  int refused = 0;
  for (const auto& outcome : outcomes_) refused += ErrorKind(outcome.status()) == "overloaded" ? 1 : 0;
  EXPECT_EQ(refused, 2);
}

TEST_F(CallFlowsTest, HowLongAPeerWaitsIsBounded) {
  for (int64_t timeout_ms : {INT64_MAX, INT64_MIN}) {
    v1::FlowRequest request;
    request.mutable_call()->set_method("GetStatus");
    request.mutable_call()->set_timeout_ms(timeout_ms);
    core_.session.SendRequest(request);
  }
  Settle();
  ASSERT_EQ(served_.size(), 2u);
  EXPECT_EQ(served_[0].first.timeout, absl::Hours(1));
  EXPECT_EQ(served_[1].first.timeout, absl::ZeroDuration());
}

TEST_F(CallFlowsTest, AResponseThatIsTooLargeSaysSo) {
  Ask("Fetch");
  Settle();
  served_[0].second(std::string(kCallResponseMax + 1, 'x'));
  Settle();
  ASSERT_EQ(outcomes_.size(), 1u);
  EXPECT_EQ(ErrorKind(outcomes_[0].status()), "response_too_large");
}

TEST_F(CallFlowsTest, ANodeThatServesNoCallsSaysSo) {
  v1::FlowRequest request;
  request.mutable_call()->set_method("GetStatus");
  edge_calls_.caller()({.method = "GetStatus", .request = "", .caller = "", .timeout = absl::Seconds(1)},
                       [this](const auto& response) { outcomes_.push_back(response); });
  Settle();
  ASSERT_EQ(outcomes_.size(), 1u);
  EXPECT_EQ(ErrorKind(outcomes_[0].status()), "unknown_kind");
}

TEST_F(CallFlowsTest, AnAnswerThatNobodyAskedForIsRefused) {
  class Unasked : public replication::FlowSource {
   public:
    v1::FlowOpen Describe() override {
      v1::FlowOpen open;
      open.set_kind(v1::CALL);
      open.set_end(1);
      open.set_request(77);
      return open;
    }
    replication::FlowSettings settings() override { return {}; }
    Offset end() override { return Offset(1); }
    absl::StatusOr<std::vector<FlowEntry>> Read(Offset, size_t) override { return std::vector<FlowEntry>(); }
    void Acknowledged(const replication::FlowPosition&) override {}
  };
  Unasked unasked;
  const auto flow = edge_.session.Offer(unasked);
  Settle();
  EXPECT_EQ(edge_.session.senders().count(flow), 1u);
  EXPECT_EQ(ErrorKind(edge_.session.senders().at(flow)->problem()), "not_asked");
}

}  // namespace
}  // namespace selvage
