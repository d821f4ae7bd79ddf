#include <gtest/gtest.h>

#include "fabric/stream/embedded_log.h"
#include "tests/contract/log/log_node.h"
#include "tests/support/damaged_store.h"

namespace selvage {
namespace {

/// Logs that are made with a state that no log comes to.
class LogInvariantsTest : public testing::Test {
 protected:
  static LogState Sound() {
    LogState state;
    state.id = IdOf(1);
    state.start = Offset(10);
    state.end = Offset(20);
    state.bytes_before_start = 100;
    state.log_bytes = 300;
    state.leader_epochs = {{LeaderEpoch(0), Offset(0)}, {LeaderEpoch(2), Offset(15)}};
    return state;
  }
  std::string BrokenOf(const LogState& state, std::optional<Offset> acknowledged = std::nullopt) {
    EmbeddedLog log({store_, committer_, clock_, ages_, cache_, budget_, fences_}, changes_, LogNumber(1),
                    LogOrigin{"", Slot(0), "sensors", PartitionId(0)}, state, acknowledged, false);
    return std::string(log.CheckInvariants().message());
  }

  FakeClock clock_;
  DamagedStore store_;
  Committer committer_{store_, {}};
  TailCache cache_{1 << 20};
  DiskBudget budget_{{}};
  FenceTable fences_;
  AgeClock ages_{clock_};
  LogChanges changes_;
};

TEST_F(LogInvariantsTest, ASoundStateKeepsThem) {
  EXPECT_EQ(BrokenOf(Sound(), Offset(20)), "");
}

TEST_F(LogInvariantsTest, WhatIsBrokenIsNamed) {
  LogState state = Sound();
  state.start = Offset(21);
  EXPECT_EQ(BrokenOf(state), "broken invariant: a log starts before its end");
  state = Sound();
  state.deleted_to = Offset(21);
  EXPECT_EQ(BrokenOf(state), "broken invariant: records are deleted only up to the end");
  state = Sound();
  state.bytes_before_start = 301;
  EXPECT_EQ(BrokenOf(state), "broken invariant: what was trimmed is part of what was written");
  state = Sound();
  state.start = state.end;
  EXPECT_EQ(BrokenOf(state), "broken invariant: a log without entries holds no bytes");
  state.hash = ChainHash(7);
  EXPECT_EQ(BrokenOf(state), "broken invariant: a log without entries has one hash");
  state = Sound();
  state.leader_epochs[1].first = LeaderEpoch(0);
  EXPECT_EQ(BrokenOf(state), "broken invariant: leader epochs rise");
  state = Sound();
  state.leader_epochs.emplace_back(LeaderEpoch(3), Offset(14));
  EXPECT_EQ(BrokenOf(state), "broken invariant: a leader epoch does not begin before the one before it");
  EXPECT_EQ(BrokenOf(Sound(), Offset(21)),
            "broken invariant: the replica holds nothing that this log does not");
}

}  // namespace
}  // namespace selvage
