#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"

/// Schemathesis makes requests from the API's own description, good and bad ones, and compares what comes
/// back with what is described.
namespace selvage::test {
namespace {

constexpr absl::Duration kRunMax = absl::Minutes(8);
/// Requests are made from it; another one finds other things.
constexpr int kSeed = 20261130;

/// An edge and a core are asked side by side. There is no link between them: what one of them is asked must
/// not change what the other one answers.
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
    ASSERT_THAT(cluster_.Start(), IsOk());
    cluster_.link().Refuse(true);
    cluster_.link().Cut();
    for (Daemon* daemon : {&cluster_.edge(), &cluster_.core()}) {
      Make(*daemon, {"table", "create", "pumps", "--direction", "both"});
      Make(*daemon, {"stream", "create", "telemetry", "--direction", "local"});
      Make(*daemon, {"view", "create", "latest", "--stream", "telemetry", "--newest"});
    }
  }
  void Make(Daemon& daemon, const std::vector<std::string>& what) {
    const auto made = cluster_.Ctl(daemon, what);
    ASSERT_THAT(made, IsOk());
    ASSERT_TRUE(made->exit.ok()) << made->err;
  }

  /// The table and the view that all requests go to; none: wherever they are made for.
  struct Where {
    std::string table = {};
    std::string view = {};
  };
  void Run(const Where& where, const std::vector<std::string>& options) {
    const auto at_edge = Begin("edge", cluster_.edge(), where, options);
    const auto at_core = Begin("core", cluster_.core(), where, options);
    for (const auto& running : {&at_edge, &at_core}) {
      ASSERT_THAT(*running, IsOk());
      const auto ended = (**running)->Wait(kRunMax);
      EXPECT_TRUE(ended && ended->ok()) << (ended ? Describe(*ended) : "it has not ended") << "\n"
                                        << ReadFile((**running)->output_path());
    }
    for (Daemon* daemon : {&cluster_.edge(), &cluster_.core()}) EXPECT_THAT(daemon->Stop(), IsOk());
  }

 private:
  absl::StatusOr<std::unique_ptr<ChildProcess>> Begin(const std::string& name, const Daemon& asked,
                                                      const Where& where,
                                                      const std::vector<std::string>& options) const {
    const std::string here = SourceDir() + "/tests/clients/http";
    const std::string dir = cluster_.dir().File("schemathesis-" + name);
    std::filesystem::create_directory(dir);
    SpawnOptions spawn;
    spawn.args = {program_,
                  "--config-file",
                  here + "/schemathesis.toml",
                  "run",
                  fmt::format("http://127.0.0.1:{}/v1/openapi.json", asked.api_port()),
                  "--no-color",
                  "--seed",
                  std::to_string(kSeed)};
    spawn.args.insert(spawn.args.end(), options.begin(), options.end());
    spawn.environment = {{"SCHEMATHESIS_HOOKS", here + "/hooks.py"},
                         {"PYTHONDONTWRITEBYTECODE", "1"},
                         {"SELVAGE_TABLE", where.table},
                         {"SELVAGE_VIEW", where.view},
                         {"SELVAGE_STREAM", "telemetry"}};
    spawn.working_directory = dir;
    return ChildProcess::Start({std::move(spawn), dir + "/output"});
  }

  Cluster cluster_{{.edges = 1}};
  std::string program_;
};

TEST_F(SchemathesisTest, FindsNothing) {
  Run({}, {"--max-examples", "20"});
}

TEST_F(SchemathesisTest, FindsNothingInRowsOfOneTable) {
  Run({.table = "pumps"}, {"--max-examples", "50", "--include-path-regex", "/(rows|query|batch)"});
}

TEST_F(SchemathesisTest, FindsNothingInOneView) {
  Run({.view = "latest"}, {"--max-examples", "50", "--include-path-regex", "/views"});
}

}  // namespace
}  // namespace selvage::test
