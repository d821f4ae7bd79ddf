/// Views of a node, on a store in memory.
#include "fabric/view/view_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/node/node_state.h"
#include "fabric/storage/memory_store.h"
#include "tests/contract/table/table_node.h"

namespace selvage {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

class ViewStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    Open();
    v1::StreamDefinition definition;
    definition.set_name("s");
    definition.set_direction(v1::LOCAL);
    definition.set_partitions(2);
    *definition.mutable_settings() = DefaultStreamSettings();
    definition = CompleteDefinition(definition).value();
    ASSERT_EQ(node_->catalog().Put(definition), absl::OkStatus());
    ASSERT_EQ(node_->streams().CreateLogs(definition), absl::OkStatus());
  }
  void Open() {
    NodeState::Options options;
    options.node = "rig-7";
    node_ = std::make_unique<NodeState>(options, store_, clock_, random_);
    ASSERT_EQ(node_->Open({}), absl::OkStatus());
  }
  void Reopen() {
    node_.reset();
    Open();
  }
  view::ViewStore& views() { return node_->views(); }
  std::shared_ptr<EmbeddedLog> log(int32_t partition = 0) {
    return node_->embedded_logs().FindEmbedded({"", Slot(0), "s", PartitionId(partition)});
  }

  struct Input {
    std::optional<std::string> key;
    std::optional<std::string> value;
    int64_t at_ms = 0;  ///< after now
  };
  void Produce(const std::vector<Input>& inputs, int32_t partition = 0) {
    BatchBuilder builder;
    for (const Input& input : inputs) {
      builder.Add({Offset(0), now_ms() + input.at_ms, input.key, input.value, {}});
    }
    bool done = false;
    ASSERT_EQ(log(partition)->Append(builder.Build(), [&](const auto& appended) { done = appended.ok(); }),
              absl::OkStatus());
    while (node_->committer().CommitOnce()) {
    }
    ASSERT_TRUE(done);
  }
  /// Until there is nothing to do; the error otherwise.
  std::string Feed() {
    while (true) {
      const auto more = views().RunOnce();
      if (!more.ok()) return ErrorKind(more.status());
      if (!*more) return "";
    }
  }
  std::map<std::string, std::string> Rows(const std::string& table = "v") {
    std::map<std::string, std::string> rows;
    const auto page = node_->tables().Scan(table, {});
    EXPECT_EQ(page.status(), absl::OkStatus());
    if (!page.ok()) return rows;
    for (const table::RowView& row : page->rows) rows[row.key] = row.json;
    return rows;
  }
  std::vector<std::string> Keys(Family family, std::string_view prefix = "") {
    std::vector<std::string> keys;
    auto cursor = store_.Scan(family, prefix, std::string(prefix) + "\xff\xff\xff\xff\xff");
    for (cursor->Seek(prefix); cursor->Valid(); cursor->Next()) keys.emplace_back(cursor->key());
    return keys;
  }
  v1::ViewStatus Status() { return views().Describe("v").value(); }
  int64_t now_ms() { return absl::ToUnixMillis(clock_.Wall()); }

  static v1::ViewDefinition Newest() {
    v1::ViewDefinition definition;
    definition.set_name("v");
    definition.set_stream("s");
    definition.mutable_newest();
    return definition;
  }
  /// Counts and sums `n` for each `site`.
  static v1::ViewDefinition Sums(int64_t window_ms = 0, int64_t keep_ms = 0) {
    v1::ViewDefinition definition = Newest();
    v1::ViewAggregate& aggregate = *definition.mutable_aggregate();
    aggregate.add_group_by()->set_path("site");
    aggregate.add_columns()->set_function(v1::VIEW_COUNT);
    v1::ViewColumn& sum = *aggregate.add_columns();
    sum.set_function(v1::VIEW_SUM);
    sum.set_path("n");
    aggregate.set_window_ms(window_ms);
    aggregate.set_keep_ms(keep_ms);
    return definition;
  }
  void Make(const v1::ViewDefinition& definition) {
    ASSERT_EQ(views().Create(definition).status(), absl::OkStatus());
  }

  FakeClock clock_;
  test::SeededRandom random_{1};
  MemoryStore store_;
  std::unique_ptr<NodeState> node_;
};

