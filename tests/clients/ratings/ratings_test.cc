#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "tests/clients/client_test.h"
#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"
#include "tests/support/link_proxy.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "tests/support/test_dir.h"

/// examples/ratings: the script, and its page in headless Chromium while ratings come and the node cannot be
/// reached for a while.
namespace selvage::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr absl::Duration kScriptMax = absl::Minutes(3);
constexpr absl::Duration kSoon = absl::Seconds(60);
constexpr int kPartitions = 2;

class RatingsTest : public testing::Test {
 protected:
  void SetUp() override { SkipIfMissing(python_.missing); }
  static std::string Example(const std::string& file) { return SourceDir() + "/examples/ratings/" + file; }
  std::string Python() const { return python_.command.front(); }
  static bool HasChromium() {
    const auto version = RunProgram({{"chromium", "--version"}});
    return version.ok() && version->exit.ok();
  }

  const Client python_ = ConfluentClient();
};

TEST_F(RatingsTest, TheScriptShowsItAll) {
  const SpawnOptions script{{Example("run"), "--once"},
                            {{"SELVAGE_BUILD", BuildDir()}, {"PYTHON", Python()}}};
  const auto run = RunProgram(script, {}, kScriptMax);
  ASSERT_THAT(run, IsOk());
  ASSERT_TRUE(run->exit.ok()) << run->out << run->err;
  EXPECT_THAT(run->out, HasSubstr("200 ratings acknowledged"));
  EXPECT_THAT(run->out, HasSubstr(R"({"key":"\"Playtime\"","row":{"best":5,"count":)"));
  EXPECT_THAT(run->out, HasSubstr("\npage: http://127.0.0.1:"));
  EXPECT_THAT(run->out, HasSubstr(R"({"key":"Playtime","row":{"at_ms":)"));
  // The rating that the second service told of is in the first one's view as well.
  EXPECT_THAT(
      run->out.substr(run->out.rfind('$')),
      AllOf(StartsWith("$ selvagectl --address <cinema-7> table get by-film"), HasSubstr(R"("worst":1)")));
}

/// The parts of the example at the nodes of a cluster, as its script puts them together.
class RatingsPageTest : public RatingsTest {
 protected:
  void SetUp() override {
    RatingsTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    SkipIfMissing(
        HasChromium() ? "" : "Debian's package chromium is not installed (scripts/install-deps --clients)");
    if (IsSkipped() || HasFatalFailure()) return;
    ASSERT_THAT(cluster_.Start(), IsOk());
    ASSERT_THAT(AwaitLinked(core(), Cluster::EdgeName(0)), IsOk());
    ASSERT_THAT(CreateStream(core(), Definition("ratings", v1::UP, kPartitions)), IsOk());
    for (int partition = 0; partition < kPartitions; ++partition) {
      ASSERT_THAT(AwaitEnd(edge(), At("ratings", partition), Offset(0)), IsOk());
    }
    auto to_api = LinkProxy::Start({edge().api_port(), 0});
    ASSERT_THAT(to_api, IsOk());
    to_api_ = *std::move(to_api);
  }
  Daemon& core() { return cluster_.core(); }
  Daemon& edge() { return cluster_.edge(); }

  void Done(Daemon& node, const std::vector<std::string>& arguments) {
    const auto run = cluster_.Ctl(node, arguments);
    ASSERT_THAT(run, IsOk());
    ASSERT_TRUE(run->exit.ok()) << run->out << run->err;
  }
  std::unique_ptr<ChildProcess> Begin(const std::string& program, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {Python(), Example(program)});
    auto process = ChildProcess::Start(
        {{std::move(arguments), {{"PYTHONDONTWRITEBYTECODE", "1"}}}, cluster_.dir().File(program + ".log")});
    EXPECT_THAT(process, IsOk());
    return process.ok() ? *std::move(process) : nullptr;
  }
  /// Where the page is, as its server says.
  std::string Page(const ChildProcess& server) {
    std::string said;
    EXPECT_TRUE(Eventually(kSoon, [&] {
      said = ReadFile(server.output_path());
      return said.ends_with("/\n");
    })) << said;
    return said.substr(said.find("http"), said.size() - 1 - said.find("http"));
  }

  Cluster cluster_{{.edges = 1}};
  std::unique_ptr<LinkProxy> to_api_;  ///< between the page's server and the edge
};

TEST_F(RatingsPageTest, FollowsWhatIsRatedAndASecondServiceJoins) {
  const auto made_up = Begin("rate.py", {"--bootstrap", edge().kafka_address(), "--count", "300"});
  ASSERT_NE(made_up, nullptr);
  const auto rated = made_up->Wait(kSoon);
  ASSERT_TRUE(rated && rated->ok()) << ReadFile(made_up->output_path());
  Done(edge(), {"view", "create", "by-film", "--stream", "ratings", "--group-by", "film", "--column", "count",
                "--column", "mean=mean(stars)", "--column", "raters=distinct(user)", "--column",
                "worst=min(stars)", "--column", "best=max(stars)"});
  const auto server = Begin("serve.py", {"--port", "0", "--api", LocalAddress(to_api_->port())});
  ASSERT_NE(server, nullptr);

  Client looking = python_;
  looking.name = "page";
  looking.command = {Python(), SourceDir() + "/tests/clients/ratings/page_check.py"};
  looking.environment["PYTHONDONTWRITEBYTECODE"] = "1";
  ClientOptions options{{"page", Page(*server)},
                        {"bootstrap", edge().kafka_address()},
                        {"partitions", std::to_string(kPartitions)}};
  if (const char* path = std::getenv("SELVAGE_SCREENSHOT"); path != nullptr) options["screenshot"] = path;
  auto check = RunningClient::Start(looking, "check", options, cluster_.dir().File("check.log"));
  ASSERT_THAT(check, IsOk());
  const auto said = [](std::string_view what) {
    return [what](const std::vector<Event>& events) { return !Only(what, events).empty(); };
  };
  ASSERT_THAT((*check)->Await("a live page", said("live"), absl::Minutes(3)), IsOk());

  // The edge cannot be reached, and then it can.
  to_api_->Refuse(true);
  to_api_->Cut();
  ASSERT_THAT((*check)->Await("a page without its node", said("lost"), absl::Minutes(3)), IsOk());
  to_api_->Refuse(false);

  // A service of its own at the core, whose rows come to the edge; what runs is not told.
  Done(core(), {"table", "create", "alerts", "--direction", "down"});
  const auto alerts =
      Begin("alerts.py", {"--bootstrap", core().kafka_address(), "--api", LocalAddress(core().api_port())});
  ASSERT_NE(alerts, nullptr);
  EXPECT_TRUE(Eventually(
      kSoon,
      [&] {
        const auto row = cluster_.Ctl(edge(), {"table", "get", "alerts", "Häxan <i>1922</i>"});
        return row.ok() && row->exit.ok() && row->out.find(R"("user":"bob")") != std::string::npos;
      },
      absl::Milliseconds(200)))
      << ReadFile(alerts->output_path());
  EXPECT_THAT((*check)->Await("the page in the end", said("closed"), absl::Minutes(3)), IsOk());
  EXPECT_TRUE(alerts->running()) << ReadFile(alerts->output_path());
  EXPECT_TRUE(server->running());
}

}  // namespace
}  // namespace selvage::test
