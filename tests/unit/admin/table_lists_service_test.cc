/// What operators ask of a table: conflicts, damaged rows, quarantine, positions, digests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "fabric/base/error.h"
#include "fabric/table/rows_digest.h"
#include "fabric/table/table_keys.h"
#include "tests/support/row_samples.h"
#include "tests/unit/admin/tables_service_fixture.h"

namespace selvage::test {
namespace {

using testing::ElementsAre;

/// What a peer sent is merged.
absl::Status Take(AdminNode& node, std::vector<table::RowChange> changes, const StoreId& peer,
                  const std::string& allowed = "") {
  const Fence fence{"peer", SessionEpoch(1)};
  node.node().fences().Raise(fence);
  table::Incoming incoming{
      .incarnation = *table::Incarnation::FromBytes(node.node().tables().Find("pumps")->incarnation()),
      .peer = peer,
      .changes = std::move(changes),
      .cursor = {.feed = {table::samples::Epoch(5), 17}, .prefix = "site/", .intervals = 2},
      .fence = fence,
      .allowed = allowed};
  absl::Notification done;
  absl::Status outcome;
  node.node().tables().Apply("pumps", std::move(incoming), [&](const absl::Status& status) {
    outcome = status;
    done.Notify();
  });
  done.WaitForNotification();
  return outcome;
}

table::RowChange PutAt(const std::string& key, const std::string& json, const table::Stamp& stamp) {
  return {key, table::Put({}, table::ParseFields(json).value(), {}, stamp)};
}

v1::ListConflictsRequest Conflicts(uint32_t max = 0) {
  v1::ListConflictsRequest request;
  request.set_table("pumps");
  request.set_max(max);
  return request;
}

TEST_F(TablesServiceTest, ConflictsHaveBothSidesNewestFirst) {
  EXPECT_EQ(node_.Ask(&TablesStub::ListConflicts, Conflicts())->conflicts_size(), 0);
  ASSERT_TRUE(Write({PutOf("a", R"({"x":1})"), PutOf("b", R"({"x":1})")}).ok());
  const int64_t now_ms = absl::ToUnixMillis(node_.node().clock().Wall());
  const table::Stamp later = table::samples::At(now_ms + 60'000, 9);
  ASSERT_TRUE(Take(node_, {PutAt("a", R"({"x":2})", later)}, later.node).ok());
  ASSERT_TRUE(Take(node_, {PutAt("b", R"({"x":3})", later)}, later.node).ok());
  const auto list = node_.Ask(&TablesStub::ListConflicts, Conflicts());
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_GE(list->conflicts_size(), 2);
  EXPECT_EQ(list->listed(), static_cast<uint64_t>(list->conflicts_size()));
  const v1::TableConflict& newest = list->conflicts(0);
  EXPECT_EQ(newest.key(), "b");
  EXPECT_EQ(newest.field(), "x");
  EXPECT_EQ(newest.winner().store(), later.node.bytes());
  EXPECT_EQ(newest.winner().node(), "") << "nobody knows whose store it is";
  EXPECT_EQ(newest.winner().time_ms(), now_ms + 60'000);
  EXPECT_EQ(newest.losing_value(), "1");
  EXPECT_EQ(newest.loser().node(), "rig-7") << "this node's own store";
  EXPECT_GT(newest.listed_ms(), 0);
  EXPECT_EQ(list->conflicts(list->conflicts_size() - 1).key(), "a");
  EXPECT_EQ(node_.Ask(&TablesStub::ListConflicts, Conflicts(1))->conflicts_size(), 1);
  v1::ListConflictsRequest nothing;
  nothing.set_table("nothing");
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::ListConflicts, nothing)), "unknown_table");
}

TEST_F(TablesServiceTest, ADamagedRowIsNamedAndReplacedOnlyWhenThatIsSaid) {
  ASSERT_TRUE(Write({PutOf("a", "{}"), PutOf("b", R"({"x":1})"), PutOf("c", "{}")}).ok());
  const auto batch = node_.store().NewBatch();
  batch->Put(Family::kRow, table::RowKey(table::TableNumber(1), "b"), {"junk"});
  ASSERT_TRUE(node_.store().Write(*batch, true).ok());
  EXPECT_EQ(JsonOf("b"), "corrupt_row");
  EXPECT_THAT(Keys(Scan()), ElementsAre("a"));
  v1::ScanRowsRequest scan = Scan();
  scan.set_past_damaged(true);
  EXPECT_THAT(Keys(scan), ElementsAre("a", "c"));
  EXPECT_THAT(node_.Ask(&TablesStub::ScanRows, scan)->damaged(), ElementsAre("b"));
  v1::DescribeTableRequest describe;
  describe.set_table("pumps");
  EXPECT_THAT(node_.Ask(&TablesStub::DescribeTable, describe)->damaged(), ElementsAre("b"));

  v1::RowOperation put = PutOf("b", R"({"x":2})");
  EXPECT_EQ(KindOf(Write({put})), "corrupt_row");
  put.set_replace_damaged(true);
  ASSERT_TRUE(Write({put}).ok());
  EXPECT_EQ(JsonOf("b"), R"({"x":2})");
  EXPECT_THAT(node_.Ask(&TablesStub::DescribeTable, describe)->damaged(), ElementsAre());
  const auto list = node_.Ask(&TablesStub::ListConflicts, Conflicts());
  ASSERT_EQ(list->conflicts_size(), 1);
  EXPECT_EQ(list->conflicts(0).kind(), "damaged");
  EXPECT_EQ(list->conflicts(0).losing_value(), "\"6a756e6b\"");
  EXPECT_FALSE(list->conflicts(0).has_loser()) << "who wrote it is not known";
}

TEST_F(TablesServiceTest, ALongValueIsCutBetweenCharacters) {
  std::string text = "x";
  for (int i = 0; i < 2000; ++i) text += "\u00e9";
  int64_t ahead_ms = 0;
  for (const std::string& json : {R"({"a":")" + text + R"("})", R"({"a":"x)" + text + R"("})"}) {
    ASSERT_TRUE(Write({PutOf("long", json)}).ok());
    const int64_t now_ms = absl::ToUnixMillis(node_.node().clock().Wall());
    const table::Stamp later = table::samples::At(now_ms + (ahead_ms += 60'000), 9);
    ASSERT_TRUE(Take(node_, {PutAt("long", R"({"a":1})", later)}, later.node).ok());
    const auto list = node_.Ask(&TablesStub::ListConflicts, Conflicts());
    ASSERT_TRUE(list.ok()) << list.status();
    ASSERT_GE(list->conflicts_size(), 1);
    const std::string& lost = list->conflicts(0).losing_value();
    EXPECT_TRUE(table::IsValidUtf8(lost));
    EXPECT_GE(lost.size(), 1023u);
    EXPECT_LE(lost.size(), 1024u);
    ASSERT_TRUE(Write({DeleteOf("long")}).ok());
  }
}

TEST_F(TablesServiceTest, QuarantineShowsWhatWaitsAndWhatTheRowHasNow) {
  ASSERT_TRUE(Write({PutOf("a", R"({"x":1,"z":0})")}).ok());
  const int64_t hour_later_ms = absl::ToUnixMillis(node_.node().clock().Wall()) + 3'600'000;
  const table::Stamp ahead = table::samples::At(hour_later_ms, 9);
  const table::Stamp further = table::samples::At(hour_later_ms + 5, 9);
  ASSERT_TRUE(
      Take(node_, {PutAt("a", R"({"x":2,"y":"new"})", ahead), PutAt("later", "{}", further)}, ahead.node)
          .ok());
  EXPECT_EQ(JsonOf("a"), R"({"x":1,"z":0})");
  v1::ListQuarantinedRequest request;
  request.set_table("pumps");
  const auto list = node_.Ask(&TablesStub::ListQuarantined, request);
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->quarantined(), 2u);
  ASSERT_EQ(list->changes_size(), 2);
  EXPECT_EQ(list->changes(0).key(), "later") << "the newest stamp first";
  const v1::QuarantinedChange& change = list->changes(1);
  EXPECT_EQ(change.key(), "a");
  EXPECT_EQ(change.due_ms(), hour_later_ms - table::kClockMarginMs);
  EXPECT_EQ(change.peer(), ahead.node.bytes());
  ASSERT_EQ(change.parts_size(), 3);
  EXPECT_EQ(change.parts(0).what(), "put");
  EXPECT_EQ(change.parts(0).stamp_now().node(), "rig-7");
  EXPECT_EQ(change.parts(1).what(), "set");
  EXPECT_EQ(change.parts(1).field(), "x");
  EXPECT_EQ(change.parts(1).value(), "2");
  EXPECT_EQ(change.parts(1).value_now(), "1");
  EXPECT_EQ(change.parts(2).field(), "y");
  EXPECT_EQ(change.parts(2).value_now(), "");
  request.set_max(1);
  EXPECT_EQ(node_.Ask(&TablesStub::ListQuarantined, request)->changes_size(), 1);
  v1::DescribeTableRequest describe;
  describe.set_table("pumps");
  EXPECT_EQ(node_.Ask(&TablesStub::DescribeTable, describe)->quarantined(), 2u);
}

TEST_F(TablesServiceTest, WhatWaitsIsDiscardedByRowOrAltogether) {
  const int64_t hour_later_ms = absl::ToUnixMillis(node_.node().clock().Wall()) + 3'600'000;
  const table::Stamp ahead = table::samples::At(hour_later_ms, 9);
  ASSERT_TRUE(
      Take(node_, {PutAt("a", "{}", ahead), PutAt("b", "{}", ahead), PutAt("c", "{}", ahead)}, ahead.node)
          .ok());
  v1::DiscardQuarantinedRequest request;
  request.set_table("pumps");
  request.set_key("b");
  EXPECT_EQ(node_.Ask(&TablesStub::DiscardQuarantined, request)->discarded(), 1u);
  request.clear_key();
  EXPECT_EQ(node_.Ask(&TablesStub::DiscardQuarantined, request)->discarded(), 2u);
  const auto conflicts = node_.Ask(&TablesStub::ListConflicts, Conflicts());
  ASSERT_EQ(conflicts->conflicts_size(), 3);
  EXPECT_EQ(conflicts->conflicts(0).kind(), "discarded");
  EXPECT_FALSE(conflicts->conflicts(0).has_winner());
  request.set_table("nothing");
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::DiscardQuarantined, request)), "unknown_table");
}

