#include "fabric/model/rollout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "fabric/base/error.h"
#include "tests/unit/model/model_samples.h"

namespace selvage::model {
namespace {

using samples::DigestOfVersion;
using ::testing::HasSubstr;

constexpr int64_t kSoakMs = 1'000;
constexpr int64_t kDeadlineMs = 10'000;

/// Ten edges in phases of 10, 50 and 100 percent.
class RolloutTest : public ::testing::Test {
 protected:
  RolloutTest() { Start(Plan()); }

  static v1::ModelRolloutPlan Plan() {
    v1::ModelRolloutPlan plan;
    plan.set_model("vibration");
    plan.set_manifest(kNew);
    plan.set_version(2);
    for (int i = 0; i < 10; ++i) plan.add_edges("e" + std::to_string(i));
    for (const uint32_t percent : {10u, 50u, 100u}) {
      auto& phase = *plan.add_phases();
      phase.set_percent(percent);
      phase.set_soak_ms(kSoakMs);
      phase.set_deadline_ms(kDeadlineMs);
    }
    plan.set_failures_max(1);
    plan.set_unreached_max(1);
    return plan;
  }
  void Start(const v1::ModelRolloutPlan& plan) {
    rollout_ = std::make_unique<Rollout>(Rollout::Start(plan, now_).value());
    Tell();
  }
  /// Each edge hears what is wanted of it, under another generation.
  void Tell() {
    const auto members = rollout_->state().members();
    for (const auto& [edge, member] : members) {
      if (rollout_->WantedOf(edge).action == v1::MODEL_ACTION_UNSPECIFIED) continue;
      if (member.generation() == 0) rollout_->Decided(edge, ++generation_, kOld);
    }
  }
  void Pass(int64_t ms) {
    now_ += ms;
    rollout_->Tick(now_);
    Tell();
  }
  void Runs(int edge, const std::string& manifest) {
    rollout_->OnReport("e" + std::to_string(edge), {.committed = manifest}, now_);
  }
  void Fails(int edge, uint64_t generation) {
    rollout_->OnReport("e" + std::to_string(edge),
                       {.committed = kOld, .failed = kNew, .failed_generation = generation, .reason = "no"},
                       now_);
  }
  /// They commit it, and still run it after the soak time.
  void Confirm(const std::vector<int>& edges) {
    for (const int edge : edges) Runs(edge, kNew);
    now_ += kSoakMs;
    for (const int edge : edges) Runs(edge, kNew);
    Pass(0);
  }
  v1::ModelRolloutState State() const { return rollout_->state().state(); }
  uint32_t Phase() const { return rollout_->state().phase(); }
  uint64_t Revision() const { return rollout_->state().revision(); }
  Rollout::Wanted WantedOf(int edge) const { return rollout_->WantedOf("e" + std::to_string(edge)); }

