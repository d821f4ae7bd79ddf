#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "fabric/base/error.h"
#include "fabric/model/manifest.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/unit/model/model_samples.h"

namespace selvage::test {
namespace {

using Models = ctl::Client::Models;

constexpr int kPublishKills = 6;
constexpr uint64_t kVersions = 3;
constexpr size_t kChunksOfModel = 150;
constexpr size_t kChunkBytes = 60'000;
constexpr size_t kChunksInARequest = 5;

/// A core that is killed while models are published. Prints its seed; SELVAGE_E2E_SEED sets it.
class ModelsTest : public testing::Test {
 protected:
  ModelsTest() {
    const char* text = std::getenv("SELVAGE_E2E_SEED");
    if (text == nullptr || !absl::SimpleAtoi(text, &seed_)) seed_ = std::random_device()();
    random_.seed(seed_);
    fmt::print("seed {}\n", seed_);
  }
  void SetUp() override {
    ASSERT_THAT(cluster_.Start(), IsOk());
    v1::ModelRoot root;
    root.set_trust_domain("acme.example");
    root.set_version(1);
    model::samples::AddRole(*root.mutable_root(), {model::samples::KeyNo(1)}, 1);
    model::samples::AddRole(*root.mutable_model(), {model::samples::KeyNo(2)}, 1);
    model::samples::AddRole(*root.mutable_rollout(), {model::samples::KeyNo(3)}, 1);
    v1::AddModelRootRequest request;
    *request.mutable_root() = model::samples::Signed(model::kRootType, root, {model::samples::KeyNo(1)});
    ASSERT_THAT(core().client()->Call(&Models::AddModelRoot, request), IsOk());
  }

  /// One file for each chunk. A version shares most with the one before it.
  std::vector<std::string> ContentsOf(uint64_t version) {
    std::vector<std::string> contents;
    for (size_t i = 0; i < kChunksOfModel; ++i) {
      SeededRandom random(seed_ + i + (i % 5 == 0 ? version << 32 : 0));
      random.Fill(contents.emplace_back(kChunkBytes, '\0').data(), kChunkBytes);
    }
    return contents;
  }
  v1::ModelSigned DocumentOf(uint64_t version) {
    return model::samples::Signed(model::kManifestType,
                                  model::samples::ManifestOf(version, ContentsOf(version)),
                                  {model::samples::KeyNo(2)});
  }
  /// As selvagectl does it: one attempt.
  absl::Status TryPublish(uint64_t version) {
    const auto client = core().client();
    v1::BeginPublishRequest begin;
    *begin.mutable_document() = DocumentOf(version);
    SELVAGE_ASSIGN_OR_RETURN(const auto begun, client->Call(&Models::BeginPublish, begin));
    const std::vector<std::string> contents = ContentsOf(version);
    v1::PutModelChunksRequest put;
    put.set_manifest(begun.manifest());
    for (const uint32_t index : begun.missing()) {
      auto& chunk = *put.add_chunks();
      chunk.set_index(index);
      chunk.set_data(contents[index]);
      if (put.chunks_size() < static_cast<int>(kChunksInARequest) &&
          index != begun.missing(begun.missing_size() - 1)) {
        continue;
      }
      SELVAGE_RETURN_IF_ERROR(client->Call(&Models::PutModelChunks, put).status());
      chunks_sent_ += static_cast<size_t>(put.chunks_size());
      put.clear_chunks();
    }
    v1::FinishPublishRequest finish;
    finish.set_manifest(begun.manifest());
    return client->Call(&Models::FinishPublish, finish).status();
  }
  /// Every version that is listed has all its bytes.
  void ExpectWholeVersions() {
    const auto all = core().client()->Call(&Models::ListModels, v1::ListModelsRequest());
    ASSERT_THAT(all, IsOk());
    for (const v1::ModelVersion& version : all->versions()) {
      const std::vector<std::string> contents = ContentsOf(version.version());
      v1::GetModelChunksRequest request;
      request.set_manifest(version.manifest());
      while (request.first() < contents.size()) {
        const auto piece = core().client()->Call(&Models::GetModelChunks, request);
        ASSERT_THAT(piece, IsOk()) << version.version();
        ASSERT_GT(piece->chunks_size(), 0);
        for (const std::string& chunk : piece->chunks()) {
          ASSERT_TRUE(chunk == contents[request.first()]) << version.version();
          request.set_first(request.first() + 1);
        }
      }
    }
    listed_ = all->versions_size();
  }
  Daemon& core() { return cluster_.core(); }

  Cluster cluster_{{.edges = 0}};
  std::mt19937 random_;
  unsigned seed_ = 0;
  size_t chunks_sent_ = 0;
  int listed_ = 0;
};

TEST_F(ModelsTest, ACoreThatIsKilledHasWholeVersionsOnly) {
  std::atomic<bool> given_up{false};
  std::jthread publisher([&] {
    for (uint64_t version = 1; version <= kVersions; ++version) {
      absl::Status published = TryPublish(version);
      while (!published.ok() && !given_up) {
        absl::SleepFor(absl::Milliseconds(20));
        published = TryPublish(version);
      }
    }
  });
  absl::Cleanup give_up = [&] { given_up = true; };
  for (int kill = 0; kill < kPublishKills; ++kill) {
    absl::SleepFor(absl::Milliseconds(std::uniform_int_distribution<int>(0, 400)(random_)));
    core().Kill();
    ASSERT_THAT(core().Start(), IsOk());
    ExpectWholeVersions();
  }
  publisher.join();
  ExpectWholeVersions();
  EXPECT_EQ(listed_, static_cast<int>(kVersions));
  fmt::print("{} chunks sent\n", chunks_sent_);
}

}  // namespace
}  // namespace selvage::test
