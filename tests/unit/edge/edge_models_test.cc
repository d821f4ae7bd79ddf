#include "edge/edge_models.h"

#include <gtest/gtest.h>

#include <climits>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/model/bundle.h"
#include "fabric/model/manifest.h"
#include "fabric/node/node_state.h"
#include "fabric/storage/memory_store.h"
#include "fabric/telemetry/log.h"
#include "tests/support/eventually.h"
#include "tests/support/seeded_random.h"
#include "tests/support/test_dir.h"
#include "tests/unit/model/model_samples.h"

namespace selvage {
namespace {

namespace fs = std::filesystem;
using model::Digest;
using model::samples::AssignmentOf;
using model::samples::KeyNo;
using model::samples::ManifestOf;
using model::samples::Signed;

const model::SigningKey& RootKey() {
  static const model::SigningKey key = KeyNo(1);
  return key;
}

v1::ModelRoot RootOf(uint64_t version, uint64_t model_key = 2, uint64_t rollout_key = 3) {
  v1::ModelRoot root;
  root.set_trust_domain("acme.example");
  root.set_version(version);
  model::samples::AddRole(*root.mutable_root(), {RootKey()}, 1);
  model::samples::AddRole(*root.mutable_model(), {KeyNo(model_key)}, 1);
  model::samples::AddRole(*root.mutable_rollout(), {KeyNo(rollout_key)}, 1);
  return root;
}
v1::ModelSigned SignedRoot(const v1::ModelRoot& root) {
  return Signed(model::kRootType, root, {RootKey()});
}
v1::ModelSigned SignedManifest(const v1::ModelManifest& manifest, uint64_t key = 2) {
  return Signed(model::kManifestType, manifest, {KeyNo(key)});
}

std::vector<std::string> ContentsOf(uint64_t version) {
  return {"weights of " + std::to_string(version), "shared by all", std::string(3'000, 'x')};
}
v1::ModelManifest VersionOf(uint64_t version) {
  return ManifestOf(version, ContentsOf(version));
}
Digest NameOf(const v1::ModelManifest& manifest) {
  return Digest::Of(manifest.SerializeAsString());
}

/// Fails after so many more writes; `applied`: the last one is done all the same.
class MortalStore : public MemoryStore {
 public:
  absl::Status Write(WriteBatch& batch, bool sync) override {
    if (left_ > 0) {
      --left_;
      return MemoryStore::Write(batch, sync);
    }
    if (applied_) {
      applied_ = false;
      EXPECT_TRUE(MemoryStore::Write(batch, sync).ok());
    }
    died_ = true;
    return absl::InternalError("the power is out");
  }
  void DieAfter(int writes, bool applied) {
    left_ = writes;
    applied_ = applied;
    died_ = false;
  }
  void Revive() { left_ = INT_MAX; }
  bool died() const { return died_; }

 private:
  int left_ = INT_MAX;
  bool applied_ = false;
  bool died_ = false;
};

class SteppedClock : public Clock {
 public:
  absl::Duration Monotonic() override { return monotonic_; }
  absl::Time Wall() override { return wall_; }
  void Advance(absl::Duration by) {
    monotonic_ += by;
    wall_ += by;
  }
  void SetWallMs(int64_t ms) { wall_ = absl::FromUnixMillis(ms); }

 private:
  absl::Duration monotonic_ = absl::Hours(1);
  absl::Time wall_ = absl::FromUnixMillis(model::samples::kNow);
};

/// A core that has whatever was put there.
class CoreOfChunks : public model::ChunkFetcher {
 public:
  void Publish(const v1::ModelManifest& manifest, const v1::ModelSigned& document,
               const std::vector<std::string>& contents) {
    documents_[NameOf(manifest)] = document.SerializeAsString();
    manifests_[NameOf(manifest)] = manifest;
    for (const std::string& content : contents) chunks_[Digest::Of(content)] = content;
  }
  void PublishVersion(uint64_t version) {
    Publish(VersionOf(version), SignedManifest(VersionOf(version)), ContentsOf(version));
  }
  void FetchManifest(const Digest& manifest, ManifestDone done) override {
    ++manifests_asked;
    const auto found = documents_.find(manifest);
    if (!up || found == documents_.end())
      return done(MakeError(absl::StatusCode::kUnavailable, Missing(), "it cannot be had"));
    done(found->second);
  }
  void FetchChunks(const Digest& manifest, std::vector<uint32_t> wanted, Take take,
                   ChunksDone done) override {
    const auto chunks = model::DistinctChunks(manifests_[manifest]);
    for (const uint32_t index : wanted) {
      if (!up || cut_after == 0) break;
      --cut_after;
      asked.push_back(index);
      const Digest digest = chunks[index].digest;
      take(index, spoil ? spoil(chunks_[digest]) : chunks_[digest], [this](const absl::Status& stored) {
        answers.push_back(stored);
        if (by_itself && answers.size() == fetched) Finish();
      });
    }
    fetched = wanted.size();
    waiting = std::move(done);
    was_cut = !up || cut_after == 0;
  }
  /// Answers the fetch that is under way, if what came is stored.
  bool Finish() {
    if (!waiting) return false;
    absl::Status result;
    for (const absl::Status& answer : answers) {
      if (!answer.ok()) result = answer;
    }
    answers.clear();
    if (was_cut && result.ok()) result = MakeError(absl::StatusCode::kUnavailable, "link_lost", "");
    std::exchange(waiting, nullptr)(result);
    return true;
  }

  bool up = true;
  bool by_itself = false;  ///< ends a fetch whose chunks are stored: where a thread works
  size_t fetched = 0;
  int cut_after = INT_MAX;
  bool was_cut = false;
  int manifests_asked = 0;
  std::vector<uint32_t> asked;
  std::vector<absl::Status> answers;
  std::function<std::string(std::string)> spoil;
  ChunksDone waiting;

 private:
  std::string_view Missing() const { return up ? "unknown_model" : "link_lost"; }

  std::map<Digest, std::string> documents_;
  std::map<Digest, v1::ModelManifest> manifests_;
  std::map<Digest, std::string> chunks_;
};

class EdgeModelsTest : public ::testing::Test {
 protected:
  EdgeModelsTest() {
    ConfigureLog({.level = LogLevel::kError});
    options_.edge = "pump-7";
    options_.folder = dir_.File("models");
    options_.root = Digest::Of(RootOf(1).SerializeAsString());
    options_.gate.timeout = absl::Seconds(20);
    roots_ = {SignedRoot(RootOf(1))};
    Reopen();
  }
  void Reopen() {
    models_.reset();
    node_.reset();
    core_.waiting = nullptr;
    core_.answers.clear();
    store_.Revive();
    NodeState::Options options;
    options.node = "pump-7";
    node_ = std::make_unique<NodeState>(options, store_, clock_, random_);
    ASSERT_EQ(node_->Open({}), absl::OkStatus());
    auto opened = EdgeModels::Open(
        {store_, node_->committer(), clock_, node_->alarms(), node_->budget(), core_}, options_);
    ASSERT_EQ(opened.status(), absl::OkStatus());
    models_ = *std::move(opened);
    models_->Take(spec_);
  }
  void Assign(const v1::ModelAssignment& assignment, uint64_t key = 3) {
    TakeDocument(Signed(model::kAssignmentType, assignment, {KeyNo(key)}));
  }
  void TakeDocument(const v1::ModelSigned& document) {
    spec_.clear_model_roots();
    for (const auto& root : roots_) *spec_.add_model_roots() = root;
    spec_.clear_model_assignments();
    *spec_.add_model_assignments() = document;
    models_->Take(spec_);
    Settle();
  }
  void Run(uint64_t version, uint64_t generation) { Assign(AssignmentOf(generation, VersionOf(version))); }
  /// Works until nothing happens any more.
  void Settle() {
    models_->Work();
    for (int i = 0; i < 10; ++i) {
      models_->Work();
      core_.Finish();
    }
    models_->Work();
  }
  v1::ModelStatus Status() const { return models_->Find("vibration").value_or(v1::ModelStatus()); }
  /// The version that programs find; 0: none. Fails for one that is not whole.
  uint64_t Current() const {
    const fs::path current = models_->CurrentPath("vibration");
    if (!fs::exists(current)) {
      EXPECT_FALSE(fs::is_symlink(current)) << "a link to nowhere";
      return 0;
    }
    const std::string weights = test::ReadFile(current / "file0");
    const std::string begin = "weights of ";
    EXPECT_TRUE(weights.starts_with(begin)) << weights;
    const uint64_t version = std::stoull(weights.substr(begin.size()));
    const auto contents = ContentsOf(version);
    for (size_t i = 0; i < contents.size(); ++i) {
      EXPECT_EQ(test::ReadFile(current / ("file" + std::to_string(i))), contents[i]);
    }
    return version;
  }
  /// Version 1 runs, and `kind` is why the newest decision does not.
  void ExpectRefused(std::string_view state, std::string_view kind) {
    EXPECT_EQ(Current(), 1U);
    EXPECT_EQ(Status().state(), state);
    EXPECT_EQ(Status().kind(), kind);
    EXPECT_NE(Status().reason(), "");
    EXPECT_EQ(Status().committed_version(), 1U);
    EXPECT_TRUE(node_->alarms().IsOpen(std::string("model_") + std::string(state), "vibration"));
  }
  void InstallFirst() {
    core_.PublishVersion(1);
    Run(1, 1);
    ASSERT_EQ(Current(), 1U);
    ASSERT_EQ(Status().state(), "committed");
  }

  test::TestDir dir_;
  test::SeededRandom random_{7};
  SteppedClock clock_;
  MortalStore store_;
  CoreOfChunks core_;
  EdgeModels::Options options_;
  std::vector<v1::ModelSigned> roots_;
  v1::EdgeSpec spec_;
  std::unique_ptr<NodeState> node_;
  std::unique_ptr<EdgeModels> models_;
};

TEST_F(EdgeModelsTest, AVersionIsFetchedAndCommitted) {
  InstallFirst();
  EXPECT_EQ(Status().version(), 1U);
  EXPECT_EQ(models_->root_version(), 1U);
  Reopen();
  Settle();
  EXPECT_EQ(Current(), 1U);
  EXPECT_EQ(Status().state(), "committed");
}

TEST_F(EdgeModelsTest, WhoRollsOutHearsThatAVersionStillRuns) {
  InstallFirst();
  const uint64_t at_first = models_->changes();
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(models_->changes(), at_first);
  std::set<uint64_t> heard;
  for (int second = 1; second <= 60; ++second) {
    clock_.Advance(absl::Seconds(1));
    heard.insert(models_->changes());
  }
  EXPECT_EQ(heard.size(), 5U) << "at 2, 4, 8, 16 and 32 seconds";
  clock_.Advance(absl::Hours(1));
  const uint64_t at_last = models_->changes();
  clock_.Advance(absl::Hours(100));
  EXPECT_EQ(models_->changes(), at_last);
}

TEST_F(EdgeModelsTest, WhatIsHereIsNotAskedForAgain) {
  InstallFirst();
  core_.asked.clear();
  core_.PublishVersion(2);
  Run(2, 2);
  EXPECT_EQ(Current(), 2U);
  EXPECT_EQ(core_.asked, std::vector<uint32_t>{0});
}

TEST_F(EdgeModelsTest, ACutDownloadGoesOnWithWhatLacks) {
  core_.PublishVersion(1);
  core_.cut_after = 1;
  Run(1, 1);
  EXPECT_EQ(Status().state(), "downloading");
  EXPECT_GT(Status().bytes(), 0U);
  EXPECT_EQ(Current(), 0U);
  Reopen();
  core_.cut_after = INT_MAX;
  Settle();
  EXPECT_EQ(Current(), 1U);
  EXPECT_EQ(core_.asked, (std::vector<uint32_t>{0, 1, 2}));
}

TEST_F(EdgeModelsTest, WithoutAPinnedRootModelsAreRefused) {
  options_.root.reset();
  Reopen();
  core_.PublishVersion(1);
  Run(1, 1);
  EXPECT_EQ(Status().state(), "refused");
  EXPECT_EQ(Status().kind(), "no_root_pinned");
  EXPECT_EQ(Current(), 0U);
  EXPECT_EQ(models_->Import(dir_.File("none")).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(EdgeModelsTest, AnotherPinBeginsAnew) {
  InstallFirst();
  options_.root = Digest::Of("another");
  Reopen();
  core_.PublishVersion(2);
  Run(2, 2);
  ExpectRefused("refused", "no_root_yet");
}

TEST_F(EdgeModelsTest, AModelThatNobodySignedFails) {
  InstallFirst();
  core_.Publish(VersionOf(2), SignedManifest(VersionOf(2), 9), ContentsOf(2));
  Run(2, 2);
  ExpectRefused("failed", "not_signed");
  EXPECT_TRUE(core_.asked.size() == 3) << "nothing of it is fetched";
}

TEST_F(EdgeModelsTest, AnAssignmentOfAnUnknownKeyIsRefused) {
  InstallFirst();
  core_.PublishVersion(2);
  Assign(AssignmentOf(2, VersionOf(2)), 9);
  ExpectRefused("refused", "not_signed");
}

TEST_F(EdgeModelsTest, AnAssignmentForAnotherEdgeIsRefused) {
  InstallFirst();
  v1::ModelAssignment other = AssignmentOf(2, VersionOf(2));
  other.set_edge("pump-8");
  Assign(other);
  ExpectRefused("refused", "other_edge");
  other.set_edge("pump-7");
  other.set_trust_domain("other.example");
  Assign(other);
  ExpectRefused("refused", "other_trust_domain");
}

TEST_F(EdgeModelsTest, ARollbackIsRefused) {
  core_.PublishVersion(2);
  Run(2, 1);
  core_.PublishVersion(1);
  Run(1, 2);
  EXPECT_EQ(Status().kind(), "version_below_floor");
  EXPECT_EQ(Status().state(), "failed");
  EXPECT_EQ(Current(), 2U);
}

TEST_F(EdgeModelsTest, ARestoredCoreWithLowerGenerationsIsRefused) {
  InstallFirst();
  core_.PublishVersion(2);
  Run(1, 5);
  Run(2, 4);
  ExpectRefused("refused", "old_generation");
  Run(2, 5);
  ExpectRefused("refused", "generation_reused");
}

TEST_F(EdgeModelsTest, FrozenOrExpiredWhatRunsGoesOn) {
  InstallFirst();
  clock_.SetWallMs(3'000'000);
  models_->Take(spec_);
  Settle();
  EXPECT_EQ(Current(), 1U);
  EXPECT_EQ(Status().state(), "expired");
  EXPECT_TRUE(node_->alarms().IsOpen("model_expired", "vibration"));
  core_.PublishVersion(2);
  Run(2, 2);
  ExpectRefused("refused", "assignment_expired");
  // A clock that is set back does not make it good: a newer time was signed.
  v1::ModelAssignment newest = AssignmentOf(2, VersionOf(1));
  newest.set_issued_ms(3'500'000);
  newest.set_expires_ms(4'000'000);
  Assign(newest);
  clock_.SetWallMs(model::samples::kNow);
  Run(2, 3);
  ExpectRefused("refused", "assignment_expired");
}

TEST_F(EdgeModelsTest, AChunkThatDoesNotMatchIsNotTaken) {
  InstallFirst();
  core_.PublishVersion(2);
  core_.spoil = [](std::string data) { return std::string(data.size(), '?'); };
  Run(2, 2);
  ExpectRefused("held", "corrupt_chunk");
  core_.spoil = [](std::string data) { return data + std::string(1'000'000, '?'); };
  clock_.Advance(absl::Minutes(1));
  Settle();
  ExpectRefused("held", "corrupt_chunk");
  core_.spoil = nullptr;
  clock_.Advance(absl::Minutes(1));
  Settle();
  EXPECT_EQ(Current(), 2U);
  EXPECT_FALSE(node_->alarms().IsOpen("model_held", "vibration"));
}

TEST_F(EdgeModelsTest, FilesThatAreMixedFail) {
  InstallFirst();
  v1::ModelManifest mixed = VersionOf(2);
  mixed.mutable_files(0)->set_sha256(Digest::Of("other").bytes());
  core_.Publish(mixed, SignedManifest(mixed), ContentsOf(2));
  Assign(AssignmentOf(2, mixed));
  ExpectRefused("failed", "corrupt_model");
}

TEST_F(EdgeModelsTest, APathThatLeavesTheFolderFails) {
  InstallFirst();
  v1::ModelManifest leaves = VersionOf(2);
  leaves.mutable_files(0)->set_path("../../file0");
  core_.Publish(leaves, SignedManifest(leaves), ContentsOf(2));
  Assign(AssignmentOf(2, leaves));
  ExpectRefused("failed", "invalid_manifest");
}

TEST_F(EdgeModelsTest, AManifestOfAnotherModelFails) {
  InstallFirst();
  v1::ModelManifest other = VersionOf(2);
  other.set_model("pressure");
  core_.Publish(other, SignedManifest(other), ContentsOf(2));
  Assign(AssignmentOf(2, other));
  ExpectRefused("failed", "other_model");
}

TEST_F(EdgeModelsTest, AModelThatDoesNotExistIsHeld) {
  InstallFirst();
  Run(7, 2);
  ExpectRefused("held", "unknown_model");
}

TEST_F(EdgeModelsTest, WithoutRoomNothingIsFetched) {
  InstallFirst();
  options_.quota = 5'000;
  Reopen();
  core_.PublishVersion(2);
  Run(2, 2);
  ExpectRefused("held", "quota_exceeded");
  EXPECT_EQ(core_.asked.size(), 3U);
}

TEST_F(EdgeModelsTest, AReplacedRolloutKeyDecidesNothingMore) {
  InstallFirst();
  core_.PublishVersion(2);
  core_.up = false;
  Run(2, 2);
  EXPECT_EQ(Status().state(), "downloading");
  roots_.push_back(SignedRoot(RootOf(2, 2, 4)));
  core_.up = true;
  Run(2, 2);  // as the thief signed it
  ExpectRefused("refused", "not_signed");
  EXPECT_EQ(models_->root_version(), 2U);
  EXPECT_EQ(Status().manifest(), "") << "what it had decided ends with it";
  Assign(AssignmentOf(1, VersionOf(2)), 4);
  EXPECT_EQ(Current(), 2U) << "what the stolen key had raised is reset";
}

TEST_F(EdgeModelsTest, AFailedGateBringsTheLastGoodVersionBackOffline) {
  InstallFirst();
  options_.gate.command = "echo it does not fit >&2; exit 3";
  Reopen();
  core_.PublishVersion(2);
  Run(2, 2);
  ExpectRefused("failed", "command_failed");
  EXPECT_NE(Status().reason().find("it does not fit"), std::string::npos) << Status().reason();
  // Not again under that generation, also not after a start.
  options_.gate.command = "";
  Reopen();
  Settle();
  EXPECT_EQ(Current(), 1U);
  Run(2, 3);
  EXPECT_EQ(Current(), 2U);
}

TEST_F(EdgeModelsTest, AGateThatHangsIsEnded) {
  InstallFirst();
  options_.gate.command = "sleep 600 & wait";
  options_.gate.timeout = absl::Milliseconds(300);
  Reopen();
  core_.PublishVersion(2);
  Run(2, 2);
  ExpectRefused("failed", "command_timeout");
}

TEST_F(EdgeModelsTest, TheGateFindsTheVersionThatIsInTrial) {
  options_.gate.command = "grep -q \"weights of $SELVAGE_MODEL_VERSION\" $SELVAGE_MODEL_PATH/file0";
  Reopen();
  InstallFirst();
}

TEST_F(EdgeModelsTest, AFailedFirstInstallLeavesNoCurrent) {
  options_.gate.command = "false";
  Reopen();
  core_.PublishVersion(1);
  Run(1, 1);
  EXPECT_EQ(Current(), 0U);
  EXPECT_EQ(Status().state(), "failed");
}

TEST_F(EdgeModelsTest, TheHookIsToldAndItsFailureChangesNothing) {
  options_.gate.hook = "echo $SELVAGE_MODEL_VERSION >> " + dir_.File("told") + "; /no/such/program";
  Reopen();
  InstallFirst();
  EXPECT_EQ(test::ReadFile(dir_.File("told")), "1\n");
  EXPECT_TRUE(node_->alarms().IsOpen("model_hook_failed", "vibration"));
  options_.gate.hook = "sleep 600";
  options_.gate.timeout = absl::Milliseconds(300);
  Reopen();
  core_.PublishVersion(2);
  Run(2, 2);
  EXPECT_EQ(Current(), 2U);
  EXPECT_EQ(Status().state(), "committed");
}

TEST_F(EdgeModelsTest, ARevertGoesToAVersionThatRanHereAndRemoveTakesItAway) {
  InstallFirst();
  core_.PublishVersion(2);
  Run(2, 2);
  ASSERT_EQ(Current(), 2U);
  core_.up = false;
  Assign(AssignmentOf(3, VersionOf(1), v1::MODEL_REVERT));
  EXPECT_EQ(Current(), 1U);
  EXPECT_EQ(Status().state(), "committed");
  Assign(AssignmentOf(4, VersionOf(9), v1::MODEL_REVERT));
  ExpectRefused("failed", "not_committed_here");
  Assign(AssignmentOf(5, VersionOf(1), v1::MODEL_REMOVE));
  EXPECT_EQ(Current(), 0U);
  EXPECT_EQ(Status().state(), "removed");
  EXPECT_EQ(models_->bytes(), 0U) << "nothing keeps its chunks";
}

TEST_F(EdgeModelsTest, AnImportNeedsNoLink) {
  core_.up = false;
  Run(1, 1);
  EXPECT_EQ(Status().state(), "downloading");
  const fs::path folder = dir_.File("source");
  fs::create_directories(folder);
  for (size_t i = 0; i < ContentsOf(1).size(); ++i) {
    std::ofstream(folder / ("file" + std::to_string(i))) << ContentsOf(1)[i];
  }
  ASSERT_EQ(model::WriteBundle(dir_.File("bundle"), SignedManifest(VersionOf(1)), VersionOf(1), folder),
            absl::OkStatus());
  ASSERT_EQ(models_->Import(dir_.File("bundle")).status(), absl::OkStatus());
  Settle();
  EXPECT_EQ(Current(), 1U);
  EXPECT_TRUE(core_.asked.empty());
  ASSERT_EQ(model::WriteBundle(dir_.File("foreign"), SignedManifest(VersionOf(1), 9), VersionOf(1), folder),
            absl::OkStatus());
  EXPECT_EQ(ErrorKind(models_->Import(dir_.File("foreign")).status()), "not_signed");
}

/// Whatever write is the last, and whether it is done or not: programs find one whole version or the one
/// before it, and the next start ends it.
TEST_F(EdgeModelsTest, ACrashAtAnyWriteIsFinishedOrUndone) {
  InstallFirst();
  uint64_t version = 1;
  for (const bool applied : {false, true}) {
    for (int writes = 0;; ++writes) {
      ASSERT_LT(writes, 50);
      core_.PublishVersion(++version);
      store_.DieAfter(writes, applied);
      Run(version, version);
      const bool died = store_.died();
      const uint64_t found = Current();
      EXPECT_TRUE(found == version || found == version - 1) << found;
      Reopen();
      const uint64_t opened = Current();
      EXPECT_TRUE(opened == version || opened == version - 1) << opened;
      models_->Take(spec_);
      Settle();
      EXPECT_EQ(Current(), version) << "after write " << writes;
      EXPECT_EQ(Status().state(), "committed");
      if (!died) break;
    }
  }
}

TEST_F(EdgeModelsTest, ATrialThatKeepsCrashingFails) {
  InstallFirst();
  core_.PublishVersion(2);
  options_.gate.command = "sleep 600";
  Reopen();
  core_.by_itself = true;
  // The edge goes down while the gate is asked.
  for (uint32_t start = 0; start < model::EdgeModel::kStartsMax; ++start) {
    models_->Start();
    if (start == 0) {
      spec_.clear_model_assignments();
      *spec_.add_model_assignments() =
          Signed(model::kAssignmentType, AssignmentOf(2, VersionOf(2)), {KeyNo(3)});
      models_->Take(spec_);
    }
    EXPECT_TRUE(test::Eventually(absl::Seconds(20), [&] { return Status().state() == "trial"; }));
    EXPECT_EQ(Current(), 2U);
    Reopen();
  }
  Settle();
  ExpectRefused("failed", "trial_crashed");
}

}  // namespace
}  // namespace selvage
