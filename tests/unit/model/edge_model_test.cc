#include "fabric/model/edge_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "fabric/base/error.h"
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
  absl::Status Assign(uint64_t generation, uint64_t version, v1::ModelAction action = v1::MODEL_RUN) {
    return model_.Assign(AssignmentOf(generation, ManifestOf(version), action));
  }
  /// Assigns the version and commits it.
  void Run(uint64_t generation, uint64_t version) {
    ASSERT_EQ(Assign(generation, version), absl::OkStatus());
    model_.Begin(version, kNow);
    model_.Commit(kNow);
  }
  EdgeModel::Next Todo() const { return model_.Todo(kNow); }
  std::optional<Digest> Current() const { return model_.Current(); }

  EdgeModel model_;
};

TEST_F(EdgeModelTest, AVersionIsFetchedTriedAndCommitted) {
  EXPECT_EQ(Todo().step, Step::kNothing);
  ASSERT_EQ(Assign(1, 10), absl::OkStatus());
  EXPECT_EQ(Todo(), (EdgeModel::Next{Step::kFetch, DigestOfVersion(10)}));
  EXPECT_EQ(Current(), std::nullopt);
  model_.Begin(10, kNow);
  EXPECT_EQ(Todo(), (EdgeModel::Next{Step::kGate, DigestOfVersion(10)}));
  EXPECT_EQ(Current(), DigestOfVersion(10));
  model_.Commit(kNow + 5);
  EXPECT_EQ(Todo().step, Step::kNothing);
  EXPECT_EQ(model_.state().committed().version(), 10u);
  EXPECT_EQ(model_.state().committed().committed_ms(), kNow + 5);
}

TEST_F(EdgeModelTest, AFailedGateGoesBackAndIsNotTriedAgain) {
  Run(1, 10);
  ASSERT_EQ(Assign(2, 11), absl::OkStatus());
  model_.Begin(11, kNow);
  model_.Fail("gate_failed", "exit code 3", kNow);
  EXPECT_EQ(Current(), DigestOfVersion(10));
  EXPECT_EQ(Todo().step, Step::kNothing);
  EXPECT_EQ(model_.state().failure().version().version(), 11u);
  EXPECT_EQ(model_.state().failure().reason(), "exit code 3");
  ASSERT_EQ(Assign(2, 11), absl::OkStatus()) << "signed anew";
  EXPECT_EQ(Todo().step, Step::kNothing);
  ASSERT_EQ(Assign(3, 11), absl::OkStatus()) << "decided anew";
  EXPECT_EQ(Todo().step, Step::kFetch);
}

TEST_F(EdgeModelTest, AFailedFirstInstallLeavesNothing) {
  ASSERT_EQ(Assign(1, 10), absl::OkStatus());
  model_.Begin(10, kNow);
  model_.Fail("gate_failed", "", kNow);
  EXPECT_EQ(Current(), std::nullopt);
  EXPECT_EQ(Todo().step, Step::kNothing);
}

TEST_F(EdgeModelTest, WhatCannotBeFetchedFailsWithoutATrial) {
  Run(1, 10);
  ASSERT_EQ(Assign(2, 11), absl::OkStatus());
  model_.Fail("no_space", "", kNow);
  EXPECT_EQ(Current(), DigestOfVersion(10));
  EXPECT_EQ(Todo().step, Step::kNothing);
  EXPECT_EQ(model_.state().failure().version().manifest(), DigestOfVersion(11).bytes());
}

TEST_F(EdgeModelTest, ATrialSurvivesTwoCrashesAndNotAThird) {
  Run(1, 10);
  ASSERT_EQ(Assign(2, 11), absl::OkStatus());
  model_.Begin(11, kNow);
  for (int i = 0; i < 2; ++i) {
    model_ = EdgeModel(model_.state());
    model_.Open(kNow);
    EXPECT_EQ(Todo().step, Step::kGate);
    EXPECT_EQ(Current(), DigestOfVersion(11));
  }
  model_.Open(kNow);
  EXPECT_EQ(Current(), DigestOfVersion(10));
  EXPECT_EQ(model_.state().failure().kind(), "trial_crashed");
  EXPECT_EQ(Todo().step, Step::kNothing);
}

TEST_F(EdgeModelTest, AnotherDecisionDuringATrialGoesBackFirst) {
  Run(1, 10);
  ASSERT_EQ(Assign(2, 11), absl::OkStatus());
  model_.Begin(11, kNow);
  ASSERT_EQ(Assign(3, 12), absl::OkStatus());
  EXPECT_EQ(Todo(), (EdgeModel::Next{Step::kBack, DigestOfVersion(11)}));
  model_.Cancel();
  EXPECT_EQ(Current(), DigestOfVersion(10));
  EXPECT_EQ(Todo(), (EdgeModel::Next{Step::kFetch, DigestOfVersion(12)}));
  EXPECT_FALSE(model_.state().has_failure());
}

