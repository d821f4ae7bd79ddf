#include "fabric/admin/tables_service.h"

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
using testing::HasSubstr;

constexpr uint32_t kWatchWaitMs = 30'000;

TEST_F(TablesServiceTest, TablesAreMadeListedSetAndDropped) {
  auto request = CreateOf("sites", v1::TABLE_UP);
  request.mutable_definition()->mutable_settings()->set_prefix("site/${edge}/");
  const auto made = node_.Ask(&TablesStub::CreateTable, request);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->incarnation().size(), 16u);
  EXPECT_EQ(made->settings().row_bytes_max(), 1u << 20);
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::CreateTable, request)), "table_exists");
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::CreateTable, CreateOf("no/name"))), "invalid_table");

  const auto list = node_.Ask(&TablesStub::ListTables, v1::ListTablesRequest());
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list->tables_size(), 2);
  EXPECT_EQ(list->tables(0).name(), "pumps");
  EXPECT_EQ(list->tables(1).SerializeAsString(), made->SerializeAsString());

  v1::SetTableRequest set;
  set.set_table("sites");
  set.mutable_settings()->set_weight(3);
  set.add_fields("weight");
  const auto changed = node_.Ask(&TablesStub::SetTable, set);
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_EQ(changed->settings().weight(), 3u);
  EXPECT_EQ(changed->settings().prefix(), "site/${edge}/") << "not named, and stays";
  set.set_if_generation(7);
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::SetTable, set)), "generation_mismatch");
  set.clear_if_generation();
  set.mutable_settings()->set_weight(100'000);
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::SetTable, set)), "invalid_table");
  set.set_table("nothing");
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::SetTable, set)), "unknown_table");

  v1::ForgetTableReaderRequest forget;
  forget.set_table("sites");
  forget.set_node("rig-9");
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::ForgetTableReader, forget)), "unknown_reader");

  v1::DropTableRequest drop;
  drop.set_table("sites");
  EXPECT_TRUE(node_.Ask(&TablesStub::DropTable, drop).ok());
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::DropTable, drop)), "unknown_table");
  v1::DescribeTableRequest describe;
  describe.set_table("sites");
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::DescribeTable, describe)), "unknown_table");
}

TEST_F(TablesServiceTest, RowsAreWrittenReadAndDescribed) {
  const auto written =
      Write({PutOf("p-7", R"({"bar":7.0, "a":{"b":1}})"), UpdateOf("p-7", R"({"unit":"bar"})"),
             UpdateOf("p-8", "", R"({"runs":2})"), PatchOf("p-7", R"({"a":{"c":2},"bar":null})")});
  ASSERT_TRUE(written.ok()) << written.status();
  ASSERT_EQ(written->written_size(), 4);
  EXPECT_TRUE(written->written(0).created());
  EXPECT_FALSE(written->written(1).created());
  EXPECT_EQ(JsonOf("p-7"), R"({"a":{"b":1,"c":2},"unit":"bar"})");
  EXPECT_EQ(JsonOf("p-8"), R"({"runs":2})");
  EXPECT_EQ(JsonOf("p-9"), "none");
  const auto row = Get("p-7");
  EXPECT_EQ(row->row().version(), written->written(3).version());
  EXPECT_EQ(row->row().version().size(), 16u);
  EXPECT_FALSE(row->row().has_expires_at_ms());

  const auto deleted = Write({DeleteOf("p-8")});
  ASSERT_TRUE(deleted.ok());
  EXPECT_EQ(deleted->written(0).version(), "");
  v1::DescribeTableRequest describe;
  describe.set_table("pumps");
  const auto described = node_.Ask(&TablesStub::DescribeTable, describe);
  ASSERT_TRUE(described.ok());
  EXPECT_EQ(described->definition().name(), "pumps");
  EXPECT_EQ(described->rows(), 1u);
  EXPECT_EQ(described->tombstones(), 1u);
  EXPECT_GT(described->bytes(), 0u);
}

