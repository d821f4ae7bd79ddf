#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fabric/table/apply_task.h"
#include "fabric/table/table_keys.h"
#include "tests/contract/table/table_sites.h"

/// Rows whose stored bytes do not decode: how they get out of that, and that all else goes on meanwhile.
namespace selvage::table {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr auto kMonth = absl::Hours(31 * 24);

void Overwrite(KvStore& store, Family family, std::string_view key) {
  std::string bytes = **store.Get(family, key);
  bytes[0] = '\xee';
  auto batch = store.NewBatch();
  batch->Put(family, key, {bytes});
  EXPECT_EQ(store.Write(*batch, true), absl::OkStatus());
}

void Damage(Site& site, std::string_view key) {
  Overwrite(site.node().store(), Family::kRow, RowKey(TableNumber(1), key));
}

RowOperation Replacing(RowOperation operation) {
  operation.replace_damaged = true;
  return operation;
}

/// "kind key" of each, the newest first.
std::vector<std::string> Listed(Site& site) {
  std::vector<std::string> texts;
  const auto conflicts = site.tables().Conflicts("t", 100);
  for (const auto& one : *conflicts) texts.push_back(one.kind() + " " + one.key());
  return texts;
}

std::vector<std::string> Known(Site& site) {
  return site.tables().Facts("t")->damaged;
}

/// As Site::Do, while other rows may be damaged.
std::string Write(Site& site, std::vector<RowOperation> operations) {
  return ErrorKind(site.tables().WriteAndWait("t", std::move(operations)).status());
}

class DamagedRows : public ::testing::Test {
 protected:
  void Sync(Site& edge) { Session(edge, core_, ++epoch_).Drain(); }

