#include "fabric/model/model_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/storage/memory_store.h"
#include "tests/contract/log/log_node.h"
#include "tests/support/test_dir.h"
#include "tests/unit/model/model_samples.h"

namespace selvage::model {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kPlenty = uint64_t{1} << 40;

/// Root key 1, model keys 2 and 3, rollout key 4.
v1::ModelRoot RootOf(uint64_t version,
                     const std::vector<SigningKey>& model_keys = {samples::KeyNo(2), samples::KeyNo(3)}) {
  v1::ModelRoot root;
  root.set_trust_domain("acme.example");
  root.set_version(version);
  samples::AddRole(*root.mutable_root(), {samples::KeyNo(1)}, 1);
  samples::AddRole(*root.mutable_model(), model_keys, 1);
  samples::AddRole(*root.mutable_rollout(), {samples::KeyNo(4)}, 1);
  return root;
}
v1::ModelSigned SignedRoot(const v1::ModelRoot& root) {
  return samples::Signed(kRootType, root, {samples::KeyNo(1)});
}
v1::ModelSigned SignedModel(const v1::ModelManifest& manifest, uint64_t key = 2) {
  return samples::Signed(kManifestType, manifest, {samples::KeyNo(key)});
}

class ModelRegistryTest : public ::testing::Test {
 protected:
  ModelRegistryTest() {
    budget_.Measured(0, kPlenty);
    Open();
    EXPECT_EQ(models_->AddRoot(SignedRoot(RootOf(1))).status(), absl::OkStatus());
  }
  /// As a core does that starts: only what is stored is left.
  void Open() {
    models_.reset();
    auto opened = ModelRegistry::Open({store_, committer_, clock_, budget_}, dir_.File("chunks"));
    ASSERT_EQ(opened.status(), absl::OkStatus());
    models_ = *std::move(opened);
  }
  absl::Status Publish(uint64_t version, const std::vector<std::string>& contents) {
    const v1::ModelManifest manifest = samples::ManifestOf(version, contents);
    SELVAGE_ASSIGN_OR_RETURN(const auto begun, models_->BeginPublish(SignedModel(manifest)));
    for (const uint32_t index : begun.missing) {
      SELVAGE_RETURN_IF_ERROR(models_->PutChunks(begun.manifest, {{index, contents[index]}}));
    }
    return models_->FinishPublish(begun.manifest).status();
  }
  std::string ErrorOfBegin(const v1::ModelSigned& document) {
    return std::string(ErrorKind(models_->BeginPublish(document).status()));
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const auto& version : models_->List()) {
      names.push_back(version.model() + " " + std::to_string(version.version()));
    }
    return names;
  }

  test::TestDir dir_;
  MemoryStore store_;
  Committer committer_{store_, {}};
  FakeClock clock_;
  DiskBudget budget_{{}};
  std::unique_ptr<ModelRegistry> models_;
};

TEST_F(ModelRegistryTest, EdgesHearOfARootThatIsDurableAndShown) {
  std::vector<size_t> shown;
  models_.reset();
  auto opened = ModelRegistry::Open({store_, committer_, clock_, budget_,
                                     [&](const auto& stage, const auto& show) {
                                       shown.push_back(models_->Roots().size());
                                       SELVAGE_RETURN_IF_ERROR(Commit(committer_, [&](WriteBatch& batch) {
                                         stage(batch);
                                         return absl::OkStatus();
                                       }));
                                       show();
                                       shown.push_back(models_->Roots().size());
                                       return absl::OkStatus();
                                     }},
                                    dir_.File("chunks"));
  ASSERT_EQ(opened.status(), absl::OkStatus());
  models_ = *std::move(opened);
  ASSERT_EQ(models_->AddRoot(SignedRoot(RootOf(2))).status(), absl::OkStatus());
  EXPECT_THAT(shown, ElementsAre(1, 2));
  ASSERT_EQ(models_->AddRoot(SignedRoot(RootOf(2))).status(), absl::OkStatus());
  EXPECT_THAT(shown, SizeIs(2)) << "nothing is new";
  Open();
  EXPECT_THAT(models_->Roots(), SizeIs(2));
}

