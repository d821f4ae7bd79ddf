#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/test_dir.h"
#include "tests/unit/ctl/run_ctl.h"

namespace selvage::ctl {
namespace {

using ::testing::HasSubstr;

/// `selvagectl model` on files of one folder.
class ModelCommandTest : public ::testing::Test {
 protected:
  ModelCommandTest() {
    for (const std::string name : {"root-a", "root-b", "model", "rollout"}) {
      EXPECT_EQ(Run({"key", "generate", File(name)}).code, kDone);
    }
    std::filesystem::create_directory(File("files"));
    std::ofstream(File("files") + "/weights") << "weights";
  }
  CtlRun Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "model");
    return RunCtl("", std::move(arguments));
  }
  std::string File(const std::string& name) const { return dir_.File(name); }
  CtlRun CreateRoot(const std::string& out, std::vector<std::string> more) {
    std::vector<std::string> arguments = {
        "root",       "create",           "--root-key",    File("root-a.pub"),
        "--root-key", File("root-b.pub"), "--rollout-key", File("rollout.pub"),
        "--out",      File(out)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Run(std::move(arguments));
  }
  std::string PinOf(const std::string& root) {
    const CtlRun run = Run({"root", "show", File(root), "-o", "json"});
    return std::string(boost::json::parse(run.out).at("digest").as_string());
  }
  CtlRun Sign(const std::string& key, const std::string& out) {
    return Run({"sign", File("files"), "--name", "vibration", "--version", "3", "--trust-domain",
                "acme.example", "--key", File(key), "--out", File(out)});
  }
  void MakeRoot() {
    ASSERT_EQ(CreateRoot("root.1", {"--trust-domain", "acme.example", "--model-key", File("model.pub")}).code,
              kDone);
    ASSERT_EQ(Run({"root", "sign", File("root.1"), "--key", File("root-a")}).code, kDone);
  }

  test::TestDir dir_;
};

TEST_F(ModelCommandTest, ASignedModelIsVerifiedAgainstThePinnedRoot) {
  MakeRoot();
  ASSERT_EQ(Sign("model", "bundle").code, kDone);
  const CtlRun run = Run({"verify", File("bundle"), "--root", File("root.1"), "--pin", PinOf("root.1")});
  EXPECT_EQ(run.code, kDone) << run.err;
  EXPECT_THAT(run.out, HasSubstr("model:        vibration\nversion:      3\n"));
  ASSERT_EQ(Sign("rollout", "other").code, kDone);
  const CtlRun other = Run({"verify", File("other"), "--root", File("root.1"), "--pin", PinOf("root.1")});
  EXPECT_EQ(other.code, kFailed);
  EXPECT_THAT(other.err, HasSubstr("0 of the 1 keys that have to sign it did"));
}

TEST_F(ModelCommandTest, AKeyIsReplacedByTheNextRoot) {
  MakeRoot();
  ASSERT_EQ(Sign("model", "bundle").code, kDone);
  ASSERT_EQ(Run({"key", "generate", File("model-2")}).code, kDone);
  const CtlRun next = CreateRoot("root.2", {"--after", File("root.1"), "--model-key", File("model-2.pub")});
  EXPECT_THAT(next.out, HasSubstr("version:      2\n"));
  const std::vector<std::string> verify = {"verify", File("bundle"), "--root", File("root.1"),
                                           "--root", File("root.2"), "--pin",  PinOf("root.1")};
  EXPECT_THAT(Run(verify).err, HasSubstr("root.2: by the root before it: 0 of the 1 keys"));
  ASSERT_EQ(Run({"root", "sign", File("root.2"), "--key", File("root-b")}).code, kDone);
  EXPECT_THAT(Run(verify).err, HasSubstr("0 of the 1 keys that have to sign it did"))
      << "by the new root's key";
  ASSERT_EQ(Sign("model-2", "bundle").code, kDone);
  EXPECT_EQ(Run(verify).code, kDone);
}

TEST_F(ModelCommandTest, SecretsAreSecretAndNeverReplaced) {
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(File("model")).permissions(), perms::owner_read | perms::owner_write);
  const CtlRun again = Run({"key", "generate", File("model")});
  EXPECT_EQ(again.code, kFailed);
  EXPECT_THAT(again.err, HasSubstr("exists already"));
  const CtlRun shown = Run({"key", "show", File("model")});
  EXPECT_EQ(shown.out, Run({"key", "show", File("model.pub")}).out);
  EXPECT_THAT(shown.out, ::testing::Not(HasSubstr("PRIVATE")));
}

TEST_F(ModelCommandTest, WrongInputIsSaid) {
  MakeRoot();
  EXPECT_THAT(Run({"verify", File("nothing"), "--root", File("root.1"), "--pin", PinOf("root.1")}).err,
              HasSubstr("No such file"));
  EXPECT_THAT(Run({"verify", File("model"), "--root", File("root.1"), "--pin", PinOf("root.1")}).err,
              HasSubstr("is no bundle of a model"));
  EXPECT_THAT(Run({"verify", File("model"), "--root", File("root.1"), "--pin", "00"}).err,
              HasSubstr("no digest"));
  std::filesystem::copy(File("model"), File("files") + "/key");
  EXPECT_THAT(Sign("files/key", "x").err, HasSubstr("would go to every edge"));
  EXPECT_THAT(Sign("model", "files/bundle").err, HasSubstr("would go to every edge"));
  EXPECT_THAT(CreateRoot("root.1", {"--trust-domain", "acme.example", "--model-key", File("model.pub")}).err,
              HasSubstr("exists already"));
  EXPECT_THAT(Run({"root", "show", File("files") + "/weights"}).err, HasSubstr("no root"));
  EXPECT_THAT(CreateRoot("x", {"--trust-domain", "acme.example", "--model-key", File("rollout.pub")}).err,
              HasSubstr("each has one role"));
}

}  // namespace
}  // namespace selvage::ctl