  test::SeededRandom random_{5};
  Site core_{1, false, random_};
  Site a_{2, true, random_};
  Site b_{3, true, random_};
  uint64_t epoch_ = 0;
};

TEST_F(DamagedRows, AreReplacedOnlyWhenThatIsSaid) {
  ASSERT_EQ(
      Write(a_, {PutOf("a", R"({"x":1})"), PutOf("b", "{}", a_.now_ms() + 1'000'000), PutOf("c", "{}")}), "");
  ASSERT_EQ(Write(a_, {SetOf("a", "y", "2"), IncrementOf("a", "n", 3), DeleteOf("c"), PutOf("d", "{}")}), "");
  for (const char* key : {"a", "b", "c"}) Damage(a_, key);
  EXPECT_EQ(a_.Json("a"), "corrupt_row");
  EXPECT_EQ(Write(a_, {PutOf("a", "{}")}), "corrupt_row");
  EXPECT_EQ(Write(a_, {DeleteOf("a")}), "corrupt_row");
  EXPECT_EQ(Write(a_, {Replacing(SetOf("a", "x", "1"))}), "corrupt_row") << "what it had is not known";
  EXPECT_EQ(Write(a_, {PutOf("new", "{}"), DeleteOf("b")}), "corrupt_row");
  EXPECT_EQ(a_.Json("new"), "");
  EXPECT_THAT(Known(a_), ElementsAre("a", "b"));

  EXPECT_EQ(
      Write(a_, {Replacing(PutOf("a", R"({"z":1})")), Replacing(DeleteOf("b")), Replacing(DeleteOf("c"))}),
      "");
  EXPECT_EQ(a_.tables().CheckInvariants(), absl::OkStatus()) << "indexes and counts as well";
  EXPECT_EQ(a_.Text(), "a={\"z\":1}\nd={}\n");
  EXPECT_EQ(a_.Counts().tombstones, 2u);
  EXPECT_THAT(Listed(a_), ElementsAre("damaged c", "damaged b", "damaged a"));
  EXPECT_THAT(a_.tables().Conflicts("t", 10)->back().losing_value(), StartsWith("\"ee"));
  EXPECT_THAT(Known(a_), IsEmpty());
  EXPECT_EQ(Write(a_, {Replacing(PutOf("a", "{}")), SetOf("a", "x", "1")}), "") << "a row as any other";
  EXPECT_THAT(Listed(a_), SizeIs(3));
  a_.Restart();
  EXPECT_EQ(a_.Json("a"), R"({"x":1})");
}

TEST_F(DamagedRows, SayTheirKeyAndTheWayOut) {
  ASSERT_EQ(Write(a_, {PutOf("pump 7", "{}")}), "");
  Damage(a_, "pump 7");
  const absl::Status error = a_.tables().Get("t", "pump 7").status();
  EXPECT_THAT(error.message(), HasSubstr("row \"pump 7\""));
  EXPECT_THAT(ErrorHint(error), HasSubstr("--replace-damaged"));
}

TEST_F(DamagedRows, FulfilNoCondition) {
  ASSERT_EQ(Write(a_, {PutOf("a", "{}")}), "");
  Damage(a_, "a");
  for (const auto kind :
       {Condition::Kind::kAbsent, Condition::Kind::kPresent, Condition::Kind::kVersionNotIn}) {
    RowOperation put = Replacing(PutOf("a", "{}"));
    put.condition.kind = kind;
    EXPECT_EQ(Write(a_, {put}), "corrupt_row");
  }
}

TEST_F(DamagedRows, AWriteThatFailsReplacesNothingForThoseBehindIt) {
  ASSERT_EQ(Write(a_, {PutOf("a", R"({"x":1})")}), "");
  Damage(a_, "a");
  std::vector<std::string> outcomes;
  const auto write = [&](std::vector<RowOperation> operations) {
    a_.tables().Write("t", std::move(operations),
                      [&](const auto& done) { outcomes.push_back(ErrorKind(done.status())); });
  };
  // All are in one group.
  write({SetOf("a", "y", "1")});
  write({Replacing(PutOf("a", "{}")), IncrementOf("a", "n", 1), PutOf("b", R"({"n":""})"),
         IncrementOf("b", "n", 1)});
  write({SetOf("a", "y", "2")});
  write({Replacing(PutOf("a", R"({"z":1})"))});
  write({SetOf("a", "y", "3")});
  a_.Commit();
  EXPECT_THAT(outcomes, ElementsAre("corrupt_row", "not_a_number", "corrupt_row", "", ""));
  EXPECT_EQ(a_.Json("a"), R"({"y":3,"z":1})");
  EXPECT_EQ(a_.tables().CheckInvariants(), absl::OkStatus());
  EXPECT_THAT(Listed(a_), ElementsAre("damaged a"));
}

TEST_F(DamagedRows, AScanEndsBeforeOneOrGoesOnBehindIt) {
  for (const char* key : {"a", "b", "c", "d"}) ASSERT_EQ(Write(a_, {PutOf(key, "{}")}), "");
  Damage(a_, "b");
  EXPECT_THAT(a_.node().Keys({}), ElementsAre("a", "... b"));
  EXPECT_EQ(ErrorKind(a_.tables().Scan("t", {.from = "b"}).status()), "corrupt_row");
  EXPECT_THAT(a_.node().Keys({.from = std::string("b\0", 2)}), ElementsAre("c", "d"));
  const auto page = a_.tables().Scan("t", {.rows_max = 2, .past_damaged = true});
  ASSERT_EQ(page.status(), absl::OkStatus());
  EXPECT_THAT(page->rows, SizeIs(2));
  EXPECT_THAT(page->damaged, ElementsAre("b"));
  EXPECT_EQ(page->next, "d");
}

TEST_F(DamagedRows, DifferFromWhatOthersHave) {
  ASSERT_EQ(Write(a_, {PutOf("a", "{}"), PutOf("b", "{}")}), "");
  Sync(a_);
  Damage(a_, "b");
  const auto versions = [](Site& site) {
    return site.tables().DigestRows("t", {.versions = true})->versions;
  };
  const auto at_edge = versions(a_);
  auto at_core = versions(core_);
  ASSERT_THAT(at_edge, SizeIs(2));
  EXPECT_EQ(at_edge[0], at_core[0]);
  EXPECT_NE(at_edge[1].second, at_core[1].second);
  Damage(core_, "b");
  at_core = versions(core_);
  EXPECT_NE(at_edge[1].second, at_core[1].second) << "nor are two damaged rows alike";
}

TEST_F(DamagedRows, AreLeftOutOfChangesUntilTheyAreReplaced) {
  for (const char* key : {"a", "b", "c"}) ASSERT_EQ(Write(a_, {PutOf(key, "{}")}), "");
  Damage(a_, "b");
  FeedPosition from;
  EXPECT_THAT(a_.node().Changes(from), ElementsAre("a={}", "c={}"));
  EXPECT_THAT(Known(a_), ElementsAre("b"));
  ASSERT_EQ(Write(a_, {Replacing(PutOf("b", R"({"x":1})"))}), "");
  EXPECT_THAT(a_.node().Changes(from), ElementsAre(R"(b={"x":1})"));
}

TEST_F(DamagedRows, AreFoundAgainAfterARestart) {
  ASSERT_EQ(Write(a_, {PutOf("a", "{}")}), "");
  Damage(a_, "a");
  a_.Restart();
  EXPECT_THAT(Known(a_), IsEmpty()) << "start-up reads no rows";
  EXPECT_EQ(a_.Json("a"), "corrupt_row");
  EXPECT_THAT(Known(a_), ElementsAre("a"));
}

TEST_F(DamagedRows, ThatAreWholeAreForgotten) {
  ASSERT_EQ(Write(a_, {PutOf("a", "{}")}), "");
  KvStore& store = a_.node().store();
  const std::string row_key = RowKey(TableNumber(1), "a");
  const std::string whole = **store.Get(Family::kRow, row_key);
  Damage(a_, "a");
  EXPECT_EQ(a_.Json("a"), "corrupt_row");
  EXPECT_EQ(a_.tables().RunDue(), absl::OkStatus());
  EXPECT_THAT(Known(a_), ElementsAre("a"));
  // As of somebody who read an older state of the store, and was late to tell.
  auto batch = store.NewBatch();
  batch->Put(Family::kRow, row_key, {whole});
  ASSERT_EQ(store.Write(*batch, true), absl::OkStatus());
  EXPECT_EQ(a_.tables().RunDue(), absl::OkStatus());
  EXPECT_THAT(Known(a_), IsEmpty());
}

TEST_F(DamagedRows, DoNotKeepOthersFromExpiring) {
  ASSERT_EQ(Write(a_, {PutOf("a", "{}", a_.now_ms() + 1000), PutOf("b", "{}", a_.now_ms() + 1000)}), "");
  Damage(a_, "a");
  a_.clock().Advance(absl::Hours(48));
  EXPECT_EQ(a_.tables().RunDue(), absl::OkStatus());
  EXPECT_EQ(a_.Counts().tombstones, 1u);
  EXPECT_THAT(Known(a_), ElementsAre("a"));
  ASSERT_EQ(Write(a_, {Replacing(PutOf("a", "{}"))}), "");
  EXPECT_EQ(a_.tables().CheckInvariants(), absl::OkStatus());
  a_.clock().Advance(absl::Hours(48));
  EXPECT_EQ(a_.tables().RunDue(), absl::OkStatus());
  EXPECT_EQ(a_.Json("a"), "{}");
}

TEST_F(DamagedRows, DoNotKeepOtherTombstonesFromBeingCollected) {
  for (const char* key : {"a", "b", "c"}) ASSERT_EQ(a_.Do(PutOf(key, "{}")), "");
  Sync(a_);
  for (const char* key : {"a", "b", "c"}) ASSERT_EQ(a_.Do(DeleteOf(key)), "");
  Sync(a_);
  Sync(a_);
  Damage(core_, "b");
  Damage(a_, "a");
  for (int hour = 0; hour < 10 * 24; ++hour) {
    for (Site* site : {&core_, &a_}) {
      site->clock().Advance(absl::Hours(1));
      EXPECT_EQ(site->tables().RunDue(), absl::OkStatus());
    }
    if (hour % 24 == 0) Sync(a_);
  }
  for (Site* site : {&core_, &a_}) EXPECT_EQ(site->Counts().tombstones, 1u) << site->name();
  ASSERT_EQ(Write(core_, {Replacing(DeleteOf("b"))}), "");
  EXPECT_EQ(core_.Counts().tombstones, 1u);
  EXPECT_EQ(core_.tables().CheckInvariants(), absl::OkStatus());
}

TEST_F(DamagedRows, DoNotHoldUpTheFeed) {
  for (const char* key : {"a", "b", "c"}) ASSERT_EQ(Write(a_, {PutOf(key, "{}")}), "");
  Damage(a_, "b");
  Sync(a_);
  EXPECT_EQ(core_.Text(), "a={}\nc={}\n");
  ASSERT_EQ(Write(a_, {Replacing(PutOf("b", R"({"x":1})"))}), "");
  Sync(a_);
  EXPECT_EQ(core_.Text(), "a={}\nb={\"x\":1}\nc={}\n");
}

TEST_F(DamagedRows, OfASnapshotStayAsTheyAreElsewhere) {
  for (const char* key : {"a", "b", "c"}) ASSERT_EQ(a_.Do(PutOf(key, R"({"x":1})")), "");
  Sync(a_);
  Damage(core_, "b");
  // Another prefix: all is read anew, and what the core does not have goes.
  Session session(a_, core_, ++epoch_, "");
  session.Drain();
  Session again(a_, core_, ++epoch_, "b");
  again.Drain();
  EXPECT_TRUE(again.down()->needed_snapshot());
  EXPECT_EQ(a_.Json("b"), R"({"x":1})") << "the only whole one must not go";
  Sync(b_);
  EXPECT_EQ(b_.Text(), "a={\"x\":1}\nc={\"x\":1}\n") << "all there is goes on";
  ASSERT_EQ(Write(core_, {Replacing(PutOf("b", a_.Json("b")))}), "");
  Sync(b_);
  EXPECT_EQ(b_.Json("b"), R"({"x":1})");
}

TEST_F(DamagedRows, TakeNothingInPartsAndKeepNothingElseUp) {
  ASSERT_EQ(a_.Do(PutOf("b", R"({"x":1})")), "");
  Sync(a_);
  Damage(core_, "b");
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(a_.Do(SetOf("b", "x", std::to_string(i))), "");
    ASSERT_EQ(a_.Do(PutOf("c", std::to_string(i).insert(0, "{\"i\":") + "}")), "");
    Sync(a_);
    EXPECT_EQ(core_.Json("c"), a_.Json("c"));
  }
  EXPECT_EQ(core_.Json("b"), "corrupt_row");
  EXPECT_THAT(Listed(core_), ElementsAre("not_taken b")) << "once, or others would be pushed out of the list";
  EXPECT_EQ(core_.tables().Conflicts("t", 1)->front().loser_store(), a_.store_id().bytes());
  // The way out: from the node that has it whole.
  core_.clock().Advance(absl::Seconds(1));
  ASSERT_EQ(Write(core_, {Replacing(PutOf("b", a_.Json("b")))}), "");
  ASSERT_EQ(a_.Do(SetOf("b", "y", "5")), "");
  Sync(a_);
  Sync(a_);
  for (Site* site : {&core_, &a_}) EXPECT_EQ(site->tables().CheckInvariants(), absl::OkStatus());
  EXPECT_EQ(core_.Json("b"), a_.Json("b"));
  EXPECT_EQ(core_.Digests(), a_.Digests());
}