TEST_F(TablesServiceTest, DescribeSaysHowFarPeersWereRead) {
  v1::DescribeTableRequest describe;
  describe.set_table("pumps");
  EXPECT_EQ(node_.Ask(&TablesStub::DescribeTable, describe)->read_from_size(), 0);
  const StoreId peer = table::samples::Store(9);
  ASSERT_TRUE(Take(node_, {}, peer).ok());
  const auto described = node_.Ask(&TablesStub::DescribeTable, describe);
  ASSERT_EQ(described->read_from_size(), 1);
  EXPECT_EQ(described->read_from(0).store(), peer.bytes());
  EXPECT_EQ(described->read_from(0).position(), table::samples::Epoch(5).hex() + "-17");
  EXPECT_EQ(described->read_from(0).prefix(), "site/");
  EXPECT_TRUE(described->read_from(0).snapshot());
}

TEST_F(TablesServiceTest, RowDigestsOfPartsAddUp) {
  for (int n = 0; n < 1'200; n += 300) {
    std::vector<v1::RowOperation> operations;
    for (int i = 0; i < 300; ++i) operations.push_back(PutOf("k" + std::to_string(10'000 + n + i), "{}"));
    ASSERT_TRUE(Write(operations).ok());
  }
  v1::RowOperation expiring = PutOf("l", "{}");
  const int64_t expires_ms = absl::ToUnixMillis(node_.node().clock().Wall()) + 1'000'000;
  expiring.mutable_put()->set_expires_at_ms(expires_ms);
  ASSERT_TRUE(Write({expiring, DeleteOf("k10003"), PutOf("other", "{}")}).ok());
  v1::DigestRowsRequest request;
  request.set_table("pumps");
  const auto whole = node_.Ask(&TablesStub::DigestRows, request);
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->rows(), 1'201u);
  EXPECT_FALSE(whole->has_next());
  EXPECT_EQ(whole->incarnation().size(), 16u);
  EXPECT_GT(whole->at_ms(), 0);
  EXPECT_EQ(whole->versions_size(), 0);

  table::RowsDigest parts;
  request.set_rows_max(500);
  for (std::optional<std::string> from = ""; from;) {
    request.set_from(*from);
    const auto part = node_.Ask(&TablesStub::DigestRows, request);
    ASSERT_TRUE(part.ok()) << part.status();
    EXPECT_LE(part->rows(), 500u);
    parts.Add(*table::RowsDigest::From(part->digest(), part->rows()));
    from = part->has_next() ? std::optional(part->next()) : std::nullopt;
  }
  EXPECT_EQ(parts.bytes(), whole->digest());

  request.set_from("");
  request.set_rows_max(100'000);
  request.set_versions(true);
  auto listed = node_.Ask(&TablesStub::DigestRows, request);
  EXPECT_EQ(listed->versions_size(), 1'000) << "a list is shorter";
  EXPECT_EQ(listed->versions(0).version(), Get("k10000")->row().version());
  request.set_prefix("l");
  listed = node_.Ask(&TablesStub::DigestRows, request);
  ASSERT_EQ(listed->versions_size(), 1);
  request.set_at_ms(expires_ms + 1);
  EXPECT_EQ(node_.Ask(&TablesStub::DigestRows, request)->rows(), 0u) << "it has expired then";
  request.set_table("nothing");
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::DigestRows, request)), "unknown_table");
}

TEST(TablesServiceAtTheCore, AnEdgeIsNamedByItsStore) {
  CoreNode core;
  ASSERT_TRUE(core.Ask(&TablesStub::CreateTable, CreateOf("pumps")).ok());
  core.Join("rig-7");
  const auto store = StoreId::FromBytes(core.fleet().edges.Get("rig-7")->tenures(0).store_id());
  ASSERT_TRUE(store);
  const int64_t now_ms = absl::ToUnixMillis(core.node().clock().Wall());
  ASSERT_TRUE(
      Take(core, {PutAt("site/8/a", "{}", {table::Hlc::AtMs(now_ms), *store})}, *store, "site/7/").ok());
  const auto list = core.Ask(&TablesStub::ListConflicts, Conflicts());
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->conflicts_size(), 1);
  EXPECT_EQ(list->conflicts(0).kind(), "not_allowed");
  EXPECT_EQ(list->conflicts(0).loser().node(), "rig-7");
  EXPECT_FALSE(list->conflicts(0).has_winner());
  v1::DescribeTableRequest describe;
  describe.set_table("pumps");
  EXPECT_EQ(core.Ask(&TablesStub::DescribeTable, describe)->read_from(0).node(), "rig-7");
}

}  // namespace
}  // namespace selvage::test
