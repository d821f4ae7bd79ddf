#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/test_dir.h"
#include "tests/unit/ctl/fake_admin.h"
#include "tests/unit/ctl/run_ctl.h"

namespace selvage::ctl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CtlGroupTest : public testing::Test {
 protected:
  CtlGroupTest() {
    node_.Start();
    v1::GroupOffset& row = *node_.group.add_offsets();
    row.set_topic("sensors");
    row.set_partition(3);
    row.set_offset(12);
    row.set_leader_epoch(1);
    row.set_metadata("note");
    row.set_end(20);
    row.set_lag(8);
    node_.group.set_state("Empty");
    *node_.set_offsets.add_offsets() = row;
  }
  CtlRun Ctl(std::vector<std::string> arguments) { return RunCtl(node_.address(), std::move(arguments)); }
  std::string Exported() {
    const std::string path = dir_.File("export.json");
    std::ofstream(path) << Ctl({"group", "export", "g"}).out;
    return path;
  }
  std::string Imported() const { return node_.import_group_request.offsets(0).topic(); }

  FakeAdmin node_;
  test::TestDir dir_;
};

TEST_F(CtlGroupTest, ListShowsTheLag) {
  v1::GroupSummary& group = *node_.groups.add_groups();
  group.set_group("billing");
  group.set_state("Stable");
  group.set_members(3);
  group.set_lag(1234);
  const CtlRun run = Ctl({"group", "list"});
  EXPECT_EQ(run.code, kDone) << run.err;
  EXPECT_THAT(run.out, HasSubstr("billing"));
  EXPECT_THAT(run.out, HasSubstr("1234"));
  EXPECT_THAT(Ctl({"-o", "json", "group", "list"}).out, HasSubstr("\"lag\": 1234"));
}

TEST_F(CtlGroupTest, DescribeShowsEachPartition) {
  v1::GroupMember& member = *node_.group.add_members();
  member.set_member_id("m-1");
  member.set_client_host("/10.0.0.1");
  const CtlRun run = Ctl({"group", "describe", "g"});
  EXPECT_EQ(run.code, kDone) << run.err;
  for (const char* shown : {"Empty", "m-1", "/10.0.0.1", "sensors", "12", "20", "8"}) {
    EXPECT_THAT(run.out, HasSubstr(shown));
  }
}

TEST_F(CtlGroupTest, ResetGoesToOnePlace) {
  EXPECT_EQ(Ctl({"group", "reset", "g", "--to-latest"}).code, kDone);
  EXPECT_EQ(node_.reset_group_request.group(), "g");
  EXPECT_EQ(node_.reset_group_request.to(), v1::RESET_LATEST);
  EXPECT_EQ(Ctl({"group", "reset", "g", "--to-earliest"}).code, kDone);
  EXPECT_EQ(node_.reset_group_request.to(), v1::RESET_EARLIEST);
  EXPECT_EQ(
      Ctl({"group", "reset", "g", "--by", "-5", "--topic", "t", "--partition", "1", "2", "--dry-run"}).code,
      kDone);
  EXPECT_EQ(node_.reset_group_request.to(), v1::RESET_BY);
  EXPECT_EQ(node_.reset_group_request.value(), -5);
  EXPECT_THAT(node_.reset_group_request.partitions(), ElementsAre(1, 2));
  EXPECT_TRUE(node_.reset_group_request.dry_run());
  EXPECT_EQ(Ctl({"group", "reset", "g", "--to-offset", "7"}).code, kDone);
  EXPECT_EQ(node_.reset_group_request.to(), v1::RESET_OFFSET);
  EXPECT_EQ(node_.reset_group_request.value(), 7);
  EXPECT_EQ(Ctl({"group", "reset", "g", "--to-time", "1970-01-01T00:00:02Z"}).code, kDone);
  EXPECT_EQ(node_.reset_group_request.to(), v1::RESET_TIME);
  EXPECT_EQ(node_.reset_group_request.value(), 2000);
}

TEST_F(CtlGroupTest, ResetNeedsExactlyOnePlace) {
  EXPECT_EQ(Ctl({"group", "reset", "g"}).code, kUsage);
  EXPECT_EQ(Ctl({"group", "reset", "g", "--to-latest", "--to-earliest"}).code, kUsage);
  EXPECT_EQ(Ctl({"group", "reset", "g", "--to-time", "noon"}).code, kUsage);
}

TEST_F(CtlGroupTest, WhatIsExportedCanBeImported) {
  const CtlRun run = Ctl({"group", "import", Exported()});
  EXPECT_EQ(run.code, kDone) << run.err;
  const v1::ImportGroupRequest& sent = node_.import_group_request;
  EXPECT_EQ(sent.group(), "g");
  ASSERT_EQ(sent.offsets_size(), 1);
  EXPECT_EQ(sent.offsets(0).topic(), "sensors");
  EXPECT_EQ(sent.offsets(0).partition(), 3);
  EXPECT_EQ(sent.offsets(0).offset(), 12);
  EXPECT_EQ(sent.offsets(0).leader_epoch(), 1);
  EXPECT_EQ(sent.offsets(0).metadata(), "note");
}

TEST_F(CtlGroupTest, ImportMapsTopicsBetweenAnEdgeAndItsOriginAtTheCore) {
  const std::string file = Exported();
  EXPECT_EQ(Ctl({"group", "import", file, "--to-origin", "rig-7", "--group", "h"}).code, kDone);
  EXPECT_EQ(node_.import_group_request.group(), "h");
  EXPECT_EQ(Imported(), "rig-7.sensors");
  EXPECT_EQ(Ctl({"group", "import", file, "--map", "sensors=other"}).code, kDone);
  EXPECT_EQ(Imported(), "other");
  node_.group.mutable_offsets(0)->set_topic("rig-7.sensors");
  EXPECT_EQ(Ctl({"group", "import", Exported(), "--from-origin", "rig-7"}).code, kDone);
  EXPECT_EQ(Imported(), "sensors");
  const CtlRun foreign = Ctl({"group", "import", Exported(), "--from-origin", "rig-8"});
  EXPECT_EQ(foreign.code, kFailed);
  EXPECT_THAT(foreign.err, HasSubstr("rig-7.sensors is not one of edge rig-8"));
}

TEST_F(CtlGroupTest, WhatIsNoExportIsRefused) {
  const std::string path = dir_.File("other.json");
  std::ofstream(path) << "{\"group\": 3, \"foo\": 1}";
  const CtlRun run = Ctl({"group", "import", path});
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.err, HasSubstr("no export of a group"));
  EXPECT_EQ(Ctl({"group", "import", dir_.File("missing")}).code, kFailed);
}

}  // namespace
}  // namespace selvage::ctl
