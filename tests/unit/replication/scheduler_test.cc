#include "fabric/replication/scheduler.h"

#include <gtest/gtest.h>

#include <map>

namespace selvage::replication {
namespace {

/// A flow that has something to send; `ready` when it may.
struct Flow {
  FlowNumber number;
  uint32_t priority = 0;
  uint32_t weight = 1;
  bool ready = true;
};
using Flows = std::vector<Flow>;

/// The turn among these flows alone.
std::optional<Scheduler::Turn> Pick(Scheduler& scheduler, const Flows& flows) {
  scheduler.Clear();
  for (const Flow& flow : flows) scheduler.Add(flow.number, flow.priority, flow.weight);
  return scheduler.Pick([&](const Scheduler::Candidate& candidate) { return flows[candidate.index].ready; });
}

/// Bytes that each flow got after so many frames of its own size.
std::map<uint32_t, double> Share(Scheduler& scheduler, const Flows& flows, std::map<uint32_t, size_t> sizes,
                                 int frames) {
  std::map<uint32_t, double> got;
  scheduler.Clear();
  for (const Flow& flow : flows) scheduler.Add(flow.number, flow.priority, flow.weight);
  for (int i = 0; i < frames; ++i) {
    const auto turn =
        scheduler.Pick([&](const Scheduler::Candidate& candidate) { return flows[candidate.index].ready; });
    const uint32_t picked = turn->candidate.flow.value();
    const size_t bytes = sizes.count(picked) ? sizes[picked] : 1000;
    scheduler.Sent(bytes, true);
    got[picked] += static_cast<double>(bytes);
  }
  return got;
}

TEST(Scheduler, NothingReadyIsNoTurn) {
  Scheduler scheduler;
  EXPECT_FALSE(Pick(scheduler, {}).has_value());
  EXPECT_FALSE(Pick(scheduler, {{FlowNumber(1), 0, 1, false}}).has_value());
}

TEST(Scheduler, HighOvertakesAndLowGetsASixteenth) {
  Scheduler scheduler;
  auto got = Share(scheduler, {{FlowNumber(1), 1, 1}, {FlowNumber(2), 7, 1}}, {}, 16000);
  EXPECT_NEAR(got[1] / (got[1] + got[2]), 1.0 / 16, 0.01);
}

TEST(Scheduler, FirstFrameIsTheHighOne) {
  Scheduler scheduler;
  Flows both = {{FlowNumber(1), 0, 1}, {FlowNumber(2), 9, 1}};
  for (int i = 0; i < 100; ++i) {
    Share(scheduler, {{FlowNumber(1), 0, 1}}, {}, 1);  // alone for a while
    EXPECT_EQ(Pick(scheduler, both)->candidate.index, 1u);
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
  Flows candidates;
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
  Flows one = {{FlowNumber(1), 3, 1}}, both = {{FlowNumber(1), 3, 1}, {FlowNumber(2), 3, 1}};
  Share(scheduler, both, {}, 10);
  Share(scheduler, one, {}, 10000);
  auto got = Share(scheduler, both, {}, 100);
  EXPECT_NEAR(got[1], got[2], 2000);
}

TEST(Scheduler, TurnWaitsForALowOneThatHasNoCredit) {
  Scheduler scheduler;
  Flows blocked = {{FlowNumber(1), 0, 1, false}, {FlowNumber(2), 9, 1}};
  Share(scheduler, blocked, {}, 1000);
  Flows free = {{FlowNumber(1), 0, 1, true}, {FlowNumber(2), 9, 1}};
  auto turn = Pick(scheduler, free);
  EXPECT_EQ(turn->candidate.index, 0u);
  EXPECT_TRUE(turn->given_way);
  // Not taken: it is offered again, and does not add up.
  EXPECT_EQ(Pick(scheduler, free)->candidate.index, 0u);
  scheduler.Sent(1000, true);
  EXPECT_EQ(Pick(scheduler, free)->candidate.index, 1u);
}

TEST(Scheduler, PrioritiesBeyondTheHighestAreTheHighest) {
  Scheduler scheduler;
  auto got = Share(scheduler, {{FlowNumber(1), 9, 1}, {FlowNumber(2), 4000000000u, 0}}, {}, 1000);
  EXPECT_NEAR(got[1], got[2], 1000);
}

TEST(Scheduler, WhoIsBlockedWaitsUntilAllMaySendAgain) {
  Scheduler scheduler;
  const auto anybody = [](const Scheduler::Candidate&) { return true; };
  scheduler.Add(FlowNumber(1), 3, 1);
  scheduler.Add(FlowNumber(2), 3, 1);
  EXPECT_EQ(scheduler.Pick(anybody)->candidate.flow, FlowNumber(1));
  scheduler.Block();
  EXPECT_EQ(scheduler.Pick(anybody)->candidate.flow, FlowNumber(2));
  scheduler.Sent(1000, false);
  EXPECT_FALSE(scheduler.Pick(anybody).has_value());
  EXPECT_EQ(scheduler.size(), 1u);
  scheduler.Unblock();
  EXPECT_EQ(scheduler.Pick(anybody)->candidate.flow, FlowNumber(1));
  scheduler.Drop();
  EXPECT_EQ(scheduler.size(), 0u);
}

// It is asked of those whose turn it could be, and not of all.
TEST(Scheduler, APickDoesNotLookAtEverybody) {
  Scheduler scheduler;
  for (uint32_t i = 1; i <= 1000; ++i) scheduler.Add(FlowNumber(i), 5, 1);
  int asked = 0;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(scheduler.Pick([&](const Scheduler::Candidate&) {
      ++asked;
      return true;
    }));
    scheduler.Sent(1000, true);
  }
  EXPECT_EQ(asked, 1000);
}

}  // namespace
}  // namespace selvage::replication
