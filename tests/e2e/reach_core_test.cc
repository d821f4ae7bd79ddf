#include <gtest/gtest.h>

#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/connect_proxy.h"

namespace selvage::test {
namespace {

using testing::Contains;

/// Ways to the core other than one plain address.
class ReachCoreTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(cluster_.Prepare(), IsOk());
    ASSERT_THAT(cluster_.core().Start(), IsOk());
    ASSERT_THAT(CreateStream(cluster_.core(), Definition("readings", v1::UP)), IsOk());
  }

  void ExpectReplicates(const std::string& value, int64_t offset) {
    auto written = ProduceSoon(cluster_.edge(), At("readings"), BatchOf({value}));
    ASSERT_THAT(written, IsOk());
    EXPECT_EQ(written->base_offset(), offset);
    ASSERT_THAT(AwaitReplicated(cluster_.edge(), "edge-0", cluster_.core(), "readings"), IsOk());
    EXPECT_EQ(ReadLog(cluster_.core(), At("readings", 0, "edge-0"))->values().back(), value);
  }

  std::string CorePort() { return std::to_string(cluster_.core().admin_port()); }

  Cluster cluster_{{.edges = 1}};
};

TEST_F(ReachCoreTest, ThroughAnHttpProxyThatKnowsTheNameAlone) {
  auto proxy = ConnectProxy::Start();
  ASSERT_THAT(proxy, IsOk());
  const std::string unresolvable = "core.invalid:" + CorePort();
  ASSERT_THAT(cluster_.edge().Set("link.addresses", "[\"" + unresolvable + "\"]"), IsOk());
  ASSERT_THAT(cluster_.edge().Set("link.proxy", "\"" + LocalAddress((*proxy)->port()) + "\""), IsOk());
  ASSERT_THAT(cluster_.edge().Start(), IsOk());
  ExpectReplicates("through the proxy", 0);
  EXPECT_THAT((*proxy)->requests(), Contains(unresolvable));
  EXPECT_GE((*proxy)->open_tunnels(), 1u);
}

TEST_F(ReachCoreTest, WhenTheFirstAddressesAreDead) {
  auto dead = ReservePort();
  ASSERT_THAT(dead, IsOk());
  ASSERT_THAT(cluster_.edge().Set("link.addresses", "[\"" + LocalAddress(dead->port()) +
                                                        "\", \"core.invalid:7443\", \"" +
                                                        cluster_.core().admin_address() + "\"]"),
              IsOk());
  ASSERT_THAT(cluster_.edge().Start(), IsOk());
  ExpectReplicates("at the third address", 0);
}

TEST_F(ReachCoreTest, WhenTheAddressInUseDies) {
  auto other = LinkProxy::Start({cluster_.core().admin_port(), 0});
  ASSERT_THAT(other, IsOk());
  ASSERT_THAT(cluster_.edge().Set("link.addresses", "[\"" + LocalAddress(cluster_.link().port()) + "\", \"" +
                                                        LocalAddress((*other)->port()) + "\"]"),
              IsOk());
  ASSERT_THAT(cluster_.edge().Start(), IsOk());
  ASSERT_NO_FATAL_FAILURE(ExpectReplicates("at the first", 0));
  LinkProxy& used = (*other)->counters().open > 0 ? **other : cluster_.link();
  used.Refuse(true);
  used.Cut();
  ExpectReplicates("at the second", 1);
}

}  // namespace
}  // namespace selvage::test
