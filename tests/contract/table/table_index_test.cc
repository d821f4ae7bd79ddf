/// Indexes of tables and the queries that use them.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fabric/storage/memory_store.h"
#include "fabric/table/index_value.h"
#include "fabric/table/query.h"
#include "tests/contract/table/table_node.h"
#include "tests/support/eventually.h"
#include "tests/support/held_store.h"

namespace selvage::table {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

QueryRequest Wanting(std::string_view filter, std::string_view order = "", bool descending = false) {
  QueryRequest request;
  request.filter = Filter::Parse(filter).value();
  request.order = ParseOrder(order, descending).value();
  return request;
}

/// Keys of all pages.
std::vector<std::string> AllKeys(TableNode& node, QueryRequest request) {
  std::vector<std::string> keys;
  while (true) {
    const auto page = node->Query("t", request);
    if (!page.ok()) return {ErrorKind(page.status())};
    for (const RowView& row : page->rows) keys.push_back(row.key);
    if (!page->next) return keys;
    request.after = *page->next;
  }
}

std::string Plan(TableNode& node, const QueryRequest& request) {
  const auto plan = node->Explain("t", request);
  return plan.ok() ? *plan : ErrorKind(plan.status());
}

void BuildAll(TableNode& node) {
  for (bool ready = false; !ready;) {
    ASSERT_EQ(node->RunDue(), absl::OkStatus());
    ready = true;
    const auto indexes = node->Indexes("t");
    for (const IndexFacts& index : *indexes) ready = ready && index.ready;
  }
  EXPECT_EQ(node->CheckInvariants(), absl::OkStatus());
}

class TableIndexContract : public ::testing::TestWithParam<StoreKind> {
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
  std::vector<std::string> Query(std::string_view filter) { return AllKeys(node(), Wanting(filter)); }
  bool Scans(std::string_view filter) {
    return Plan(node(), Wanting(filter)).find("\"scan\":true") != std::string::npos;
  }
  IndexFacts Only() { return node()->Indexes("t")->at(0); }
  /// Rows "r00000", "r00001", … with n = 0, 1, ….
  void PutMany(int first, int end) {
    std::vector<RowOperation> operations;
    for (int i = first; i < end; ++i) {
      operations.push_back(PutOf(fmt::format("r{:05}", i), fmt::format("{{\"n\":{}}}", i)));
      if (operations.size() < 5000 && i + 1 < end) continue;
      ASSERT_EQ(node()->WriteAndWait("t", std::exchange(operations, {})).status(), absl::OkStatus());
    }
  }