TEST_F(ViewStoreTest, TheNewestRecordOfEachKeyIsARow) {
  Produce({{"a", R"({"x":1})"}, {"b", R"({"x":2})"}, {"a", R"({"x":3})"}});
  Make(Newest());
  EXPECT_EQ(Feed(), "");
  EXPECT_THAT(Rows(), ElementsAre(Pair("a", R"({"x":3})"), Pair("b", R"({"x":2})")));
  Produce({{"b", std::nullopt}, {"c", "{}"}});
  EXPECT_EQ(Feed(), "");
  EXPECT_THAT(Rows(), ElementsAre(Pair("a", R"({"x":3})"), Pair("c", "{}")));
}

TEST_F(ViewStoreTest, OfSeveralLogsTheNewestByTimeCounts) {
  Make(Newest());
  Produce({{"a", R"({"x":2})", 2000}}, 1);
  EXPECT_EQ(Feed(), "");
  Produce({{"a", R"({"x":1})", 1000}}, 0);
  EXPECT_EQ(Feed(), "");
  EXPECT_THAT(Rows(), ElementsAre(Pair("a", R"({"x":2})")));
  Produce({{"a", std::nullopt, 3000}}, 0);
  EXPECT_EQ(Feed(), "");
  EXPECT_THAT(Rows(), IsEmpty());
  Produce({{"a", R"({"x":3})", 2500}}, 1);
  EXPECT_EQ(Feed(), "");
  EXPECT_THAT(Rows(), IsEmpty()) << "older than the delete";
}

TEST_F(ViewStoreTest, ADeleteCountsAlsoWhereTheOlderRecordIsReadAfterIt) {
  Make(Newest());
  Produce({{"a", std::nullopt, 3000}}, 0);
  EXPECT_EQ(Feed(), "");
  Produce({{"a", R"({"x":1})", 2000}}, 1);
  EXPECT_EQ(Feed(), "");
  EXPECT_THAT(Rows(), IsEmpty());
  Produce({{"a", std::nullopt, 4000}}, 1);
  EXPECT_EQ(Feed(), "");
  Produce({{"a", R"({"x":2})", 3500}}, 0);
  EXPECT_EQ(Feed(), "");
  EXPECT_THAT(Rows(), IsEmpty()) << "older than the newest delete";
  ASSERT_EQ(views().Rebuild("v"), absl::OkStatus());
  EXPECT_EQ(Feed(), "");
  EXPECT_THAT(Rows(), IsEmpty()) << "in whatever order the logs are read";
  Produce({{"a", R"({"x":3})", 5000}}, 0);
  EXPECT_EQ(Feed(), "");
  EXPECT_THAT(Rows(), ElementsAre(Pair("a", R"({"x":3})")));
  EXPECT_EQ(node_->tables().CheckInvariants(), absl::OkStatus());
}

TEST_F(ViewStoreTest, AggregatesCountEachRecordOnceOverRestarts) {
  Make(Sums());
  for (int i = 0; i < 5; ++i) {
    Produce({{std::nullopt, R"({"site":"x","n":1})"}, {std::nullopt, R"({"site":"y","n":10})"}}, i % 2);
    if (i == 2) Reopen();
    EXPECT_EQ(Feed(), "");
    if (i == 3) Reopen();
  }
  EXPECT_EQ(Feed(), "");
  EXPECT_THAT(Rows(), ElementsAre(Pair(R"("x")", R"({"count":5,"site":"x","sum_n":5})"),
                                  Pair(R"("y")", R"({"count":5,"site":"y","sum_n":50})")));
  const v1::ViewStatus status = Status();
  ASSERT_EQ(status.logs_size(), 2);
  EXPECT_EQ(status.logs(0).records() + status.logs(1).records(), 10u);
  EXPECT_EQ(status.logs(0).next(), status.logs(0).end());
}

