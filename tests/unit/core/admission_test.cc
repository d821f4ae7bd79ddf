#include "core/admission.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "fabric/base/error.h"
#include "fabric/replication/message.h"

namespace selvage {
namespace {

v1::Hello HelloOf(char store, bool empty) {
  v1::Hello hello;
  hello.set_protocol(replication::kLinkProtocol);
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

TEST_F(AdmissionTest, AnEdgeThatSpeaksAnotherProtocolIsTold) {
  for (const uint32_t protocol : {replication::kLinkProtocol - 1, replication::kLinkProtocol + 1}) {
    v1::Hello other = HelloOf('a', true);
    other.set_protocol(protocol);
    const auto decision = DecideAdmission(other, core_, edges_, /*wall_ms=*/1'000'000);
    EXPECT_EQ(ErrorKind(decision.status()), "unsupported_protocol");
    EXPECT_FALSE(IsRetryable(decision.status())) << "it becomes an alarm at the edge";
  }
}

TEST_F(AdmissionTest, AStoreOfAnotherEdgeIsAClone) {
  (void)Admit(HelloOf('a', false));
  const uint32_t slot = edges_["rig"].tenures(0).slot();
  v1::Hello other = HelloOf('a', false);
  other.set_edge("rig-2");
  auto decision = DecideAdmission(other, core_, edges_, /*wall_ms=*/1'000'000);
  ASSERT_TRUE(decision.ok()) << decision.status();
  EXPECT_EQ(ErrorKind(decision->hold), "clone");
  EXPECT_EQ(decision->hold.message(), "its store is that of edge rig");
  EXPECT_TRUE(decision->edge.held());
  EXPECT_TRUE(decision->edge.tenures().empty()) << "it gets no slot";
  edges_["rig-2"] = decision->edge;
  EXPECT_EQ(ErrorKind(DecideAdmission(other, core_, edges_, 1'000'000).status()), "edge_held");
  EXPECT_TRUE(Admit(HelloOf('a', false)).hold.ok()) << "whose store it is goes on";

  // The operator's word lets it in, as a store of its own, and it stays so.
  ReleaseEdge(edges_["rig-2"]);
  for (int i = 0; i < 2; ++i) {
    decision = DecideAdmission(other, core_, edges_, /*wall_ms=*/1'000'000);
    ASSERT_TRUE(decision.ok() && decision->hold.ok());
    ASSERT_EQ(decision->edge.tenures_size(), 1);
    EXPECT_NE(decision->edge.tenures(0).slot(), slot);
    core_ = decision->core;
    edges_["rig-2"] = decision->edge;
  }
  EXPECT_TRUE(Admit(HelloOf('a', false)).hold.ok());
}

TEST_F(AdmissionTest, WhatWasDecidedAMomentAgoCountsBeforeItIsStored) {
  (void)Admit(HelloOf('a', false));
  KnownEdges edges(edges_);
  const auto decide = [&](const std::string& name, char store) {
    v1::Hello hello = HelloOf(store, false);
    hello.set_edge(name);
    auto decision = DecideAdmission(hello, core_, edges, /*wall_ms=*/1'000'000);
    EXPECT_TRUE(decision.ok()) << decision.status();
    edges.Decided(decision->edge);
    if (decision->hold.ok()) core_ = decision->core;
    return *decision;
  };
  EXPECT_EQ(decide("rig-2", 'b').edge.tenures(0).slot(), 1u);
  EXPECT_EQ(decide("rig-3", 'c').edge.tenures(0).slot(), 2u);
  EXPECT_EQ(decide("rig-2", 'b').edge.session_epoch(), 2u);
  EXPECT_EQ(ErrorKind(decide("rig-4", 'b').hold), "clone");
  EXPECT_EQ(decide("rig", 'a').edge.session_epoch(), 2u);
  EXPECT_EQ(edges_.size(), 1u) << "and is not stored by it";
}

TEST_F(AdmissionTest, AFormerStoreOfAnotherEdgeIsACloneToo) {
  (void)Admit(HelloOf('a', false));
  (void)Admit(HelloOf('b', true));
  v1::Hello other = HelloOf('a', false);
  other.set_edge("rig-2");
  auto decision = DecideAdmission(other, core_, edges_, /*wall_ms=*/1'000'000);
  ASSERT_TRUE(decision.ok());
  EXPECT_EQ(ErrorKind(decision->hold), "clone");
}

}  // namespace
}  // namespace selvage
