#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/json/parse.hpp>
#include <thread>

#include "tests/support/eventually.h"
#include "tests/unit/ctl/fake_admin.h"
#include "tests/unit/ctl/run_ctl.h"

namespace selvage::ctl {
namespace {

using testing::HasSubstr;

class TailTest : public testing::Test {
 protected:
  TailTest() {
    node_.AddStream("sensors", v1::UP, 1);
    node_.AppendValues("sensors", {"a", "b", "c"}, "", 0, 1000);
    node_.AppendValues("sensors", {"d", "e"}, "", 0, 2000);
    node_.Start();
  }

  CtlRun Tail(std::vector<std::string> arguments, const std::string& stream = "sensors") {
    arguments.insert(arguments.begin(), {"stream", "tail", stream});
    return RunCtl(node_.address(), std::move(arguments));
  }

  FakeAdmin node_;
};

TEST_F(TailTest, ReadsToThePresentEnd) {
  CtlRun run = Tail({"--no-follow"});
  EXPECT_EQ(run.code, kDone) << run.err;
  EXPECT_EQ(run.out, "a\nb\nc\nd\ne\n");
  EXPECT_EQ(run.err, "");
}

TEST_F(TailTest, BeginsWhereItIsTold) {
  EXPECT_EQ(Tail({"--no-follow", "--from", "1"}).out, "b\nc\nd\ne\n");
  EXPECT_EQ(Tail({"--no-follow", "--from", "end"}).out, "");
  EXPECT_EQ(Tail({"--no-follow", "--from", "@1500"}).out, "d\ne\n");
  EXPECT_EQ(Tail({"--no-follow", "--from", "@1970-01-01T00:00:01.5Z"}).out, "d\ne\n");
  EXPECT_EQ(Tail({"--no-follow", "--from", "@9999"}).out, "");
  CtlRun run = Tail({"--no-follow", "--from", "yesterday"});
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.err, HasSubstr("\"yesterday\" is no place to begin"));
  run = Tail({"--no-follow", "--from", "99"});
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.err, HasSubstr("offset 99 is not within 0..5"));
}

TEST_F(TailTest, StopsAfterMaxRecords) {
  EXPECT_EQ(Tail({"--from", "start", "--max-records", "4"}).out, "a\nb\nc\nd\n");
}

TEST_F(TailTest, GapsAreLoud) {
  node_.AppendGap("sensors", 60, "dropped_for_space");
  node_.AppendValues("sensors", {"z"});
  CtlRun run = Tail({"--no-follow"});
  EXPECT_EQ(run.out, "a\nb\nc\nd\ne\nz\n");
  EXPECT_EQ(run.err, "gap: offsets 5..59 missing, dropped_for_space\n");
  EXPECT_EQ(Tail({"--no-follow", "--from", "40"}).err, "gap: offsets 40..59 missing, dropped_for_space\n");

  run = Tail({"--no-follow", "--from", "40", "-o", "json"});
  EXPECT_EQ(
      run.out,
      R"({"stream":"sensors","edge":"","partition":0,"gap":true,"from":40,"to":60,"reason":"dropped_for_space"})"
      "\n"
      R"({"stream":"sensors","edge":"","partition":0,"offset":60,"timestamp_ms":1000,"key":null,"value":"z"})"
      "\n");
}

TEST_F(TailTest, WhatExpiredBeforeItWasReadIsLoudToo) {
  node_.Trim("sensors", 3);
  CtlRun run = Tail({"--no-follow", "--from", "1"});
  EXPECT_EQ(run.out, "d\ne\n");
  EXPECT_EQ(run.err, "gap: offsets 1..2 missing, expired\n");
}

TEST_F(TailTest, FormatsShowEverythingSafely) {
  node_.AddStream("raw", v1::UP, 1);
  node_.AppendValues("raw", {std::string("\x1b[2J\xff")});
  EXPECT_EQ(Tail({"--no-follow", "--format", "full"}, "raw").out,
            "raw/0\t0\t1970-01-01 00:00:01Z\t-\t\\x1b[2J\\xff\n");
  boost::json::value line = boost::json::parse(Tail({"--no-follow", "--format", "json"}, "raw").out);
  EXPECT_EQ(line.at("value_hex"), "1b5b324aff");
}

TEST_F(TailTest, BatchesItCannotDecodeArePassedLoudly) {
  node_.Edit("sensors", "", [](FakeAdmin::Log& log) { log.entries[0].mutable_batch()->back() ^= 1; });
  node_.Edit("sensors", "", [](FakeAdmin::Log& log) { (*log.entries[0].mutable_batch())[22] = 1; });  // gzip
  CtlRun run = Tail({"--no-follow"});
  EXPECT_EQ(run.code, kDone);
  EXPECT_EQ(run.out, "d\ne\n");
  EXPECT_THAT(run.err, HasSubstr("sensors/0: offsets 0..2 cannot be shown"));
}

TEST_F(TailTest, FollowsThroughARestartOfTheNode) {
  CtlRun run;
  std::thread tail([&] { run = Tail({"--from", "3", "--max-records", "4"}); });
  auto fetches = [this](int count) {
    return test::Eventually(absl::Seconds(20), [this, count] { return node_.fetch_calls() >= count; });
  };
  EXPECT_TRUE(fetches(2));  // the second one waits for more
  node_.AppendValues("sensors", {"f"});
  EXPECT_TRUE(fetches(3));
  node_.Stop();
  node_.AppendValues("sensors", {"g"});
  node_.Start();
  tail.join();
  EXPECT_EQ(run.code, kDone) << run.err;
  EXPECT_EQ(run.out, "d\ne\nf\ng\n");
}

TEST_F(TailTest, AtTheCoreAllOriginsAreRead) {
  node_.status.set_role("core");
  node_.AddStream("core", v1::UP, 1, {"rig-1", "rig-2"});
  node_.AppendValues("core", {"one"}, "rig-1");
  node_.AppendValues("core", {"two"}, "rig-2");
  node_.AppendGap("core", 5, "quarantined_corrupt", "rig-2");
  CtlRun run = Tail({"--no-follow", "--format", "full"}, "core");
  EXPECT_THAT(run.out, HasSubstr("rig-1/core/0\t0\t1970-01-01 00:00:01Z\t-\tone\n"));
  EXPECT_THAT(run.out, HasSubstr("rig-2/core/0\t0\t1970-01-01 00:00:01Z\t-\ttwo\n"));
  EXPECT_EQ(run.err, "gap: offsets 1..4 missing, quarantined_corrupt (rig-2/core/0)\n");
  EXPECT_EQ(Tail({"--no-follow", "--edge", "rig-1"}, "core").out, "one\n");
}

TEST_F(TailTest, AnEdgeReadsItsOwnCopyOfADownStream) {
  node_.AddStream("commands", v1::DOWN, 1, {"", "rig-7"});  // a log may be described with the edge it is for
  node_.AppendValues("commands", {"go"});
  EXPECT_EQ(Tail({"--no-follow"}, "commands").out, "go\n");
}

TEST_F(TailTest, UnknownStreamsAndPartitionsAreErrors) {
  CtlRun run = Tail({}, "nothing");
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.err, HasSubstr("there is no stream nothing"));
  run = Tail({"--partition", "7"});
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.err, HasSubstr("stream sensors has no partition 7"));
}

}  // namespace
}  // namespace selvage::ctl