TEST_F(TablesServiceTest, AnExpiryIsSetKeptAndRemoved) {
  v1::RowOperation put = PutOf("p", R"({"a":1})");
  const int64_t later = absl::ToUnixMillis(node_.node().clock().Wall()) + 1'000'000;
  put.mutable_put()->set_expires_at_ms(later);
  ASSERT_TRUE(Write({put, UpdateOf("p", R"({"b":2})")}).ok());
  EXPECT_EQ(Get("p")->row().expires_at_ms(), later) << "an update leaves it";
  v1::RowOperation patch = PatchOf("p", "{}");
  patch.mutable_merge_patch()->mutable_expiry()->set_at_ms(later + 5);
  ASSERT_TRUE(Write({patch}).ok());
  EXPECT_EQ(Get("p")->row().expires_at_ms(), later + 5);
  v1::RowOperation never = UpdateOf("p", "");
  never.mutable_update()->mutable_expiry();
  ASSERT_TRUE(Write({never}).ok());
  EXPECT_FALSE(Get("p")->row().has_expires_at_ms());
  put.mutable_put()->set_expires_at_ms(1);
  ASSERT_TRUE(Write({put}).ok());
  EXPECT_EQ(JsonOf("p"), "none");
}

TEST_F(TablesServiceTest, ABatchIsDoneWholeOrNotAtAll) {
  ASSERT_TRUE(Write({PutOf("a", R"({"x":1})")}).ok());
  const std::string version = Get("a")->row().version();
  EXPECT_EQ(KindOf(Write({PutOf("b", "{}"), If(PutOf("a", "{}"), v1::RowCondition::ABSENT)})), "row_exists");
  EXPECT_EQ(KindOf(Write({PutOf("b", "{}"), If(DeleteOf("c"), v1::RowCondition::PRESENT)})), "row_absent");
  EXPECT_EQ(KindOf(Write({PutOf("b", "{}"),
                          If(PutOf("a", "{}"), v1::RowCondition::VERSION_IN, {std::string(16, 'x')})})),
            "version_mismatch");
  EXPECT_EQ(
      KindOf(Write({PutOf("b", "{}"), If(PutOf("a", "{}"), v1::RowCondition::VERSION_NOT_IN, {version})})),
      "version_mismatch");
  EXPECT_EQ(JsonOf("b"), "none");
  EXPECT_EQ(JsonOf("a"), R"({"x":1})");
  EXPECT_TRUE(Write({PutOf("b", "{}"), If(PutOf("a", "{}"), v1::RowCondition::VERSION_IN, {version})}).ok());
}

TEST_F(TablesServiceTest, WhatIsWrongWithAnOperationIsSaidWithItsRow) {
  struct Wrong {
    v1::RowOperation operation;
    const char* kind;
  };
  v1::RowOperation nothing;
  nothing.set_key("k");
  v1::RowOperation unset = UpdateOf("k", "");
  unset.mutable_update()->add_unset("\xff");
  const Wrong all[] = {
      {nothing, "invalid_operation"},
      {unset, "invalid_utf8"},
      {PutOf("k", ""), "invalid_json"},
      {PutOf("k", "[]"), "not_an_object"},
      {PutOf("k", "{\"a\":\"\xff\"}"), "invalid_utf8"},
      {PutOf("k", R"({"a":1,"a":2})"), "duplicate_field"},
      {UpdateOf("k", "", R"({"n":"1"})"), "not_a_number"},
      {UpdateOf("k", R"({"n":1})", R"({"n":1})"), "field_named_twice"},
      {PatchOf("k", "null"), "not_an_object"},
      {If(PutOf("k", "{}"), v1::RowCondition::VERSION_IN, {"short"}), "invalid_version"},
      {If(PutOf("k", "{}"), static_cast<v1::RowCondition::Kind>(99)), "invalid_operation"},
  };
  for (const auto& [operation, kind] : all) {
    const auto refused = Write({PutOf("other", "{}"), operation});
    EXPECT_EQ(KindOf(refused), kind);
    EXPECT_THAT(std::string(refused.status().message()), HasSubstr("row \"k\"")) << kind;
  }
  EXPECT_EQ(KindOf(Write({PutOf("", "{}")})), "invalid_key");
  EXPECT_EQ(KindOf(Write({PutOf("\xff", "[]")})), "not_an_object") << "a key that is no text is no harm";
  EXPECT_EQ(KindOf(Write({PutOf("k", "{}")}, "nothing")), "unknown_table");
  EXPECT_EQ(JsonOf("other"), "none");
  EXPECT_EQ(node_.Errors("not_an_object"), 3);
}

