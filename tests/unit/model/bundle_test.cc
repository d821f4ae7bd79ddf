#include "fabric/model/bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "fabric/base/error.h"
#include "fabric/model/manifest.h"
#include "tests/support/seeded_random.h"
#include "tests/support/test_dir.h"
#include "tests/unit/model/model_samples.h"

namespace selvage::model {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class BundleTest : public ::testing::Test {
 protected:
  BundleTest() {
    test::SeededRandom random(1);
    weights_.resize(9 << 20);  // more than is cut at once
    random.Fill(weights_.data(), weights_.size());
    Write("model.onnx", weights_);
    Write("deep/same.bin", weights_);
    Write("empty", "");
  }
  void Write(const std::string& path, const std::string& content) {
    const fs::path file = fs::path(dir_.File("model")) / path;
    fs::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
  }
  v1::ModelManifest Describe() {
    v1::ModelManifest manifest = samples::ManifestOf(3);
    manifest.clear_files();
    EXPECT_EQ(DescribeFolder(dir_.File("model"), manifest), absl::OkStatus());
    return manifest;
  }
  /// Of a folder that has been spoilt.
  std::string ErrorOfFolder() {
    v1::ModelManifest manifest;
    const absl::Status status = DescribeFolder(dir_.File("model"), manifest);
    EXPECT_EQ(ErrorKind(status), "invalid_model");
    return std::string(status.message());
  }
  absl::Status Bundle(const v1::ModelManifest& manifest) {
    return WriteBundle(dir_.File("bundle"), samples::Signed(kManifestType, manifest, {samples::KeyNo(1)}),
                       manifest, dir_.File("model"));
  }
  /// All chunks, one after the other.
  absl::StatusOr<std::string> Read(const v1::ModelManifest& manifest) {
    SELVAGE_ASSIGN_OR_RETURN(BundleReader reader, BundleReader::Open(dir_.File("bundle")));
    EXPECT_EQ(reader.document().payload(), manifest.SerializeAsString());
    std::string data;
    SELVAGE_RETURN_IF_ERROR(reader.ReadChunks(manifest, [&](const Digest& digest, std::string_view chunk) {
      EXPECT_EQ(digest, Digest::Of(chunk));
      data += chunk;
      return absl::OkStatus();
    }));
    return data;
  }

  test::TestDir dir_;
  std::string weights_;
};

TEST_F(BundleTest, AFolderIsDescribedAsItIs) {
  const v1::ModelManifest manifest = Describe();
  ASSERT_EQ(ReadManifest(manifest.SerializeAsString()).status(), absl::OkStatus());
  ASSERT_EQ(manifest.files_size(), 3);
  EXPECT_EQ(manifest.files(0).path(), "deep/same.bin");
  EXPECT_EQ(manifest.files(1).path(), "empty");
  EXPECT_EQ(manifest.files(2).path(), "model.onnx");
  EXPECT_EQ(manifest.files(2).sha256(), Digest::Of(weights_).bytes());
  EXPECT_EQ(manifest.files(1).chunks_size(), 0);
  // The same bytes are cut in the same way, wherever they are.
  std::string_view rest = weights_;
  for (const auto& chunk : manifest.files(2).chunks()) {
    ASSERT_EQ(chunk.size(), FirstChunk(rest));
    ASSERT_EQ(chunk.sha256(), Digest::Of(rest.substr(0, chunk.size())).bytes());
    rest.remove_prefix(chunk.size());
  }
  EXPECT_TRUE(rest.empty());
}

TEST_F(BundleTest, HoldsEachChunkOnce) {
  const v1::ModelManifest manifest = Describe();
  ASSERT_EQ(Bundle(manifest), absl::OkStatus());
  const auto data = Read(manifest);
  ASSERT_EQ(data.status(), absl::OkStatus());
  EXPECT_TRUE(*data == weights_) << data->size();
}

TEST_F(BundleTest, WhatIsNoModelIsNotSigned) {
  fs::create_symlink("/etc/passwd", dir_.File("model/link"));
  EXPECT_THAT(ErrorOfFolder(), HasSubstr("link is neither file nor folder"));
  fs::remove(dir_.File("model/link"));
  Write("a:b", "");
  EXPECT_THAT(ErrorOfFolder(), HasSubstr("'a:b'"));
  fs::remove_all(dir_.File("model"));
  fs::create_directory(dir_.File("model"));
  EXPECT_THAT(ErrorOfFolder(), HasSubstr("has no files"));
}

TEST_F(BundleTest, AFileThatChangesMeanwhileIsFound) {
  const v1::ModelManifest manifest = Describe();
  weights_[5'000'000] ^= 1;
  Write("model.onnx", weights_);
  EXPECT_EQ(ErrorKind(Bundle(manifest)), "model_changed");
  EXPECT_FALSE(fs::exists(dir_.File("bundle")));
  EXPECT_FALSE(fs::exists(dir_.File("bundle.tmp")));
}

TEST_F(BundleTest, DamageIsFoundWhereverItIs) {
  const v1::ModelManifest manifest = Describe();
  ASSERT_EQ(Bundle(manifest), absl::OkStatus());
  const std::string whole = test::ReadFile(dir_.File("bundle"));
  const auto kind_of = [&](const std::string& bytes) {
    std::ofstream(dir_.File("bundle"), std::ios::binary) << bytes;
    const auto reader = BundleReader::Open(dir_.File("bundle"));
    return ErrorKind(reader.ok() ? Read(manifest).status() : reader.status());
  };
  EXPECT_EQ(kind_of(whole), "");
  EXPECT_EQ(kind_of(whole.substr(0, whole.size() - 1)), "invalid_bundle");
  EXPECT_EQ(kind_of(whole + "x"), "invalid_bundle");
  EXPECT_EQ(kind_of(whole.substr(0, 18)), "invalid_bundle");
  EXPECT_EQ(kind_of(""), "invalid_bundle");
  std::string other = whole;
  other[whole.size() / 2] ^= 1;
  EXPECT_EQ(kind_of(other), "invalid_bundle");
  other = whole;
  other[16] = '\x7f';  // of the document's length
  EXPECT_EQ(kind_of(other), "invalid_bundle");
}

}  // namespace
}  // namespace selvage::model