TEST_F(ModelRegistryTest, WhatIsPublishedIsThereAfterAStart) {
  ASSERT_EQ(Publish(1, {"one", "two"}), absl::OkStatus());
  ASSERT_EQ(Publish(3, {"one", "three"}), absl::OkStatus());
  ASSERT_EQ(Publish(2, {"one"}), absl::OkStatus());
  Open();
  EXPECT_THAT(Names(), ElementsAre("vibration 3", "vibration 2", "vibration 1"));
  EXPECT_EQ(models_->Find("vibration", 0)->version(), 3u) << "the newest";
  EXPECT_EQ(ErrorKind(models_->Find("vibration", 4).status()), "unknown_model");
  EXPECT_EQ(ErrorKind(models_->Find("other", 0).status()), "unknown_model");
  const Digest manifest = *Digest::FromBytes(models_->Find("vibration", 3)->manifest());
  EXPECT_EQ(models_->Document(manifest)->payload(),
            samples::ManifestOf(3, {"one", "three"}).SerializeAsString());
  EXPECT_THAT(*models_->ReadChunks(manifest, 0), ElementsAre("one", "three"));
  EXPECT_THAT(*models_->ReadChunks(manifest, 1), ElementsAre("three"));
  EXPECT_THAT(*models_->ReadChunks(manifest, 2), IsEmpty());
  EXPECT_EQ(models_->bytes(), 11u) << "what versions share is there once";
  EXPECT_THAT(models_->Roots(), SizeIs(1));
}

TEST_F(ModelRegistryTest, ChunksThatAreThereAreNotAskedForAgain) {
  ASSERT_EQ(Publish(1, {"one", "two"}), absl::OkStatus());
  const v1::ModelSigned next = SignedModel(samples::ManifestOf(2, {"one", "three", "four"}));
  auto begun = models_->BeginPublish(next);
  ASSERT_EQ(begun.status(), absl::OkStatus());
  EXPECT_THAT(begun->missing, ElementsAre(1, 2));
  ASSERT_EQ(models_->PutChunks(begun->manifest, {{2, "four"}}), absl::OkStatus());
  EXPECT_EQ(ErrorKind(models_->FinishPublish(begun->manifest).status()), "chunks_missing");
  begun = models_->BeginPublish(next);
  EXPECT_THAT(begun->missing, ElementsAre(1)) << "the publisher was cut";
  ASSERT_EQ(models_->PutChunks(begun->manifest, {{1, "three"}}), absl::OkStatus());
  ASSERT_EQ(models_->FinishPublish(begun->manifest).status(), absl::OkStatus());
  EXPECT_THAT(models_->BeginPublish(next)->missing, IsEmpty());
  EXPECT_EQ(models_->FinishPublish(begun->manifest)->version(), 2u) << "once more changes nothing";
}

TEST_F(ModelRegistryTest, TakesOnlyWhatVerifies) {
  const v1::ModelManifest manifest = samples::ManifestOf(1, {"one"});
  EXPECT_EQ(ErrorOfBegin(SignedModel(manifest, /*key=*/4)), "not_signed") << "by the rollout key";
  v1::ModelSigned other = SignedModel(manifest);
  other.set_payload(samples::ManifestOf(2, {"one"}).SerializeAsString());
  EXPECT_EQ(ErrorOfBegin(other), "not_signed");
  v1::ModelManifest elsewhere = manifest;
  elsewhere.set_trust_domain("other.example");
  EXPECT_EQ(ErrorOfBegin(SignedModel(elsewhere)), "other_trust_domain");
  v1::ModelManifest leaves = manifest;
  leaves.mutable_files(0)->set_path("../../etc/passwd");
  EXPECT_EQ(ErrorOfBegin(SignedModel(leaves)), "invalid_manifest");
  const auto begun = models_->BeginPublish(SignedModel(manifest));
  ASSERT_EQ(begun.status(), absl::OkStatus());
  EXPECT_EQ(ErrorKind(models_->PutChunks(begun->manifest, {{0, "ONE"}})), "corrupt_chunk");
  EXPECT_EQ(ErrorKind(models_->PutChunks(begun->manifest, {{0, "longer"}})), "unknown_chunk");
  EXPECT_EQ(ErrorKind(models_->PutChunks(begun->manifest, {{1, "one"}})), "unknown_chunk");
  EXPECT_EQ(ErrorKind(models_->PutChunks(Digest::Of("nobody"), {})), "not_begun");
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_EQ(models_->bytes(), 0u);
}