TEST_F(ViewStoreTest, WhatCannotBeUsedIsCountedAndListed) {
  Make(Sums());
  Produce({{std::nullopt, "junk"}, {std::nullopt, R"({"n":1})"}, {std::nullopt, R"({"site":"x","n":"t"})"}});
  EXPECT_EQ(Feed(), "");
  const v1::ViewStatus status = Status();
  EXPECT_THAT(std::map(status.skipped().begin(), status.skipped().end()),
              UnorderedElementsAre(Pair("not_json", 1), Pair("no_field", 1), Pair("not_a_number", 1)));
  EXPECT_EQ(status.skipped_records_size(), 3);
  EXPECT_EQ(status.skipped_records(0).reason(), "not_json");
  Reopen();
  EXPECT_EQ(Status().skipped_records_size(), 3);
}

TEST_F(ViewStoreTest, WindowsCloseAreKeptAndGo) {
  Make(Sums(/*window_ms=*/60'000, /*keep_ms=*/120'000));
  const int64_t to_next = 60'000 - now_ms() % 60'000;
  clock_.Advance(absl::Milliseconds(to_next));
  Produce({{std::nullopt, R"({"site":"x","n":1})", 0}, {std::nullopt, R"({"site":"x","n":2})", 59'999}});
  Produce({{std::nullopt, R"({"site":"x","n":4})", 60'000}});
  EXPECT_EQ(Feed(), "");
  EXPECT_EQ(Rows().size(), 2u);
  Produce({{std::nullopt, R"({"site":"x","n":8})", 59'000}});
  EXPECT_EQ(Feed(), "");
  EXPECT_EQ(Status().skipped().at("late"), 1u);
  clock_.Advance(absl::Minutes(3) + absl::Seconds(1));
  ASSERT_EQ(node_->tables().RunDue(), absl::OkStatus());
  EXPECT_EQ(Rows().size(), 1u);
  EXPECT_EQ(node_->tables().CheckInvariants(), absl::OkStatus());
}

TEST_F(ViewStoreTest, GapsAndTrimmedStartsAreSaid) {
  Make(Sums());
  Produce({{std::nullopt, R"({"site":"x","n":1})"}});
  Produce({{std::nullopt, R"({"site":"x","n":1})"}});
  ASSERT_EQ(log()->DeleteRecords(Offset(1)), absl::OkStatus());
  ASSERT_EQ(log()->AppendGap(Offset(7), GapReason::kLostWithDisk, [](const auto&) {}), absl::OkStatus());
  while (node_->committer().CommitOnce()) {
  }
  Produce({{std::nullopt, R"({"site":"x","n":1})"}});
  EXPECT_EQ(Feed(), "");
  EXPECT_THAT(Rows(), ElementsAre(Pair(R"("x")", R"({"count":2,"site":"x","sum_n":2})")));
  EXPECT_EQ(Status().logs(0).lost(), 5u);
  EXPECT_EQ(Status().logs(0).trimmed(), 0u) << "nothing was read before";
  Produce({{std::nullopt, R"({"site":"x","n":1})"}});
  Produce({{std::nullopt, R"({"site":"x","n":1})"}});
  ASSERT_EQ(log()->DeleteRecords(Offset(9)), absl::OkStatus());
  EXPECT_EQ(Feed(), "");
  EXPECT_EQ(Status().logs(0).trimmed(), 1u);
}

TEST_F(ViewStoreTest, WhatWasTrimmedIsSaidAlsoWhileNothingFollowsIt) {
  Make(Sums());
  Produce({{std::nullopt, R"({"site":"x","n":1})"}});
  EXPECT_EQ(Feed(), "");
  Produce({{std::nullopt, R"({"site":"x","n":1})"}});
  ASSERT_EQ(log()->DeleteRecords(Offset(2)), absl::OkStatus());
  EXPECT_EQ(Feed(), "");
  EXPECT_EQ(Status().logs(0).trimmed(), 1u);
  EXPECT_EQ(Status().logs(0).next(), 2);
  Reopen();
  Produce({{std::nullopt, R"({"site":"x","n":1})"}});
  EXPECT_EQ(Feed(), "");
  EXPECT_EQ(Status().logs(0).trimmed(), 1u);
  EXPECT_FALSE(Status().logs(0).has_diverged_at());
  EXPECT_THAT(Rows(), ElementsAre(Pair(R"("x")", R"({"count":2,"site":"x","sum_n":2})")));
}

/// What a view has stored of a log that lost its end and went on with other records.
TEST_F(ViewStoreTest, ALogThatWentOnOtherwiseIsSaid) {
  struct Case {
    std::optional<int64_t> read_to;  ///< nothing: the end
    uint64_t hash_off;               ///< of the chain hash there
    bool another;
  };
  const std::vector<Case> cases = {
      {.read_to = std::nullopt, .hash_off = 0, .another = false},
      {.read_to = std::nullopt, .hash_off = 1, .another = true},
      // A batch ended there in the log that was read, and none does now.
      {.read_to = 2, .hash_off = 1, .another = true},
  };
  Produce({{std::nullopt, R"({"site":"x","n":1})"},
           {std::nullopt, R"({"site":"x","n":1})"},
           {std::nullopt, R"({"site":"x","n":1})"}});
  for (const Case& one : cases) {
    Make(Sums());
    EXPECT_EQ(Feed(), "");
    const std::vector<std::string> keys = Keys(Family::kMeta, "view_log/");
    ASSERT_EQ(keys.size(), 1u);
    v1::StoredViewLog stored;
    ASSERT_TRUE(stored.ParseFromString(*store_.Get(Family::kMeta, keys[0]).value()));
    stored.set_next(one.read_to.value_or(stored.next()));
    stored.set_entry_from(stored.next());
    stored.set_hash(stored.hash() + one.hash_off);
    auto batch = store_.NewBatch();
    batch->Put(Family::kMeta, keys[0], {stored.SerializeAsString()});
    ASSERT_EQ(store_.Write(*batch, true), absl::OkStatus());
    Reopen();
    Produce({{std::nullopt, R"({"site":"x","n":1})"}});
    EXPECT_EQ(Feed(), "");
    const v1::ViewLog told = Status().logs(0);
    EXPECT_EQ(told.has_diverged_at(), one.another);
    EXPECT_EQ(told.diverged_at(), one.another ? stored.next() : 0);
    EXPECT_EQ(told.next(), told.end());
    ASSERT_EQ(views().Drop("v"), absl::OkStatus());
  }
}

/// What is stored of a view is found by the incarnation of its table, which is any 16 bytes.
TEST_F(ViewStoreTest, TheIncarnationMayEndWithTheLastByte) {
  Make(Sums());
  while (node_->tables().Find("v")->incarnation().back() != '\xff') {
    ASSERT_EQ(views().Drop("v"), absl::OkStatus());
    Make(Sums());
  }
  Produce({{std::nullopt, R"({"site":"x","n":1})"}});
  EXPECT_EQ(Feed(), "");
  Reopen();
  Produce({{std::nullopt, R"({"site":"x","n":1})"}});
  EXPECT_EQ(Feed(), "");
  EXPECT_THAT(Rows(), ElementsAre(Pair(R"("x")", R"({"count":2,"site":"x","sum_n":2})")));
  ASSERT_EQ(views().Drop("v"), absl::OkStatus());
  EXPECT_THAT(Keys(Family::kMeta, "view"), IsEmpty());
}

TEST_F(ViewStoreTest, ARebuiltViewTakesThePlaceOfTheOneThatServes) {
  Produce({{std::nullopt, R"({"site":"x","n":1})"}, {std::nullopt, R"({"site":"y","n":1})"}});
  Make(Sums());
  EXPECT_EQ(Feed(), "");
  ASSERT_EQ(log()->DeleteRecords(Offset(1)), absl::OkStatus());
  ASSERT_EQ(views().Rebuild("v"), absl::OkStatus());
  EXPECT_EQ(ErrorKind(views().Rebuild("v")), "rebuilding");
  EXPECT_TRUE(Status().rebuilding());
  EXPECT_EQ(Rows().size(), 2u) << "served as it was";
  Reopen();
  EXPECT_TRUE(Status().rebuilding());
  EXPECT_EQ(Feed(), "");
  EXPECT_FALSE(Status().rebuilding());
  EXPECT_THAT(Rows(), ElementsAre(Pair(R"("y")", R"({"count":1,"site":"y","sum_n":1})")));
  Reopen();
  Produce({{std::nullopt, R"({"site":"y","n":5})"}});
  EXPECT_EQ(Feed(), "");
  EXPECT_THAT(Rows(), ElementsAre(Pair(R"("y")", R"({"count":2,"site":"y","sum_n":6})")));
  EXPECT_EQ(node_->tables().CheckInvariants(), absl::OkStatus());
}

TEST_F(ViewStoreTest, OnlyTheViewWritesItsTable) {
  Make(Sums());
  EXPECT_EQ(ErrorKind(node_->tables().WriteAndWait("v", {table::PutOf("a", "{}")}).status()),
            "read_only_table");
}

TEST_F(ViewStoreTest, ItsTableGoesOnlyWithTheView) {
  Make(Sums());
  EXPECT_EQ(ErrorKind(node_->tables().Drop("v")), "view_table");
  Reopen();
  ASSERT_EQ(views().Drop("v"), absl::OkStatus());
  Reopen();
  EXPECT_THAT(views().All(), IsEmpty());
}

TEST_F(ViewStoreTest, ARebuiltViewHasTheIndexesAndSaysThatCaptureStopped) {
  Produce({{std::nullopt, R"({"site":"x","n":1})"}});
  Make(Sums());
  EXPECT_EQ(Feed(), "");
  ASSERT_TRUE(node_->captures().Start("v").ok());
  ASSERT_EQ(views().Rebuild("v"), absl::OkStatus());
  ASSERT_EQ(node_->tables().CreateIndex("v", "late", "sum_n"), absl::OkStatus());
  EXPECT_EQ(Feed(), "");
  EXPECT_EQ(node_->tables().Indexes("v")->size(), 1u);
  EXPECT_FALSE(node_->tables().Facts("v")->capture.on);
  EXPECT_NE(node_->tables().Facts("v")->capture.stopped, "");
}

TEST_F(ViewStoreTest, WhatIsAskedWronglyIsRefused) {
  Make(Sums());
  EXPECT_EQ(ErrorKind(views().Create(Sums()).status()), "view_exists");
  v1::ViewDefinition other = Newest();
  other.set_name("w");
  other.set_stream("nothing");
  EXPECT_EQ(ErrorKind(views().Create(other).status()), "unknown_stream");
  ASSERT_EQ(node_->tables().Create(table::Definition("w")), absl::OkStatus());
  other.set_stream("s");
  EXPECT_EQ(ErrorKind(views().Create(other).status()), "table_exists");
  EXPECT_EQ(ErrorKind(views().Describe("w").status()), "unknown_view");
  EXPECT_EQ(ErrorKind(views().Rebuild("w")), "unknown_view");
  EXPECT_EQ(ErrorKind(views().Drop("w")), "unknown_view");
}

TEST_F(ViewStoreTest, ADroppedViewLeavesNothing) {
  const std::vector<std::string> before = Keys(Family::kRow);
  Make(Sums());
  Produce({{std::nullopt, R"({"site":"x","n":1})"}});
  EXPECT_EQ(Feed(), "");
  ASSERT_EQ(views().Rebuild("v"), absl::OkStatus());
  EXPECT_TRUE(views().RunOnce().ok());
  ASSERT_EQ(views().Drop("v"), absl::OkStatus());
  EXPECT_EQ(Keys(Family::kRow), before);
  EXPECT_THAT(Keys(Family::kMeta, "view"), IsEmpty());
  EXPECT_FALSE(node_->tables().Find("v").has_value());
  Make(Newest());
  EXPECT_EQ(Feed(), "");
}

TEST_F(ViewStoreTest, ManyGroupsAreFedInPieces) {
  Make(Sums());
  std::vector<Input> inputs;
  for (int i = 0; i < 12'000; ++i) {
    inputs.push_back({std::nullopt, R"({"site":)" + std::to_string(i) + R"(,"n":1})"});
  }
  Produce(inputs);
  EXPECT_EQ(Feed(), "");
  EXPECT_EQ(node_->tables().Facts("v")->counts.rows, 12'000u);
  EXPECT_EQ(Status().logs(0).records(), 12'000u);
}

}  // namespace
}  // namespace selvage
