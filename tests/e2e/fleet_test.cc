#include <gtest/gtest.h>

#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"

namespace selvage::test {
namespace {

using Stub = ctl::Client::Stub;

constexpr int64_t kThreeDaysMs = 3 * 24 * 3600 * 1000LL;

int64_t RetentionAt(Daemon& edge, const std::string& stream) {
  v1::DescribeStreamRequest request;
  request.set_stream(stream);
  auto described = edge.Call(&Stub::DescribeStream, request);
  return described.ok() ? described->definition().settings().retention_ms() : -1;
}

TEST(FleetTest, OneCommandChangesAStreamAtEveryEdge) {
  Cluster cluster({.edges = 3});
  ASSERT_THAT(cluster.Start(), IsOk());
  ASSERT_THAT(CreateStream(cluster.core(), Definition("readings", v1::UP)), IsOk());
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(AwaitLinked(cluster.core(), Cluster::EdgeName(i)), IsOk());
    ASSERT_THAT(ProduceSoon(cluster.edge(i), At("readings"), BatchOf({"x"})), IsOk());
  }
  cluster.edge(2).Kill();  // hears of it later

  auto set = cluster.Ctl(cluster.core(), {"stream", "set", "readings", "--retention", "3d"});
  ASSERT_THAT(set, IsOk());
  ASSERT_TRUE(set->exit.ok()) << set->err;
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(Eventually(absl::Seconds(5),
                           [&] { return RetentionAt(cluster.edge(i), "readings") == kThreeDaysMs; }));
  }
  ASSERT_THAT(cluster.edge(2).Start(), IsOk());
  EXPECT_TRUE(
      Eventually(absl::Seconds(5), [&] { return RetentionAt(cluster.edge(2), "readings") == kThreeDaysMs; }));
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(Eventually(absl::Seconds(10), [&] {
      auto summary = Summary(cluster.core(), Cluster::EdgeName(i));
      return summary.ok() && summary->status().spec_generation() == summary->spec_generation();
    })) << Cluster::EdgeName(i);
  }
  for (int i = 0; i < 3; ++i) {  // and it is kept
    ASSERT_THAT(cluster.edge(i).Stop(), IsOk());
    cluster.link(i).Refuse(true);
    ASSERT_THAT(cluster.edge(i).Start(), IsOk());
    EXPECT_EQ(RetentionAt(cluster.edge(i), "readings"), kThreeDaysMs);
  }
}

}  // namespace
}  // namespace selvage::test