TEST_F(TablesServiceTest, ABatchOfTheLargestSizeIsTaken) {
  std::vector<v1::RowOperation> operations;
  const std::string text((1 << 20) - 100, 'x');
  for (const char* key : {"a", "b", "c", "d"}) operations.push_back(PutOf(key, "{\"t\":\"" + text + "\"}"));
  EXPECT_EQ(KindOf(Write(operations)), "");
  operations.push_back(PutOf("e", "{\"t\":\"" + text.substr(0, 1000) + "\"}"));
  EXPECT_EQ(KindOf(Write(operations)), "batch_too_large") << "and not refused by gRPC, which knows no kinds";
}

TEST_F(TablesServiceTest, ScansGoInOrderPageByPage) {
  std::vector<v1::RowOperation> operations;
  for (const char* key : {"b/2", "a/1", "b/1", "c", "b/3"}) {
    operations.push_back(PutOf(key, "{\"n\":" + std::to_string(operations.size()) + "}"));
  }
  ASSERT_TRUE(Write(operations).ok());
  EXPECT_THAT(Keys(Scan()), ElementsAre("a/1", "b/1", "b/2", "b/3", "c"));
  v1::ScanRowsRequest request = Scan();
  request.set_prefix("b/");
  request.set_rows_max(2);
  EXPECT_THAT(Keys(request), ElementsAre("b/1", "b/2"));
  request.set_from(node_.Ask(&TablesStub::ScanRows, request)->next());
  EXPECT_THAT(Keys(request), ElementsAre("b/3"));
  EXPECT_FALSE(node_.Ask(&TablesStub::ScanRows, request)->has_next());
  request = Scan();
  request.set_from("b");
  request.set_to("c");
  EXPECT_THAT(Keys(request), ElementsAre("b/1", "b/2", "b/3"));
}

TEST_F(TablesServiceTest, QueriesFilterOrderProjectCountAndExplain) {
  std::vector<v1::RowOperation> operations;
  for (const char* key : {"b/2", "a/1", "b/1", "c", "b/3"}) {
    operations.push_back(PutOf(key, "{\"n\":" + std::to_string(operations.size()) + ",\"x\":1}"));
  }
  ASSERT_TRUE(Write(operations).ok());
  v1::QueryRowsRequest request = QueryOf(R"({"n":{"$gte":2}})");
  request.set_from("b");
  request.set_to("c");
  const auto page = node_.Ask(&TablesStub::QueryRows, request);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->looked_at(), 3u);
  EXPECT_EQ(page->count(), 2u);
  EXPECT_FALSE(page->has_next());
  request = QueryOf("");
  request.set_order("n");
  request.set_descending(true);
  request.set_rows_max(2);
  request.add_fields("n");
  EXPECT_THAT(Rows(request), ElementsAre(R"(b/3={"n":4})", R"(c={"n":3})"));
  request.set_after(node_.Ask(&TablesStub::QueryRows, request)->next());
  EXPECT_THAT(Rows(request), ElementsAre(R"(b/1={"n":2})", R"(a/1={"n":1})"));
  request = QueryOf(R"({"n":3})");
  request.set_explain(true);
  EXPECT_THAT(node_.Ask(&TablesStub::QueryRows, request)->plan(), HasSubstr(R"("scan":true)"));
  request.set_explain(false);
  request.set_count(true);
  EXPECT_EQ(node_.Ask(&TablesStub::QueryRows, request)->count(), 1u);
  EXPECT_EQ(node_.Ask(&TablesStub::QueryRows, request)->rows_size(), 0);

  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::QueryRows, QueryOf(R"({"n":{"$gte":null}})"))), "invalid_filter");
  request = QueryOf("");
  request.set_descending(true);
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::QueryRows, request)), "invalid_query");
  request = QueryOf("");
  request.set_after("x");
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::QueryRows, request)), "invalid_continuation");
}

