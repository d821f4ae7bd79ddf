#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tests/clients/client_test.h"
#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"

/// What views make of records, at an edge and at the core over two edges, is what DuckDB makes of the same
/// records: equality.py, which writes them, makes the views and compares.
namespace selvage::test {
namespace {

constexpr absl::Duration kRunMax = absl::Minutes(12);

/// Where series of sensors lie: beside the file that SELVAGE_SENSOR_CSV names, or beside the source tree.
std::string DataDir() {
  const char* named = std::getenv("SELVAGE_SENSOR_CSV");
  if (named != nullptr) return std::filesystem::path(named).parent_path();
  return SourceDir() + "/../shared/data";
}

TEST(ViewEqualityTest, EveryAggregateIsThatOfDuckDb) {
  SkipIfMissing(ConfluentClient().missing);
  if (testing::Test::IsSkipped() || testing::Test::HasFatalFailure()) return;
  Cluster cluster({.edges = 2});
  ASSERT_THAT(cluster.Start(), IsOk());
  for (const auto& [stream, partitions] : {std::pair("mixed", 3), {"latest", 2}, {"series", 2}}) {
    ASSERT_THAT(CreateStream(cluster.core(), Definition(stream, v1::UP, partitions)), IsOk());
    for (int number = 0; number < cluster.edges(); ++number) {
      ASSERT_THAT(AwaitEnd(cluster.edge(number), At(stream, partitions - 1), Offset(0)), IsOk());
    }
  }

  const std::string here = SourceDir() + "/tests/clients/views/";
  SpawnOptions compare{{ConfluentClient().command.front(), here + "equality.py", "--ctl", CtlProgram(),
                        "--identity", cluster.operator_identity(), "--data", DataDir()},
                       {{"PYTHONDONTWRITEBYTECODE", "1"}}};
  for (Daemon* node : {&cluster.edge(0), &cluster.edge(1), &cluster.core()}) {
    compare.args.push_back("--node");
    compare.args.push_back(fmt::format("{},{},{}", node->admin_address(), node->kafka_address(),
                                       LocalAddress(node->api_port())));
  }
  const auto run = RunProgram(compare, {}, kRunMax);
  ASSERT_THAT(run, IsOk());
  fmt::print("{}", run->out);
  EXPECT_TRUE(run->exit.ok()) << run->err;
}

}  // namespace
}  // namespace selvage::test
