#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"

/// Streams that an operator takes off the link, and puts back.
namespace selvage::test {
namespace {

using Stub = ctl::Client::Stub;
using testing::ElementsAre;

class DetachedStream : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(cluster_.Prepare(), IsOk());
    ASSERT_THAT(core().Start(), IsOk());
    ASSERT_THAT(CreateStream(core(), Definition("readings", v1::UP)), IsOk());
    ASSERT_THAT(CreateStream(core(), Definition("commands", v1::DOWN)), IsOk());
    ASSERT_THAT(CreateStream(core(), Definition("others", v1::UP)), IsOk());
    ASSERT_THAT(edge().Start(), IsOk());
    ASSERT_THAT(AwaitLinked(core(), name_), IsOk());
  }

  Daemon& core() { return cluster_.core(); }
  Daemon& edge() { return cluster_.edge(0); }

  /// Waits until the edge knows.
  void SetDetached(const std::string& stream, bool detached) {
    v1::SetStreamRequest request;
    request.set_stream(stream);
    request.mutable_settings()->set_detached(detached);
    request.add_fields("detached");
    ASSERT_THAT(core().Call(&Stub::SetStream, request), IsOk());
    v1::DescribeStreamRequest describe;
    describe.set_stream(stream);
    ASSERT_TRUE(Eventually(absl::Seconds(15), [&] {
      auto described = edge().Call(&Stub::DescribeStream, describe);
      return described.ok() && described->definition().settings().detached() == detached;
    }));
  }

  absl::Status WriteReading(const std::string& value) {
    return ProduceSoon(edge(), At("readings"), BatchOf({value})).status();
  }
  absl::Status WriteCommand(const std::string& value) {
    return ProduceSoon(core(), At("commands", 0, name_), BatchOf({value})).status();
  }
  /// What was written at the edge before this would be at the core after it.
  void PassTheLink() {
    ASSERT_THAT(ProduceSoon(edge(), At("others"), BatchOf({"marker"})), IsOk());
    ASSERT_THAT(AwaitReplicated(edge(), name_, core(), "others"), IsOk());
  }

  std::vector<std::string> Readings() { return ReadLog(core(), At("readings", 0, name_))->values(); }
  std::vector<std::string> Commands() { return ReadLog(edge(), At("commands"))->values(); }

  Cluster cluster_{{.edges = 1, .core = {}, .edge = {}}};
  const std::string name_ = Cluster::EdgeName(0);
};

TEST_F(DetachedStream, CarriesNothingUntilItIsAttachedAndGoesOnWhereItWas) {
  ASSERT_THAT(WriteReading("before"), IsOk());
  ASSERT_THAT(WriteCommand("before"), IsOk());
  ASSERT_THAT(AwaitEnd(core(), At("readings", 0, name_), Offset(1)), IsOk());
  ASSERT_THAT(AwaitEnd(edge(), At("commands"), Offset(1)), IsOk());

  SetDetached("readings", true);
  SetDetached("commands", true);
  ASSERT_THAT(WriteReading("meanwhile"), IsOk());
  ASSERT_THAT(WriteCommand("meanwhile"), IsOk());
  PassTheLink();
  edge().Kill();
  ASSERT_THAT(edge().Start(), IsOk());
  PassTheLink();
  EXPECT_THAT(Readings(), ElementsAre("before"));
  EXPECT_THAT(Commands(), ElementsAre("before"));

  SetDetached("readings", false);
  SetDetached("commands", false);
  ASSERT_THAT(AwaitEnd(core(), At("readings", 0, name_), Offset(2)), IsOk());
  ASSERT_THAT(AwaitEnd(edge(), At("commands"), Offset(2)), IsOk());
  EXPECT_THAT(Readings(), ElementsAre("before", "meanwhile"));
  EXPECT_THAT(Commands(), ElementsAre("before", "meanwhile"));
  EXPECT_TRUE(Alarms(core()).empty());
  EXPECT_TRUE(Alarms(edge()).empty());
}

}  // namespace
}  // namespace selvage::test