TEST_F(TablesServiceTest, IndexesAreMadeDescribedAndDropped) {
  v1::CreateTableIndexRequest create;
  create.set_table("pumps");
  create.set_path("site.country");
  const auto made = node_.Ask(&TablesStub::CreateTableIndex, create);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->index().name(), "site.country") << "by its path";
  EXPECT_TRUE(made->index().ready()) << "there are no rows";
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::CreateTableIndex, create)), "index_exists");
  create.set_path("");
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::CreateTableIndex, create)), "invalid_index");
  v1::QueryRowsRequest request = QueryOf(R"({"site.country":"NO"})");
  request.set_explain(true);
  EXPECT_THAT(node_.Ask(&TablesStub::QueryRows, request)->plan(), HasSubstr(R"("index":"site.country")"));
  v1::DescribeTableRequest describe;
  describe.set_table("pumps");
  EXPECT_EQ(node_.Ask(&TablesStub::DescribeTable, describe)->indexes(0).path(), "site.country");
  v1::DropTableIndexRequest drop;
  drop.set_table("pumps");
  drop.set_name("site.country");
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::DropTableIndex, drop)), "");
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::DropTableIndex, drop)), "unknown_index");
  EXPECT_EQ(node_.Ask(&TablesStub::DescribeTable, describe)->indexes_size(), 0);
}

TEST_F(TablesServiceTest, AWatchAnswersWhatChangedSinceItsPosition) {
  ASSERT_TRUE(Write({PutOf("a", R"({"x":1})"), PutOf("b", "{}")}).ok());
  auto page = node_.Ask(&TablesStub::WatchTable, Watch(""));
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->changes_size(), 2);
  EXPECT_EQ(page->changes(0).key(), "a");
  EXPECT_EQ(page->changes(0).row().json(), R"({"x":1})");
  ASSERT_TRUE(Write({DeleteOf("a")}).ok());
  page = node_.Ask(&TablesStub::WatchTable, Watch(page->next()));
  ASSERT_EQ(page->changes_size(), 1);
  EXPECT_EQ(page->changes(0).key(), "a");
  EXPECT_FALSE(page->changes(0).has_row());
  page = node_.Ask(&TablesStub::WatchTable, Watch(page->next()));
  EXPECT_EQ(page->changes_size(), 0);
  EXPECT_EQ(page->next(), End());

  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::WatchTable, Watch("yesterday"))), "invalid_position");
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::WatchTable, Watch(std::string(32, 'a') + "-5"))),
            "position_expired");
  auto request = Watch("end");
  request.set_table("nothing");
  EXPECT_EQ(KindOf(node_.Ask(&TablesStub::WatchTable, request)), "unknown_table");
}

TEST_F(TablesServiceTest, AWatchWaitsForAChange) {
  ASSERT_TRUE(Write({PutOf("a", "{}")}).ok());
  auto request = Watch("end", kWatchWaitMs);
  PendingWatch watch(node_.tables_stub(), request);
  request.set_prefix("b");
  PendingWatch other(node_.tables_stub(), request);
  // Until one is answered: the watch may begin after any of these.
  for (int n = 0; !watch.done(); ++n)
    ASSERT_TRUE(Write({UpdateOf("a", "{\"n\":" + std::to_string(n) + "}")}).ok());
  ASSERT_TRUE(watch.Wait().ok());
  ASSERT_EQ(watch.response().changes_size(), 1);
  EXPECT_EQ(watch.response().changes(0).key(), "a");
  EXPECT_FALSE(other.done()) << "its rows did not change";
  for (int n = 0; !other.done(); ++n)
    ASSERT_TRUE(Write({UpdateOf("b", "{\"n\":" + std::to_string(n) + "}")}).ok());
  ASSERT_TRUE(other.Wait().ok());
  ASSERT_EQ(other.response().changes_size(), 1);
  EXPECT_EQ(other.response().changes(0).key(), "b");
}

