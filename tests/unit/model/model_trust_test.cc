#include "fabric/model/model_trust.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "fabric/base/error.h"
#include "tests/unit/model/model_samples.h"

namespace selvage::model {
namespace {

using samples::AddRole;
using samples::AssignmentOf;
using samples::KeyNo;
using samples::kNow;
using samples::ManifestOf;
using samples::Signed;
using ::testing::HasSubstr;

class ModelTrustTest : public ::testing::Test {
 protected:
  ModelTrustTest() { trust_ = std::make_unique<ModelTrust>(ModelTrust::Pin(first_, Pinned()).value()); }

  v1::ModelRoot RootOf(uint64_t version) const {
    v1::ModelRoot root;
    root.set_trust_domain("acme.example");
    root.set_version(version);
    AddRole(*root.mutable_root(), {root_a_, root_b_, root_c_}, 2);
    AddRole(*root.mutable_model(), {model_}, 1);
    AddRole(*root.mutable_rollout(), {rollout_}, 1);
    return root;
  }
  v1::ModelSigned SignedRoot(const v1::ModelRoot& root) const {
    return Signed(kRootType, root, {root_a_, root_c_});
  }
  Digest Pinned() const { return Digest::Of(first_.payload()); }
  v1::ModelSigned SignedManifest(uint64_t version) const {
    return Signed(kManifestType, ManifestOf(version), {model_});
  }
  v1::ModelSigned SignedAssignment(
      uint64_t generation, const std::function<void(v1::ModelAssignment&)>& change = [](auto&) {}) const {
    v1::ModelAssignment assignment = AssignmentOf(generation, ManifestOf(1));
    change(assignment);
    return Signed(kAssignmentType, assignment, {rollout_});
  }
  std::string KindOf(const v1::ModelSigned& assignment, int64_t now_ms = kNow) const {
    return ErrorKind(trust_->CheckAssignment(assignment, "pump-7", now_ms).status());
  }
  void Take(const v1::ModelSigned& assignment) {
    const auto verified = trust_->CheckAssignment(assignment, "pump-7", kNow);
    ASSERT_EQ(verified.status(), absl::OkStatus());
    trust_->Raise(*verified);
  }
  void Run(uint64_t version) { trust_->Raise(*trust_->CheckManifest(SignedManifest(version))); }