TEST_F(DamagedRows, AreMendedByASnapshot) {
  ASSERT_EQ(a_.Do(PutOf("b", R"({"x":1})")), "");
  ASSERT_EQ(a_.Do(PutOf("gone", "{}")), "");
  Sync(a_);
  ASSERT_EQ(core_.Do(SetOf("b", "y", "2")), "");
  Damage(a_, "b");
  Session session(a_, core_, ++epoch_, "b");
  session.Drain();
  ASSERT_TRUE(session.down()->needed_snapshot());
  EXPECT_EQ(a_.Json("b"), R"({"x":1,"y":2})");
  EXPECT_EQ(a_.tables().CheckInvariants(), absl::OkStatus());
  EXPECT_THAT(Listed(a_), ElementsAre("damaged b"));
}

TEST_F(DamagedRows, ThatThePeerDoesNotHaveAreNotSwept) {
  ASSERT_EQ(a_.Do(PutOf("b", "{}")), "");
  ASSERT_EQ(a_.Do(PutOf("c", "{}")), "");
  Damage(a_, "b");
  // The core never had it.
  Session(a_, core_, ++epoch_, "").Drain();
  EXPECT_EQ(a_.Json("b"), "corrupt_row");
  EXPECT_THAT(Known(a_), ElementsAre("b"));
}