TEST_F(EdgeModelTest, AFailureOfAnEarlierDecisionDoesNotStopALaterOne) {
  Run(1, 10);
  ASSERT_EQ(Assign(2, 11), absl::OkStatus());
  model_.Begin(11, kNow);
  ASSERT_EQ(Assign(3, 12), absl::OkStatus());
  model_.Fail("gate_failed", "", kNow);  // its answer came after the decision
  EXPECT_EQ(model_.state().failure().generation(), 2u);
  EXPECT_EQ(Todo(), (EdgeModel::Next{Step::kFetch, DigestOfVersion(12)}));
}

TEST_F(EdgeModelTest, RevertsOnlyToWhatRanHere) {
  EXPECT_EQ(ErrorKind(Assign(1, 10, v1::MODEL_REVERT)), "not_committed_here");
  Run(1, 10);
  Run(2, 11);
  EXPECT_EQ(ErrorKind(Assign(3, 9, v1::MODEL_REVERT)), "not_committed_here");
  EXPECT_EQ(model_.state().assignment().generation(), 2u) << "nothing changed";
  ASSERT_EQ(Assign(3, 10, v1::MODEL_REVERT), absl::OkStatus());
  EXPECT_EQ(Todo(), (EdgeModel::Next{Step::kFetch, DigestOfVersion(10)})) << "its files may have gone";
  model_.Begin(10, kNow);
  model_.Commit(kNow);
  EXPECT_EQ(Current(), DigestOfVersion(10));
  ASSERT_EQ(model_.state().past_size(), 1);
  EXPECT_EQ(model_.state().past(0).version(), 11u);
}

TEST_F(EdgeModelTest, UnderAnExpiredAssignmentNothingBegins) {
  Run(1, 10);
  ASSERT_EQ(Assign(2, 11), absl::OkStatus());
  EXPECT_EQ(model_.Todo(kExpired).step, Step::kNothing);
  EXPECT_TRUE(model_.IsExpired(kExpired));
  EXPECT_EQ(Current(), DigestOfVersion(10)) << "what runs goes on";
  model_.Begin(11, kNow);
  EXPECT_EQ(model_.Todo(kExpired).step, Step::kGate) << "what was begun is ended";
}

TEST_F(EdgeModelTest, IsRemovedAndInstalledAgain) {
  Run(1, 10);
  ASSERT_EQ(Assign(2, 0, v1::MODEL_REMOVE), absl::OkStatus());
  EXPECT_EQ(Todo(), (EdgeModel::Next{Step::kRemove, DigestOfVersion(10)}));
  model_.Remove();
  EXPECT_EQ(Current(), std::nullopt);
  EXPECT_EQ(Todo().step, Step::kNothing);
  Run(3, 11);
  EXPECT_EQ(Current(), DigestOfVersion(11));
}

TEST_F(EdgeModelTest, FilesAreKeptOfWhatRunsAndOfTheLastThatRan) {
  Run(1, 10);
  Run(2, 11);
  Run(3, 12);
  ASSERT_EQ(Assign(4, 13), absl::OkStatus());
  EXPECT_FALSE(model_.IsKept(DigestOfVersion(10)));
  for (const uint64_t version : {11u, 12u, 13u})
    EXPECT_TRUE(model_.IsKept(DigestOfVersion(version))) << version;
  model_.Begin(13, kNow);
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
      const EdgeModel::Next next = Todo();
      switch (random.Below(5)) {
        case 0: {
          const auto action = static_cast<v1::ModelAction>(1 + random.Below(3));
          (void)Assign(++generation, 1 + random.Below(6), action);
          break;
        }
        case 1:
          model_.Open(kNow);
          break;
        case 2:
          if (next.step == Step::kFetch || next.step == Step::kGate) model_.Fail("x", "", kNow);
          break;
        default:
          if (next.step == Step::kFetch) model_.Begin(1, kNow);
          if (next.step == Step::kBack) model_.Cancel();
          if (next.step == Step::kGate) committed = next.manifest, model_.Commit(kNow);
          if (next.step == Step::kRemove) committed.reset(), model_.Remove();
      }
      ASSERT_TRUE(model_.state().has_trial() || Current() == committed) << "seed " << seed;
      ASSERT_TRUE(!Current() || model_.IsKept(*Current()));
      ASSERT_TRUE(!committed || model_.IsKept(*committed));
    }
  }
}

}  // namespace
}  // namespace selvage::model
