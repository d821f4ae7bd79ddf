#include "core/model_rollouts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/core_document.h"
#include "core/fleet.h"
#include "fabric/base/check.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "fabric/base/random.h"
#include "fabric/model/edge_model.h"
#include "fabric/model/model_trust.h"
#include "fabric/node/node_state.h"
#include "fabric/storage/memory_store.h"
#include "tests/support/admit.h"
#include "tests/support/test_dir.h"
#include "tests/unit/model/model_samples.h"

namespace selvage {
namespace {

using model::Digest;
using model::EdgeModel;
using model::ModelTrust;
using model::samples::DigestOfVersion;
using ::testing::HasSubstr;

constexpr char kModel[] = "vibration";

class SetClock : public Clock {
 public:
  absl::Duration Monotonic() override { return now_ - absl::UnixEpoch(); }
  absl::Time Wall() override { return now_; }
  void Pass(absl::Duration time) { now_ += time; }

 private:
  absl::Time now_ = absl::FromUnixSeconds(1'800'000'000);
};

v1::ModelSigned RootOf(const model::SigningKey& rollout_key) {
  v1::ModelRoot root;
  root.set_trust_domain("acme.example");
  root.set_version(1);
  model::samples::AddRole(*root.mutable_root(), {model::samples::KeyNo(1)}, 1);
  model::samples::AddRole(*root.mutable_model(), {model::samples::KeyNo(2)}, 1);
  model::samples::AddRole(*root.mutable_rollout(), {rollout_key}, 1);
  return model::samples::Signed(model::kRootType, root, {model::samples::KeyNo(1)});
}

/// An edge that does what it is told, as far as it believes it.
class PlayedEdge {
 public:
  PlayedEdge(std::string name, const v1::ModelSigned& root)
      : name_(std::move(name)), trust_(ModelTrust::Pin(root, Digest::Of(root.payload())).value()) {}

  /// Versions that fail their gate here.
  std::set<Digest> bad = {};
  bool online = true;

  void Take(const v1::EdgeSpec& spec, int64_t now_ms) {
    for (const v1::ModelSigned& document : spec.model_assignments()) {
      const auto assignment = trust_.CheckAssignment(document, name_, now_ms);
      if (!assignment.ok()) {
        refused_ = ErrorKind(assignment.status());
        continue;
      }
      refused_.clear();
      trust_.Raise(*assignment);
      model_.Assign(assignment->message, now_ms);
    }
  }
  void Step(int64_t now_ms) {
    const EdgeModel::Next next = model_.NextStep(now_ms);
    if (next.step == EdgeModel::Step::kFetch) model_.Begin(next.manifest, 1, now_ms);
    if (next.step == EdgeModel::Step::kBack) model_.Cancel(next.manifest);
    if (next.step == EdgeModel::Step::kRemove) model_.Remove(model_.state().assignment().generation());
    if (next.step != EdgeModel::Step::kGate) return;
    if (bad.contains(next.manifest)) {
      model_.Fail(next.manifest, "gate_failed", "exit code 1", now_ms);
    } else {
      model_.Commit(next.manifest, now_ms);
    }
  }
  v1::EdgeStatus Status() const {
    v1::EdgeStatus status;
    const v1::StoredEdgeModel& state = model_.state();
    if (!state.has_assignment() && refused_.empty()) return status;
    v1::ModelStatus& one = *status.add_models();
    one.set_model(kModel);
    one.set_generation(state.assignment().generation());
    one.set_committed(state.committed().manifest());
    one.set_failed(state.failure().version().manifest());
    one.set_failed_generation(state.failure().generation());
    one.set_kind(refused_.empty() ? state.failure().kind() : refused_);
    one.set_reason(state.failure().reason());
    return status;
  }
  /// The version that runs; 0: none.
  uint64_t Runs() const {
    for (const uint64_t version : {1, 2, 3}) {
      if (model_.Current() == DigestOfVersion(version)) return version;
    }
    return 0;
  }
  const EdgeModel& model() const { return model_; }

 private:
  const std::string name_;
  ModelTrust trust_;
  EdgeModel model_;
  std::string refused_;
};

class ModelRolloutsTest : public ::testing::Test {
 protected:
  ModelRolloutsTest() { OpenCore(); }