TEST_F(DamagedRows, AreCountedInAnewAfterTheyAreReplaced) {
  ASSERT_EQ(a_.Do(IncrementOf("n", "n", 5)), "");
  Sync(a_);
  Sync(b_);
  for (Site* site : {&core_, &a_, &b_}) site->clock().Advance(absl::Seconds(1));
  ASSERT_EQ(b_.Do(IncrementOf("n", "n", 7)), "");
  Damage(a_, "n");
  ASSERT_EQ(Write(a_, {Replacing(PutOf("n", R"({"n":5})")), IncrementOf("n", "n", 1)}), "");
  for (Site* site : {&core_, &a_, &b_}) site->clock().Advance(absl::Seconds(1));
  ASSERT_EQ(a_.Do(IncrementOf("n", "n", 1)), "");
  for (int i = 0; i < 2; ++i) {
    Sync(a_);
    Sync(b_);
  }
  for (Site* site : {&core_, &a_, &b_}) EXPECT_EQ(site->Json("n"), R"({"n":7})") << site->name();
  EXPECT_EQ(core_.Digests(), a_.Digests());
  EXPECT_EQ(core_.Digests(), b_.Digests());
}

/// Where this node only reads it cannot put the row again: it comes from where it is written.
class DamagedRowsOfReaders : public ::testing::Test {
 protected:
  test::SeededRandom random_{5};
  Site core_{1, false, random_, v1::TABLE_DOWN};
  Site edge_{2, true, random_, v1::TABLE_DOWN};
  uint64_t epoch_ = 0;
  Life life_ = Life::Mint(random_);

