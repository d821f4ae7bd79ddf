#include "fabric/admin/tables_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "fabric/base/error.h"
#include "fabric/table/rows_digest.h"
#include "fabric/table/table_keys.h"
#include "tests/support/row_samples.h"
#include "tests/unit/admin/admin_harness.h"

namespace selvage::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint32_t kWatchWaitMs = 30'000;

v1::CreateTableRequest CreateOf(const std::string& name, v1::TableDirection direction = v1::TABLE_BOTH) {
  v1::CreateTableRequest request;
  request.mutable_definition()->set_name(name);
  request.mutable_definition()->set_direction(direction);
  return request;
}

v1::RowOperation PutOf(const std::string& key, const std::string& json) {
  v1::RowOperation operation;
  operation.set_key(key);
  operation.mutable_put()->set_row(json);
  return operation;
}
v1::RowOperation UpdateOf(const std::string& key, const std::string& set, const std::string& increment = "") {
  v1::RowOperation operation;
  operation.set_key(key);
  operation.mutable_update()->set_set(set);
  operation.mutable_update()->set_increment(increment);
  return operation;
}
v1::RowOperation PatchOf(const std::string& key, const std::string& patch) {
  v1::RowOperation operation;
  operation.set_key(key);
  operation.mutable_merge_patch()->set_patch(patch);
  return operation;
}
v1::RowOperation DeleteOf(const std::string& key) {
  v1::RowOperation operation;
  operation.set_key(key);
  operation.mutable_delete_();
  return operation;
}
v1::RowOperation If(v1::RowOperation operation, v1::RowCondition::Kind kind,
                    const std::vector<std::string>& versions = {}) {
  operation.mutable_condition()->set_kind(kind);
  for (const std::string& version : versions) operation.mutable_condition()->add_versions(version);
  return operation;
}

/// A WatchTable that is under way.
class PendingWatch {
 public:
  PendingWatch(TablesStub& stub, const v1::WatchTableRequest& request) : request_(request) {
    stub.async()->WatchTable(&context_, &request_, &response_, [this](grpc::Status status) {
      status_ = std::move(status);
      done_.Notify();
    });
  }
  ~PendingWatch() {
    context_.TryCancel();
    done_.WaitForNotification();
  }
  void Cancel() { context_.TryCancel(); }
  bool done() const { return done_.HasBeenNotified(); }
  const grpc::Status& Wait() {
    done_.WaitForNotification();
    return status_;
  }
  const v1::WatchTableResponse& response() const { return response_; }

 private:
  grpc::ClientContext context_;
  v1::WatchTableRequest request_;
  v1::WatchTableResponse response_;
  grpc::Status status_;
  absl::Notification done_;
};

class TablesServiceTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(KindOf(node_.Ask(&TablesStub::CreateTable, CreateOf("pumps"))), ""); }

  absl::StatusOr<v1::WriteRowsResponse> Write(const std::vector<v1::RowOperation>& operations,
                                              const std::string& table = "pumps") {
    v1::WriteRowsRequest request;
    request.set_table(table);
    for (const v1::RowOperation& operation : operations) *request.add_operations() = operation;
    return node_.Ask(&TablesStub::WriteRows, request);
  }
  absl::StatusOr<v1::GetRowResponse> Get(const std::string& key) {
    v1::GetRowRequest request;
    request.set_table("pumps");
    request.set_key(key);
    return node_.Ask(&TablesStub::GetRow, request);
  }
  /// "none" when it is not there, or the error's kind.
  std::string JsonOf(const std::string& key) {
    const auto got = Get(key);
    if (!got.ok()) return KindOf(got);
    return got->has_row() ? got->row().json() : "none";
  }
  static v1::ScanRowsRequest Scan() {
    v1::ScanRowsRequest request;
    request.set_table("pumps");
    return request;
  }
  std::vector<std::string> Keys(const v1::ScanRowsRequest& request) {
    const auto page = node_.Ask(&TablesStub::ScanRows, request);
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<std::string> keys;
    if (!page.ok()) return {};
    for (const auto& row : page->rows()) keys.push_back(row.key());
    return keys;
  }
  static v1::QueryRowsRequest QueryOf(const std::string& filter) {
    v1::QueryRowsRequest request;
    request.set_table("pumps");
    request.set_filter(filter);
    return request;
  }
  /// "key=json" of a page.
  std::vector<std::string> Rows(const v1::QueryRowsRequest& request) {
    const auto page = node_.Ask(&TablesStub::QueryRows, request);
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<std::string> rows;
    if (!page.ok()) return {};
    for (const auto& row : page->rows()) rows.push_back(row.key() + "=" + row.json());
    return rows;
  }
  static v1::WatchTableRequest Watch(const std::string& from, uint32_t max_wait_ms = 0) {
    v1::WatchTableRequest request;
    request.set_table("pumps");
    request.set_from(from);
    request.set_max_wait_ms(max_wait_ms);
    return request;
  }
  std::string End() {
    v1::DescribeTableRequest request;
    request.set_table("pumps");
    return node_.Ask(&TablesStub::DescribeTable, request)->end();
  }

  EdgeNode node_;
};

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