TEST_F(ModelRegistryTest, ChunksThatDoNotMakeUpTheirFileAreRefused) {
  v1::ModelManifest manifest = samples::ManifestOf(1, {"one"});
  manifest.mutable_files(0)->set_sha256(Digest::Of("two").bytes());
  const auto begun = models_->BeginPublish(SignedModel(manifest));
  ASSERT_EQ(models_->PutChunks(begun->manifest, {{0, "one"}}), absl::OkStatus());
  EXPECT_EQ(ErrorKind(models_->FinishPublish(begun->manifest).status()), "corrupt_model");
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(ModelRegistryTest, AVersionIsMadeOnce) {
  ASSERT_EQ(Publish(1, {"one"}), absl::OkStatus());
  EXPECT_EQ(ErrorKind(Publish(1, {"another"})), "version_exists");
  // Two publishers at once: the first that is through wins.
  const auto first = models_->BeginPublish(SignedModel(samples::ManifestOf(2, {"a"})));
  const auto second = models_->BeginPublish(SignedModel(samples::ManifestOf(2, {"b"})));
  ASSERT_EQ(models_->PutChunks(first->manifest, {{0, "a"}}), absl::OkStatus());
  ASSERT_EQ(models_->PutChunks(second->manifest, {{0, "b"}}), absl::OkStatus());
  EXPECT_EQ(models_->FinishPublish(second->manifest).status(), absl::OkStatus());
  EXPECT_EQ(ErrorKind(models_->FinishPublish(first->manifest).status()), "version_exists");
  EXPECT_EQ(models_->Find("vibration", 2)->manifest(), second->manifest.bytes());
}

TEST_F(ModelRegistryTest, DeletingTakesTheChunksThatNobodyElseHas) {
  ASSERT_EQ(Publish(1, {"one", "two"}), absl::OkStatus());
  ASSERT_EQ(Publish(2, {"one", "three"}), absl::OkStatus());
  const auto begun = models_->BeginPublish(SignedModel(samples::ManifestOf(3, {"half"})));
  ASSERT_EQ(models_->PutChunks(begun->manifest, {{0, "half"}}), absl::OkStatus());
  ASSERT_EQ(models_->Delete("vibration", 1), absl::OkStatus());
  EXPECT_EQ(models_->bytes(), 12u) << "one, three, and half, which is on its way";
  EXPECT_EQ(ErrorKind(models_->Delete("vibration", 1)), "unknown_model");
  EXPECT_EQ(models_->FinishPublish(begun->manifest).status(), absl::OkStatus());
  Open();
  EXPECT_THAT(Names(), ElementsAre("vibration 3", "vibration 2"));
  EXPECT_THAT(*models_->ReadChunks(begun->manifest, 0), ElementsAre("half"));
}

TEST_F(ModelRegistryTest, WhatSomebodyNeedsIsNotDeleted) {
  ASSERT_EQ(Publish(1, {"one"}), absl::OkStatus());
  ASSERT_EQ(Publish(2, {"two"}), absl::OkStatus());
  const Digest needed = *Digest::FromBytes(models_->Find("vibration", 2)->manifest());
  models_.reset();
  models_ = *ModelRegistry::Open(
      {store_,
       committer_,
       clock_,
       budget_,
       {},
       [&](const Digest& manifest) { return manifest == needed ? "an edge runs it" : ""; }},
      dir_.File("chunks"));
  EXPECT_EQ(ErrorKind(models_->Delete("vibration", 2)), "model_in_use");
  EXPECT_EQ(models_->Delete("vibration", 1), absl::OkStatus());
  EXPECT_THAT(Names(), ElementsAre("vibration 2"));
  EXPECT_THAT(*models_->ReadChunks(needed, 0), ElementsAre("two"));
}

TEST_F(ModelRegistryTest, WhatASilentPublisherLeftGoes) {
  auto begun = models_->BeginPublish(SignedModel(samples::ManifestOf(1, {"half"})));
  ASSERT_EQ(models_->PutChunks(begun->manifest, {{0, "half"}}), absl::OkStatus());
  clock_.Advance(ModelRegistry::kPublisherSilentMax + absl::Seconds(1));
  ASSERT_EQ(Publish(2, {"two"}), absl::OkStatus());
  EXPECT_EQ(ErrorKind(models_->FinishPublish(begun->manifest).status()), "not_begun");
  ASSERT_EQ(models_->Delete("vibration", 2), absl::OkStatus());
  EXPECT_EQ(models_->bytes(), 0u);
  begun = models_->BeginPublish(SignedModel(samples::ManifestOf(1, {"half"})));
  ASSERT_EQ(models_->PutChunks(begun->manifest, {{0, "half"}}), absl::OkStatus());
  Open();
  EXPECT_EQ(models_->bytes(), 0u) << "a start ends all publishers";
}

TEST_F(ModelRegistryTest, FewPublishAtOnce) {
  for (uint64_t version = 1; version <= ModelRegistry::kPublishedAtOnce; ++version) {
    ASSERT_EQ(ErrorOfBegin(SignedModel(samples::ManifestOf(version))), "");
  }
  EXPECT_EQ(ErrorOfBegin(SignedModel(samples::ManifestOf(99))), "too_many_publishers");
  EXPECT_EQ(ErrorOfBegin(SignedModel(samples::ManifestOf(1))), "") << "which goes on";
  clock_.Advance(ModelRegistry::kPublisherSilentMax + absl::Seconds(1));
  EXPECT_EQ(ErrorOfBegin(SignedModel(samples::ManifestOf(99))), "");
}

TEST_F(ModelRegistryTest, AFullDiskIsSaidBeforeAnythingIsSent) {
  budget_.Measured(0, 1000);
  EXPECT_EQ(ErrorOfBegin(SignedModel(samples::ManifestOf(1, {"one"}))), "disk_full");
  budget_.Measured(0, kPlenty);
  EXPECT_EQ(Publish(1, {"one"}), absl::OkStatus());
}

TEST_F(ModelRegistryTest, ADamagedChunkIsPublishedAgain) {
  ASSERT_EQ(Publish(1, {"one"}), absl::OkStatus());
  const Digest chunk = Digest::Of("one");
  const auto path = std::filesystem::path(dir_.File("chunks")) / chunk.Hex().substr(0, 2) / chunk.Hex();
  std::filesystem::resize_file(path, 1);
  const Digest manifest = *Digest::FromBytes(models_->Find("vibration", 1)->manifest());
  EXPECT_EQ(ErrorKind(models_->ReadChunks(manifest, 0).status()), "corrupt_chunk");
  ASSERT_EQ(Publish(1, {"one"}), absl::OkStatus());
  EXPECT_THAT(*models_->ReadChunks(manifest, 0), ElementsAre("one"));
}

TEST_F(ModelRegistryTest, RootsComeOneByOne) {
  EXPECT_EQ(models_->AddRoot(SignedRoot(RootOf(1))).status(), absl::OkStatus()) << "it is there";
  EXPECT_EQ(ErrorKind(models_->AddRoot(SignedRoot(RootOf(3))).status()), "root_out_of_order");
  EXPECT_EQ(ErrorKind(models_->AddRoot(samples::Signed(kRootType, RootOf(2), {samples::KeyNo(9)})).status()),
            "not_signed");
  // Key 3 signs no models any more.
  ASSERT_EQ(models_->AddRoot(SignedRoot(RootOf(2, {samples::KeyNo(2)}))).status(), absl::OkStatus());
  EXPECT_EQ(ErrorOfBegin(SignedModel(samples::ManifestOf(1), /*key=*/3)), "not_signed");
  Open();
  EXPECT_THAT(models_->Roots(), SizeIs(2));
  EXPECT_EQ(ErrorOfBegin(SignedModel(samples::ManifestOf(1), /*key=*/3)), "not_signed");
  EXPECT_EQ(ErrorOfBegin(SignedModel(samples::ManifestOf(1))), "");
}

TEST_F(ModelRegistryTest, WithoutARootNothingIsTaken) {
  MemoryStore store;
  Committer committer(store, {});
  const auto models = ModelRegistry::Open({store, committer, clock_, budget_}, dir_.File("other"));
  ASSERT_EQ(models.status(), absl::OkStatus());
  EXPECT_EQ(ErrorKind((*models)->BeginPublish(SignedModel(samples::ManifestOf(1))).status()),
            "no_model_root");
  EXPECT_EQ(ErrorKind((*models)->AddRoot(SignedRoot(RootOf(2))).status()), "root_out_of_order");
}

}  // namespace
}  // namespace selvage::model
