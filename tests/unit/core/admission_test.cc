#include "core/admission.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace selvage {
namespace {

v1::Hello HelloOf(char store, bool empty) {
  v1::Hello hello;
  hello.set_protocol(1);
  hello.set_edge("rig");
  hello.set_store_id(std::string(16, store));
  hello.set_boot_id(std::string(16, store));
  hello.set_empty(empty);
  return hello;
}

class AdmissionTest : public ::testing::Test {
 protected:
  /// Admits, and stores what was decided.
  AdmissionDecision Admit(const v1::Hello& hello) {
    auto decision = DecideAdmission(hello, core_, edges_, /*wall_ms=*/1'000'000);
    EXPECT_TRUE(decision.ok()) << decision.status();
    EXPECT_TRUE(decision->hold.ok()) << decision->hold;
    core_ = decision->core;
    edges_["rig"] = decision->edge;
    return *decision;
  }

  v1::StoredCore core_;
  std::map<std::string, v1::StoredEdge> edges_;
};

TEST_F(AdmissionTest, AReplacedEdgeIsOfferedItsPlaceUntilItTookIt) {
  EXPECT_FALSE(Admit(HelloOf('a', true)).adopts) << "the first store of an edge has nothing to go on with";
  EXPECT_FALSE(Admit(HelloOf('a', true)).adopts) << "not even when its first welcome was lost";
  EXPECT_TRUE(Admit(HelloOf('b', true)).adopts);
  const AdmissionDecision again = Admit(HelloOf('b', true));
  EXPECT_TRUE(again.adopts) << "the welcome was lost, or the edge died before it was stored";
  EXPECT_EQ(again.edge.tenures_size(), 1) << "in the same slot";
  EXPECT_FALSE(Admit(HelloOf('b', false)).adopts) << "it took its place";
}

}  // namespace
}  // namespace selvage
