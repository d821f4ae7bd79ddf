#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "fabric/table/row_format.h"
#include "tests/contract/table/table_node.h"

namespace selvage::table {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class TableStoreContract : public ::testing::TestWithParam<StoreKind> {
 protected:
  void SetUp() override {
    Open();
    ASSERT_EQ(node()->Create(Definition()), absl::OkStatus());
  }
  TableNode& node() { return *node_; }
  void Open() { node_.emplace(fixture_->store(), clock_, random_); }
  void Reopen() {
    node_.reset();
    fixture_->Reopen();
    Open();
  }
  int64_t now_ms() { return absl::ToUnixMillis(clock_.Wall()); }
  FeedPosition End() { return node()->Facts("t")->end; }
  TableCounts Counts() { return node()->Facts("t")->counts; }
  RowDigest Version(std::string_view key) { return (**node()->Get("t", key)).version; }

  FakeClock clock_;
  test::SeededRandom random_{1};
  std::unique_ptr<StoreFixture> fixture_ = GetParam().make();
  std::optional<TableNode> node_;
};

INSTANTIATE_TEST_SUITE_P(Stores, TableStoreContract, ::testing::ValuesIn(AllStoreKinds()), NameOfStore);

TEST_P(TableStoreContract, RowsArePutUpdatedIncrementedAndDeleted) {
  EXPECT_EQ(node().Json("a"), "");
  EXPECT_EQ(node().Do({PutOf("a", R"({"x":1,"y":"z"})")}), "");
  EXPECT_EQ(node().Json("a"), R"({"x":1,"y":"z"})");
  EXPECT_EQ(node().Do({SetOf("a", "x", "[2]"), IncrementOf("a", "n", 3)}), "");
  EXPECT_EQ(node().Json("a"), R"({"n":3,"x":[2],"y":"z"})");
  EXPECT_EQ(node().Do({{"a", RowOperation::MergePatch{R"({"x":null,"o":{"p":1}})"}}}), "");
  EXPECT_EQ(node().Json("a"), R"({"n":3,"o":{"p":1},"y":"z"})");
  EXPECT_EQ(node().Do({{"a", RowOperation::MergePatch{R"({"o":{"q":2}})"}}}), "");
  EXPECT_EQ(node().Json("a"), R"({"n":3,"o":{"p":1,"q":2},"y":"z"})");
  EXPECT_EQ(node().Do({DeleteOf("a")}), "");
  EXPECT_EQ(node().Json("a"), "");
  EXPECT_EQ(node().Do({IncrementOf("a", "n", 1)}), "");
  EXPECT_EQ(node().Json("a"), R"({"n":1})");
}

TEST_P(TableStoreContract, ABatchIsDoneAsAWholeOrNotAtAll) {
  EXPECT_EQ(node().Do({PutOf("a", R"({"x":1})"), PutOf("b", R"({"x":"text"})")}), "");
  const FeedPosition before = End();
  EXPECT_EQ(node().Do({SetOf("a", "x", "2"), IncrementOf("b", "x", 1)}), "not_a_number");
  EXPECT_EQ(node().Json("a"), R"({"x":1})");
  EXPECT_EQ(End(), before);
  EXPECT_EQ(node().Do({SetOf("a", "x", "2"), DeleteOf("b"), SetOf("a", "x", "3")}), "") << "in their order";
  EXPECT_EQ(node().Json("a"), R"({"x":3})");
  EXPECT_EQ(node().Json("b"), "");
}

TEST_P(TableStoreContract, WhatIsWrittenInOneGroupSeesWhatCameBefore) {
  std::vector<std::string> outcomes;
  const auto write = [&](RowOperation operation) {
    node()->Write("t", {std::move(operation)},
                  [&](const auto& done) { outcomes.push_back(ErrorKind(done.status())); });
  };
  // None of them is committed before all are queued, and their rows were read.
  for (int i = 0; i < 5; ++i) write(IncrementOf("n", "count", 1));
  RowOperation absent = PutOf("n", R"({"mine":true})");
  absent.condition = {Condition::Kind::kAbsent};
  write(absent);
  write(SetOf("n", "last", "true"));
  EXPECT_THAT(outcomes, IsEmpty());
  EXPECT_EQ(node().Json("n"), "") << "nothing is seen before it is synced";
  while (node().committer().CommitOnce()) {
  }
  EXPECT_THAT(outcomes, ElementsAre("", "", "", "", "", "row_exists", ""));
  EXPECT_EQ(node().Json("n"), R"({"count":5,"last":true})");
  EXPECT_EQ(node()->CheckInvariants(), absl::OkStatus());
}

TEST_P(TableStoreContract, ConditionsHoldOfTheRowAsItIs) {
  const auto put_if = [&](Condition condition) {
    RowOperation put = PutOf("a", R"({"x":2})");
    put.condition = std::move(condition);
    return node().Do({std::move(put)});
  };
  using Kind = Condition::Kind;
  EXPECT_EQ(put_if({Kind::kPresent}), "row_absent");
  EXPECT_EQ(put_if({Kind::kVersionIn, {RowDigest()}}), "version_mismatch")
      << "none is not the version of no row";
  EXPECT_EQ(node().Do({PutOf("a", R"({"x":1})")}), "");
  const RowDigest first = Version("a");
  EXPECT_EQ(put_if({Kind::kAbsent}), "row_exists");
  EXPECT_EQ(put_if({Kind::kVersionNotIn, {first}}), "version_mismatch");
  EXPECT_EQ(put_if({Kind::kVersionIn, {RowDigest(), first}}), "");
  EXPECT_EQ(put_if({Kind::kVersionIn, {first}}), "version_mismatch");
  EXPECT_EQ(put_if({Kind::kPresent}), "");
}

TEST_P(TableStoreContract, WhatAWriteBecameIsSaid) {
  const auto written = node()->WriteAndWait(
      "t", {PutOf("a", R"({"x":1})"), SetOf("a", "x", "2"), DeleteOf("a"), DeleteOf("b")});
  ASSERT_EQ(written.status(), absl::OkStatus());
  ASSERT_THAT(*written, SizeIs(4));
  EXPECT_TRUE((*written)[0].created);
  EXPECT_FALSE((*written)[1].created);
  EXPECT_NE((*written)[0].version, (*written)[1].version);
  EXPECT_TRUE((*written)[2].version.none());
  EXPECT_TRUE((*written)[3].version.none());
}

TEST_P(TableStoreContract, BadInputChangesNothing) {
  const FeedPosition before = End();
  EXPECT_EQ(node().Do({PutOf("", "{}")}), "invalid_key");
  EXPECT_EQ(node().Do({PutOf(std::string(kRowKeyMax + 1, 'k'), "{}")}), "invalid_key");
  EXPECT_EQ(node().Do({PutOf(std::string(kRowKeyMax, 'k'), "{}")}), "");
  EXPECT_EQ(node().Do({PutOf("\xff", "{}")}), "invalid_key");
  EXPECT_EQ(node().Do({PutOf("a", R"({"x":")" + std::string(kRowBytesDefault, 'x') + R"("})")}),
            "row_too_large");
  EXPECT_EQ(node().Do(std::vector<RowOperation>(kBatchOperationsMax + 1, DeleteOf("a"))), "batch_too_large");
  EXPECT_EQ(node().Do({{"a", RowOperation::MergePatch{"[]"}}}), "not_an_object");
  EXPECT_EQ(node().Do({PutOf("a", "{}")}, "other"), "unknown_table");
  EXPECT_EQ(node().Json("a", "other"), "unknown_table");
  EXPECT_EQ(node().Do({}), "");
  EXPECT_EQ(End().sequence, before.sequence + 1);
}

TEST_P(TableStoreContract, ATableThatFlowsDownIsNotWrittenAtAnEdge) {
  ASSERT_EQ(node()->Create(Definition("down", v1::TABLE_DOWN)), absl::OkStatus());
  ASSERT_EQ(node()->Create(Definition("up", v1::TABLE_UP)), absl::OkStatus());
  EXPECT_EQ(node().Do({PutOf("a", "{}")}, "down"), "read_only_table");
  EXPECT_EQ(node().Do({PutOf("a", "{}")}, "up"), "");
  auto other = GetParam().make();
  TableNode core(other->store(), clock_, random_, /*is_edge=*/false);
  ASSERT_EQ(core->Create(Definition("up", v1::TABLE_UP)), absl::OkStatus());
  EXPECT_EQ(core.Do({PutOf("a", "{}")}, "up"), "read_only_table");
}

TEST_P(TableStoreContract, AFullDiskRefusesRowsAndStillTakesDeletes) {
  ASSERT_EQ(node().Do({PutOf("a", "{}")}), "");
  node().budget().Measured(/*file_bytes=*/0, /*free_bytes=*/1 << 20);
  EXPECT_EQ(node().Do({PutOf("b", "{}")}), "disk_full");
  EXPECT_EQ(node().Do({SetOf("a", "x", "1")}), "disk_full");
  node().budget().Measured(0, 1 << 20);
  EXPECT_EQ(node().Do({DeleteOf("a")}), "");
  EXPECT_EQ(node().Json("a"), "");
  node().budget().Measured(0, uint64_t{1} << 30);
  EXPECT_EQ(node().Do({PutOf("b", "{}")}), "") << "writes go on by themselves";
}

TEST_P(TableStoreContract, ScansGoByKeyInPages) {
  for (const char* key : {"b/1", "a", "b/2", "c", "b/3"})
    ASSERT_EQ(node().Do({PutOf(key, R"({"n":1})")}), "");
  ASSERT_EQ(node().Do({DeleteOf("b/2")}), "");
  EXPECT_THAT(node().Keys({}), ElementsAre("a", "b/1", "b/3", "c"));
  EXPECT_THAT(node().Keys({.prefix = "b/"}), ElementsAre("b/1", "b/3"));
  EXPECT_THAT(node().Keys({.from = "b/2", .to = "c"}), ElementsAre("b/3"));
  EXPECT_THAT(node().Keys({.from = "b/2", .prefix = "b/"}), ElementsAre("b/3"));
  EXPECT_THAT(node().Keys({.rows_max = 2}), ElementsAre("a", "b/1", "... b/2"));
  EXPECT_THAT(node().Keys({.from = "b/2", .rows_max = 2}), ElementsAre("b/3", "c"));
  EXPECT_THAT(node().Keys({.bytes_max = 1}), ElementsAre("a", "... b/1"));
  EXPECT_THAT(node().Keys({.looked_at_max = 3}), ElementsAre("a", "b/1", "... b/3"))
      << "what was deleted is looked at as well";
  EXPECT_THAT(node().Keys({.from = "z", .to = "a"}), IsEmpty());
}

TEST_P(TableStoreContract, ChangesAreReadOncePerRowInTheirNewestState) {
  FeedPosition at;
  EXPECT_THAT(node().Changes(at), IsEmpty());
  ASSERT_EQ(node().Do({PutOf("a", R"({"n":0})"), PutOf("b", R"({"n":0})")}), "");
  for (int i = 1; i <= 1000; ++i)
    ASSERT_EQ(node()->WriteAndWait("t", {SetOf("a", "n", std::to_string(i))}).status(), absl::OkStatus());
  EXPECT_THAT(node().Changes(at), ElementsAre(R"(b={"n":0})", R"(a={"n":1000})"));
  EXPECT_THAT(node().Changes(at), IsEmpty());
  ASSERT_EQ(node().Do({DeleteOf("b"), PutOf("c", "{}")}), "");
  EXPECT_THAT(node().Changes(at, "", 1), ElementsAre("b="));
  Reopen();
  EXPECT_THAT(node().Changes(at, "", 1), ElementsAre("c={}")) << "a position outlives a restart";
  ASSERT_EQ(node().Do({PutOf("a/1", "{}"), PutOf("d", "{}")}), "");
  EXPECT_THAT(node().Changes(at, "a/"), ElementsAre("a/1={}"));
  EXPECT_EQ(at, End()) << "what was not wanted is behind as well";
}

TEST_P(TableStoreContract, PositionsOfAnotherStoreAreRefused) {
  ASSERT_EQ(node().Do({PutOf("a", "{}")}), "");
  FeedPosition other{samples::Epoch(9), 1};
  EXPECT_THAT(node().Changes(other), ElementsAre("position_expired"));
  FeedPosition ahead = End();
  ahead.sequence += 1;
  EXPECT_THAT(node().Changes(ahead), ElementsAre("position_expired"));
}

TEST_P(TableStoreContract, WatchersAreToldAfterTheSync) {
  int told = 0;
  const int handle = node()->Watch([&] { ++told; });
  bool done = false;
  node()->Write("t", {PutOf("a", "{}")}, [&](const auto&) { done = true; });
  EXPECT_EQ(told, 0);
  while (node().committer().CommitOnce()) {
  }
  EXPECT_TRUE(done);
  EXPECT_EQ(told, 1);
  node()->Unwatch(handle);
  ASSERT_EQ(node().Do({PutOf("a", "{}")}), "");
  EXPECT_EQ(told, 1);
}

TEST_P(TableStoreContract, WatchersOfRowsAreToldOfTheirRowsOnly) {
  ASSERT_EQ(node()->Create(Definition("other")), absl::OkStatus());
  std::string told;
  const int a = node()->WatchRows("t", "a/", [&] { told += 'a'; });
  const int all = node()->WatchRows("t", "", [&] { told += '*'; });
  const int other = node()->WatchRows("other", "a/", [&] { told += 'o'; });
  const uint64_t end = End().sequence;
  ASSERT_EQ(node().Do({PutOf("b/1", "{}"), PutOf("b/2", "{}")}), "");
  EXPECT_EQ(std::exchange(told, ""), "*");
  EXPECT_EQ(node()->EndOf(a), end);
  EXPECT_EQ(node()->EndOf(all), End().sequence);
  ASSERT_EQ(node().Do({PutOf("b/1", "{}"), PutOf("a/1", "{}"), PutOf("a/2", "{}")}), "");
  EXPECT_EQ(std::exchange(told, ""), "*a");
  EXPECT_EQ(node()->EndOf(a), End().sequence);
  ASSERT_EQ(node().Do({PutOf("a/1", "{}")}, "other"), "");
  EXPECT_EQ(std::exchange(told, ""), "o");
  node()->Unwatch(a);
  ASSERT_EQ(node().Do({PutOf("a/1", "{}")}), "");
  EXPECT_EQ(std::exchange(told, ""), "*");
  EXPECT_EQ(node()->EndOf(a), End().sequence) << "nothing is known of it any more";
  node()->Unwatch(all);
  node()->Unwatch(other);
}

TEST_P(TableStoreContract, ExpiredRowsAreGoneAndLaterRemoved) {
  ASSERT_EQ(node().Do({PutOf("a", R"({"old":1})", now_ms() + 1000), PutOf("b", "{}")}), "");
  EXPECT_EQ(node().Json("a"), R"({"old":1})");
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(node().Json("a"), "");
  EXPECT_THAT(node().Keys({}), ElementsAre("b"));
  ASSERT_EQ(node().Do({SetOf("a", "new", "2")}), "");
  EXPECT_EQ(node().Json("a"), R"({"new":2})") << "what expired does not come back with an update";
  ASSERT_EQ(node().Do({PutOf("a", "{}", now_ms() + 1000)}), "");
  EXPECT_EQ(Counts().rows, 2u);
  clock_.Advance(absl::Hours(24));
  ASSERT_EQ(node()->RunDue(), absl::OkStatus());
  EXPECT_EQ(Counts().rows, 2u) << "other nodes may not have heard of it";
  clock_.Advance(absl::Seconds(1));
  ASSERT_EQ(node()->RunDue(), absl::OkStatus());
  EXPECT_EQ(Counts().rows, 1u);
  EXPECT_EQ(Counts().tombstones, 1u) << "other nodes are still to hear of it";
  ASSERT_EQ(node().Do({SetOf("a", "new", "3")}), "");
  EXPECT_EQ(node().Json("a"), R"({"new":3})");
  EXPECT_EQ(node()->CheckInvariants(), absl::OkStatus());
}

TEST_P(TableStoreContract, ALongerExpiryIsKept) {
  ASSERT_EQ(node().Do({PutOf("a", "{}", now_ms() + 1000)}), "");
  ASSERT_EQ(node().Do({{"a", Update{.expiry = Update::NewExpiry{now_ms() + 3'600'000}}}}), "");
  clock_.Advance(absl::Minutes(30));
  ASSERT_EQ(node()->RunDue(), absl::OkStatus());
  EXPECT_EQ(node().Json("a"), "{}");
  clock_.Advance(absl::Hours(26));
  Reopen();
  ASSERT_EQ(node()->RunDue(), absl::OkStatus());
  EXPECT_EQ(Counts().rows, 0u);
}

TEST_P(TableStoreContract, ANewExpirySendsTheWholeRow) {
  ASSERT_EQ(node().Do({PutOf("a", R"({"x":1,"y":2})")}), "");
  const auto sequences = [&] {
    return IndexOf(*DecodeRow(**node().store().Get(Family::kRow, RowKey(TableNumber(1), "a")))).sequences;
  };
  ASSERT_EQ(node().Do({SetOf("a", "x", "3")}), "");
  EXPECT_THAT(sequences(), SizeIs(2));
  ASSERT_EQ(node().Do({{"a", Update{.expiry = Update::NewExpiry{now_ms() + 1000}}}}), "");
  EXPECT_THAT(sequences(), SizeIs(1));
}

TEST_P(TableStoreContract, TombstonesAreCountedAndKept) {
  ASSERT_EQ(node().Do({PutOf("a", "{}"), PutOf("b", "{}")}), "");
  ASSERT_EQ(node().Do({DeleteOf("a"), DeleteOf("never")}), "");
  EXPECT_EQ(Counts().rows, 1u);
  EXPECT_EQ(Counts().tombstones, 2u);
  const TableCounts counts = Counts();
  Reopen();
  EXPECT_EQ(Counts().bytes, counts.bytes);
  EXPECT_EQ(Counts().tombstones, 2u);
  EXPECT_EQ(node()->CheckInvariants(), absl::OkStatus());
}

TEST_P(TableStoreContract, ADroppedTableLeavesNothing) {
  ASSERT_EQ(node().Do({PutOf("a", "{}", now_ms() + 1000), DeleteOf("b")}), "");
  std::string late;
  node()->Write("t", {PutOf("c", "{}")}, [&](const auto& done) { late = ErrorKind(done.status()); });
  ASSERT_EQ(node()->Drop("t"), absl::OkStatus());
  EXPECT_EQ(late, "") << "it was queued before";
  EXPECT_EQ(node().Json("a"), "unknown_table");
  EXPECT_EQ(node()->Drop("t").code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Dump(fixture_->store(), Family::kRow), IsEmpty());
  EXPECT_THAT(Dump(fixture_->store(), Family::kFeed), IsEmpty());
  ASSERT_EQ(node()->Create(Definition()), absl::OkStatus());
  EXPECT_EQ(node().Json("a"), "");
  EXPECT_EQ(ErrorKind(node()->Create(Definition())), "table_exists");
  Reopen();
  EXPECT_THAT(node()->All(), SizeIs(1));
}

TEST_P(TableStoreContract, SettingsChangeAndStay) {
  auto definition = Definition();
  definition.mutable_settings()->set_row_bytes_max(20);
  ASSERT_EQ(node()->Set(definition), absl::OkStatus());
  EXPECT_EQ(node().Do({PutOf("a", R"({"text":"more than twenty bytes"})")}), "row_too_large");
  Reopen();
  EXPECT_EQ(node()->Find("t")->settings().row_bytes_max(), 20u);
}

TEST_P(TableStoreContract, TheClockGoesOnAfterARestartAlsoWhenTheWallClockWasSetBack) {
  ASSERT_EQ(node().Do({PutOf("a", R"({"n":1})")}), "");
  clock_.JumpTo(clock_.Wall() - absl::Hours(48));
  Reopen();
  ASSERT_EQ(node().Do({PutOf("a", R"({"n":2})")}), "");
  EXPECT_EQ(node().Json("a"), R"({"n":2})") << "the later write wins";
}

}  // namespace
}  // namespace selvage::table
