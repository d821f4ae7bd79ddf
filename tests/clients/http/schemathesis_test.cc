#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "tests/support/served_tables.h"
#include "tests/support/test_dir.h"

/// Schemathesis makes requests from the API's own description, good and bad ones, and compares what comes
/// back with what is described.
namespace selvage::test {
namespace {

constexpr absl::Duration kRunMax = absl::Minutes(8);
/// Requests are made from it; another one finds other things.
constexpr int kSeed = 20261130;

class SchemathesisTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string fetched = SourceDir() + "/build/clients/http";
    if (ReadFile(fetched + "/ready").empty()) {
      std::string why = ReadFile(fetched + ".missing");
      absl::StripTrailingAsciiWhitespace(&why);
      GTEST_SKIP() << (why.empty() ? "tests/clients/prepare has not fetched it" : why);
    }
    program_ = fetched + "/venv/bin/st";
    v1::TableDefinition pumps;
    pumps.set_name("pumps");
    pumps.set_direction(v1::TABLE_BOTH);
    ASSERT_EQ(served_.tables().Create(pumps), absl::OkStatus());
  }

  /// `table`: where all requests go; empty: wherever they are made for.
  void Run(const std::string& table, std::vector<std::string> options) {
    const std::string here = SourceDir() + "/tests/clients/http";
    SpawnOptions spawn;
    spawn.args = {program_,
                  "--config-file",
                  here + "/schemathesis.toml",
                  "run",
                  fmt::format("http://127.0.0.1:{}/v1/openapi.json", served_.port()),
                  "--no-color",
                  "--seed",
                  std::to_string(kSeed)};
    spawn.args.insert(spawn.args.end(), options.begin(), options.end());
    spawn.environment = {{"SCHEMATHESIS_HOOKS", here + "/hooks.py"},
                         {"PYTHONDONTWRITEBYTECODE", "1"},
                         {"SELVAGE_TABLE", table}};
    spawn.working_directory = dir_.path();
    const auto result = RunProgram(spawn, "", kRunMax);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_TRUE(result->exit.ok()) << Describe(result->exit) << "\n" << result->out << result->err;
  }

  ServedTables served_;
  TestDir dir_;
  std::string program_;
};

TEST_F(SchemathesisTest, FindsNothing) {
  Run("", {"--max-examples", "20"});
}

TEST_F(SchemathesisTest, FindsNothingInRowsOfOneTable) {
  Run("pumps", {"--max-examples", "50", "--include-path-regex", "/(rows|query|batch)"});
}

}  // namespace
}  // namespace selvage::test
