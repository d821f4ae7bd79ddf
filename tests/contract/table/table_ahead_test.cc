/// Stamps from the future: what waits for its time, and the ways out of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/contract/table/table_flows.h"

namespace selvage::table {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(TableFlows, AStampFromTheFutureWaitsForItsTime) {
  Sync(a_);
  a_.clock().Advance(absl::Hours(1));
  ASSERT_EQ(a_.Do(PutOf("k", R"({"x":1})")), "");
  Sync(a_);
  EXPECT_EQ(core_.Json("k"), "");
  EXPECT_THAT(*core_.tables().Quarantined("t", 10), SizeIs(1));
  ASSERT_EQ(core_.Do(PutOf("other", "{}")), "");
  Sync(b_);
  EXPECT_EQ(b_.Json("k"), "") << "it is in no feed";
  core_.Restart();
  ASSERT_EQ(core_.tables().RunDue(), absl::OkStatus());
  EXPECT_EQ(core_.Json("k"), "");
  core_.clock().Advance(absl::Minutes(56));
  ASSERT_EQ(core_.tables().RunDue(), absl::OkStatus());
  EXPECT_EQ(core_.Json("k"), R"({"x":1})");
  EXPECT_THAT(*core_.tables().Quarantined("t", 10), IsEmpty());
  EXPECT_EQ(core_.tables().CheckInvariants(), absl::OkStatus());
}

/// An edge whose clock was an hour ahead, and is right again.
class TableFlowsAhead : public TableFlows {
 protected:
  void SetUp() override {
    ASSERT_EQ(a_.Do(PutOf("before", R"({"n":1,"x":0})")), "");
    Sync(a_);
    Sync(b_);
    a_.clock().Advance(absl::Hours(1));
    ASSERT_EQ(a_.Do(PutOf("k", R"({"x":1})")), "");
    ASSERT_EQ(a_.Do(SetOf("k", "y", "1")), "");
    ASSERT_EQ(a_.Do(SetOf("before", "x", "1")), "");
    ASSERT_EQ(a_.Do(IncrementOf("before", "n", 2)), "");
    ASSERT_EQ(a_.Do(PutOf("gone", "{}")), "");
    Sync(a_);
    ASSERT_EQ(a_.Do(DeleteOf("gone")), "");
    Sync(a_);
    EXPECT_EQ(core_.Text(), "before={\"n\":1,\"x\":0}\n");
    ASSERT_THAT(*core_.tables().Quarantined("t", 10), SizeIs(::testing::Ge(4)));
    a_.clock().JumpTo(core_.clock().Wall());
  }
  uint64_t Restamp(Site& site) {
    const auto done = site.tables().RestampAhead();
    EXPECT_EQ(done.status(), absl::OkStatus());
    EXPECT_EQ(site.tables().CheckInvariants(), absl::OkStatus());
    return done.ok() ? done->rows : 0;
  }
  size_t Waiting() { return core_.tables().Quarantined("t", 100)->size(); }
};

TEST_F(TableFlowsAhead, ItsOriginStampsItAgainAndNothingWaitsAnyMore) {
  EXPECT_EQ(Restamp(a_), 3u);
  EXPECT_EQ(Restamp(a_), 0u);
  Sync(a_);
  EXPECT_EQ(core_.Text(), "before={\"n\":3,\"x\":1}\nk={\"x\":1,\"y\":1}\n");
  EXPECT_EQ(Waiting(), 0u) << "each twin was dropped";
  EXPECT_EQ(core_.tables().Facts("t")->quarantined, 0u);
  ASSERT_EQ(core_.Do(SetOf("k", "x", "2")), "");
  ASSERT_EQ(a_.Do(SetOf("k", "z", "1")), "");
  ASSERT_EQ(a_.Do(IncrementOf("before", "n", 4)), "");
  Sync(a_);
  EXPECT_EQ(core_.Json("k"), R"({"x":2,"y":1,"z":1})") << "the clock of the edge was set back as well";
  // The time comes that the withdrawn stamps had.
  for (Site* site : {&core_, &a_, &b_}) {
    site->clock().Advance(absl::Hours(2));
    ASSERT_EQ(site->tables().RunDue(), absl::OkStatus());
  }
  Sync(b_);
  Sync(a_);
  for (Site* site : {&core_, &a_, &b_}) {
    EXPECT_EQ(site->Text(), "before={\"n\":7,\"x\":1}\nk={\"x\":2,\"y\":1,\"z\":1}\n");
  }
}

TEST_F(TableFlowsAhead, AWriteBeforeTheRowIsStampedAgainIsNotLost) {
  a_.clock().Advance(absl::Hours(1));
  std::vector<RowOperation> many;
  for (int i = 0; i < 600; ++i) many.push_back(PutOf("m" + std::to_string(100 + i), R"({"x":1})"));
  ASSERT_EQ(a_.node().Do(std::move(many)), "");
  Sync(a_);
  a_.clock().JumpTo(core_.clock().Wall());
  // Once the first rows are done, somebody writes to one of the last: its clock is back, the row is not.
  bool written = false;
  const int watch = a_.tables().Watch([&] {
    if (!std::exchange(written, true)) a_.tables().Write("t", {SetOf("m699", "x", "2")}, [](const auto&) {});
  });
  EXPECT_EQ(Restamp(a_), 602u) << "that row was stamped again by the write";
  a_.tables().Unwatch(watch);
  EXPECT_EQ(a_.Json("m699"), R"({"x":2})");
  Sync(a_);
  EXPECT_EQ(core_.Json("m699"), R"({"x":2})");
  EXPECT_EQ(a_.Digests(), core_.Digests());
  EXPECT_EQ(Waiting(), 0u);
}

TEST_F(TableFlowsAhead, WhatComesInPartsIsDroppedInParts) {
  Restamp(a_);
  ASSERT_EQ(a_.Do(SetOf("k", "x", "5")), "");
  a_.Restart();
  ASSERT_EQ(a_.Do(SetOf("before", "x", "6")), "");
  Sync(a_);
  EXPECT_EQ(core_.Json("k"), R"({"x":5,"y":1})");
  EXPECT_EQ(core_.Json("before"), R"({"n":3,"x":6})");
  EXPECT_EQ(Waiting(), 0u);
}

TEST_F(TableFlowsAhead, WhatWasWrittenElsewhereMeanwhileIsListed) {
  ASSERT_EQ(core_.Do(SetOf("before", "x", "7")), "");
  a_.clock().Advance(absl::Seconds(1));
  Restamp(a_);
  Sync(a_);
  const auto conflicts = *core_.tables().Conflicts("t", 10);
  ASSERT_THAT(conflicts, SizeIs(1));
  EXPECT_EQ(conflicts[0].kind(), "overwritten");
  EXPECT_EQ(conflicts[0].losing_value(), "7");
  EXPECT_EQ(conflicts[0].winning_value(), "1");
  EXPECT_EQ(a_.Json("before"), core_.Json("before"));
}

TEST_F(TableFlowsAhead, OtherEdgesHearOfItThroughWhoReplacedIt) {
  // The core's clock was wrong this time, so edges keep its writes apart.
  Restamp(a_);
  Sync(a_);
  core_.clock().Advance(absl::Hours(1));
  ASSERT_EQ(core_.Do(SetOf("k", "x", "100")), "");
  Sync(b_);
  Sync(a_);
  EXPECT_THAT(*b_.tables().Quarantined("t", 10), SizeIs(1));
  core_.clock().JumpTo(b_.clock().Wall());
  EXPECT_EQ(Restamp(core_), 1u);
  Sync(a_);
  a_.clock().Advance(absl::Seconds(1));
  ASSERT_EQ(a_.Do(SetOf("k", "x", "101")), "");
  Sync(a_);
  Sync(b_);
  EXPECT_EQ(b_.Json("k"), R"({"x":101,"y":1})");
  EXPECT_THAT(*b_.tables().Quarantined("t", 10), IsEmpty()) << "it never saw the core's own";
}

TEST_F(TableFlowsAhead, StampsThatOthersMayHaveMergedAreNotTakenBack) {
  // The clocks of all were an hour ahead.
  core_.clock().Advance(absl::Hours(1));
  Sync(a_);
  ASSERT_EQ(core_.tables().RunDue(), absl::OkStatus());
  EXPECT_EQ(core_.Json("k"), R"({"x":1,"y":1})");
  core_.clock().JumpTo(a_.clock().Wall());
  EXPECT_EQ(ErrorKind(core_.tables().RestampAhead().status()), "others_ahead");
  EXPECT_EQ(core_.tables().CheckInvariants(), absl::OkStatus());
}

TEST_F(TableFlowsAhead, WhatWaitsIsDiscardedAndListed) {
  const size_t waiting = Waiting();
  EXPECT_EQ(*core_.tables().DiscardQuarantined("t", "k"), 2u);
  EXPECT_EQ(Waiting(), waiting - 2);
  EXPECT_EQ(*core_.tables().DiscardQuarantined("t", "nothing"), 0u);
  core_.Restart();
  EXPECT_EQ(*core_.tables().DiscardQuarantined("t", std::nullopt), waiting - 2);
  EXPECT_EQ(core_.tables().Facts("t")->quarantined, 0u);
  const auto conflicts = *core_.tables().Conflicts("t", 100);
  const auto x_of_k = std::find_if(conflicts.begin(), conflicts.end(), [](const auto& conflict) {
    return conflict.key() == "k" && conflict.field() == "x";
  });
  ASSERT_NE(x_of_k, conflicts.end());
  EXPECT_EQ(x_of_k->kind(), "discarded");
  EXPECT_EQ(x_of_k->losing_value(), "1");
  EXPECT_EQ(x_of_k->loser_store(), a_.store_id().bytes());
  core_.clock().Advance(absl::Hours(2));
  ASSERT_EQ(core_.tables().RunDue(), absl::OkStatus());
  EXPECT_EQ(core_.Json("k"), "");
}

}  // namespace
}  // namespace selvage::table