  FakeClock clock_;
  test::SeededRandom random_{1};
  std::unique_ptr<StoreFixture> fixture_ = GetParam().make();
  std::optional<TableNode> node_;
};

INSTANTIATE_TEST_SUITE_P(Stores, TableIndexContract, ::testing::ValuesIn(AllStoreKinds()), NameOfStore);

TEST_P(TableIndexContract, AnIndexOfAnEmptyTableIsUsedAtOnceAndFollowsTheRows) {
  ASSERT_EQ(node()->CreateIndex("t", "by-n", "n"), absl::OkStatus());
  EXPECT_TRUE(Only().ready);
  EXPECT_EQ(Plan(node(), Wanting(R"({"n":1})")),
            R"({"scan":false,"index":"by-n","path":"n","ranges":2,"order":"index","looked_at_max":100000})");
  EXPECT_EQ(node().Do({PutOf("a", R"({"n":1})"), PutOf("b", R"({"n":2})"), PutOf("c", R"({"n":[1]})")}), "");
  EXPECT_THAT(Query(R"({"n":1})"), ElementsAre("a", "c"));
  EXPECT_EQ(node().Do({SetOf("a", "n", "2"), DeleteOf("c"), IncrementOf("b", "n", -1)}), "");
  EXPECT_THAT(Query(R"({"n":1})"), ElementsAre("b"));
  EXPECT_THAT(Query(R"({"n":{"$gt":1}})"), ElementsAre("a"));
  EXPECT_EQ(node().Do({{"a", Update{.unset = {"n"}}}}), "");
  EXPECT_THAT(Query(R"({"n":null})"), ElementsAre("a"));
  Reopen();
  EXPECT_THAT(Query(R"({"n":null})"), ElementsAre("a"));
  EXPECT_EQ(node().Do({SetOf("a", "n", "7")}), "");
  EXPECT_THAT(Query(R"({"n":7})"), ElementsAre("a"));
  EXPECT_FALSE(Scans(R"({"n":7})"));
}

TEST_P(TableIndexContract, RowsThatAreThereAreReadWhileOthersAreWrittenAndAcrossARestart) {
  constexpr int kRows = 25'000;
  PutMany(0, kRows);
  ASSERT_EQ(node()->CreateIndex("t", "n", "n"), absl::OkStatus());
  EXPECT_FALSE(Only().ready);
  EXPECT_TRUE(Scans(R"({"n":3})")) << "it does not have all rows yet";
  EXPECT_EQ(node().Do({SetOf("r00007", "n", "-1"), PutOf("s", R"({"n":-2})"), DeleteOf("r24998")}), "");
  ASSERT_EQ(node()->RunDue(), absl::OkStatus());
  EXPECT_FALSE(Only().ready);
  EXPECT_EQ(Only().rows_read, 20'000u);
  EXPECT_EQ(node()->CheckInvariants(), absl::OkStatus());
  // Behind what was read, and before it.
  EXPECT_EQ(node().Do({SetOf("r00008", "n", "-3"), SetOf("r24999", "n", "-4"), PutOf("a", R"({"n":-5})"),
                       DeleteOf("r00009")}),
            "");
  Reopen();
  EXPECT_EQ(Only().rows_read, 20'000u);
  EXPECT_TRUE(Scans(R"({"n":3})"));
  EXPECT_EQ(node().Do({SetOf("r00007", "n", "-6")}), "");
  BuildAll(node());
  EXPECT_EQ(Only().rows_read, static_cast<uint64_t>(kRows) + 1);
  EXPECT_FALSE(Scans(R"({"n":{"$lt":0}})"));
  EXPECT_THAT(Query(R"({"n":{"$lt":0}})"), ElementsAre("r00007", "a", "r24999", "r00008", "s"));
  QueryRequest all = Wanting("{}", "n");
  all.count = true;
  uint64_t count = 0;
  for (bool more = true; more;) {
    const auto page = node()->Query("t", all);
    ASSERT_EQ(page.status(), absl::OkStatus());
    count += page->count;
    more = page->next.has_value();
    all.after = page->next.value_or("");
  }
  EXPECT_EQ(count, static_cast<uint64_t>(kRows));
}

TEST_P(TableIndexContract, ADamagedRowIsLeftOutAndCounted) {
  EXPECT_EQ(node().Do({PutOf("a", R"({"n":1})"), PutOf("b", R"({"n":1})"), PutOf("c", R"({"n":1})")}), "");
  auto batch = fixture_->store().NewBatch();
  batch->Put(Family::kRow, RowKey(TableNumber(1), "b"), {"damaged"});
  ASSERT_TRUE(fixture_->store().Write(*batch, true).ok());
  ASSERT_EQ(node()->CreateIndex("t", "n", "n"), absl::OkStatus());
  ASSERT_EQ(node()->RunDue(), absl::OkStatus());
  EXPECT_TRUE(Only().ready);
  EXPECT_EQ(Only().rows_read, 3u);
  EXPECT_EQ(Only().rows_unread, 1u);
  EXPECT_THAT(Query(R"({"n":1})"), ElementsAre("a", "c"));
}

TEST_P(TableIndexContract, ExpiredRowsAreNotFoundAndTheirEntriesGoWithThem) {
  ASSERT_EQ(node()->CreateIndex("t", "n", "n"), absl::OkStatus());
  EXPECT_EQ(node().Do({PutOf("a", R"({"n":1})", now_ms() + 1000), PutOf("b", R"({"n":1})")}), "");
  EXPECT_THAT(Query(R"({"n":1})"), ElementsAre("a", "b"));
  clock_.Advance(absl::Seconds(2));
  EXPECT_THAT(Query(R"({"n":1})"), ElementsAre("b"));
  EXPECT_EQ(node().Do({SetOf("a", "x", "1")}), "");
  EXPECT_THAT(Query(R"({"n":null})"), ElementsAre("a")) << "what expired does not come back with an update";
  clock_.Advance(absl::Hours(48));
  ASSERT_EQ(node()->RunDue(), absl::OkStatus());
  EXPECT_EQ(node()->CheckInvariants(), absl::OkStatus());
}

TEST_P(TableIndexContract, ADroppedIndexLeavesNothing) {
  ASSERT_EQ(node()->CreateIndex("t", "n", "n"), absl::OkStatus());
  ASSERT_EQ(node()->CreateIndex("t", "m", "m"), absl::OkStatus());
  EXPECT_EQ(node().Do({PutOf("a", R"({"n":1,"m":1})"), PutOf("b", R"({"n":1,"m":1})")}), "");
  QueryRequest paged = Wanting(R"({"n":1})");
  paged.rows_max = 1;
  paged.after = *node()->Query("t", paged)->next;
  EXPECT_THAT(AllKeys(node(), paged), ElementsAre("b"));
  ASSERT_EQ(node()->DropIndex("t", "n"), absl::OkStatus());
  EXPECT_EQ(node()->CheckInvariants(), absl::OkStatus());
  EXPECT_THAT(*node()->Indexes("t"), SizeIs(1));
  EXPECT_TRUE(Scans(R"({"n":1})"));
  EXPECT_THAT(Query(R"({"n":1})"), ElementsAre("a", "b"));
  EXPECT_THAT(AllKeys(node(), paged), ElementsAre("invalid_continuation"));
  ASSERT_EQ(node()->CreateIndex("t", "n", "n"), absl::OkStatus());
  EXPECT_THAT(AllKeys(node(), paged), ElementsAre("invalid_continuation")) << "it is another one";
  BuildAll(node());
  EXPECT_THAT(Query(R"({"n":1})"), ElementsAre("a", "b"));
  Reopen();
  ASSERT_EQ(node()->Drop("t"), absl::OkStatus());
  EXPECT_THAT(Dump(fixture_->store(), Family::kFeed), IsEmpty());
  EXPECT_THAT(Dump(fixture_->store(), Family::kMeta, kTableIndexPrefix, "table_indey"), IsEmpty());
  EXPECT_EQ(ErrorKind(node()->Indexes("t").status()), "unknown_table");
}

TEST_P(TableIndexContract, WhatCannotBeAnIndexIsRefused) {
  EXPECT_EQ(ErrorKind(node()->CreateIndex("other", "n", "n")), "unknown_table");
  EXPECT_EQ(ErrorKind(node()->CreateIndex("t", "n", "")), "invalid_index");
  EXPECT_EQ(ErrorKind(node()->CreateIndex("t", "a b", "n")), "invalid_index");
  EXPECT_EQ(ErrorKind(node()->DropIndex("t", "n")), "unknown_index");
  for (size_t i = 0; i < kIndexesMax; ++i) {
    ASSERT_EQ(node()->CreateIndex("t", "i" + std::to_string(i), "n"), absl::OkStatus());
  }
  EXPECT_EQ(ErrorKind(node()->CreateIndex("t", "i3", "n")), "index_exists");
  const absl::Status full = node()->CreateIndex("t", "more", "n");
  EXPECT_EQ(ErrorKind(full), "invalid_index");
  EXPECT_THAT(std::string(full.message()), HasSubstr("16 indexes"));
  EXPECT_EQ(node().Do({PutOf("a", R"({"n":1})")}), "");
}

TEST_P(TableIndexContract, AnIndexMadeInTheGroupOfAWriteHasTheRow) {
  EXPECT_EQ(node().Do({PutOf("a", R"({"n":1})"), PutOf("b", R"({"n":1})")}), "");
  // Both wait for the group that makes the index; of b the former value is stored, of c nothing.
  const auto write = [&](RowOperation operation) {
    node()->Write("t", {std::move(operation)}, [](const auto&) {});
  };
  write(SetOf("b", "n", "2"));
  write(PutOf("c", R"({"n":3})"));
  ASSERT_EQ(node()->CreateIndex("t", "n", "n"), absl::OkStatus());
  EXPECT_EQ(node()->CheckInvariants(), absl::OkStatus());
  write(SetOf("c", "n", "4"));
  BuildAll(node());
  EXPECT_THAT(Query(R"({"n":{"$gt":0}})"), ElementsAre("a", "b", "c"));
  write(SetOf("a", "n", "5"));
  ASSERT_EQ(node()->DropIndex("t", "n"), absl::OkStatus());
  EXPECT_EQ(node()->CheckInvariants(), absl::OkStatus());
}

TEST_P(TableIndexContract, PagesEndAtRowsBytesAndWhatWasLookedAt) {
  ASSERT_EQ(node()->CreateIndex("t", "n", "n"), absl::OkStatus());
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(node().Do({PutOf(fmt::format("k{}", i), fmt::format(R"({{"n":{},"odd":{}}})", i / 2, i % 2))}),
              "");
  }
  const auto first = [&](QueryRequest request) {
    std::vector<std::string> keys;
    const auto page = node()->Query("t", request);
    for (const RowView& row : page->rows) keys.push_back(row.key);
    keys.push_back(page->next ? "more" : "end");
    return keys;
  };
  for (const char* order : {"", "$key", "n", "odd"}) {
    QueryRequest request = Wanting("{}", order);
    request.rows_max = 2;
    EXPECT_THAT(first(request), SizeIs(3)) << order;
    request.bytes_max = 1;
    EXPECT_THAT(first(request), SizeIs(2)) << "one row always fits; " << order;
    EXPECT_THAT(AllKeys(node(), request), SizeIs(6)) << order;
    request.rows_max = 6;
    request.bytes_max = 1000;
    EXPECT_THAT(first(request), SizeIs(7)) << order;
    EXPECT_EQ(first(request).back(), "end") << order;
  }
  QueryRequest nothing = Wanting(R"({"odd":7})");
  nothing.looked_at_max = 4;
  EXPECT_THAT(first(nothing), ElementsAre("more"));
  EXPECT_EQ(node()->Query("t", nothing)->looked_at, 4u);
  EXPECT_THAT(AllKeys(node(), nothing), IsEmpty());
  QueryRequest fields = Wanting(R"({"n":2})");
  fields.fields = *ParseWantedFields({"odd"});
  EXPECT_EQ(node()->Query("t", fields)->rows.at(0).json, R"({"odd":0})");
  QueryRequest count = Wanting(R"({"odd":1})", "n");
  count.count = true;
  EXPECT_EQ(node()->Query("t", count)->count, 3u);
  EXPECT_THAT(node()->Query("t", count)->rows, IsEmpty());
  for (const char* after : {"x", "k", "", "i", "o", "oo"}) {
    QueryRequest request = Wanting("{}");
    request.after = after;
    const auto page = node()->Query("t", request);
    EXPECT_EQ(page.ok() ? "" : ErrorKind(page.status()), *after == '\0' ? "" : "invalid_continuation")
        << after;
  }
  QueryRequest none = Wanting("{}");
  none.from = "z";
  none.to = "a";
  EXPECT_THAT(AllKeys(node(), none), IsEmpty());
}

/// Random rows and queries: with indexes, without, and by a plain evaluation.
class QueryProperty {
 public:
  explicit QueryProperty(uint64_t seed) : random_(seed) {
    EXPECT_EQ(plain_->Create(Definition()), absl::OkStatus());
    EXPECT_EQ(indexed_->Create(Definition()), absl::OkStatus());
    for (int i = 0; i < 60; ++i) Change();
    const std::pair<const char*, const char*> kIndexes[] = {{"a", "a"}, {"b", "b"}, {"bc", "b.c"}};
    for (const auto& [name, path] : kIndexes) {
      EXPECT_EQ(indexed_->CreateIndex("t", name, path), absl::OkStatus());
      Change();
    }
    BuildAll(indexed_);
    for (int i = 0; i < 60; ++i) Change();
    EXPECT_EQ(indexed_->CheckInvariants(), absl::OkStatus());
  }

  void Run() {
    for (int i = 0; i < 60; ++i) Compare();
  }
  int by_index() const { return by_index_; }

 private:
  std::string Scalar() {
    static const auto* scalars = new std::vector<std::string>{"null",
                                                              "true",
                                                              "false",
                                                              "0",
                                                              "1",
                                                              "1.5",
                                                              "-2",
                                                              "9007199254740993",
                                                              "9007199254740992.0",
                                                              "1e300",
                                                              R"("")",
                                                              R"("a")",
                                                              R"("ab")",
                                                              R"("b\u0000")",
                                                              '"' + std::string(kIndexedTextMax, 'x') + "1\"",
                                                              '"' + std::string(kIndexedTextMax, 'x') + "2\"",
                                                              '"' + std::string(kIndexedTextMax, 'x') + '"'};
    return (*scalars)[random_.Below(scalars->size())];
  }
  std::string Value(int depth = 0) {
    if (depth < 2 && random_.OneIn(4)) return fmt::format("[{},{}]", Value(depth + 1), Value(depth + 1));
    if (depth < 2 && random_.OneIn(4)) return fmt::format(R"({{"c":{}}})", Value(depth + 1));
    return Scalar();
  }
  void Change() {
    std::vector<RowOperation> operations;
    const std::string key = fmt::format("k{}", random_.Below(40));
    if (random_.OneIn(8)) {
      operations.push_back(DeleteOf(key));
    } else if (random_.OneIn(2)) {
      operations.push_back(SetOf(key, random_.OneIn(2) ? "a" : "b", Value()));
    } else {
      operations.push_back(
          PutOf(key, fmt::format(R"({{"a":{},"b":{},"d":{}}})", Value(), Value(), Scalar())));
    }
    EXPECT_EQ(plain_.Do(operations), "");
    EXPECT_EQ(indexed_.Do(operations), "");
  }
  std::string Condition() {
    static const auto* paths = new std::vector<std::string>{"a", "b", "b.c", "d", "a.0"};
    const std::string& path = (*paths)[random_.Below(paths->size())];
    std::string operators;
    switch (random_.Below(6)) {
      case 0:
        operators = fmt::format(R"({{"$in":[{},{},{}]}})", Scalar(), Scalar(), Value());
        break;
      case 1:
        operators = fmt::format(R"({{"$gt":{}}})", Ordered());
        break;
      case 2:
        operators = fmt::format(R"({{"$gte":{},"$lt":{}}})", Ordered(), Ordered());
        break;
      case 3:
        operators = fmt::format(R"({{"$lte":{}}})", Ordered());
        break;
      case 4:
        operators = fmt::format(R"({{"$ne":{}}})", Scalar());
        break;
      default:
        operators = Value();
    }
    return fmt::format("\"{}\":{}", path, operators);
  }
  std::string Ordered() {
    while (true) {
      std::string scalar = Scalar();
      if (scalar != "null" && scalar != "true" && scalar != "false") return scalar;
    }
  }
  std::string DrawFilter() {
    switch (random_.Below(4)) {
      case 0:
        return "{}";
      case 1:
        return fmt::format(R"({{"$and":[{{{}}},{{{}}}]}})", Condition(), Condition());
      case 2:
        return fmt::format(R"({{"$or":[{{{}}},{{{}}}]}})", Condition(), Condition());
      default:
        return fmt::format("{{{}}}", Condition());
    }
  }

  void Compare() {
    const std::string filter = DrawFilter();
    static const auto* orders = new std::vector<std::string>{"", "$key", "a", "b", "b.c", "d", "a"};
    const std::string& order = (*orders)[random_.Below(orders->size())];
    const bool descending = !order.empty() && random_.OneIn(2);
    QueryRequest request = Wanting(filter, order, descending);
    if (random_.OneIn(3)) request.from = fmt::format("k{}", random_.Below(40));
    if (random_.OneIn(3)) request.to = fmt::format("k{}", random_.Below(40));
    request.rows_max = random_.Between(1, 12);
    if (random_.OneIn(3)) request.looked_at_max = random_.Between(1, 20);
    SCOPED_TRACE(fmt::format("filter {} order {} {} from {} to {}", filter, order, descending, request.from,
                             request.to));
    if (Plan(indexed_, request).find("\"scan\":false") != std::string::npos) ++by_index_;
    std::vector<std::string> expected = Expected(request);
    std::vector<std::string> by_scan = AllKeys(plain_, request);
    std::vector<std::string> by_index = AllKeys(indexed_, request);
    if (order.empty()) std::sort(by_index.begin(), by_index.end());
    EXPECT_EQ(by_scan, expected);
    EXPECT_EQ(by_index, expected);
    request.count = true;
    uint64_t count = 0;
    for (bool more = true; more;) {
      const auto page = indexed_->Query("t", request);
      ASSERT_EQ(page.status(), absl::OkStatus());
      count += page->count;
      more = page->next.has_value();
      request.after = page->next.value_or("");
    }
    EXPECT_EQ(count, expected.size());
  }
  /// Of all rows those that match, sorted.
  std::vector<std::string> Expected(const QueryRequest& request) {
    const auto page = plain_->Scan("t", {.rows_max = 1000, .bytes_max = kAll});
    std::vector<std::pair<std::string, std::string>> found;  // value, key
    for (const RowView& row : page->rows) {
      if (row.key < request.from || (!request.to.empty() && row.key >= request.to)) continue;
      if (!request.filter->Matches(row.json)) continue;
      const bool by_path = request.order.by == QueryOrder::By::kPath;
      found.emplace_back(by_path ? IndexValueAt(row.json, *request.order.path) : "", row.key);
    }
    std::sort(found.begin(), found.end());
    if (request.order.descending) std::reverse(found.begin(), found.end());
    std::vector<std::string> keys;
    keys.reserve(found.size());
    for (const auto& [value, key] : found) keys.push_back(key);
    return keys;
  }

  test::SeededRandom random_;
  FakeClock clock_;
  MemoryStore plain_store_;
  MemoryStore indexed_store_;
  TableNode plain_{plain_store_, clock_, random_};
  TableNode indexed_{indexed_store_, clock_, random_};
  int by_index_ = 0;
};

TEST(TableQueryProperty, AnIndexChangesNoAnswer) {
  int by_index = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    QueryProperty property(seed);
    property.Run();
    by_index += property.by_index();
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(by_index, 300) << "indexes are hardly used";
}

TEST(TableIndexTest, AnIndexMadeBetweenWritesOfOneGroupHasWhatTheyLeave) {
  HeldStore store;
  FakeClock clock;
  test::SeededRandom random(1);
  TableNode node(store, clock, random);
  ASSERT_EQ(node->Create(Definition()), absl::OkStatus());
  EXPECT_EQ(node.Do({PutOf("r", R"({"n":1})")}), "");
  CommitterThread thread(node.committer());
  const auto write = [&](RowOperation operation) {
    node->Write("t", {std::move(operation)}, [](const auto&) {});
  };
  // Holds the disk while the group behind it gathers.
  store.Hold(true);
  write(PutOf("other", "{}"));
  ASSERT_TRUE(test::Eventually(absl::Seconds(30), [&] { return store.waited_for(); }));
  write(SetOf("r", "n", "2"));
  const size_t queued = node.committer().QueuedBytes();
  std::thread maker([&] { EXPECT_EQ(node->CreateIndex("t", "n", "n"), absl::OkStatus()); });
  ASSERT_TRUE(test::Eventually(absl::Seconds(30), [&] { return node.committer().QueuedBytes() > queued; }));
  write(SetOf("r", "n", "3"));
  store.Hold(false);
  maker.join();
  BuildAll(node);
  EXPECT_THAT(AllKeys(node, Wanting(R"({"n":3})")), ElementsAre("r"));
  thread.Stop();
}

TEST(TableIndexTest, ASortOfTooMuchNamesTheIndexThatItNeeds) {
  MemoryStore store;
  FakeClock clock;
  test::SeededRandom random(1);
  TableNode node(store, clock, random);
  ASSERT_EQ(node->Create(Definition()), absl::OkStatus());
  const std::string large(1'000'000, 'x');
  for (int i = 0; i < 70; ++i) {
    const std::string json = fmt::format(R"({{"n":{},"text":"{}"}})", i, large);
    ASSERT_EQ(node->WriteAndWait("t", {PutOf(std::to_string(i), json)}).status(), absl::OkStatus());
  }
  QueryRequest request = Wanting("{}", "n");
  request.fields = *ParseWantedFields({"n"});
  const auto refused = node->Query("t", request);
  EXPECT_EQ(ErrorKind(refused.status()), "query_needs_index");
  EXPECT_THAT(ErrorHint(refused.status()), HasSubstr("selvagectl table index create t n"));
  ASSERT_EQ(node->CreateIndex("t", "n", "n"), absl::OkStatus());
  BuildAll(node);
  EXPECT_THAT(AllKeys(node, request), SizeIs(70));
}

TEST(TableIndexTest, ARowThatMovesIsFoundOnce) {
  HeldStore store;
  FakeClock clock;
  test::SeededRandom random(1);
  TableNode node(store, clock, random);
  ASSERT_EQ(node->Create(Definition()), absl::OkStatus());
  ASSERT_EQ(node->CreateIndex("t", "n", "n"), absl::OkStatus());
  EXPECT_EQ(node.Do({PutOf("r", R"({"n":0})")}), "");
  CommitterThread thread(node.committer());
  std::atomic<bool> writing{true};
  std::thread writer([&] {
    for (int i = 0; writing; ++i) {
      EXPECT_EQ(node->WriteAndWait("t", {SetOf("r", "n", std::to_string(i % 7))}).status(), absl::OkStatus());
    }
  });
  for (int i = 0; i < 2000; ++i) {
    const auto page = node->Query("t", Wanting(R"({"n":{"$gte":0}})"));
    ASSERT_EQ(page.status(), absl::OkStatus());
    ASSERT_EQ(page->rows.size(), 1u) << "rows and index are read as of one moment";
  }
  writing = false;
  writer.join();
  thread.Stop();
}

}  // namespace
}  // namespace selvage::table
