#include <gtest/gtest.h>

#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"

namespace selvage::test {
namespace {

using testing::HasSubstr;
using testing::Not;
using Arguments = std::vector<std::string>;

constexpr absl::Duration kInStep = absl::Seconds(60);
constexpr absl::Duration kLookAgain = absl::Milliseconds(200);

/// What an operator sees of a table that a core and an edge both write.
class TableOperatorsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(cluster_.Start(), IsOk());
    ASSERT_THAT(AwaitLinked(core(), "edge-0"), IsOk());
    Done(core(), {"table", "create", "pumps", "--direction", "both", "--prefix", "site/${edge}/"});
    ASSERT_TRUE(Eventually(
        kInStep,
        [&] {
          return Run(edge(), {"table", "describe", "pumps"}).exit.ok();
        },
        kLookAgain));
  }
  RunResult Run(Daemon& node, const Arguments& arguments) {
    auto run = cluster_.Ctl(node, arguments);
    EXPECT_THAT(run, IsOk());
    return run.value_or(RunResult());
  }
  std::string Done(Daemon& node, const Arguments& arguments) {
    const RunResult run = Run(node, arguments);
    EXPECT_TRUE(run.exit.ok()) << arguments[1] << ": " << run.out << run.err;
    return run.out;
  }
  void AwaitRow(Daemon& node, const std::string& key, const std::string& json) {
    EXPECT_TRUE(Eventually(
        kInStep,
        [&] {
          return Run(node, {"table", "get", "pumps", key}).out == json + "\n";
        },
        kLookAgain))
        << Run(node, {"table", "get", "pumps", key}).out;
  }
  void CutLink() {
    cluster_.link(0).Refuse(true);
    cluster_.link(0).Cut();
  }
  void Rejoin() {
    cluster_.link(0).Refuse(false);
    EXPECT_THAT(AwaitLinked(core(), "edge-0"), IsOk());
  }
  Daemon& core() { return cluster_.core(); }
  Daemon& edge() { return cluster_.edge(0); }

  Cluster cluster_{{.edges = 1}};
};

TEST_F(TableOperatorsTest, AConflictIsListedCountedAndVerifiedAway) {
  const std::string key = "site/edge-0/p-7";
  Done(core(), {"table", "put", "pumps", key, R"({"bar":7})"});
  Done(core(), {"table", "put", "pumps", "site/edge-1/p-1", "{}"});
  AwaitRow(edge(), key, R"({"bar":7})");
  CutLink();
  Done(edge(), {"table", "update", "pumps", key, "--set", "bar=8"});
  Done(core(), {"table", "update", "pumps", key, "--set", "bar=9"});

  // Without a link the edge is asked at its own address: the first row that differs is named.
  const Arguments at_edge{"verify",   "--table", "pumps", "--edge-address", edge().admin_address(),
                          "--settle", "0s"};
  const RunResult differs = Run(core(), at_edge);
  EXPECT_FALSE(differs.exit.ok());
  EXPECT_THAT(differs.out, HasSubstr("difference: table pumps, row " + key + ": the core has version "));
  EXPECT_THAT(differs.out, HasSubstr(R"(: {"bar":9}; the edge has version )"));
  EXPECT_THAT(differs.out, HasSubstr(R"(: {"bar":8})"));

  Rejoin();
  AwaitRow(edge(), key, R"({"bar":9})");
  AwaitRow(core(), key, R"({"bar":9})");
  const std::string verified = Done(core(), {"verify", "--edge", "edge-0", "--settle", "60s"});
  EXPECT_THAT(verified, HasSubstr("1 tables equal, 0 different, 0 not compared; 1 rows alike"));

  const std::string conflicts = Done(core(), {"table", "conflicts", "pumps"});
  EXPECT_THAT(conflicts, HasSubstr("row " + key + ", field bar: overwritten"));
  EXPECT_THAT(conflicts, HasSubstr("kept: 9, written "));
  EXPECT_THAT(conflicts, HasSubstr("lost: 8, written "));
  EXPECT_THAT(conflicts, HasSubstr("by edge-0 (store "));
  EXPECT_THAT(Done(core(), {"--edge", "edge-0", "table", "conflicts", "pumps"}), HasSubstr("shown of"));
  EXPECT_THAT(Done(core(), {"--edge", "edge-0", "table", "quarantine", "pumps"}), HasSubstr("0 shown of 0"));

  const std::string described = Done(core(), {"table", "describe", "pumps"});
  EXPECT_THAT(described, HasSubstr("read from:"));
  EXPECT_THAT(described, HasSubstr("edge-0"));
  EXPECT_EQ(core().Metric(R"(selvage_table_rows{table="pumps"})"), 2);
  EXPECT_EQ(edge().Metric(R"(selvage_table_rows{table="pumps"})"), 1);
  EXPECT_GE(core().Metric(R"(selvage_table_conflicts_total{table="pumps"})"), 1);
}

TEST_F(TableOperatorsTest, ARowThatOneEndLacksIsFoundAmongMany) {
  Done(edge(), {"table", "put", "pumps", "site/edge-0/last", "{}"});
  AwaitRow(core(), "site/edge-0/last", "{}");
  std::string lines;
  for (int i = 10'000; i < 14'000; ++i) {
    lines +=
        "{\"key\":\"site/edge-0/" + std::to_string(i) + "\",\"row\":{\"n\":" + std::to_string(i) + "}}\n";
  }
  const auto import = cluster_.Ctl(core(), {"table", "import", "pumps"}, lines);
  ASSERT_THAT(import, IsOk());
  ASSERT_TRUE(import->exit.ok()) << import->err;
  const std::string verified =
      Done(core(), {"verify", "--table", "pumps", "--edge", "edge-0", "--settle", "60s"});
  EXPECT_THAT(verified, HasSubstr("4001 rows alike")) << "what is under way is waited for";
  CutLink();
  Done(core(), {"table", "delete", "pumps", "site/edge-0/13210"});
  const RunResult differs = Run(core(), {"verify", "--table", "pumps", "--edge-address",
                                         edge().admin_address(), "--settle", "0s", "-o", "json"});
  EXPECT_FALSE(differs.exit.ok());
  EXPECT_THAT(differs.out, HasSubstr(R"("key": "site/edge-0/13210")"));
  EXPECT_THAT(differs.out, HasSubstr(R"("core": null)"));
  EXPECT_THAT(differs.out, Not(HasSubstr(R"("edge": null)")));
}

}  // namespace
}  // namespace selvage::test
