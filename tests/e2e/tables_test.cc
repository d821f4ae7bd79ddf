#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/synchronization/notification.h"
#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"

namespace selvage::test {
namespace {

using testing::AllOf;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;
using Tables = ctl::Client::Tables;
using Arguments = std::vector<std::string>;

constexpr absl::Duration kConverged = absl::Seconds(60);
constexpr absl::Duration kAskAgain = absl::Milliseconds(100);

/// Tables of two edges and a core, as selvagectl and programs see them.
class TablesTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(cluster_.Start(), IsOk()); }

  /// What `selvagectl table ...` prints at this node.
  std::string Table(Daemon& node, const Arguments& arguments, std::string_view input = {}) {
    const RunResult run = TryTable(node, arguments, input);
    EXPECT_TRUE(run.exit.ok()) << arguments[0] << ": " << run.err;
    return run.out;
  }
  RunResult TryTable(Daemon& node, const Arguments& arguments, std::string_view input = {}) {
    Arguments all = {"table"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    auto run = cluster_.Ctl(node, all, input, absl::Minutes(3));
    EXPECT_THAT(run, IsOk());
    return run.value_or(RunResult());
  }
  /// All rows as lines of JSON, as export prints them; else why not.
  static std::string RowsAt(Daemon& node, const std::string& table) {
    std::string text;
    v1::ScanRowsRequest request;
    request.set_table(table);
    while (true) {
      const auto page = node.client()->Call(&Tables::ScanRows, request);
      if (!page.ok()) return selvage::Describe(page.status());
      for (const v1::TableRow& row : page->rows()) text += RowLine(row.key(), row.json());
      if (!page->has_next()) return text;
      request.set_from(page->next());
    }
  }
  static std::string RowLine(std::string_view key, std::string_view json) {
    return fmt::format("{{\"key\":\"{}\",\"row\":{}}}\n", key, json);
  }
  static uint64_t CountAt(Daemon& node, const std::string& table) {
    v1::DescribeTableRequest request;
    request.set_table(table);
    const auto described = node.client()->Call(&Tables::DescribeTable, request);
    return described.ok() ? described->rows() : 0;
  }
  static bool HasTable(Daemon& node, const std::string& table) {
    v1::DescribeTableRequest request;
    request.set_table(table);
    return node.client()->Call(&Tables::DescribeTable, request).ok();
  }

  /// The core and both edges.
  std::vector<Daemon*> nodes() { return {&core(), &edge(0), &edge(1)}; }
  /// Makes a table at the core, and waits until the edges have it.
  void MakeTable(const std::string& table, const std::string& direction = "both") {
    Table(core(), {"create", table, "--direction", direction});
    for (Daemon* node : nodes()) {
      ASSERT_TRUE(Eventually(
          kConverged, [&] { return HasTable(*node, table); }, kAskAgain));
    }
  }
  /// Waits until all nodes have these rows.
  void AwaitRows(const std::string& table, const std::string& rows) {
    for (Daemon* node : nodes()) AwaitRowsAt(*node, table, rows);
  }
  static void AwaitRowsAt(Daemon& node, const std::string& table, const std::string& rows) {
    EXPECT_TRUE(Eventually(
        kConverged, [&] { return RowsAt(node, table) == rows; }, kAskAgain))
        << node.config_path() << " has\n"
        << RowsAt(node, table) << "and not\n"
        << rows;
  }
  void Isolate(int number) {
    cluster_.link(number).Refuse(true);
    cluster_.link(number).Cut();
  }
  void Rejoin(int number) { cluster_.link(number).Refuse(false); }
  std::string Backup() const { return cluster_.dir().File("backup"); }
  static void Copy(const std::string& from, const std::string& to) {
    std::filesystem::remove_all(to);
    std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
  }
  /// Copies a node's data while it is stopped.
  void BackUp(Daemon& node) {
    ASSERT_THAT(node.Stop(), IsOk());
    Copy(node.data_dir(), Backup());
    ASSERT_THAT(node.Start(), IsOk());
  }
  void Restore(Daemon& node, const Arguments& start_with = {}) {
    node.Kill();
    Copy(Backup(), node.data_dir());
    ASSERT_THAT(node.StartWith(start_with), IsOk());
  }

  Daemon& core() { return cluster_.core(); }
  Daemon& edge(int number) { return cluster_.edge(number); }

  Cluster cluster_{{.edges = 2}};
};

TEST_F(TablesTest, WhatIsWrittenApartIsEqualEverywhereAfterwards) {
  ASSERT_NO_FATAL_FAILURE(MakeTable("pumps"));
  Table(edge(0), {"put", "pumps", "p-7", R"({"bar":7,"runs":10,"unit":"bar"})"});
  Table(core(), {"put", "pumps", "p-8", R"({"bar":1})"});
  Table(core(), {"put", "pumps", "p-9", R"({"bar":2})"});
  const std::string p7 = RowLine("p-7", R"({"bar":7,"runs":10,"unit":"bar"})");
  AwaitRows("pumps", p7 + RowLine("p-8", R"({"bar":1})") + RowLine("p-9", R"({"bar":2})"));

  for (int i = 0; i < 2; ++i) Isolate(i);
  Table(edge(0), {"update", "pumps", "p-7", "--set", "bar=8", "--increment", "runs=2"});
  Table(core(), {"update", "pumps", "p-7", "--set", R"(owner="kim")", "--increment", "runs=1"});
  Table(edge(1), {"update", "pumps", "p-7", "--set", R"(site="north")", "--unset", "unit"});
  for (int i = 0; i < 5; ++i) Table(edge(1), {"update", "pumps", "p-7", "--increment", "runs=20"});
  Table(edge(0), {"delete", "pumps", "p-8"});
  Table(core(), {"delete", "pumps", "p-9"});
  Table(edge(1), {"put", "pumps", "p-1", R"({"new":true})"});
  EXPECT_EQ(Table(edge(0), {"get", "pumps", "p-7"}), "{\"bar\":8,\"runs\":12,\"unit\":\"bar\"}\n");
  for (int i = 0; i < 2; ++i) Rejoin(i);

  const std::string rows = RowLine("p-1", R"({"new":true})") +
                           RowLine("p-7", R"({"bar":8,"owner":"kim","runs":113,"site":"north"})");
  ASSERT_NO_FATAL_FAILURE(AwaitRows("pumps", rows));
  for (Daemon* node : nodes()) EXPECT_EQ(Table(*node, {"export", "pumps"}), rows);
  for (int i = 0; i < 2; ++i) {
    auto over_link = cluster_.Ctl(core(), {"--edge", Cluster::EdgeName(i), "table", "export", "pumps"});
    ASSERT_THAT(over_link, IsOk());
    EXPECT_EQ(over_link->out, rows) << over_link->err;
  }

  // A delete is remembered: whoever starts again brings nothing back.
  for (Daemon* node : nodes()) {
    node->Kill();
    ASSERT_THAT(node->Start(), IsOk());
    ASSERT_THAT(AwaitLinked(core(), "edge-0"), IsOk());
    ASSERT_THAT(AwaitLinked(core(), "edge-1"), IsOk());
  }
  Table(edge(0), {"put", "pumps", "z", "{}"});  // behind it nothing is on its way any more
  AwaitRows("pumps", rows + RowLine("z", "{}"));
}

TEST_F(TablesTest, AnImportGoesOnAfterItsEdgeWasKilled) {
  constexpr int kRows = 6000;
  std::string rows;
  for (int i = 0; i < kRows; ++i) {
    rows += RowLine(fmt::format("row-{:05}", i), fmt::format(R"({{"n":{},"text":"{:040}"}})", i, i));
  }
  ASSERT_NO_FATAL_FAILURE(MakeTable("stock"));
  RunResult run;
  const auto import = [&](const Arguments& more) {
    Arguments arguments = {"import", "stock", "--batch-rows", "5"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return std::thread([this, &run, &rows, arguments] { run = TryTable(edge(0), arguments, rows); });
  };
  const auto kill_at = [&](uint64_t wanted) {
    EXPECT_TRUE(Eventually(kConverged, [&] { return CountAt(edge(0), "stock") >= wanted; }));
    edge(0).Kill();
  };

  std::thread first = import({"--retry-for", "1ms"});
  kill_at(500);
  first.join();
  EXPECT_FALSE(run.exit.ok());
  const size_t said = run.err.find("--skip ");
  ASSERT_NE(said, std::string::npos) << run.err;
  int skip = 0;
  ASSERT_TRUE(absl::SimpleAtoi(run.err.substr(said + 7, run.err.find('\n', said) - said - 7), &skip));
  ASSERT_LT(skip, kRows) << "it was killed too late to show anything";
  ASSERT_THAT(edge(0).Start(), IsOk());
  EXPECT_GE(CountAt(edge(0), "stock"), static_cast<uint64_t>(skip)) << "what it said is in";

  // The second one is patient.
  std::thread second = import({"--skip", std::to_string(skip)});
  kill_at(static_cast<uint64_t>(skip) + 500);
  EXPECT_THAT(edge(0).Start(), IsOk());
  second.join();
  EXPECT_TRUE(run.exit.ok()) << run.err;
  EXPECT_THAT(run.err, HasSubstr(fmt::format("{} rows imported", kRows - skip)));

  ASSERT_TRUE(Eventually(
      kConverged, [&] { return CountAt(core(), "stock") == kRows; }, kAskAgain));
  AwaitRows("stock", rows);
  EXPECT_TRUE(Table(core(), {"export", "stock"}) == Table(edge(0), {"export", "stock"}));
}

TEST_F(TablesTest, NothingIsLostOrCountedTwiceWhenTheCoreIsKilled) {
  constexpr int kKills = 4;
  ASSERT_NO_FATAL_FAILURE(MakeTable("counts"));
  struct Writer {
    Daemon* node;
    std::atomic<int64_t> acknowledged = 0;
    std::atomic<int64_t> unknown = 0;
    std::thread thread = {};
  };
  std::array<Writer, 3> writers = {Writer{&core()}, Writer{&edge(0)}, Writer{&edge(1)}};
  absl::Notification enough;
  const auto write = [&](Writer& writer, int number) {
    while (!enough.HasBeenNotified()) {
      // All count on one row, and each puts rows of its own.
      v1::WriteRowsRequest request;
      request.set_table("counts");
      v1::RowOperation& count = *request.add_operations();
      count.set_key("all");
      count.mutable_update()->set_increment(fmt::format(R"({{"sum":1,"of_{}":1}})", number));
      v1::RowOperation& put = *request.add_operations();
      put.set_key(fmt::format("own-{}-{:06}", number, writer.acknowledged.load()));
      put.mutable_put()->set_row("{}");
      if (writer.node->client()->Call(&Tables::WriteRows, request).ok()) {
        ++writer.acknowledged;
        continue;
      }
      ++writer.unknown;
      while (!enough.HasBeenNotified() &&
             !Eventually(absl::Seconds(1), [&] { return writer.node->Get("/readyz").ok(); })) {
      }
    }
  };
  for (int i = 0; i < 3; ++i) {
    writers[i].thread = std::thread([&write, &writer = writers[i], i] { write(writer, i); });
  }
  for (int kill = 0; kill < kKills; ++kill) {
    const int64_t before = writers[0].acknowledged;
    EXPECT_TRUE(Eventually(kConverged, [&] {
      return writers[0].acknowledged >= before + 20 &&
             absl::StrContains(RowsAt(core(), "counts"), fmt::format("own-1-{:06}", 20 * (kill + 1)));
    }));
    core().Kill();
    EXPECT_THAT(core().Start(), IsOk());
  }
  enough.Notify();
  for (Writer& writer : writers) writer.thread.join();
  EXPECT_EQ(writers[1].unknown, 0);
  EXPECT_EQ(writers[2].unknown, 0);

  std::string rows;
  ASSERT_TRUE(Eventually(
      kConverged,
      [&] {
        rows = RowsAt(core(), "counts");
        const auto all = [&](int number) {
          return absl::StrContains(
              rows, fmt::format("own-{}-{:06}", number, writers[number].acknowledged.load() - 1));
        };
        return all(0) && all(1) && all(2) && RowsAt(edge(0), "counts") == rows &&
               RowsAt(edge(1), "counts") == rows;
      },
      kAskAgain));
  const auto counted = [&](const std::string& field) {
    const size_t at = rows.find('"' + field + "\":");
    int64_t value = -1;
    if (at != std::string::npos) {
      const size_t begin = at + field.size() + 3;
      EXPECT_TRUE(absl::SimpleAtoi(rows.substr(begin, rows.find_first_of(",}", begin) - begin), &value));
    }
    return value;
  };
  int64_t sum = 0;
  for (int i = 0; i < 3; ++i) {
    const int64_t of_node = counted(fmt::format("of_{}", i));
    const int64_t acknowledged = writers[i].acknowledged;
    EXPECT_THAT(of_node, AllOf(Ge(acknowledged), Le(acknowledged + writers[i].unknown))) << i;
    sum += of_node;
    for (int64_t row = 0; row < acknowledged; ++row) {
      EXPECT_THAT(rows, HasSubstr(fmt::format("own-{}-{:06}", i, row)));
    }
  }
  EXPECT_EQ(counted("sum"), sum);
}

TEST_F(TablesTest, AnEmptiedEdgeGetsItsRowsBack) {
  ASSERT_NO_FATAL_FAILURE(MakeTable("pumps"));
  Table(edge(0), {"put", "pumps", "mine", R"({"n":1})"});
  Table(edge(1), {"put", "pumps", "theirs", R"({"n":1})"});
  Table(core(), {"put", "pumps", "gone", "{}"});
  AwaitRows("pumps", RowLine("gone", "{}") + RowLine("mine", R"({"n":1})") + RowLine("theirs", R"({"n":1})"));
  edge(0).Kill();
  std::filesystem::remove_all(edge(0).data_dir());
  Table(core(), {"delete", "pumps", "gone"});
  Table(edge(1), {"update", "pumps", "mine", "--increment", "n=1"});
  ASSERT_THAT(edge(0).Start(), IsOk());
  ASSERT_NO_FATAL_FAILURE(
      AwaitRows("pumps", RowLine("mine", R"({"n":2})") + RowLine("theirs", R"({"n":1})")));
  Table(edge(0), {"update", "pumps", "mine", "--increment", "n=1"});
  AwaitRows("pumps", RowLine("mine", R"({"n":3})") + RowLine("theirs", R"({"n":1})"));
}

TEST_F(TablesTest, OfATableThatEdgesWriteAnEmptiedOneGetsBackItsOwnRows) {
  ASSERT_NO_FATAL_FAILURE(MakeTable("readings", "up"));
  Table(edge(0), {"put", "readings", "mine", R"({"n":1})"});
  Table(edge(0), {"put", "readings", "gone", "{}"});
  Table(edge(0), {"delete", "readings", "gone"});
  Table(edge(1), {"put", "readings", "theirs", "{}"});
  const std::string mine = RowLine("mine", R"({"n":1})");
  const std::string theirs = RowLine("theirs", "{}");
  AwaitRowsAt(core(), "readings", mine + theirs);
  edge(0).Kill();
  std::filesystem::remove_all(edge(0).data_dir());
  ASSERT_THAT(edge(0).Start(), IsOk());
  AwaitRowsAt(edge(0), "readings", mine);

  const std::string newer = RowLine("newer", "{}");
  Table(edge(0), {"put", "readings", "newer", "{}"});
  AwaitRowsAt(core(), "readings", mine + newer + theirs);
  ASSERT_NO_FATAL_FAILURE(BackUp(edge(0)));
  Table(edge(0), {"update", "readings", "mine", "--increment", "n=1"});
  const std::string counted = RowLine("mine", R"({"n":2})");
  AwaitRowsAt(core(), "readings", counted + newer + theirs);
  ASSERT_NO_FATAL_FAILURE(Restore(edge(0)));
  AwaitRowsAt(edge(0), "readings", counted + newer);
  AwaitRowsAt(edge(1), "readings", theirs);
}

TEST_F(TablesTest, ARestoredEdgeGetsBackWhatItHadSent) {
  ASSERT_NO_FATAL_FAILURE(MakeTable("pumps"));
  Table(edge(0), {"put", "pumps", "p", R"({"n":1})"});
  Table(edge(0), {"put", "pumps", "q", "{}"});
  AwaitRows("pumps", RowLine("p", R"({"n":1})") + RowLine("q", "{}"));
  ASSERT_NO_FATAL_FAILURE(BackUp(edge(0)));
  Table(edge(0), {"update", "pumps", "p", "--increment", "n=10"});
  Table(edge(0), {"delete", "pumps", "q"});
  AwaitRows("pumps", RowLine("p", R"({"n":11})"));

  Isolate(0);
  ASSERT_NO_FATAL_FAILURE(Restore(edge(0)));
  Table(edge(0), {"update", "pumps", "p", "--increment", "n=100"});
  Rejoin(0);
  AwaitRows("pumps", RowLine("p", R"({"n":111})"));
}

TEST_F(TablesTest, ARestoredCoreGetsBackWhatItsEdgesHave) {
  ASSERT_NO_FATAL_FAILURE(MakeTable("pumps"));
  Table(edge(0), {"put", "pumps", "p", R"({"n":1})"});
  Table(core(), {"put", "pumps", "q", "{}"});
  AwaitRows("pumps", RowLine("p", R"({"n":1})") + RowLine("q", "{}"));
  ASSERT_NO_FATAL_FAILURE(BackUp(core()));
  Table(edge(0), {"update", "pumps", "p", "--increment", "n=10"});
  Table(core(), {"update", "pumps", "p", "--increment", "n=100"});
  Table(core(), {"delete", "pumps", "q"});
  Table(core(), {"put", "pumps", "r", "{}"});
  AwaitRows("pumps", RowLine("p", R"({"n":111})") + RowLine("r", "{}"));

  ASSERT_NO_FATAL_FAILURE(Restore(core(), {"--restored"}));
  Table(core(), {"update", "pumps", "p", "--increment", "n=1000"});
  AwaitRows("pumps", RowLine("p", R"({"n":1111})") + RowLine("r", "{}"));
}

TEST_F(TablesTest, ANewCoreTakesTheTablesOfItsEdges) {
  ASSERT_NO_FATAL_FAILURE(MakeTable("pumps"));
  Table(core(), {"put", "pumps", "p", R"({"n":1})"});
  Table(edge(1), {"put", "pumps", "q", "{}"});
  AwaitRows("pumps", RowLine("p", R"({"n":1})") + RowLine("q", "{}"));
  core().Kill();
  std::filesystem::remove_all(core().data_dir());
  Table(edge(0), {"update", "pumps", "p", "--increment", "n=1"});
  Table(edge(1), {"update", "pumps", "p", "--increment", "n=1"});
  ASSERT_THAT(core().Start(), IsOk());
  ASSERT_NO_FATAL_FAILURE(AwaitRows("pumps", RowLine("p", R"({"n":3})") + RowLine("q", "{}")));
  Table(core(), {"put", "pumps", "r", "{}"});
  AwaitRows("pumps", RowLine("p", R"({"n":3})") + RowLine("q", "{}") + RowLine("r", "{}"));
}

TEST_F(TablesTest, AnEdgeHasTheRowsOfItsPrefixAlsoWhenThatChanges) {
  Table(core(), {"create", "sites", "--direction", "both", "--prefix", "site/${edge}/"});
  const std::string of_0 = RowLine("site/edge-0/a", "{}");
  const std::string of_1 = RowLine("site/edge-1/a", "{}");
  const auto await = [&](Daemon& node, const std::string& rows) {
    EXPECT_TRUE(Eventually(
        kConverged, [&] { return RowsAt(node, "sites") == rows; }, kAskAgain))
        << node.config_path() << " has\n"
        << RowsAt(node, "sites");
  };
  Table(core(), {"put", "sites", "site/edge-0/a", "{}"});
  ASSERT_TRUE(Eventually(
      kConverged, [&] { return HasTable(edge(1), "sites"); }, kAskAgain));
  Table(edge(1), {"put", "sites", "site/edge-1/a", "{}"});
  await(core(), of_0 + of_1);
  await(edge(0), of_0);
  await(edge(1), of_1);
  Isolate(1);
  Table(core(), {"set", "sites", "--prefix", "site/"});
  await(edge(0), of_0 + of_1);
  Table(edge(1), {"put", "sites", "site/edge-1/b", "{}"});
  const std::string also = RowLine("site/edge-1/b", "{}");
  Rejoin(1);
  await(edge(1), of_0 + of_1 + also);
  await(edge(0), of_0 + of_1 + also);
  Table(core(), {"set", "sites", "--prefix", "site/${edge}/"});
  await(edge(0), of_0);
  await(edge(1), of_1 + also);
  await(core(), of_0 + of_1 + also);
}

TEST_F(TablesTest, ATableMadeAgainIsEmptyEverywhere) {
  ASSERT_NO_FATAL_FAILURE(MakeTable("pumps"));
  Table(edge(0), {"put", "pumps", "old", "{}"});
  AwaitRows("pumps", RowLine("old", "{}"));
  Isolate(1);
  Table(core(), {"drop", "pumps"});
  EXPECT_TRUE(Eventually(
      kConverged, [&] { return !HasTable(edge(0), "pumps"); }, kAskAgain));
  Table(core(), {"create", "pumps", "--direction", "both"});
  Table(core(), {"put", "pumps", "new", "{}"});
  Table(edge(1), {"put", "pumps", "late", "{}"});  // does not know yet
  Rejoin(1);
  AwaitRows("pumps", RowLine("new", "{}"));
  Table(edge(1), {"put", "pumps", "newer", "{}"});
  AwaitRows("pumps", RowLine("new", "{}") + RowLine("newer", "{}"));
}

TEST_F(TablesTest, TablesThatEdgesMadeApartBecomeOneWithAllRows) {
  for (int i = 0; i < 2; ++i) {
    Isolate(i);
    const std::string own = fmt::format("of-{}", i);
    Table(edge(i), {"create", "notes", "--direction", "both"});
    Table(edge(i), {"put", "notes", own, "{}"});
    Table(edge(i),
          {"update", "notes", "shared", "--increment", "n=1", "--set", fmt::format("by_{}=true", i)});
  }
  EXPECT_THAT(Table(edge(0), {"list"}), HasSubstr("provisional"));
  EXPECT_FALSE(HasTable(core(), "notes"));
  for (int i = 0; i < 2; ++i) Rejoin(i);
  ASSERT_NO_FATAL_FAILURE(AwaitRows("notes", RowLine("of-0", "{}") + RowLine("of-1", "{}") +
                                                 RowLine("shared", R"({"by_0":true,"by_1":true,"n":2})")));
  for (Daemon* node : nodes()) {
    EXPECT_THAT(Table(*node, {"list"}), testing::Not(HasSubstr("provisional")));
  }
  // It is one table now, which the core drops everywhere.
  Table(core(), {"drop", "notes"});
  for (Daemon* node : nodes()) {
    EXPECT_TRUE(Eventually(
        kConverged, [&] { return !HasTable(*node, "notes"); }, kAskAgain));
  }
}

}  // namespace
}  // namespace selvage::test
