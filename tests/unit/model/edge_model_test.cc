#include "fabric/model/edge_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/seeded_random.h"
#include "tests/unit/model/model_samples.h"

namespace selvage::model {
namespace {

using samples::AssignmentOf;
using samples::DigestOfVersion;
using samples::kNow;
using samples::ManifestOf;
using Step = EdgeModel::Step;

constexpr int64_t kExpired = 2'000'000;

class EdgeModelTest : public ::testing::Test {
 protected:
  void Assign(uint64_t generation, uint64_t version, v1::ModelAction action = v1::MODEL_RUN) {
    model_.Assign(AssignmentOf(generation, ManifestOf(version), action), kNow);
  }
  /// Assigns the version and commits it.
  void Run(uint64_t generation, uint64_t version) {
    Assign(generation, version);
    EXPECT_TRUE(model_.Begin(DigestOfVersion(version), version, kNow));
    EXPECT_TRUE(model_.Commit(DigestOfVersion(version), kNow));
  }
  EdgeModel::Next NextStep() const { return model_.NextStep(kNow); }
  std::optional<Digest> Current() const { return model_.Current(); }

  EdgeModel model_;
};

TEST_F(EdgeModelTest, AVersionIsFetchedTriedAndCommitted) {
  EXPECT_EQ(NextStep().step, Step::kNothing);
  Assign(1, 10);
  EXPECT_EQ(NextStep(), (EdgeModel::Next{Step::kFetch, DigestOfVersion(10)}));
  EXPECT_EQ(Current(), std::nullopt);
  EXPECT_TRUE(model_.Begin(DigestOfVersion(10), 10, kNow));
  EXPECT_EQ(NextStep(), (EdgeModel::Next{Step::kGate, DigestOfVersion(10)}));
  EXPECT_EQ(Current(), DigestOfVersion(10));
  EXPECT_TRUE(model_.Commit(DigestOfVersion(10), kNow + 5));
  EXPECT_EQ(NextStep().step, Step::kNothing);
  EXPECT_EQ(model_.state().committed().version(), 10u);
  EXPECT_EQ(model_.state().committed().committed_ms(), kNow + 5);
}

TEST_F(EdgeModelTest, AFailedGateGoesBackAndIsNotTriedAgain) {
  Run(1, 10);
  Assign(2, 11);
  EXPECT_TRUE(model_.Begin(DigestOfVersion(11), 11, kNow));
  model_.Fail(DigestOfVersion(11), "gate_failed", "exit code 3", kNow);
  EXPECT_EQ(Current(), DigestOfVersion(10));
  EXPECT_EQ(NextStep().step, Step::kNothing);
  EXPECT_EQ(model_.state().failure().version().version(), 11u);
  EXPECT_EQ(model_.state().failure().reason(), "exit code 3");
  Assign(2, 11);  // signed anew
  EXPECT_EQ(NextStep().step, Step::kNothing);
  Assign(3, 11);  // decided anew
  EXPECT_EQ(NextStep().step, Step::kFetch);
}

TEST_F(EdgeModelTest, AFailedFirstInstallLeavesNothing) {
  Assign(1, 10);
  EXPECT_TRUE(model_.Begin(DigestOfVersion(10), 10, kNow));
  model_.Fail(DigestOfVersion(10), "gate_failed", "", kNow);
  EXPECT_EQ(Current(), std::nullopt);
  EXPECT_EQ(NextStep().step, Step::kNothing);
}

TEST_F(EdgeModelTest, WhatCannotBeFetchedFailsWithoutATrial) {
  Run(1, 10);
  Assign(2, 11);
  model_.Fail(DigestOfVersion(11), "no_space", "", kNow);
  EXPECT_EQ(Current(), DigestOfVersion(10));
  EXPECT_EQ(NextStep().step, Step::kNothing);
  EXPECT_EQ(model_.state().failure().version().manifest(), DigestOfVersion(11).bytes());
}

TEST_F(EdgeModelTest, ATrialSurvivesTwoCrashesAndNotAThird) {
  Run(1, 10);
  Assign(2, 11);
  EXPECT_TRUE(model_.Begin(DigestOfVersion(11), 11, kNow));
  for (int i = 0; i < 2; ++i) {
    model_ = EdgeModel(model_.state());
    model_.Open(kNow);
    EXPECT_EQ(NextStep().step, Step::kGate);
    EXPECT_EQ(Current(), DigestOfVersion(11));
  }
  model_.Open(kNow);
  EXPECT_EQ(Current(), DigestOfVersion(10));
  EXPECT_EQ(model_.state().failure().kind(), "trial_crashed");
  EXPECT_EQ(NextStep().step, Step::kNothing);
}

TEST_F(EdgeModelTest, AnotherDecisionDuringATrialGoesBackFirst) {
  Run(1, 10);
  Assign(2, 11);
  EXPECT_TRUE(model_.Begin(DigestOfVersion(11), 11, kNow));
  Assign(3, 12);
  EXPECT_EQ(NextStep(), (EdgeModel::Next{Step::kBack, DigestOfVersion(11)}));
  EXPECT_TRUE(model_.Cancel(DigestOfVersion(11)));
  EXPECT_EQ(Current(), DigestOfVersion(10));
  EXPECT_EQ(NextStep(), (EdgeModel::Next{Step::kFetch, DigestOfVersion(12)}));
  EXPECT_FALSE(model_.state().has_failure());
}

TEST_F(EdgeModelTest, AnAnswerToAnotherStepThanTheCurrentOneIsIgnored) {
  Run(1, 10);
  Assign(2, 11);
  Assign(3, 12);
  const std::string before = model_.state().SerializeAsString();
  EXPECT_FALSE(model_.Begin(DigestOfVersion(11), 11, kNow)) << "its chunks came after another decision";
  EXPECT_FALSE(model_.Fail(DigestOfVersion(11), "no_space", "", kNow));
  EXPECT_FALSE(model_.Commit(DigestOfVersion(12), kNow)) << "it is in no trial";
  EXPECT_FALSE(model_.Cancel(DigestOfVersion(12)));
  EXPECT_FALSE(model_.Remove(3)) << "nobody wants that";
  EXPECT_EQ(model_.state().SerializeAsString(), before);
  ASSERT_TRUE(model_.Begin(DigestOfVersion(12), 12, kNow));
  EXPECT_FALSE(model_.Begin(DigestOfVersion(12), 12, kNow)) << "it is in trial already";
  EXPECT_FALSE(model_.Commit(DigestOfVersion(11), kNow));
  EXPECT_FALSE(model_.Fail(DigestOfVersion(11), "gate_failed", "", kNow));
  Assign(4, 0, v1::MODEL_REMOVE);
  EXPECT_FALSE(model_.Commit(DigestOfVersion(12), kNow)) << "its gate answers, and it is not wanted any more";
  EXPECT_FALSE(model_.Remove(4)) << "it has to go back first";
  ASSERT_TRUE(model_.Cancel(DigestOfVersion(12)));
  EXPECT_FALSE(model_.Remove(3)) << "an older decision";
  EXPECT_TRUE(model_.Remove(4));
  EXPECT_FALSE(model_.Remove(4)) << "it is gone";
}

TEST_F(EdgeModelTest, AFailureOfAnEarlierDecisionDoesNotStopALaterOne) {
  Run(1, 10);
  Assign(2, 11);
  EXPECT_TRUE(model_.Begin(DigestOfVersion(11), 11, kNow));
  Assign(3, 12);
  model_.Fail(DigestOfVersion(11), "gate_failed", "", kNow);  // its answer came after the decision
  EXPECT_EQ(model_.state().failure().generation(), 2u);
  EXPECT_EQ(NextStep(), (EdgeModel::Next{Step::kFetch, DigestOfVersion(12)}));
}

TEST_F(EdgeModelTest, ARevertToWhatNeverRanHereEndsWhatWasBegun) {
  Run(1, 10);
  Assign(2, 11);
  EXPECT_TRUE(model_.Begin(DigestOfVersion(11), 11, kNow));
  Assign(3, 9, v1::MODEL_REVERT);
  EXPECT_EQ(model_.state().failure().kind(), "not_committed_here");
  EXPECT_EQ(NextStep(), (EdgeModel::Next{Step::kBack, DigestOfVersion(11)}));
  EXPECT_TRUE(model_.Cancel(DigestOfVersion(11)));
  EXPECT_EQ(NextStep().step, Step::kNothing)
      << "neither the version that was withdrawn, nor the one nobody ran";
  EXPECT_EQ(Current(), DigestOfVersion(10));
  Assign(3, 9, v1::MODEL_REVERT);  // signed anew
  EXPECT_EQ(NextStep().step, Step::kNothing);
}

TEST_F(EdgeModelTest, AVersionInTrialThatIsWantedAnewGoesOn) {
  Assign(1, 10);
  EXPECT_TRUE(model_.Begin(DigestOfVersion(10), 10, kNow));
  model_.Open(kNow);
  Assign(2, 10);
  EXPECT_EQ(NextStep(), (EdgeModel::Next{Step::kGate, DigestOfVersion(10)}));
  EXPECT_EQ(model_.state().trial().starts(), 2u) << "its crashes count";
}

TEST_F(EdgeModelTest, ANumberThatComesAgainWithAnotherVersionIsAnotherDecision) {
  Run(1, 10);
  Assign(7, 11);
  model_.Fail(DigestOfVersion(11), "no_space", "", kNow);
  Assign(7, 12);  // a key was replaced, and its numbers count no more
  EXPECT_EQ(NextStep(), (EdgeModel::Next{Step::kFetch, DigestOfVersion(12)}));
  EXPECT_TRUE(model_.Begin(DigestOfVersion(12), 12, kNow));
  Assign(7, 13);
  EXPECT_EQ(NextStep(), (EdgeModel::Next{Step::kBack, DigestOfVersion(12)}));
}

TEST_F(EdgeModelTest, RevertsToWhatRanHere) {
  Run(1, 10);
  Run(2, 11);
  Assign(3, 10, v1::MODEL_REVERT);
  EXPECT_EQ(NextStep(), (EdgeModel::Next{Step::kFetch, DigestOfVersion(10)})) << "its files may have gone";
  EXPECT_TRUE(model_.Begin(DigestOfVersion(10), 10, kNow));
  EXPECT_TRUE(model_.Commit(DigestOfVersion(10), kNow));
  EXPECT_EQ(Current(), DigestOfVersion(10));
  ASSERT_EQ(model_.state().past_size(), 1);
  EXPECT_EQ(model_.state().past(0).version(), 11u);
}

TEST_F(EdgeModelTest, UnderAnExpiredAssignmentNothingBegins) {
  Run(1, 10);
  Assign(2, 11);
  EXPECT_EQ(model_.NextStep(kExpired).step, Step::kNothing);
  EXPECT_TRUE(model_.IsExpired(kExpired));
  EXPECT_EQ(Current(), DigestOfVersion(10)) << "what runs goes on";
  EXPECT_TRUE(model_.Begin(DigestOfVersion(11), 11, kNow));
  EXPECT_EQ(model_.NextStep(kExpired).step, Step::kGate) << "what was begun is ended";
}

TEST_F(EdgeModelTest, IsRemovedAndInstalledAgain) {
  Run(1, 10);
  Assign(2, 0, v1::MODEL_REMOVE);
  EXPECT_EQ(NextStep(), (EdgeModel::Next{Step::kRemove, DigestOfVersion(10)}));
  EXPECT_TRUE(model_.Remove(2));
  EXPECT_EQ(Current(), std::nullopt);
  EXPECT_EQ(NextStep().step, Step::kNothing);
  Run(3, 11);
  EXPECT_EQ(Current(), DigestOfVersion(11));
}

TEST_F(EdgeModelTest, AnOrderOfAKeyThatIsReplacedEnds) {
  Run(1, 10);
  const SigningKey stolen = samples::KeyNo(7), other = samples::KeyNo(8);
  v1::ModelRoot::Role both, without;
  samples::AddRole(both, {stolen, other}, 1);
  samples::AddRole(without, {other}, 1);
  model_.Assign(AssignmentOf(2, ManifestOf(11)), kNow, {stolen.id()});
  ASSERT_TRUE(model_.Begin(DigestOfVersion(11), 11, kNow));
  EXPECT_FALSE(model_.EndUnlessSigned(both));
  EXPECT_EQ(NextStep().step, Step::kGate);
  EXPECT_TRUE(model_.EndUnlessSigned(without));
  EXPECT_EQ(NextStep(), (EdgeModel::Next{Step::kBack, DigestOfVersion(11)}));
  ASSERT_TRUE(model_.Cancel(DigestOfVersion(11)));
  EXPECT_EQ(NextStep().step, Step::kNothing);
  EXPECT_EQ(Current(), DigestOfVersion(10)) << "what was committed stays";
  EXPECT_FALSE(model_.EndUnlessSigned(without));
}

TEST_F(EdgeModelTest, FilesAreKeptOfWhatRunsAndOfTheLastThatRan) {
  Run(1, 10);
  Run(2, 11);
  Run(3, 12);
  Assign(4, 13);
  EXPECT_FALSE(model_.IsKept(DigestOfVersion(10)));
  for (const uint64_t version : {11u, 12u, 13u})
    EXPECT_TRUE(model_.IsKept(DigestOfVersion(version))) << version;
  EXPECT_TRUE(model_.Begin(DigestOfVersion(13), 13, kNow));
  for (const uint64_t version : {11u, 12u, 13u})
    EXPECT_TRUE(model_.IsKept(DigestOfVersion(version))) << version;
}

TEST_F(EdgeModelTest, ThePastIsBounded) {
  for (uint64_t i = 1; i <= 20; ++i) Run(i, i);
  EXPECT_EQ(model_.state().past_size(), EdgeModel::kPastKept);
  EXPECT_EQ(model_.state().past(0).version(), 19u);
}

/// Whatever comes in whatever order, `current` is a version that was verified, and what was committed stays
/// until another one is.
TEST_F(EdgeModelTest, CurrentIsAlwaysWhatWasCommittedOrIsInTrial) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    test::SeededRandom random(seed);
    model_ = EdgeModel();
    std::optional<Digest> committed;
    uint64_t generation = 0;
    for (int i = 0; i < 60; ++i) {
      const EdgeModel::Next next = NextStep();
      switch (random.Below(5)) {
        case 0: {
          const auto action = static_cast<v1::ModelAction>(1 + random.Below(3));
          Assign(++generation, 1 + random.Below(6), action);
          break;
        }
        case 1:
          model_.Open(kNow);
          break;
        case 2:
          if (next.step == Step::kFetch || next.step == Step::kGate)
            model_.Fail(next.manifest, "x", "", kNow);
          break;
        default:
          if (next.step == Step::kFetch) model_.Begin(next.manifest, 1, kNow);
          if (next.step == Step::kBack) model_.Cancel(next.manifest);
          if (next.step == Step::kGate) committed = next.manifest, model_.Commit(next.manifest, kNow);
          if (next.step == Step::kRemove) committed.reset(), model_.Remove(generation);
      }
      ASSERT_TRUE(model_.state().has_trial() || Current() == committed) << "seed " << seed;
      ASSERT_TRUE(!Current() || model_.IsKept(*Current()));
      ASSERT_TRUE(!committed || model_.IsKept(*committed));
    }
  }
}

}  // namespace
}  // namespace selvage::model
