/// What the core gives back to edges of tables that only edges write.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/contract/table/table_sites.h"

namespace selvage::table {
namespace {

/// Tables that only edges write.
class UpTableFlows : public ::testing::Test {
 protected:
  using Stores = std::set<StoreId>;

  Session Up(Site& edge) { return Session(edge, core_, ++epoch_); }
  /// What the core gives back of what the edge's stores wrote.
  Flow Back(Site& edge, Session& session, const Stores& lost, std::string prefix = "") {
    return Flow(core_, edge, std::move(prefix), true, Fence{"@core", SessionEpoch(epoch_)}, 0,
                session.up().life(), lost);
  }
  void SendUp(Site& edge) { Up(edge).up().Drain(); }

  test::SeededRandom random_{5};
  Site core_{1, false, random_, v1::TABLE_UP};
  Site lost_{2, true, random_, v1::TABLE_UP};
  Site other_{3, true, random_, v1::TABLE_UP};
  /// Takes the place of `lost_`.
  Site edge_{4, true, random_, v1::TABLE_UP};
  uint64_t epoch_ = 0;
};

TEST_F(UpTableFlows, AnEmptyEdgeThatReplacesAnotherGetsItsRowsBack) {
  ASSERT_EQ(lost_.Do(PutOf("a", R"({"x":1})")), "");
  ASSERT_EQ(lost_.Do(PutOf("b", R"({"x":1})")), "");
  ASSERT_EQ(lost_.Do(PutOf("gone", "{}")), "");
  ASSERT_EQ(lost_.Do(DeleteOf("gone")), "");
  ASSERT_EQ(other_.Do(PutOf("c", R"({"x":1})")), "");
  ASSERT_EQ(other_.Do(SetOf("b", "y", "2")), "");
  SendUp(lost_);
  SendUp(other_);

  edge_.clock().Advance(absl::Seconds(1));
  ASSERT_EQ(edge_.Do(SetOf("b", "x", "5")), "") << "a sensor goes on before the link is there";
  ASSERT_EQ(edge_.Do(PutOf("new", "{}")), "");
  Session session = Up(edge_);
  Flow back = Back(edge_, session, {lost_.store_id(), edge_.store_id()});
  while (back.Step()) {
  }
  ASSERT_EQ(edge_.Do(PutOf("later", "{}")), "");
  session.up().Drain();
  EXPECT_EQ(edge_.Text(), R"(a={"x":1}
b={"x":5}
later={}
new={}
)") << "its own, and nothing of others";
  EXPECT_EQ(core_.Text(), R"(a={"x":1}
b={"x":5,"y":2}
c={"x":1}
later={}
new={}
)");
  EXPECT_EQ(edge_.Counts().tombstones, 1u);
}

TEST_F(UpTableFlows, WhatCameBackIsNotSentUpAgainAndNothingFollowsIt) {
  ASSERT_EQ(lost_.Do(PutOf("a", R"({"x":1})")), "");
  SendUp(lost_);
  Session session = Up(edge_);
  Flow back = Back(edge_, session, {lost_.store_id(), edge_.store_id()});
  back.Drain();
  session.up().Drain();
  EXPECT_EQ(session.up().bytes(), 0u);
  ASSERT_EQ(edge_.Do(PutOf("d", "{}")), "");
  session.up().Drain();
  EXPECT_FALSE(back.Step()) << "it has ended";
  ASSERT_EQ(other_.Do(PutOf("c", "{}")), "");
  SendUp(other_);
  Session next = Up(edge_);
  Flow again = Back(edge_, next, {lost_.store_id(), edge_.store_id()});
  EXPECT_FALSE(again.Step());
  EXPECT_EQ(core_.Json("d"), "{}");
}

TEST_F(UpTableFlows, WhatIsBroughtBackGoesOnWhereItWasCut) {
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(lost_.Do(PutOf("k" + std::to_string(100 + i), R"({"x":1})")), "");
    ASSERT_EQ(other_.Do(PutOf("o" + std::to_string(100 + i), R"({"x":1})")), "");
  }
  SendUp(lost_);
  SendUp(other_);
  int links = 0;
  while (edge_.Digests().size() < 50) {
    ASSERT_LT(++links, 100);
    Session session = Up(edge_);
    session.up().Drain();
    Flow back = Back(edge_, session, {lost_.store_id()});
    back.Step();
    back.Step();
    if (links % 3 == 0) edge_.Restart();
    if (links % 4 == 0) core_.Restart();
  }
  EXPECT_GT(links, 3);
  EXPECT_EQ(edge_.Text(), lost_.Text());
}

TEST_F(UpTableFlows, OnlyRowsThatTheEdgeMayStillWriteComeBack) {
  ASSERT_EQ(lost_.Do(PutOf("mine/a", "{}")), "");
  ASSERT_EQ(lost_.Do(PutOf("elsewhere", "{}")), "");
  SendUp(lost_);
  Session session = Up(edge_);
  session.up().Drain();
  Back(edge_, session, {lost_.store_id()}, "mine/").Drain();
  EXPECT_EQ(edge_.Text(), "mine/a={}\n");
}

TEST_F(UpTableFlows, ARestoredEdgeGetsBackWhatItHadSentSince) {
  ASSERT_EQ(lost_.Do(PutOf("a", R"({"n":1})")), "");
  SendUp(lost_);
  lost_.Back();
  ASSERT_EQ(lost_.Do(IncrementOf("a", "n", 10)), "");
  ASSERT_EQ(lost_.Do(PutOf("b", "{}")), "");
  Session before = Up(lost_);
  before.up().Drain();
  EXPECT_FALSE(before.up().was_set_back());
  lost_.Restore();
  ASSERT_EQ(lost_.Do(IncrementOf("a", "n", 100)), "");
  for (int links = 0; links < 3; ++links) {
    Session session = Up(lost_);
    EXPECT_TRUE(session.up().was_set_back()) << "also on later links: it may not have got everything yet";
    Flow back = Back(lost_, session, {lost_.store_id()});
    back.Step();
    session.up().Drain();
  }
  for (Site* site : {&core_, &lost_}) EXPECT_EQ(site->Text(), "a={\"n\":111}\nb={}\n");
}

}  // namespace
}  // namespace selvage::table
