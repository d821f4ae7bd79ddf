#include "fabric/model/model_folder.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "fabric/base/error.h"
#include "tests/support/seeded_random.h"
#include "tests/support/test_dir.h"
#include "tests/unit/model/model_samples.h"

namespace selvage::model {
namespace {

namespace fs = std::filesystem;
using samples::ManifestOf;

/// Version `number` has two files, one of them in a folder, which name it.
std::vector<std::string> ContentsOf(uint64_t number) {
  return {"weights of " + std::to_string(number), std::string(5'000, static_cast<char>('a' + number % 26))};
}
v1::ModelManifest VersionOf(uint64_t number) {
  v1::ModelManifest manifest = ManifestOf(number, ContentsOf(number));
  manifest.mutable_files(1)->set_path("deep/down/file");
  return manifest;
}
Digest NameOf(const v1::ModelManifest& manifest) {
  return Digest::Of(manifest.SerializeAsString());
}

class ModelFolderTest : public ::testing::Test {
 protected:
  ModelFolderTest() { Open(); }
  void Open() {
    chunks_ = ChunkStore::Open(dir_.File("chunks")).value();
    folder_ = std::make_unique<ModelFolder>(ModelFolder::Open(dir_.File("vibration")).value());
  }
  void PutChunks(uint64_t number) {
    for (const std::string& content : ContentsOf(number)) {
      ASSERT_EQ(chunks_->Put({{Digest::Of(content), content}}), absl::OkStatus());
    }
  }
  absl::Status Assemble(uint64_t number) {
    return folder_->Assemble(NameOf(VersionOf(number)), VersionOf(number), *chunks_);
  }
  void Install(uint64_t number) {
    PutChunks(number);
    ASSERT_EQ(Assemble(number), absl::OkStatus());
    ASSERT_EQ(folder_->Point(NameOf(VersionOf(number))), absl::OkStatus());
  }
  std::string Read(const std::string& path) const { return test::ReadFile(dir_.File("vibration/" + path)); }
  fs::path FileOf(uint64_t number) const { return folder_->PathOf(NameOf(VersionOf(number))) / "file0"; }

  test::TestDir dir_;
  std::unique_ptr<ChunkStore> chunks_;
  std::unique_ptr<ModelFolder> folder_;
};

TEST_F(ModelFolderTest, AVersionIsFoundBelowCurrent) {
  EXPECT_EQ(folder_->Current(), std::nullopt);
  Install(1);
  EXPECT_EQ(Read("current/file0"), "weights of 1");
  EXPECT_EQ(Read("current/deep/down/file"), ContentsOf(1)[1]);
  Install(2);
  EXPECT_EQ(Read("current/file0"), "weights of 2");
  Open();
  EXPECT_EQ(folder_->Current(), NameOf(VersionOf(2)));
  ASSERT_EQ(folder_->Point(NameOf(VersionOf(1))), absl::OkStatus());
  EXPECT_EQ(Read("current/file0"), "weights of 1");
  ASSERT_EQ(folder_->Point(std::nullopt), absl::OkStatus());
  ASSERT_EQ(folder_->Point(std::nullopt), absl::OkStatus());
  EXPECT_EQ(folder_->Current(), std::nullopt);
}

TEST_F(ModelFolderTest, AVersionThatIsNotThereIsNotPointedAt) {
  EXPECT_EQ(ErrorKind(folder_->Point(NameOf(VersionOf(9)))), "unknown_version");
  EXPECT_EQ(folder_->Current(), std::nullopt);
}

TEST_F(ModelFolderTest, NothingIsLeftOfAVersionThatCannotBePutTogether) {
  PutChunks(1);
  ASSERT_EQ(chunks_->Sweep({Digest::Of(ContentsOf(1)[0])})->chunks, 1u);
  EXPECT_EQ(ErrorKind(Assemble(1)), "unknown_chunk");
  v1::ModelManifest wrong = VersionOf(2);
  PutChunks(2);
  wrong.mutable_files(0)->set_sha256(Digest::Of("other").bytes());
  EXPECT_EQ(ErrorKind(folder_->Assemble(NameOf(wrong), wrong, *chunks_)), "corrupt_model");
  EXPECT_TRUE(fs::is_empty(dir_.File("vibration/versions")));
}

TEST_F(ModelFolderTest, AVersionThatIsThereIsVerifiedAnew) {
  Install(1);
  Install(2);
  std::ofstream(FileOf(1)) << "WEIGHTS OF 1";
  EXPECT_EQ(ErrorKind(Assemble(1)), "corrupt_model");
  EXPECT_FALSE(folder_->Has(NameOf(VersionOf(1)))) << "it is put together again";
  EXPECT_EQ(Assemble(1), absl::OkStatus());
  std::ofstream(FileOf(2)) << "WEIGHTS OF 2";
  EXPECT_EQ(ErrorKind(Assemble(2)), "corrupt_model");
  EXPECT_TRUE(folder_->Has(NameOf(VersionOf(2)))) << "programs read it";
}

TEST_F(ModelFolderTest, SweepsVersionsThatAreNotKept) {
  for (uint64_t number = 1; number <= 3; ++number) Install(number);
  ASSERT_EQ(folder_->Point(NameOf(VersionOf(1))), absl::OkStatus());
  const Digest kept = NameOf(VersionOf(2));
  ASSERT_EQ(folder_->Sweep([&](const Digest& digest) { return digest == kept; }), absl::OkStatus());
  EXPECT_TRUE(folder_->Has(NameOf(VersionOf(1)))) << "it is current";
  EXPECT_TRUE(folder_->Has(kept));
  EXPECT_FALSE(folder_->Has(NameOf(VersionOf(3))));
}

/// Puts versions together, points at them and sweeps, until it is killed.
[[noreturn]] void WorkForEver(const std::string& chunks_path, const std::string& folder_path) {
  auto chunks = ChunkStore::Open(chunks_path);
  auto folder = ModelFolder::Open(folder_path);
  if (!chunks.ok() || !folder.ok()) _exit(1);
  for (uint64_t number = 0;; ++number) {
    const v1::ModelManifest manifest = VersionOf(number % 7);
    for (const std::string& content : ContentsOf(number % 7)) {
      if (!(*chunks)->Put({{Digest::Of(content), content}}).ok()) _exit(2);
    }
    if (!folder->Assemble(NameOf(manifest), manifest, **chunks).ok()) _exit(3);
    if (!folder->Point(NameOf(manifest)).ok()) _exit(4);
    if (!folder->Sweep([](const Digest&) { return false; }).ok()) _exit(5);
    if (!(*chunks)->Sweep({}).ok()) _exit(6);
  }
}

TEST_F(ModelFolderTest, CurrentIsOneWholeVersionWheneverTheEdgeIsKilled) {
  Install(0);
  test::SeededRandom random(1);
  for (int round = 0; round < 40; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) WorkForEver(dir_.File("chunks"), dir_.File("vibration"));
    std::this_thread::sleep_for(std::chrono::microseconds(500 + random.Below(20'000)));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it ended with " << WEXITSTATUS(status);
    // As a program finds it, before the edge starts again.
    bool whole = false;
    for (uint64_t number = 0; number < 7; ++number) {
      whole |= Read("current/file0") == ContentsOf(number)[0] &&
               Read("current/deep/down/file") == ContentsOf(number)[1];
    }
    ASSERT_TRUE(whole) << "round " << round;
    Open();
    ASSERT_TRUE(folder_->Current().has_value());
    for (const auto& entry : fs::recursive_directory_iterator(dir_.path())) {
      ASSERT_NE(entry.path().extension(), ".tmp") << entry.path();
    }
  }
}

}  // namespace
}  // namespace selvage::model
