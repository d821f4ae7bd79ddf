#include "tests/unit/link/linked_nodes.h"

namespace selvage {
namespace {

using ::testing::HasSubstr;

using ClockSkewTest = LinkedNodes;

TEST_F(ClockSkewTest, BothEndsSayThatTheirClocksDisagreeUntilTheyAgree) {
  Link();
  CreateStream("up", v1::UP);
  Pass(2);
  EXPECT_FALSE(edge_.OpenAlarm("clock_skew"));
  EXPECT_FALSE(core_.OpenAlarm("clock_skew"));

  edge_.clock.JumpTo(edge_.clock.Wall() + absl::Hours(2));
  Unlink();
  Link();
  ASSERT_TRUE(edge_.OpenAlarm("clock_skew"));
  EXPECT_EQ(edge_.OpenAlarm("clock_skew")->subject(), "core");
  EXPECT_THAT(edge_.OpenAlarm("clock_skew")->message(), HasSubstr("the core's clock is -7200 s away"));
  ASSERT_TRUE(core_.OpenAlarm("clock_skew"));
  EXPECT_EQ(core_.OpenAlarm("clock_skew")->subject(), "rig");
  EXPECT_THAT(core_.OpenAlarm("clock_skew")->message(), HasSubstr("the edge's clock is 7200 s away"));
  edge_.Append(Up(), 3);
  Pass(2);
  EXPECT_EQ(UpReplica().state().position(), Up().state().position()) << "streams do not care";

  core_.clock.JumpTo(core_.clock.Wall() + absl::Hours(2));
  Unlink();
  Link();
  EXPECT_FALSE(edge_.OpenAlarm("clock_skew"));
  EXPECT_FALSE(core_.OpenAlarm("clock_skew"));
}

TEST_F(ClockSkewTest, AClockThatJumpsOrIsSetWhileLinkedIsSeenByBothEnds) {
  Link();
  CreateStream("up", v1::UP);
  Pass(2);
  for (MemoryNode* wrong : {&edge_, &core_}) {
    wrong->clock.JumpTo(wrong->clock.Wall() + absl::Hours(2));
    edge_.Append(Up(), 1);  // a busy link is no silent one
    Pass(12);
    EXPECT_TRUE(edge_.OpenAlarm("clock_skew"));
    EXPECT_TRUE(core_.OpenAlarm("clock_skew"));
    wrong->clock.JumpTo(wrong->clock.Wall() - absl::Hours(2));
    Pass(12);
    EXPECT_FALSE(edge_.OpenAlarm("clock_skew"));
    EXPECT_FALSE(core_.OpenAlarm("clock_skew"));
  }
}

TEST_F(ClockSkewTest, AClockAtTheLimitDoesNotOpenAndEndAlarmsAllTheTime) {
  Link();
  Pass(1);
  edge_.clock.JumpTo(core_.clock.Wall() + absl::Seconds(64));
  Pass(12);
  ASSERT_TRUE(core_.OpenAlarm("clock_skew"));
  const uint64_t id = core_.OpenAlarm("clock_skew")->id();
  for (int i = 0; i < 3; ++i) {
    edge_.clock.JumpTo(core_.clock.Wall() + absl::Seconds(i % 2 == 0 ? 56 : 64));
    Pass(12);
    ASSERT_TRUE(core_.OpenAlarm("clock_skew"));
    EXPECT_EQ(core_.OpenAlarm("clock_skew")->id(), id);
    EXPECT_EQ(core_.OpenAlarm("clock_skew")->count(), 1u);
  }
}

}  // namespace
}  // namespace selvage