  void Down(std::string prefix = "") {
    ++epoch_;
    Flow(core_, edge_, std::move(prefix), true, Fence{"@core", SessionEpoch(epoch_)}, UINT64_MAX, life_)
        .Drain();
  }
};

TEST_F(DamagedRowsOfReaders, AreMendedByAPutWhereTheyAreWritten) {
  for (const char* key : {"b", "c"}) ASSERT_EQ(core_.Do(PutOf(key, R"({"x":1})")), "");
  Down();
  for (const char* key : {"b", "c"}) Damage(edge_, key);
  EXPECT_EQ(Write(edge_, {Replacing(PutOf("b", "{}"))}), "read_only_table");
  ASSERT_EQ(core_.Do(SetOf("b", "y", "2")), "");
  Down();
  EXPECT_EQ(edge_.Json("b"), "corrupt_row");
  EXPECT_THAT(Listed(edge_), ElementsAre("not_taken b"));
  ASSERT_EQ(core_.Do(PutOf("b", core_.Json("b"))), "");
  ASSERT_EQ(core_.Do(SetOf("b", "z", "3")), "");
  ASSERT_EQ(core_.Do(DeleteOf("c")), "");
  Down();
  EXPECT_EQ(edge_.Json("b"), R"({"x":1,"y":2,"z":3})");
  EXPECT_EQ(edge_.Json("c"), "");
  EXPECT_EQ(edge_.tables().CheckInvariants(), absl::OkStatus());
  EXPECT_EQ(edge_.Digests(), core_.Digests());
  EXPECT_THAT(Known(edge_), IsEmpty());
  EXPECT_THAT(Listed(edge_), ElementsAre("damaged c", "damaged b", "not_taken b"));
}

