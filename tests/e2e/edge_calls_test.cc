#include <gtest/gtest.h>

#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"

namespace selvage::test {
namespace {

using testing::HasSubstr;

/// An operator who can only reach the core asks the edge.
class EdgeCallsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(cluster_.Start(), IsOk());
    ASSERT_THAT(CreateStream(edge(), Definition("inside", v1::LOCAL)), IsOk());
    ASSERT_THAT(Produce(edge(), At("inside"), BatchOf({"one", "two"})), IsOk());
    ASSERT_THAT(CreateStream(core(), Definition("readings", v1::UP)), IsOk());
    ASSERT_THAT(ProduceSoon(edge(), At("readings"), BatchOf({"warm"})), IsOk());
    ASSERT_THAT(AwaitReplicated(edge(), "edge-0", core(), "readings"), IsOk());
  }
  /// selvagectl --edge edge-0 `arguments`, at the core.
  RunResult AskEdge(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--edge", "edge-0"});
    auto run = cluster_.Ctl(core(), arguments);
    EXPECT_THAT(run, IsOk());
    return *run;
  }
  Daemon& core() { return cluster_.core(); }
  Daemon& edge() { return cluster_.edge(); }

  Cluster cluster_{{.edges = 1}};
};

TEST_F(EdgeCallsTest, WhatWorksAtTheEdgeWorksOverItsLink) {
  RunResult run = AskEdge({"status"});
  EXPECT_TRUE(run.exit.ok()) << run.err;
  EXPECT_THAT(run.out, HasSubstr("edge-0"));
  run = AskEdge({"stream", "tail", "inside", "--no-follow"});
  EXPECT_TRUE(run.exit.ok()) << run.err;
  EXPECT_THAT(run.out, HasSubstr("two"));
  run = AskEdge({"alarm", "list"});
  EXPECT_TRUE(run.exit.ok()) << run.err;
  run = AskEdge({"stream", "describe", "nothing"});
  EXPECT_FALSE(run.exit.ok());
  EXPECT_THAT(run.err, HasSubstr("there is no stream nothing"));
  auto verify = cluster_.Ctl(core(), {"verify", "--edge", "edge-0"});
  ASSERT_THAT(verify, IsOk());
  EXPECT_TRUE(verify->exit.ok()) << verify->out << verify->err;
  EXPECT_THAT(verify->out, HasSubstr("1 logs equal"));
}

TEST_F(EdgeCallsTest, TablesOfAnEdgeAreReadOverItsLinkAndNotWritten) {
  const auto at_edge = [&](const std::vector<std::string>& arguments) {
    auto run = cluster_.Ctl(edge(), arguments);
    EXPECT_THAT(run, IsOk());
    EXPECT_TRUE(run->exit.ok()) << run->err;
  };
  at_edge({"table", "create", "pumps", "--direction", "local"});
  at_edge({"table", "put", "pumps", "p-7", R"({"bar":7})"});
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"table", "get", "pumps", "p-7"},
                                                    {"table", "query", "pumps", R"({"bar":{"$gt":5}})"},
                                                    {"table", "watch", "pumps", "--no-follow"},
                                                    {"table", "export", "pumps"}}) {
    const RunResult run = AskEdge(arguments);
    EXPECT_TRUE(run.exit.ok()) << run.err;
    EXPECT_THAT(run.out, HasSubstr(R"({"bar":7})")) << arguments[1];
  }
  EXPECT_THAT(AskEdge({"table", "get", "nothing", "p-7"}).err, HasSubstr("there is no table nothing"));
  const RunResult refused = AskEdge({"table", "put", "pumps", "p-7", "{}"});
  EXPECT_FALSE(refused.exit.ok());
  EXPECT_THAT(refused.err, HasSubstr("over its link"));
  auto run = cluster_.Ctl(core(), {"table", "get", "pumps", "p-7"});
  ASSERT_THAT(run, IsOk());
  EXPECT_THAT(run->err, HasSubstr("there is no table pumps")) << "it is the edge's own";
}

TEST_F(EdgeCallsTest, NothingIsChangedOverTheLinkUnlessTheEdgeAllowsIt) {
  RunResult run = AskEdge({"stream", "create", "made", "--direction", "local"});
  EXPECT_FALSE(run.exit.ok());
  EXPECT_THAT(run.err, HasSubstr("over its link"));
  EXPECT_THAT(edge().Stop(), IsOk());
  ASSERT_THAT(edge().Set("link.calls", "write"), IsOk());
  ASSERT_THAT(edge().Start(), IsOk());
  ASSERT_THAT(AwaitLinked(core(), "edge-0"), IsOk());
  run = AskEdge({"stream", "create", "made", "--direction", "local"});
  EXPECT_TRUE(run.exit.ok()) << run.err;
  EXPECT_THAT(edge().Stop(), IsOk());
  ASSERT_THAT(edge().Set("link.calls", "none"), IsOk());
  ASSERT_THAT(edge().Start(), IsOk());
  ASSERT_THAT(AwaitLinked(core(), "edge-0"), IsOk());
  run = AskEdge({"status"});
  EXPECT_FALSE(run.exit.ok());
  EXPECT_THAT(run.err, HasSubstr("over its link"));
}

TEST_F(EdgeCallsTest, AnEdgeThatIsAwaySaysSinceWhen) {
  EXPECT_THAT(edge().Stop(), IsOk());
  ASSERT_TRUE(Eventually(absl::Seconds(20),
                         [&] { return AskEdge({"status"}).err.find("is not linked") != std::string::npos; }));
  EXPECT_THAT(AskEdge({"status"}).err, HasSubstr("last seen at 20"));
  auto run = cluster_.Ctl(core(), {"--edge", "nobody", "status"});
  ASSERT_THAT(run, IsOk());
  EXPECT_THAT(run->err, HasSubstr("no edge nobody"));
}

TEST_F(EdgeCallsTest, OnlyTheLinkVouchesForACaller) {
  // Whoever reaches the edge's own address is who the certificate says, whatever the metadata say.
  auto run = cluster_.Ctl(edge(), {"--edge", "edge-0", "status"});
  ASSERT_THAT(run, IsOk());
  EXPECT_FALSE(run->exit.ok());
  EXPECT_THAT(run->err, HasSubstr("does not know other edges"));
}

}  // namespace
}  // namespace selvage::test
