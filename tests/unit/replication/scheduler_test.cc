#include "fabric/replication/scheduler.h"

#include <gtest/gtest.h>

#include <map>

namespace selvage::replication {
namespace {

using Candidates = std::vector<Scheduler::Candidate>;

/// Bytes that each flow got after so many frames of its own size.
std::map<uint32_t, double> Share(Scheduler& scheduler, const Candidates& candidates,
                                 std::map<uint32_t, size_t> sizes, int frames) {
  std::map<uint32_t, double> got;
  for (int i = 0; i < frames; ++i) {
    auto turn = scheduler.Pick(candidates);
    const Scheduler::Candidate& picked = candidates[turn->index];
    size_t bytes = sizes.count(picked.flow.value()) ? sizes[picked.flow.value()] : 1000;
    scheduler.Sent(picked, bytes);
    got[picked.flow.value()] += static_cast<double>(bytes);
  }
  return got;
}

TEST(Scheduler, NothingReadyIsNoTurn) {
  Scheduler scheduler;
  EXPECT_FALSE(scheduler.Pick({}).has_value());
  EXPECT_FALSE(scheduler.Pick({{FlowNumber(1), 0, 1, false}}).has_value());
}

TEST(Scheduler, HighOvertakesAndLowGetsASixteenth) {
  Scheduler scheduler;
  auto got = Share(scheduler, {{FlowNumber(1), 1, 1}, {FlowNumber(2), 7, 1}}, {}, 16000);
  EXPECT_NEAR(got[1] / (got[1] + got[2]), 1.0 / 16, 0.01);
}

TEST(Scheduler, FirstFrameIsTheHighOne) {
  Scheduler scheduler;
  Candidates both = {{FlowNumber(1), 0, 1}, {FlowNumber(2), 9, 1}};
  for (int i = 0; i < 100; ++i) {
    Share(scheduler, {{FlowNumber(1), 0, 1}}, {}, 1);  // alone for a while
    EXPECT_EQ(scheduler.Pick(both)->index, 1u);
  }
}

// Tiny alarms must not entitle bulk to a full frame after every fifteen of them.
TEST(Scheduler, LowShareIsOfBytes) {
  Scheduler scheduler;
  auto got =
      Share(scheduler, {{FlowNumber(1), 0, 1}, {FlowNumber(2), 9, 1}}, {{1, 100000}, {2, 200}}, 100000);
  EXPECT_NEAR(got[1] / (got[1] + got[2]), 1.0 / 16, 0.01);
}

TEST(Scheduler, EveryLowerPriorityGetsTurns) {
  Scheduler scheduler;
  Candidates candidates;
  for (uint32_t p = 0; p < Scheduler::kPriorities; ++p) candidates.push_back({FlowNumber(p + 1), p, 1});
  auto got = Share(scheduler, candidates, {}, 16000);
  for (uint32_t p = 0; p + 1 < Scheduler::kPriorities; ++p) EXPECT_NEAR(got[p + 1], 1e6 / 9, 1e4) << p;
}

TEST(Scheduler, WeightsHold) {
  Scheduler scheduler;
  auto got = Share(scheduler, {{FlowNumber(1), 3, 1}, {FlowNumber(2), 3, 3}, {FlowNumber(3), 3, 10}},
                   {{1, 128 << 10}, {2, 5000}, {3, 300}}, 200000);
  EXPECT_NEAR(got[2] / got[1], 3, 0.15);
  EXPECT_NEAR(got[3] / got[1], 10, 0.5);
}

TEST(Scheduler, WeightsHoldBelowAndAboveAnotherPriority) {
  Scheduler scheduler;
  auto got =
      Share(scheduler,
            {{FlowNumber(1), 3, 10}, {FlowNumber(2), 3, 30}, {FlowNumber(3), 1, 1}, {FlowNumber(4), 1, 2}},
            {{1, 1000}, {2, 1000}, {3, 50000}, {4, 20000}}, 200000);
  EXPECT_NEAR(got[2] / got[1], 3, 0.3);
  EXPECT_NEAR(got[4] / got[3], 2, 0.2);
}

TEST(Scheduler, IdleFlowCollectsNoClaim) {
  Scheduler scheduler;
  Candidates one = {{FlowNumber(1), 3, 1}}, both = {{FlowNumber(1), 3, 1}, {FlowNumber(2), 3, 1}};
  Share(scheduler, both, {}, 10);
  Share(scheduler, one, {}, 10000);
  auto got = Share(scheduler, both, {}, 100);
  EXPECT_NEAR(got[1], got[2], 2000);
}

TEST(Scheduler, TurnWaitsForALowOneThatHasNoCredit) {
  Scheduler scheduler;
  Candidates blocked = {{FlowNumber(1), 0, 1, false}, {FlowNumber(2), 9, 1}};
  Share(scheduler, blocked, {}, 1000);
  Candidates free = {{FlowNumber(1), 0, 1, true}, {FlowNumber(2), 9, 1}};
  auto turn = scheduler.Pick(free);
  EXPECT_EQ(turn->index, 0u);
  EXPECT_TRUE(turn->given_way);
  // Not taken: it is offered again, and does not add up.
  EXPECT_EQ(scheduler.Pick(free)->index, 0u);
  scheduler.Sent(free[0], 1000);
  EXPECT_EQ(scheduler.Pick(free)->index, 1u);
}

TEST(Scheduler, PrioritiesBeyondTheHighestAreTheHighest) {
  Scheduler scheduler;
  auto got = Share(scheduler, {{FlowNumber(1), 9, 1}, {FlowNumber(2), 4000000000u, 0}}, {}, 1000);
  EXPECT_NEAR(got[1], got[2], 1000);
}

}  // namespace
}  // namespace selvage::replication