  const SigningKey root_a_ = KeyNo(1), root_b_ = KeyNo(2), root_c_ = KeyNo(3);
  const SigningKey model_ = KeyNo(4), rollout_ = KeyNo(5), stranger_ = KeyNo(6);
  const v1::ModelSigned first_ = SignedRoot(RootOf(1));
  std::unique_ptr<ModelTrust> trust_;
};

TEST_F(ModelTrustTest, OnlyThePinnedRootBegins) {
  v1::ModelRoot root = RootOf(1);
  root.set_trust_domain("evil.example");
  EXPECT_EQ(ErrorKind(ModelTrust::Pin(SignedRoot(root), Pinned()).status()), "root_not_pinned");
  const auto unsigned_root = Signed(kRootType, RootOf(1), {root_b_});
  EXPECT_EQ(ErrorKind(ModelTrust::Pin(unsigned_root, Pinned()).status()), "not_signed") << "one of two";
}

TEST_F(ModelTrustTest, RootsThatTrustNobodyOrOneTwiceAreRefused) {
  const auto error = [&](const std::function<void(v1::ModelRoot&)>& change) {
    v1::ModelRoot root = RootOf(2);
    change(root);
    const absl::Status status = trust_->Advance(SignedRoot(root));
    EXPECT_EQ(ErrorKind(status), "invalid_root");
    return std::string(status.message());
  };
  EXPECT_THAT(error([](auto& r) { r.mutable_model()->set_threshold(0); }), HasSubstr("0 of 1 model"));
  EXPECT_THAT(error([](auto& r) { r.mutable_rollout()->set_threshold(2); }), HasSubstr("2 of 1 rollout"));
  EXPECT_THAT(error([](auto& r) { r.mutable_model()->clear_keys(); }), HasSubstr("0 model keys"));
  EXPECT_THAT(error([&](auto& r) { r.mutable_rollout()->set_keys(0, model_.public_key()); }),
              HasSubstr("one role"));
  EXPECT_THAT(error([&](auto& r) { r.mutable_model()->add_keys(model_.public_key()); }),
              HasSubstr("one role"));
  EXPECT_THAT(error([](auto& r) { r.mutable_model()->set_keys(0, "short"); }), HasSubstr("is none"));
}

TEST_F(ModelTrustTest, RootsFollowOneByOneSignedByOldAndNew) {
  v1::ModelRoot second = RootOf(2);
  second.clear_root();
  const SigningKey d = KeyNo(11), e = KeyNo(12);
  AddRole(*second.mutable_root(), {root_a_, d, e}, 2);
  EXPECT_EQ(ErrorKind(trust_->Advance(Signed(kRootType, second, {d, e}))), "not_signed") << "not by the old";
  EXPECT_EQ(ErrorKind(trust_->Advance(Signed(kRootType, second, {root_a_, root_b_}))), "not_signed")
      << "one new";
  v1::ModelRoot third = second;
  third.set_version(3);
  const auto by_all = [&](const v1::ModelRoot& root) {
    return Signed(kRootType, root, {root_a_, root_b_, d, e});
  };
  EXPECT_EQ(ErrorKind(trust_->Advance(by_all(third))), "root_out_of_order");
  EXPECT_EQ(trust_->Advance(by_all(second)), absl::OkStatus());
  EXPECT_EQ(ErrorKind(trust_->Advance(by_all(second))), "root_out_of_order");
  EXPECT_EQ(trust_->Advance(Signed(kRootType, third, {d, e})), absl::OkStatus());
  EXPECT_EQ(trust_->root().version(), 3u);
}

TEST_F(ModelTrustTest, WhatItKnowsIsStoredAndReadBack) {
  Take(SignedAssignment(5));
  Run(7);
  auto stored = ModelTrust::FromStored(trust_->Stored());
  ASSERT_EQ(stored.status(), absl::OkStatus());
  EXPECT_EQ(ErrorKind(stored->CheckVersion(ManifestOf(6))), "version_below_floor");
  EXPECT_EQ(ErrorKind(stored->CheckAssignment(SignedAssignment(4), "pump-7", kNow).status()),
            "old_generation");
  EXPECT_EQ(ErrorKind(ModelTrust::FromStored({}).status()), "corrupt_meta");
}

TEST_F(ModelTrustTest, AManifestNeedsAModelKey) {
  EXPECT_EQ(trust_->CheckManifest(SignedManifest(1)).status(), absl::OkStatus());
  EXPECT_EQ(ErrorKind(trust_->CheckManifest(Signed(kManifestType, ManifestOf(1), {rollout_})).status()),
            "not_signed")
      << "the core's key says where, never what";
  v1::ModelManifest other = ManifestOf(1);
  other.set_trust_domain("other.example");
  EXPECT_EQ(ErrorKind(trust_->CheckManifest(Signed(kManifestType, other, {model_})).status()),
            "other_trust_domain");
  v1::ModelManifest leaves = ManifestOf(1);
  leaves.mutable_files(0)->set_path("../../etc/passwd");
  EXPECT_EQ(ErrorKind(trust_->CheckManifest(Signed(kManifestType, leaves, {model_})).status()),
            "invalid_manifest")
      << "signed or not";
}

TEST_F(ModelTrustTest, NoVersionBelowOneThatWasTrusted) {
  Run(7);
  EXPECT_EQ(ErrorKind(trust_->CheckVersion(ManifestOf(6))), "version_below_floor");
  EXPECT_EQ(trust_->CheckVersion(ManifestOf(7)), absl::OkStatus());
  EXPECT_EQ(trust_->CheckVersion(ManifestOf(8)), absl::OkStatus());
  v1::ModelManifest other = ManifestOf(1);
  other.set_model("pressure");
  EXPECT_EQ(trust_->CheckVersion(other), absl::OkStatus()) << "each model has its own";
}

TEST_F(ModelTrustTest, AnAssignmentIsForOneEdgeOfOneDomain) {
  EXPECT_EQ(KindOf(SignedAssignment(1)), "");
  EXPECT_EQ(KindOf(SignedAssignment(1, [](auto& a) { a.set_edge("pump-8"); })), "other_edge");
  EXPECT_EQ(KindOf(SignedAssignment(1, [](auto& a) { a.set_trust_domain("x.example"); })),
            "other_trust_domain");
  EXPECT_EQ(KindOf(Signed(kAssignmentType, AssignmentOf(1, ManifestOf(1)), {model_})), "not_signed");
  EXPECT_EQ(KindOf(SignedAssignment(1, [](auto& a) { a.set_generation(0); })), "invalid_assignment");
  EXPECT_EQ(KindOf(SignedAssignment(1, [](auto& a) { a.clear_manifest(); })), "invalid_assignment");
  EXPECT_EQ(KindOf(SignedAssignment(1, [](auto& a) { a.set_action(v1::MODEL_REMOVE); })),
            "invalid_assignment");
  EXPECT_EQ(KindOf(SignedAssignment(1, [](auto& a) { a.set_action(v1::MODEL_ACTION_UNSPECIFIED); })),
            "invalid_assignment");
}

TEST_F(ModelTrustTest, DecisionsDoNotGoBackAndAreNotMadeTwice) {
  Take(SignedAssignment(5));
  EXPECT_EQ(KindOf(SignedAssignment(4)), "old_generation");
  EXPECT_EQ(KindOf(SignedAssignment(5)), "");
  EXPECT_EQ(KindOf(SignedAssignment(5, [](auto& a) { a.set_expires_ms(9'000'000); })), "") << "signed anew";
  EXPECT_EQ(KindOf(SignedAssignment(5, [](auto& a) { a.set_action(v1::MODEL_REVERT); })),
            "generation_reused");
}

TEST_F(ModelTrustTest, TimeDoesNotGoBackOnceItWasSeen) {
  EXPECT_EQ(KindOf(SignedAssignment(1), 2'000'000), "assignment_expired");
  EXPECT_EQ(KindOf(SignedAssignment(1), 0), "") << "a clock that was never set";
  Take(SignedAssignment(2, [](auto& a) {
    a.set_issued_ms(2'500'000);
    a.set_expires_ms(9'000'000);
  }));
  EXPECT_EQ(KindOf(SignedAssignment(3), 0), "assignment_expired") << "whatever the clock was set back to";
}

TEST_F(ModelTrustTest, ARootWithoutAStolenKeyUndoesWhatItRaised) {
  Run(1'000'000);
  Take(SignedAssignment(1'000'000, [](auto& a) {
    a.set_issued_ms(999'000'000'000);
    a.set_expires_ms(999'999'000'000);
  }));
  EXPECT_EQ(KindOf(SignedAssignment(6)), "old_generation");
  const SigningKey new_model = KeyNo(21), new_rollout = KeyNo(22);
  v1::ModelRoot second = RootOf(2);
  second.mutable_rollout()->set_keys(0, new_rollout.public_key());
  ASSERT_EQ(trust_->Advance(SignedRoot(second)), absl::OkStatus());
  const auto assigned = Signed(kAssignmentType, AssignmentOf(6, ManifestOf(1)), {new_rollout});
  EXPECT_EQ(KindOf(assigned), "");
  EXPECT_EQ(KindOf(SignedAssignment(6)), "not_signed") << "the old key";
  EXPECT_EQ(ErrorKind(trust_->CheckVersion(ManifestOf(8))), "version_below_floor") << "the model key stays";
  v1::ModelRoot third = second;
  third.set_version(3);
  third.mutable_model()->set_keys(0, new_model.public_key());
  ASSERT_EQ(trust_->Advance(SignedRoot(third)), absl::OkStatus());
  EXPECT_EQ(trust_->CheckVersion(ManifestOf(8)), absl::OkStatus());
}

TEST_F(ModelTrustTest, WhatWasCheckedBeforeARootCameRaisesNothingAfterIt) {
  const auto manifest = *trust_->CheckManifest(SignedManifest(7));
  const auto assignment = *trust_->CheckAssignment(SignedAssignment(9), "pump-7", kNow);
  v1::ModelRoot second = RootOf(2);
  second.mutable_model()->clear_keys();
  second.mutable_rollout()->clear_keys();
  AddRole(*second.mutable_model(), {KeyNo(7)}, 1);
  AddRole(*second.mutable_rollout(), {KeyNo(8)}, 1);
  ASSERT_EQ(trust_->Advance(SignedRoot(second)), absl::OkStatus());
  trust_->Raise(manifest);
  trust_->Raise(assignment);
  EXPECT_TRUE(trust_->Stored().models().empty());
  EXPECT_EQ(trust_->TimeAt(1), 1);
}

TEST_F(ModelTrustTest, RemembersWhichRootWasPinned) {
  EXPECT_EQ(trust_->pinned(), Pinned().bytes());
  ASSERT_EQ(trust_->Advance(SignedRoot(RootOf(2))), absl::OkStatus());
  EXPECT_EQ(ModelTrust::FromStored(trust_->Stored())->pinned(), Pinned().bytes());
}

TEST_F(ModelTrustTest, AnEdgeHearsOfSoManyModelsAndNoMore) {
  const auto named = [&](int number) {
    return SignedAssignment(1, [&](auto& a) { a.set_model("m" + std::to_string(number)); });
  };
  for (int i = 0; i < ModelTrust::kModelsMax; ++i) {
    Verified<v1::ModelAssignment> taken;
    taken.message.set_model("m" + std::to_string(i));
    taken.signers = {rollout_.id()};
    trust_->Raise(taken);
  }
  EXPECT_EQ(KindOf(named(ModelTrust::kModelsMax)), "too_many_models");
  EXPECT_EQ(KindOf(named(0)), "");
}

TEST_F(ModelTrustTest, ARootThatKeepsAKeyKeepsWhatItRaised) {
  Run(7);
  Take(SignedAssignment(5));
  ASSERT_EQ(trust_->Advance(SignedRoot(RootOf(2))), absl::OkStatus());
  EXPECT_EQ(ErrorKind(trust_->CheckVersion(ManifestOf(6))), "version_below_floor");
  EXPECT_EQ(KindOf(SignedAssignment(4)), "old_generation");
}

}  // namespace
}  // namespace selvage::model
