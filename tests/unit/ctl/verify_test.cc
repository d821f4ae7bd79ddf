#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "fabric/base/error.h"
#include "tests/unit/ctl/fake_admin.h"
#include "tests/unit/ctl/run_ctl.h"

namespace selvage::ctl {
namespace {

using testing::HasSubstr;

class VerifyTest : public testing::Test {
 protected:
  VerifyTest() {
    core_.status.set_node("core-1");
    core_.status.set_role("core");
    core_.AddStream("commands", v1::DOWN, 1, {"rig-7"});
    core_.AddStream("news", v1::DOWN_SHARED, 1);
    core_.AddStream("sensors", v1::UP, 1, {"rig-7", "rig-8"});
    edge_.AddStream("commands", v1::DOWN, 1);
    edge_.AddStream("news", v1::DOWN_SHARED, 1);
    edge_.AddStream("scratch", v1::LOCAL, 1);
    edge_.AddStream("sensors", v1::UP, 1);
    for (int i = 0; i < 2500; ++i) Both("sensors", {fmt::format("{}", i), "x"});
    core_.AppendValues("news", {"n"});
    edge_.AppendValues("news", {"n"});
    core_.Start();
    edge_.Start();
  }

  void Both(const std::string& stream, const std::vector<std::string>& values) {
    core_.AppendValues(stream, values, "rig-7");
    edge_.AppendValues(stream, values);
  }

  CtlRun Verify(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"verify", "--edge-address", edge_.address()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCtl(core_.address(), arguments);
  }

  FakeAdmin core_;
  FakeAdmin edge_;
};

TEST_F(VerifyTest, EqualCopies) {
  edge_.AppendValues("sensors", {"not sent yet"});
  CtlRun run = Verify();
  EXPECT_EQ(run.code, kDone) << run.err;
  EXPECT_EQ(run.out,
            "STREAM    PARTITION  OFFSETS  ENTRIES  RECORDS  CORE END  EDGE END  RESULT\n"
            "commands          0  -              0        0         0         0  equal\n"
            "news              0  0..0           1        1         1         1  equal\n"
            "sensors           0  0..4999     2500     5000      5000      5001  equal\n"
            "edge rig-7: 3 logs equal, 0 different, 0 not compared; 2501 entries, 5001 records alike\n");
}

TEST_F(VerifyTest, NamesTheFirstEntryThatDiffers) {
  edge_.Edit("sensors", "", [](FakeAdmin::Log& log) { log.entries[1200].mutable_batch()->back() ^= 1; });
  CtlRun run = Verify({"--stream", "sensors", "-o", "json"});
  EXPECT_EQ(run.code, kFailed);
  boost::json::value json = boost::json::parse(run.out);
  EXPECT_EQ(json.at("result"), "different");
  EXPECT_EQ(json.at("logs").as_array().size(), 1u);
  EXPECT_EQ(json.at("logs").at(0).at("entries"), 1200);
  EXPECT_THAT(std::string(json.at("logs").at(0).at("difference").as_string()),
              HasSubstr("at offset 2400 the core has a batch 2400..2401"));
}

TEST_F(VerifyTest, AGapAtOneEndIsReportedAndNoDamage) {
  core_.AppendGap("sensors", 5010, "lost_with_disk", "rig-7");
  edge_.AppendValues("sensors", std::vector<std::string>(10, "kept"));
  CtlRun run = Verify({"--stream", "sensors"});
  EXPECT_EQ(run.code, kDone);
  EXPECT_THAT(run.out,
              HasSubstr("gap: sensors/0: the core lacks offsets 5000..5009, which the edge holds\n"));
}

TEST_F(VerifyTest, DamageThatANodeFindsItselfIsADifference) {
  core_.digest_error =
      MakeError(absl::StatusCode::kDataLoss, "corrupt_entry", "the entry at offset 7 is corrupt");
  CtlRun run = Verify({"--stream", "sensors"});
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.out, HasSubstr("different: the entry at offset 7 is corrupt"));
}

TEST_F(VerifyTest, WhatIsOnlyAtOneEndCannotBeCompared) {
  edge_.AddStream("local-made", v1::UP, 1);
  CtlRun run = Verify();
  EXPECT_EQ(run.code, kNotCompared);
  EXPECT_THAT(run.out, HasSubstr("not compared: the core has no such stream"));
  EXPECT_THAT(run.out, HasSubstr("3 logs equal, 0 different, 1 not compared"));
}

TEST_F(VerifyTest, ErrorsMeanNotCompared) {
  CtlRun run = Verify({"--edge", "rig-8"});
  EXPECT_EQ(run.code, kNotCompared);
  EXPECT_THAT(run.err, HasSubstr(" is edge rig-7, not rig-8"));
  run = Verify({"--stream", "nothing"});
  EXPECT_EQ(run.code, kNotCompared);
  run = RunCtl(edge_.address(), {"verify", "--edge-address", edge_.address()});
  EXPECT_EQ(run.code, kNotCompared);
  EXPECT_THAT(run.err, HasSubstr("is the edge rig-7; hint: --address is the core's"));
  edge_.Stop();
  run = Verify();
  EXPECT_EQ(run.code, kNotCompared);
  EXPECT_THAT(run.err, HasSubstr("no connection to " + edge_.address()));
}

}  // namespace
}  // namespace selvage::ctl