  /// The core starts; it has what is stored.
  void OpenCore() {
    fleet_.reset();
    node_.reset();
    NodeState::Options options;
    options.node = "core";
    options.is_edge = false;
    node_ = std::make_unique<NodeState>(options, *store_, clock_, SystemRandom());
    SELVAGE_CHECK(node_->Open({}).ok());
    fleet_ = std::make_unique<Fleet>(*node_, "test");
    SELVAGE_CHECK(fleet_->Open({}).ok());
    UseKey(key_);
    fleet_->rollouts.SetFindManifest(
        [](const std::string& model, uint64_t version) -> absl::StatusOr<Digest> {
          if (model == kModel && version < 10) return DigestOfVersion(version);
          return MakeError(absl::StatusCode::kNotFound, "unknown_model", "there is no such model");
        });
  }
  void UseKey(const model::SigningKey& key) {
    fleet_->assignments.SetSigner({key, [] { return std::string("acme.example"); }});
  }
  ModelRollouts& rollouts() { return fleet_->rollouts; }
  void AddEdges(int count) {
    for (int i = 0; i < count; ++i) {
      const std::string name = "e" + std::to_string(edges_.size());
      edges_.emplace(name, PlayedEdge(name, RootOf(key_)));
      AddToCore(name);
    }
  }
  void AddToCore(const std::string& name) {
    CoreDocument::Change change(fleet_->core);
    v1::StoredEdge edge;
    edge.set_edge(name);
    SELVAGE_CHECK(fleet_->edges.Store(change, edge).ok());
  }
  /// Edges hear the core, do what they are told, and say so.
  void Exchange() {
    for (auto& [name, edge] : edges_) {
      if (edge.online) edge.Take(fleet_->specs.For(name), WallMs(clock_));
      for (int i = 0; i < 3; ++i) edge.Step(WallMs(clock_));
      if (edge.online) test::Report(*fleet_, name, edge.Status());
    }
  }
  /// The core drives every half minute, edges report every ten.
  void Pass(absl::Duration time) {
    for (absl::Duration at; at < time; at += absl::Seconds(30)) {
      if (at % absl::Minutes(10) == absl::ZeroDuration()) Exchange();
      clock_.Pass(absl::Seconds(30));
      ASSERT_EQ(rollouts().Drive(), absl::OkStatus());
    }
    Exchange();
  }
  static v1::StartRolloutRequest Request(uint64_t version,
                                         const std::vector<uint32_t>& percents = {5, 25, 100}) {
    v1::StartRolloutRequest request;
    request.set_model(kModel);
    request.set_version(version);
    request.mutable_edges()->set_all(true);
    for (const uint32_t percent : percents) {
      auto& phase = *request.add_phases();
      phase.set_percent(percent);
      phase.set_soak_ms(absl::ToInt64Milliseconds(absl::Minutes(20)));
      phase.set_deadline_ms(absl::ToInt64Milliseconds(absl::Hours(1)));
    }
    request.set_failures_max(5);
    request.set_unreached_max(20);
    return request;
  }
  v1::ModelRollout Start(const v1::StartRolloutRequest& request) {
    auto started = rollouts().Start(request);
    EXPECT_TRUE(started.ok()) << started.status();
    return started.ok() ? *started : v1::ModelRollout();
  }
  v1::ModelRollout Get(uint64_t id) { return rollouts().Get(id).value(); }
  absl::StatusOr<v1::ModelRollout> Change(uint64_t id, v1::ModelRolloutChange change,
                                          const std::string& edge = "") {
    v1::ChangeRolloutRequest request;
    request.set_id(id);
    request.set_revision(Get(id).revision());
    request.set_change(change);
    request.set_edge(edge);
    return rollouts().Change(request);
  }
  std::map<uint64_t, int> Running() const {
    std::map<uint64_t, int> running;
    for (const auto& [name, edge] : edges_) ++running[edge.Runs()];
    return running;
  }
  void Everybody(uint64_t version) {
    v1::StartRolloutRequest request = Request(version, {100});
    const uint64_t id = Start(request).id();
    Pass(absl::Hours(1));
    ASSERT_EQ(Get(id).state(), v1::MODEL_ROLLOUT_COMPLETED);
  }
  std::vector<std::string> OpenAlarms() const {
    std::vector<std::string> kinds;
    for (const v1::AlarmDocument& alarm : node_->alarms().All(false)) kinds.push_back(alarm.kind());
    return kinds;
  }