TEST_F(TablesServiceTest, AWatchThatSeesNothingEndsWithItsWait) {
  PendingWatch watch(node_.tables_stub(), Watch("end", 300));
  auto request = Watch("end", 300);
  request.set_prefix("b");
  PendingWatch woken(node_.tables_stub(), request);
  ASSERT_TRUE(watch.Wait().ok());
  EXPECT_EQ(watch.response().changes_size(), 0);
  EXPECT_EQ(watch.response().next(), End());
  while (!woken.done()) ASSERT_TRUE(Write({UpdateOf("a", "", R"({"n":1})")}).ok());
  ASSERT_TRUE(woken.Wait().ok()) << "woken for nothing all the time";
  EXPECT_EQ(woken.response().changes_size(), 0);
}

TEST_F(TablesServiceTest, AWatchEndsWithItsCaller) {
  PendingWatch watch(node_.tables_stub(), Watch("end", kWatchWaitMs));
  watch.Cancel();
  EXPECT_EQ(watch.Wait().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Write({PutOf("a", "{}")}).ok());
}

TEST_F(TablesServiceTest, APageOfLargeRowsThatNobodyWantsEnds) {
  const std::string row = "{\"t\":\"" + std::string((1 << 20) - 100, 'x') + "\"}";
  for (int n = 100; n < 172; n += 3) {
    std::vector<v1::RowOperation> operations;
    for (int i = 0; i < 3; ++i) operations.push_back(PutOf(std::to_string(n + i), row));
    ASSERT_TRUE(Write(operations).ok());
  }
  v1::QueryRowsRequest request = QueryOf(R"({"t":"y"})");
  auto page = node_.Ask(&TablesStub::QueryRows, request);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->rows_size(), 0);
  EXPECT_LE(page->looked_at(), 66u);
  request.set_after(page->next());
  page = node_.Ask(&TablesStub::QueryRows, request);
  EXPECT_FALSE(page->has_next());
}

TEST_F(TablesServiceTest, AWatchThatLookedAtALotForNothingSaysWhereToGoOn) {
  constexpr int kRows = 100'001;
  for (int n = 0; n < kRows; n += 5'000) {
    std::vector<table::RowOperation> operations;
    for (int i = n; i < std::min(kRows, n + 5'000); ++i) {
      operations.push_back({.key = "a" + std::to_string(i), .what = table::RowOperation::Put{}});
    }
    ASSERT_TRUE(node_.node().tables().WriteAndWait("pumps", std::move(operations)).ok());
  }
  v1::WatchTableRequest request = Watch("", kWatchWaitMs);
  request.set_prefix("b");
  auto page = node_.Ask(&TablesStub::WatchTable, request);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->changes_size(), 0);
  EXPECT_TRUE(page->more());
  request.set_from(page->next());
  request.set_max_wait_ms(0);
  page = node_.Ask(&TablesStub::WatchTable, request);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_FALSE(page->more());
  EXPECT_EQ(page->next(), End());
}

TEST(TablesServiceAtTheCore, RowsOfAnUpTableAreReadOnlyThere) {
  CoreNode core;
  ASSERT_TRUE(core.Ask(&TablesStub::CreateTable, CreateOf("readings", v1::TABLE_UP)).ok());
  ASSERT_TRUE(core.Ask(&TablesStub::CreateTable, CreateOf("settings", v1::TABLE_DOWN)).ok());
  v1::WriteRowsRequest request;
  *request.add_operations() = PutOf("a", "{}");
  request.set_table("readings");
  EXPECT_EQ(KindOf(core.Ask(&TablesStub::WriteRows, request)), "read_only_table");
  request.set_table("settings");
  EXPECT_EQ(KindOf(core.Ask(&TablesStub::WriteRows, request)), "");
}

}  // namespace
}  // namespace selvage::test