  static inline const std::string kOld = DigestOfVersion(1).bytes();
  static inline const std::string kNew = DigestOfVersion(2).bytes();
  int64_t now_ = 1'000'000;
  uint64_t generation_ = 0;
  std::unique_ptr<Rollout> rollout_;
};

TEST_F(RolloutTest, GoesPhaseByPhaseAndCompletes) {
  EXPECT_EQ(rollout_->Count(), (Rollout::Counts{.waiting = 9, .pending = 1}));
  EXPECT_EQ(WantedOf(0), (Rollout::Wanted{v1::MODEL_RUN, kNew}));
  EXPECT_EQ(WantedOf(1), Rollout::Wanted());
  Confirm({0});
  EXPECT_EQ(Phase(), 1u);
  EXPECT_EQ(rollout_->Count(), (Rollout::Counts{.waiting = 5, .pending = 4, .committed = 1}));
  Confirm({1, 2, 3, 4});
  EXPECT_EQ(Phase(), 2u);
  Confirm({5, 6, 7, 8});
  EXPECT_EQ(State(), v1::MODEL_ROLLOUT_RUNNING) << "one is missing";
  Confirm({9});
  EXPECT_EQ(State(), v1::MODEL_ROLLOUT_COMPLETED);
  EXPECT_EQ(rollout_->Count(), (Rollout::Counts{.committed = 10}));
}

TEST_F(RolloutTest, OnlyReportsMakeAVersionSoak) {
  Runs(0, kNew);
  Pass(kSoakMs * 5);
  EXPECT_EQ(Phase(), 0u) << "it may have died since";
  Runs(0, kNew);
  Pass(0);
  EXPECT_EQ(Phase(), 1u);
}

TEST_F(RolloutTest, TheSilenceOfAConnectedEdgeIsFailure) {
  Runs(0, kOld);
  Pass(kDeadlineMs);
  EXPECT_EQ(rollout_->Count().failed, 1u);
  EXPECT_EQ(State(), v1::MODEL_ROLLOUT_PAUSED) << "none confirmed";
  EXPECT_THAT(rollout_->state().reason(), HasSubstr("0 edges of the phase confirmed, and 1 are needed"));
}

TEST_F(RolloutTest, AnEdgeThatWasNotReachedIsNoSuccessAndNoFailure) {
  Confirm({0});
  Confirm({1, 2, 3});
  Pass(kDeadlineMs);
  EXPECT_EQ(rollout_->state().members().at("e4").outcome(), v1::MODEL_ROLLOUT_UNREACHED);
  EXPECT_EQ(Phase(), 2u) << "one may be";
  Confirm({5, 6, 7, 8});
  Pass(kDeadlineMs);
  EXPECT_EQ(State(), v1::MODEL_ROLLOUT_PAUSED) << "two may not";
  EXPECT_THAT(rollout_->state().reason(), HasSubstr("2 edges were not reached"));
  // It takes the outcome when it comes back.
  EXPECT_EQ(WantedOf(4), (Rollout::Wanted{v1::MODEL_RUN, kNew}));
  ASSERT_EQ(rollout_->Resume(Revision()), absl::OkStatus());
  Confirm({4, 9});
  EXPECT_EQ(State(), v1::MODEL_ROLLOUT_COMPLETED);
}

TEST_F(RolloutTest, OneThatWasUnreachedAndFailsCountsAsFailed) {
  Confirm({0});
  Confirm({1, 2, 3});
  Pass(kDeadlineMs);
  ASSERT_EQ(Phase(), 2u);
  Fails(4, 100);
  Fails(5, 100);
  EXPECT_EQ(State(), v1::MODEL_ROLLOUT_ABORTED);
}

TEST_F(RolloutTest, TooManyFailuresAbortAndWhoeverWasToldGoesBack) {
  Confirm({0});
  Fails(1, 100);
  EXPECT_EQ(State(), v1::MODEL_ROLLOUT_RUNNING) << "one may";
  Fails(2, 100);
  EXPECT_EQ(State(), v1::MODEL_ROLLOUT_ABORTED);
  EXPECT_THAT(rollout_->state().reason(), HasSubstr("2 edges failed, and 1 may"));
  for (const int edge : {0, 1, 3, 4}) {
    EXPECT_EQ(WantedOf(edge), (Rollout::Wanted{v1::MODEL_REVERT, kOld})) << edge;
  }
  EXPECT_EQ(WantedOf(5), Rollout::Wanted()) << "it was never told";
  Runs(3, kNew);
  EXPECT_EQ(State(), v1::MODEL_ROLLOUT_ABORTED);
}

TEST_F(RolloutTest, WhoRanNothingBeforeGoesBackToNothing) {
  rollout_ = std::make_unique<Rollout>(Rollout::Start(Plan(), now_).value());
  rollout_->Decided("e0", 1, "");
  ASSERT_EQ(rollout_->Abort(Revision(), "bad"), absl::OkStatus());
  EXPECT_EQ(WantedOf(0), (Rollout::Wanted{v1::MODEL_REMOVE, ""}));
}

TEST_F(RolloutTest, WhatItRanBeforeIsToldOnce) {
  rollout_->Decided("e0", 7, kNew);
  ASSERT_EQ(rollout_->Abort(Revision(), "bad"), absl::OkStatus());
  EXPECT_EQ(WantedOf(0), (Rollout::Wanted{v1::MODEL_REVERT, kOld}));
}

TEST_F(RolloutTest, AFailureOfAnEarlierDecisionDoesNotCount) {
  Fails(0, 0);
  EXPECT_EQ(rollout_->Count().failed, 0u);
  Fails(0, rollout_->state().members().at("e0").generation());
  EXPECT_EQ(rollout_->Count().failed, 1u);
}

TEST_F(RolloutTest, AnEdgeThatStopsRunningTheVersionHasFailed) {
  Confirm({0});
  Runs(0, kOld);
  EXPECT_EQ(rollout_->Count().failed, 1u);
  EXPECT_THAT(rollout_->state().members().at("e0").reason(), HasSubstr("any more"));
}

TEST_F(RolloutTest, OperatorsDoNotMixTheirChanges) {
  const uint64_t seen = Revision();
  ASSERT_EQ(rollout_->Pause(seen), absl::OkStatus());
  EXPECT_EQ(ErrorKind(rollout_->Abort(seen, "x")), "rollout_changed");
  EXPECT_EQ(ErrorKind(rollout_->Resume(seen)), "rollout_changed");
  Confirm({0});
  Pass(kDeadlineMs);
  EXPECT_EQ(Phase(), 0u) << "it pauses";
  ASSERT_EQ(rollout_->Resume(Revision()), absl::OkStatus());
  EXPECT_EQ(ErrorKind(rollout_->Resume(Revision())), "rollout_not_paused");
  Pass(0);
  EXPECT_EQ(Phase(), 1u);
}

TEST_F(RolloutTest, WhileItPausesNobodyElseBegins) {
  rollout_ = std::make_unique<Rollout>(Rollout::Start(Plan(), now_).value());
  ASSERT_EQ(rollout_->Promote(Revision()), absl::OkStatus());
  rollout_->Decided("e1", 1, kOld);
  ASSERT_EQ(rollout_->Pause(Revision()), absl::OkStatus());
  EXPECT_EQ(WantedOf(1), (Rollout::Wanted{v1::MODEL_RUN, kNew})) << "it was told";
  EXPECT_EQ(WantedOf(2), Rollout::Wanted());
}

TEST_F(RolloutTest, PromoteOpensTheGateOnce) {
  const uint64_t seen = Revision();
  ASSERT_EQ(rollout_->Promote(seen), absl::OkStatus());
  EXPECT_EQ(Phase(), 1u);
  EXPECT_EQ(ErrorKind(rollout_->Promote(seen)), "rollout_changed");
  EXPECT_EQ(Phase(), 1u);
  ASSERT_EQ(rollout_->Promote(Revision()), absl::OkStatus());
  ASSERT_EQ(rollout_->Promote(Revision()), absl::OkStatus());
  EXPECT_EQ(State(), v1::MODEL_ROLLOUT_COMPLETED);
  EXPECT_EQ(ErrorKind(rollout_->Abort(Revision(), "x")), "rollout_over");
}

TEST_F(RolloutTest, APhaseMayNeedMoreThanOne) {
  v1::ModelRolloutPlan plan = Plan();
  plan.mutable_phases(1)->set_least(4);
  plan.set_failures_max(5);
  Start(plan);
  Confirm({0});
  Fails(4, 100);
  Confirm({1, 2, 3});
  EXPECT_EQ(State(), v1::MODEL_ROLLOUT_PAUSED);
  EXPECT_THAT(rollout_->state().reason(), HasSubstr("3 edges of the phase confirmed, and 4 are needed"));
}

TEST_F(RolloutTest, SmallFleetsHavePhasesWithoutEdges) {
  v1::ModelRolloutPlan plan = Plan();
  plan.clear_edges();
  plan.add_edges("only");
  Start(plan);
  for (int i = 0; i < 2; ++i) {
    rollout_->OnReport("only", {.committed = kNew}, now_);
    now_ += kSoakMs;
  }
  for (int i = 0; i < 3; ++i) Pass(0);
  EXPECT_EQ(State(), v1::MODEL_ROLLOUT_COMPLETED);
}

TEST_F(RolloutTest, TimeInWhichTheCoreWasDownIsNobodysSilence) {
  Runs(0, kOld);
  rollout_ = std::make_unique<Rollout>(rollout_->state());  // the core was down for a week
  Pass(absl::ToInt64Milliseconds(absl::Hours(7 * 24)));
  EXPECT_EQ(rollout_->Count().pending, 1u);
  now_ += absl::ToInt64Milliseconds(absl::Hours(1));  // it stood still, or its clock was set
  rollout_->Tick(now_ - absl::ToInt64Milliseconds(absl::Hours(2)));
  EXPECT_EQ(rollout_->Count().pending, 1u);
  Confirm({0});
  EXPECT_EQ(Phase(), 1u);
}

TEST_F(RolloutTest, AnEdgeThatComesBackHasTheWholeDeadline) {
  Pass(kDeadlineMs - 1);
  Runs(0, kOld);
  Pass(kDeadlineMs - 1);
  EXPECT_EQ(rollout_->Count().pending, 1u);
  Confirm({0});
  EXPECT_EQ(Phase(), 1u);
}

TEST_F(RolloutTest, ACommitJustBeforeTheDeadlineMaySoak) {
  Runs(0, kOld);
  Pass(kDeadlineMs - 1);
  Runs(0, kNew);
  Pass(1);
  EXPECT_EQ(rollout_->Count().failed, 0u);
  Confirm({0});
  EXPECT_EQ(Phase(), 1u);
}

TEST_F(RolloutTest, WhatNobodyKnowsIsNotNothing) {
  rollout_ = std::make_unique<Rollout>(Rollout::Start(Plan(), now_).value());
  rollout_->Decided("e0", 1, std::nullopt);
  ASSERT_EQ(rollout_->Abort(Revision(), "bad"), absl::OkStatus());
  EXPECT_EQ(WantedOf(0), (Rollout::Wanted{.withdraw = true})) << "it may run an older version";
  Runs(0, kOld);
  EXPECT_EQ(WantedOf(0), (Rollout::Wanted{v1::MODEL_REVERT, kOld}));
}

TEST_F(RolloutTest, WhoRanTheVersionAlreadyDoesNotMove) {
  rollout_ = std::make_unique<Rollout>(Rollout::Start(Plan(), now_).value());
  rollout_->Decided("e0", 1, kNew);
  ASSERT_EQ(rollout_->Abort(Revision(), "bad"), absl::OkStatus());
  EXPECT_EQ(WantedOf(0), Rollout::Wanted());
}

TEST_F(RolloutTest, WhoGoesBackIsCountedAfterAnAbort) {
  Confirm({0});
  Runs(1, kOld);
  ASSERT_EQ(rollout_->Abort(Revision(), "bad"), absl::OkStatus());
  Runs(0, kNew);
  Runs(1, kNew);
  EXPECT_EQ(rollout_->Count().committed, 2u) << "one moved without having said so";
  Runs(0, kOld);
  Runs(1, kOld);
  EXPECT_EQ(rollout_->Count().returned, 2u);
}

TEST_F(RolloutTest, ResumeDecidesAnewOfWhoFailed) {
  Fails(0, 100);
  Pass(0);
  ASSERT_EQ(State(), v1::MODEL_ROLLOUT_PAUSED);
  const uint64_t former = rollout_->state().members().at("e0").generation();
  ASSERT_EQ(rollout_->Resume(Revision()), absl::OkStatus());
  EXPECT_EQ(rollout_->state().members().at("e0").generation(), 0u);
  Tell();
  EXPECT_GT(rollout_->state().members().at("e0").generation(), former);
  Fails(0, former);
  EXPECT_EQ(rollout_->Count().failed, 0u) << "that was the decision before";
  Confirm({0});
  EXPECT_EQ(Phase(), 1u);
}

TEST_F(RolloutTest, AnEdgeCanBeTakenOut) {
  Confirm({0});
  Confirm({1, 2, 3});
  EXPECT_EQ(ErrorKind(rollout_->Exclude(Revision(), "other")), "unknown_edge");
  const uint64_t seen = Revision();
  ASSERT_EQ(rollout_->Exclude(seen, "e4"), absl::OkStatus());
  EXPECT_EQ(ErrorKind(rollout_->Exclude(seen, "e3")), "rollout_changed");
  EXPECT_EQ(WantedOf(4), (Rollout::Wanted{v1::MODEL_REVERT, kOld}));
  Pass(0);
  EXPECT_EQ(Phase(), 2u) << "nobody waits for it";
  EXPECT_EQ(rollout_->Count().excluded, 1u);
}

TEST_F(RolloutTest, OnlyMembersThatChangedAreStoredAgain) {
  EXPECT_EQ(rollout_->TakeChanged().size(), 10u);
  Runs(0, kNew);
  EXPECT_EQ(rollout_->TakeChanged(), (std::set<std::string>{"e0"}));
  now_ += 1;
  Runs(0, kNew);
  EXPECT_TRUE(rollout_->TakeChanged().empty()) << "it says the same again";
}

TEST_F(RolloutTest, TwoRolloutsOverlapInAModelAndAnEdge) {
  v1::ModelRolloutPlan plan = Plan();
  plan.clear_edges();
  plan.add_edges("e9");
  EXPECT_TRUE(Rollout::Start(plan, now_)->Overlaps(*rollout_));
  plan.set_model("pressure");
  EXPECT_FALSE(Rollout::Start(plan, now_)->Overlaps(*rollout_));
  plan = Plan();
  plan.clear_edges();
  plan.add_edges("other");
  EXPECT_FALSE(Rollout::Start(plan, now_)->Overlaps(*rollout_));
}

TEST_F(RolloutTest, BadPlansAreRefused) {
  const auto error = [&](const std::function<void(v1::ModelRolloutPlan&)>& change) {
    v1::ModelRolloutPlan plan = Plan();
    change(plan);
    const auto started = Rollout::Start(plan, now_);
    EXPECT_EQ(ErrorKind(started.status()), "invalid_rollout");
    return std::string(started.status().message());
  };
  EXPECT_THAT(error([](auto& p) { p.clear_edges(); }), HasSubstr("no edge"));
  EXPECT_THAT(error([](auto& p) { p.set_edges(1, "e0"); }), HasSubstr("twice"));
  EXPECT_THAT(error([](auto& p) { p.clear_phases(); }), HasSubstr("0 phases"));
  EXPECT_THAT(error([](auto& p) { p.mutable_phases(2)->set_percent(99); }), HasSubstr("100 are needed"));
  EXPECT_THAT(error([](auto& p) { p.mutable_phases(1)->set_percent(10); }), HasSubstr("rise"));
  EXPECT_THAT(error([](auto& p) { p.mutable_phases(0)->set_deadline_ms(kSoakMs); }), HasSubstr("deadline"));
  EXPECT_THAT(error([](auto& p) { p.set_manifest("x"); }), HasSubstr("no model and manifest"));
}

}  // namespace
}  // namespace selvage::model