TEST_F(DamagedRowsOfReaders, GoWithASnapshotThatDoesNotHaveThem) {
  for (const char* key : {"b1", "b2"}) ASSERT_EQ(core_.Do(PutOf(key, R"({"x":1})")), "");
  Down();
  Damage(edge_, "b1");
  Down("b2");
  EXPECT_EQ(edge_.Json("b1"), "");
  EXPECT_EQ(edge_.tables().CheckInvariants(), absl::OkStatus());
  EXPECT_EQ(edge_.Text(), "b2={\"x\":1}\n");
}

TEST_F(DamagedRows, ThatAreChangesThatWaitAreListedWhenTheyAreDue) {
  Sync(a_);
  a_.clock().Advance(absl::Hours(1));
  for (const char* key : {"a", "b", "c"}) ASSERT_EQ(a_.Do(PutOf(key, "{}")), "");
  Sync(a_);
  std::vector<std::string> waiting;
  const std::string keys = FeedKeys(FeedIndex::kAhead, TableNumber(1));
  auto cursor = core_.node().store().Scan(Family::kFeed, keys, EndOfPrefix(keys));
  for (cursor->Seek(keys); cursor->Valid(); cursor->Next()) waiting.emplace_back(cursor->key());
  ASSERT_THAT(waiting, SizeIs(3));
  auto batch = core_.node().store().NewBatch();
  for (const std::string& key : {waiting[0], waiting[1]}) batch->Put(Family::kFeed, key, {"junk"});
  ASSERT_EQ(core_.node().store().Write(*batch, true), absl::OkStatus());
  EXPECT_THAT(*core_.tables().Quarantined("t", 10), SizeIs(1));
  Sync(b_);
  core_.clock().Advance(absl::Hours(1));
  EXPECT_EQ(core_.tables().RunDue(), absl::OkStatus());
  EXPECT_EQ(core_.Text(), "c={}\n") << "what waited behind them is merged";
  EXPECT_EQ(core_.tables().Facts("t")->quarantined, 0u);
  EXPECT_THAT(Listed(core_), ElementsAre("damaged ", "damaged "));
}

TEST_F(DamagedRows, DoNotKeepWhatWaitsFromBeingMerged) {
  ASSERT_EQ(a_.Do(PutOf("b", "{}")), "");
  Sync(a_);
  a_.clock().Advance(absl::Hours(1));
  ASSERT_EQ(a_.Do(SetOf("b", "x", "1")), "");
  ASSERT_EQ(a_.Do(PutOf("c", "{}")), "");
  Sync(a_);
  Damage(core_, "b");
  EXPECT_THAT(*core_.tables().Quarantined("t", 10), SizeIs(2)) << "shown as of a row without anything";
  core_.clock().Advance(kMonth);
  EXPECT_EQ(core_.tables().RunDue(), absl::OkStatus());
  EXPECT_EQ(core_.Json("c"), "{}");
  EXPECT_THAT(Listed(core_), ElementsAre("not_taken b"));
  EXPECT_EQ(core_.tables().Facts("t")->quarantined, 0u);
}

}  // namespace
}  // namespace selvage::table