  const model::SigningKey key_ = model::samples::KeyNo(3);
  SetClock clock_;
  std::unique_ptr<MemoryStore> store_ = std::make_unique<MemoryStore>();
  std::unique_ptr<NodeState> node_;
  std::unique_ptr<Fleet> fleet_;
  std::map<std::string, PlayedEdge> edges_;
};

TEST_F(ModelRolloutsTest, TwoHundredEdgesOfWhichSomeAreAwayForAWeekAndSomeFail) {
  AddEdges(200);
  Everybody(1);
  for (int i = 0; i < 3; ++i) edges_.at("e" + std::to_string(i * 7)).bad = {DigestOfVersion(2)};
  const uint64_t id = Start(Request(2)).id();
  Pass(absl::Minutes(40));
  EXPECT_EQ(Get(id).phase(), 1u);
  std::vector<PlayedEdge*> away;
  const v1::ModelRollout shown = Get(id);
  for (const v1::ModelRolloutEdge& member : shown.edges()) {
    if (member.phase() == 2 && away.size() < 15) away.push_back(&edges_.at(member.edge()));
  }
  for (PlayedEdge* edge : away) edge->online = false;
  Pass(absl::Hours(4));
  const v1::ModelRollout completed = Get(id);
  EXPECT_EQ(completed.state(), v1::MODEL_ROLLOUT_COMPLETED) << completed.reason();
  EXPECT_EQ(completed.unreached(), 15u) << "no success, and no failure";
  EXPECT_EQ(completed.failed() + completed.committed(), 185u);
  for (const PlayedEdge* edge : away) EXPECT_EQ(edge->Runs(), 1u);
  clock_.Pass(absl::Hours(7 * 24));
  for (PlayedEdge* edge : away) edge->online = true;
  Pass(absl::Hours(1));
  EXPECT_EQ(Get(id).unreached(), 0u) << "they take the outcome";
  EXPECT_EQ(Running(), (std::map<uint64_t, int>{{1, 3}, {2, 197}}));
}

TEST_F(ModelRolloutsTest, TwoHundredEdgesStopAtTheThresholdAndGoBack) {
  AddEdges(200);
  Everybody(1);
  // Of the second phase more fail than may, and the third never begins.
  const uint64_t id = Start(Request(2)).id();
  std::vector<std::string> second;
  std::set<std::string> third;
  const v1::ModelRollout shown = Get(id);
  for (const v1::ModelRolloutEdge& member : shown.edges()) {
    if (member.phase() == 1) second.push_back(member.edge());
    if (member.phase() == 2) third.insert(member.edge());
  }
  ASSERT_EQ(second.size(), 40u);
  Pass(absl::Minutes(20));
  for (int i = 0; i < 10; ++i) edges_.at(second[static_cast<size_t>(i)]).bad = {DigestOfVersion(2)};
  // This one is told, moves, and is away before it could say so.
  PlayedEdge& moved = edges_.at(second.back());
  while (Get(id).phase() == 0) {
    clock_.Pass(absl::Seconds(30));
    ASSERT_EQ(rollouts().Drive(), absl::OkStatus());
    Exchange();
  }
  moved.Take(fleet_->specs.For(second.back()), WallMs(clock_));
  for (int i = 0; i < 3; ++i) moved.Step(WallMs(clock_));
  moved.online = false;
  EXPECT_EQ(moved.Runs(), 2u);
  Pass(absl::Hours(1));
  EXPECT_EQ(Get(id).state(), v1::MODEL_ROLLOUT_ABORTED);
  EXPECT_THAT(Get(id).reason(), HasSubstr("and 5 may"));
  EXPECT_THAT(OpenAlarms(), testing::Contains("model_rollout_aborted"));
  for (const std::string& edge : third) {
    EXPECT_EQ(edges_.at(edge).model().state().assignment().manifest(), DigestOfVersion(1).bytes())
        << "it was never told of the version";
  }
  EXPECT_EQ(Running(), (std::map<uint64_t, int>{{1, 199}, {2, 1}}));
  clock_.Pass(absl::Hours(7 * 24));
  moved.online = true;
  Pass(absl::Minutes(20));
  EXPECT_EQ(Running(), (std::map<uint64_t, int>{{1, 200}})) << "the last one goes back when it is here again";
  EXPECT_EQ(Get(id).committed(), 0u);
}

TEST_F(ModelRolloutsTest, ACoreThatStartsAgainGoesOnWithItsRollouts) {
  AddEdges(10);
  Everybody(1);
  const uint64_t id = Start(Request(2, {50, 100})).id();
  Pass(absl::Minutes(10));
  const v1::ModelRollout before = Get(id);
  clock_.Pass(absl::Hours(24));
  OpenCore();
  EXPECT_EQ(Get(id).SerializeAsString(), before.SerializeAsString());
  ASSERT_EQ(rollouts().Drive(), absl::OkStatus());
  EXPECT_EQ(Get(id).failed(), 0u) << "the core was down, and no edge silent";
  Pass(absl::Hours(2));
  EXPECT_EQ(Get(id).state(), v1::MODEL_ROLLOUT_COMPLETED);
  EXPECT_EQ(Running(), (std::map<uint64_t, int>{{2, 10}}));
}

TEST_F(ModelRolloutsTest, OneRolloutOfAnEdgeAndModelAtATime) {
  AddEdges(4);
  const uint64_t id = Start(Request(1)).id();
  EXPECT_EQ(ErrorKind(rollouts().Start(Request(2)).status()), "rollout_active");
  ASSERT_TRUE(Change(id, v1::MODEL_ROLLOUT_ABORT).ok());
  EXPECT_TRUE(rollouts().Start(Request(2)).ok());
}

TEST_F(ModelRolloutsTest, TwoOperatorsDoNotMix) {
  AddEdges(2);
  v1::ChangeRolloutRequest request;
  request.set_id(Start(Request(1)).id());
  request.set_revision(1);
  request.set_change(v1::MODEL_ROLLOUT_PAUSE);
  ASSERT_TRUE(rollouts().Change(request).ok());
  EXPECT_EQ(ErrorKind(rollouts().Change(request).status()), "rollout_changed");
  request.set_id(99);
  EXPECT_EQ(ErrorKind(rollouts().Change(request).status()), "unknown_rollout");
}

TEST_F(ModelRolloutsTest, EdgesCanBeHeldOut) {
  AddEdges(3);
  v1::SetEdgeRequest hold;
  hold.set_edge("e1");
  hold.set_hold_models(true);
  ASSERT_EQ(fleet_->specs.SetEdge(hold), absl::OkStatus());
  v1::StartRolloutRequest named = Request(1);
  named.mutable_edges()->set_all(false);
  named.mutable_edges()->add_edges("e1");
  EXPECT_EQ(ErrorKind(rollouts().Start(named).status()), "models_held");
  const uint64_t id = Start(Request(1, {100})).id();
  EXPECT_EQ(Get(id).edges_size(), 2);
  Pass(absl::Hours(1));
  EXPECT_EQ(Running(), (std::map<uint64_t, int>{{0, 1}, {1, 2}}));
}

TEST_F(ModelRolloutsTest, OneThatIsHeldOutWhileItRunsIsTakenInLater) {
  AddEdges(2);
  v1::SetEdgeRequest hold;
  hold.set_edge("e1");
  hold.set_hold_models(true);
  v1::StartRolloutRequest request = Request(1, {50, 100});
  request.mutable_edges()->set_all(false);
  request.mutable_edges()->add_edges("e0");
  request.mutable_edges()->add_edges("e1");
  const uint64_t id = Start(request).id();
  ASSERT_EQ(fleet_->specs.SetEdge(hold), absl::OkStatus());
  Pass(absl::Hours(1));
  EXPECT_EQ(Get(id).phase(), 1u);
  EXPECT_EQ(Running(), (std::map<uint64_t, int>{{0, 1}, {1, 1}}));
  hold.set_hold_models(false);
  ASSERT_EQ(fleet_->specs.SetEdge(hold), absl::OkStatus());
  Pass(absl::Hours(1));
  EXPECT_EQ(Running(), (std::map<uint64_t, int>{{1, 2}}));
}

TEST_F(ModelRolloutsTest, WhatEdgesRunOrMayGoBackToIsNeeded) {
  AddEdges(3);
  EXPECT_EQ(rollouts().NeededBy(DigestOfVersion(1)), "");
  Everybody(1);
  EXPECT_EQ(rollouts().NeededBy(DigestOfVersion(1)), "3 edges are to run it");
  Start(Request(2, {50, 100}));
  EXPECT_NE(rollouts().NeededBy(DigestOfVersion(1)), "");
  EXPECT_NE(rollouts().NeededBy(DigestOfVersion(2)), "");
  Pass(absl::Hours(5));
  EXPECT_EQ(Running(), (std::map<uint64_t, int>{{2, 3}}));
  EXPECT_EQ(rollouts().NeededBy(DigestOfVersion(1)), "") << "it is through";
  EXPECT_EQ(rollouts().NeededBy(DigestOfVersion(2)), "3 edges are to run it");
}

TEST_F(ModelRolloutsTest, AModelIsTakenAway) {
  AddEdges(3);
  Everybody(1);
  v1::RemoveModelRequest request;
  request.set_model(kModel);
  request.mutable_edges()->add_edges("e2");
  EXPECT_EQ(rollouts().Remove(request).value(), 1u);
  Pass(absl::Minutes(1));
  EXPECT_EQ(Running(), (std::map<uint64_t, int>{{0, 1}, {1, 2}})) << "and the rollout does not bring it back";
  OpenCore();
  Pass(absl::Minutes(1));
  EXPECT_EQ(Running(), (std::map<uint64_t, int>{{0, 1}, {1, 2}})) << "nor after a restart of the core";
  Everybody(2);
  OpenCore();
  Pass(absl::Minutes(1));
  EXPECT_EQ(Running(), (std::map<uint64_t, int>{{2, 3}})) << "a later one does";
}

TEST_F(ModelRolloutsTest, AssignmentsAreSignedAnewAtHalfTheirLifeUnderTheirGeneration) {
  AddEdges(1);
  Everybody(1);
  const auto first = fleet_->assignments.Find("e0", kModel).value();
  const uint64_t generation = fleet_->specs.Generation("e0");
  clock_.Pass(ModelAssignments::kLife / 2 - absl::Hours(3));
  ASSERT_EQ(rollouts().Drive(), absl::OkStatus());
  EXPECT_EQ(fleet_->specs.Generation("e0"), generation);
  clock_.Pass(absl::Hours(3));
  ASSERT_EQ(rollouts().Drive(), absl::OkStatus());
  const auto second = fleet_->assignments.Find("e0", kModel).value();
  EXPECT_GT(second.decision().expires_ms(), first.decision().expires_ms());
  EXPECT_EQ(second.decision().generation(), first.decision().generation());
  EXPECT_GT(fleet_->specs.Generation("e0"), generation) << "the edge gets it";
}

TEST_F(ModelRolloutsTest, ANewKeySignsAllAnew) {
  AddEdges(2);
  Everybody(1);
  const model::SigningKey other = model::samples::KeyNo(4);
  UseKey(other);
  ASSERT_EQ(rollouts().Drive(), absl::OkStatus());
  for (const auto& [name, edge] : edges_) {
    const v1::EdgeSpec spec = fleet_->specs.For(name);
    ASSERT_EQ(spec.model_assignments_size(), 1);
    EXPECT_EQ(spec.model_assignments(0).signatures(0).key_id(), other.id().bytes());
  }
}

TEST_F(ModelRolloutsTest, ACoreThatLostItsDecisionsDecidesAboveWhatEdgesHaveTaken) {
  AddEdges(2);
  Everybody(1);
  Everybody(2);
  fleet_.reset();
  node_.reset();
  store_ = std::make_unique<MemoryStore>();
  OpenCore();
  for (const auto& [name, edge] : edges_) AddToCore(name);
  const uint64_t id = Start(Request(3, {100})).id();
  EXPECT_EQ(fleet_->assignments.Find("e0", kModel)->decision().generation(), 1u) << "the edge has taken 2";
  Pass(absl::Hours(1));
  EXPECT_EQ(Get(id).state(), v1::MODEL_ROLLOUT_COMPLETED);
  EXPECT_EQ(Running(), (std::map<uint64_t, int>{{3, 2}}));
}

TEST_F(ModelRolloutsTest, WithoutAKeyNothingIsDecided) {
  AddEdges(1);
  ModelAssignments keyless({node_->store(), node_->committer(), clock_, fleet_->core, fleet_->edges});
  ModelRollouts without(
      {node_->store(), clock_, node_->alarms(), keyless, fleet_->edges, fleet_->reports, fleet_->specs});
  EXPECT_EQ(ErrorKind(without.Start(Request(1)).status()), "no_rollout_key");
  v1::StartRolloutRequest unknown = Request(1);
  unknown.set_model("other");
  EXPECT_EQ(ErrorKind(rollouts().Start(unknown).status()), "unknown_model");
}

TEST(RolloutKeyFile, IsItsOwnersAlone) {
  const test::TestDir folder;
  const std::string path = folder.File("rollout.pem");
  EXPECT_EQ(ErrorKind(ModelAssignments::ReadKey(path).status()), "certificate_missing");
  std::ofstream(path) << model::samples::KeyNo(3).Pem();
  ASSERT_EQ(chmod(path.c_str(), 0640), 0);
  EXPECT_EQ(ErrorKind(ModelAssignments::ReadKey(path).status()), "key_readable_by_others");
  ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  EXPECT_EQ(ModelAssignments::ReadKey(path)->id(), model::samples::KeyNo(3).id());
  std::ofstream(path) << "nothing";
  EXPECT_EQ(ErrorKind(ModelAssignments::ReadKey(path).status()), "invalid_key");
}

}  // namespace
}  // namespace selvage
