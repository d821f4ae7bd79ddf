#include "fabric/model/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "fabric/base/error.h"
#include "fabric/model/chunker.h"
#include "tests/unit/model/model_samples.h"

namespace selvage::model {
namespace {

using samples::ManifestOf;
using ::testing::HasSubstr;

std::string ErrorOf(const std::function<void(v1::ModelManifest&)>& change) {
  v1::ModelManifest manifest = ManifestOf(3, {"one", "two"});
  change(manifest);
  const auto read = ReadManifest(manifest.SerializeAsString());
  if (read.ok()) return "";
  EXPECT_EQ(ErrorKind(read.status()), "invalid_manifest");
  return std::string(read.status().message());
}

TEST(ManifestTest, IsReadAsItWasWritten) {
  const v1::ModelManifest manifest = ManifestOf(3, {"one", "three"});
  const auto read = ReadManifest(manifest.SerializeAsString());
  ASSERT_EQ(read.status(), absl::OkStatus());
  EXPECT_EQ(read->SerializeAsString(), manifest.SerializeAsString());
  EXPECT_EQ(BytesOf(*read), 8u);
}

TEST(ManifestTest, PathsStayWithinTheFolder) {
  for (const std::string path :
       {"model.onnx", "a/b/c.json", "weights 1.bin", "größe.bin", ".hidden", "a/..b"}) {
    EXPECT_TRUE(IsModelPath(path)) << path;
  }
  for (const std::string path : {"", "/etc/passwd", "..", ".", "../x", "a/../../x", "a/./b", "a//b", "a/",
                                 "a\\b", "c:x", "a\nb", "\xff"}) {
    EXPECT_FALSE(IsModelPath(path)) << path;
  }
  std::string deep = "a";
  for (int i = 1; i < 16; ++i) deep += "/a";
  EXPECT_TRUE(IsModelPath(deep));
  EXPECT_FALSE(IsModelPath(deep + "/a")) << "folders have to be made";
  EXPECT_FALSE(IsModelPath(std::string("a\0b", 3)));
  EXPECT_FALSE(IsModelPath(std::string(256, 'a')));
  EXPECT_TRUE(IsModelPath(std::string(255, 'a')));
}

TEST(ManifestTest, WhatIsWrongIsSaid) {
  EXPECT_EQ(ErrorOf([](auto&) {}), "");
  EXPECT_THAT(ErrorOf([](auto& m) { m.mutable_files(0)->set_path("../x"); }), HasSubstr("'../x'"));
  EXPECT_THAT(ErrorOf([](auto& m) { m.mutable_files(1)->set_path("file0"); }), HasSubstr("twice"));
  EXPECT_THAT(ErrorOf([](auto& m) { m.mutable_files(1)->set_path("file0/x"); }), HasSubstr("a folder"));
  EXPECT_THAT(ErrorOf([](auto& m) { m.mutable_files(0)->set_size(4); }),
              HasSubstr("has 4 bytes, its chunks 3"));
  EXPECT_THAT(ErrorOf([](auto& m) { m.mutable_files(0)->set_sha256("x"); }), HasSubstr("no digest"));
  EXPECT_THAT(ErrorOf([](auto& m) { m.mutable_files(0)->mutable_chunks(0)->set_sha256(""); }),
              HasSubstr("without digest"));
  EXPECT_THAT(ErrorOf([](auto& m) { m.mutable_files(0)->mutable_chunks(0)->set_size(0); }),
              HasSubstr("of 0 bytes"));
  EXPECT_THAT(ErrorOf([](auto& m) { m.mutable_files(0)->mutable_chunks(0)->set_size(kChunkMax + 1); }),
              HasSubstr("of 1048577 bytes"));
  EXPECT_THAT(ErrorOf([](auto& m) {
                auto& file = *m.mutable_files(1);
                *file.mutable_chunks(0)->mutable_sha256() = m.files(0).chunks(0).sha256();
                file.mutable_chunks(0)->set_size(2);
                file.set_size(2);
              }),
              HasSubstr("of two sizes"));
  EXPECT_THAT(ErrorOf([](auto& m) { m.set_model("a/b"); }), HasSubstr("no name of a model"));
  EXPECT_THAT(ErrorOf([](auto& m) { m.set_version(0); }), HasSubstr("no version"));
  EXPECT_THAT(ErrorOf([](auto& m) { m.clear_files(); }), HasSubstr("no files"));
  EXPECT_THAT(ErrorOf([](auto& m) { m.clear_trust_domain(); }), HasSubstr("trust domain"));
  EXPECT_EQ(ErrorKind(ReadManifest("\xff\xff").status()), "invalid_manifest");
  EXPECT_THAT(ReadManifest(std::string(kManifestBytesMax + 1, 'x')).status().ToString(),
              HasSubstr("at most"));
}

TEST(ManifestTest, AFileMayBeEmpty) {
  EXPECT_EQ(ErrorOf([](auto& m) {
              auto& file = *m.mutable_files(0);
              file.set_size(0);
              file.clear_chunks();
              file.set_sha256(Digest::Of("").bytes());
            }),
            "");
}

TEST(ManifestTest, SizesAddUpToALimit) {
  EXPECT_THAT(ErrorOf([](auto& m) {
                auto& file = *m.mutable_files(0);
                const auto chunk = file.chunks(0);
                file.clear_chunks();
                for (uint64_t i = 0; i <= kModelBytesMax / kChunkMax; ++i) {
                  *file.add_chunks() = chunk;
                  file.mutable_chunks(static_cast<int>(i))->set_size(kChunkMax);
                }
                file.set_size(kModelBytesMax + kChunkMax);
              }),
              HasSubstr("at most"));
}

}  // namespace
}  // namespace selvage::model
