#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/json/parse.hpp>
#include <thread>

#include "fabric/base/error.h"
#include "tests/support/eventually.h"
#include "tests/support/test_dir.h"
#include "tests/unit/ctl/fake_admin.h"
#include "tests/unit/ctl/run_ctl.h"

namespace selvage::ctl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string Lines(int from, int to) {
  std::string text;
  for (int i = from; i < to; ++i) text += fmt::format("line {}\n", i);
  return text;
}

std::vector<std::string> LineValues(int from, int to) {
  std::vector<std::string> values;
  for (int i = from; i < to; ++i) values.push_back(fmt::format("line {}", i));
  return values;
}

class CtlProduceTest : public testing::Test {
 protected:
  CtlProduceTest() {
    node_.AddStream("sensors", v1::UP, 2);
    node_.Start();
  }

  CtlRun Produce(std::vector<std::string> arguments, const std::string& input,
                 const std::function<void(World&)>& change = nullptr) {
    arguments.insert(arguments.begin(), {"stream", "produce", "sensors"});
    return RunCtl(node_.address(), std::move(arguments), input, change);
  }

  /// In another thread, reading from `pipe_`.
  std::thread ProduceFromPipe(std::vector<std::string> arguments, CtlRun& run) {
    return std::thread([this, arguments = std::move(arguments), &run] {
      run = Produce(arguments, "", [this](World& world) {
        world.in = pipe_.read_end();
        world.interrupted = [this] { return interrupted_.load(); };
      });
    });
  }

  FakeAdmin node_;
  InputPipe pipe_;
  std::atomic<bool> interrupted_ = false;
};

TEST_F(CtlProduceTest, EveryLineBecomesOneRecordInOrder) {
  CtlRun run = Produce({"--batch-records", "1000"}, Lines(0, 25000) + "without an end");
  EXPECT_EQ(run.code, kDone) << run.err;
  EXPECT_EQ(run.err, "25001 records acknowledged, offsets 0..25000\n");
  EXPECT_EQ(run.out, "");
  std::vector<std::string> expected = LineValues(0, 25000);
  expected.push_back("without an end");
  EXPECT_EQ(node_.Values("sensors"), expected);
  EXPECT_EQ(node_.produce_calls(), 26);
  EXPECT_EQ(node_.most_produce_calls_at_once(), 1);
}

TEST_F(CtlProduceTest, NoInputIsNoRecord) {
  CtlRun run = Produce({}, "");
  EXPECT_EQ(run.code, kDone);
  EXPECT_EQ(run.err, "0 records acknowledged\n");
  EXPECT_EQ(node_.produce_calls(), 0);
}

TEST_F(CtlProduceTest, ReadsAFileIntoAPartitionWithKeysAndCompression) {
  test::TestDir dir;
  FILE* file = fopen(dir.File("in.csv").c_str(), "w");
  fputs("a;1\nb;2;3\n", file);
  fclose(file);
  CtlRun run = Produce({"--file", dir.File("in.csv"), "--partition", "1", "--key-separator", ";",
                        "--compression", "zstd", "-o", "json"},
                       "ignored\n");
  EXPECT_EQ(run.code, kDone) << run.err;
  std::vector<Record> records = node_.Records("sensors", "", 1);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].key, "a");
  EXPECT_EQ(records[0].value, "1");
  EXPECT_EQ(records[1].key, "b");
  EXPECT_EQ(records[1].value, "2;3");
  boost::json::value summary = boost::json::parse(run.out);
  EXPECT_EQ(summary.at("records"), 2);
  EXPECT_EQ(summary.at("partition"), 1);
  EXPECT_EQ(summary.at("first_offset"), 0);
  EXPECT_EQ(summary.at("last_offset"), 1);
  EXPECT_EQ(summary.at("bytes"), 4);
  EXPECT_TRUE(summary.at("error").is_null());
}

TEST_F(CtlProduceTest, ALineWithoutKeyEndsTheRunAfterWhatCameBefore) {
  CtlRun run = Produce({"--key-separator", ";"}, "a;1\nb;2\nc\nd;4\n");
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.err, HasSubstr("error: line 3: the line \"c\" has no separator"));
  EXPECT_THAT(run.err, HasSubstr("to resume: --skip-lines 2\n"));
  EXPECT_THAT(node_.Values("sensors"), ElementsAre("1", "2"));
}

TEST_F(CtlProduceTest, UnknownStreamsAndPartitionsAreRefusedBeforeAnything) {
  CtlRun run = RunCtl(node_.address(), {"stream", "produce", "nothing"}, "x\n");
  EXPECT_EQ(run.code, kFailed);
  EXPECT_EQ(run.err, "error: there is no stream nothing; hint: create it first; a retry does not help\n");
  run = Produce({"--partition", "2"}, "x\n");
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.err, HasSubstr("stream sensors has no partition 2; hint: it has 2, counted from 0"));
  EXPECT_EQ(node_.produce_calls(), 0);
}

TEST_F(CtlProduceTest, WaitsForRefusalsThatPassAndStoresOnce) {
  node_.before_store = [](int call) {
    return call == 2 || call == 3 ? MakeError(absl::StatusCode::kResourceExhausted, "disk_full",
                                              "the disk budget is used up", "", Retry::kYes)
                                  : absl::OkStatus();
  };
  CtlRun run = Produce({"--batch-records", "10"}, Lines(0, 30));
  EXPECT_EQ(run.code, kDone) << run.err;
  EXPECT_EQ(node_.Values("sensors"), LineValues(0, 30));
  EXPECT_EQ(run.err,
            "waiting: the disk budget is used up; trying again for up to 1m\n"
            "30 records acknowledged, offsets 0..29\n");
}

TEST_F(CtlProduceTest, GivesUpARefusalInTheEndAndSaysWhereToResume) {
  node_.before_store = [](int call) {
    return call >= 2 ? MakeError(absl::StatusCode::kResourceExhausted, "overloaded", "too much waits", "",
                                 Retry::kYes)
                     : absl::OkStatus();
  };
  CtlRun run = Produce({"--batch-records", "10", "--retry-for", "150ms"}, Lines(0, 30));
  EXPECT_EQ(run.code, kFailed);
  EXPECT_THAT(run.err, HasSubstr("error: given up after 0.15s: too much waits; a retry helps\n"
                                 "10 records acknowledged, offsets 0..9\n"
                                 "to resume: --skip-lines 10\n"));
}

TEST_F(CtlProduceTest, ARefusalThatStaysEndsTheRunWithoutDoubt) {
  node_.before_store = [](int call) {
    return call == 2 ? MakeError(absl::StatusCode::kPermissionDenied, "permission_denied", "not yours")
                     : absl::OkStatus();
  };
  CtlRun run = Produce({"--batch-records", "10", "-o", "json"}, Lines(0, 30));
  EXPECT_EQ(run.code, kFailed);
  boost::json::value summary = boost::json::parse(run.out);
  EXPECT_EQ(summary.at("lines"), 10);
  EXPECT_EQ(summary.at("lines_in_doubt"), 0);
  EXPECT_EQ(summary.at("error").at("kind"), "permission_denied");
}

TEST_F(CtlProduceTest, ALineThatIsTooLargeIsNamedAndThoseBeforeItAreWritten) {
  node_.refuse_batch = [](const std::string& batch) {
    return batch.size() > 2000 ? MakeError(absl::StatusCode::kInvalidArgument, "batch_too_large",
                                           "the batch is too large", "send less")
                               : absl::OkStatus();
  };
  CtlRun run =
      Produce({"--batch-records", "100"}, Lines(0, 7) + std::string(3000, 'x') + "\n" + Lines(8, 12));
  EXPECT_EQ(run.code, kFailed);
  EXPECT_EQ(node_.Values("sensors"), LineValues(0, 7));
  EXPECT_THAT(run.err, HasSubstr("error: line 8: the batch is too large"));
  EXPECT_THAT(run.err, HasSubstr("to resume: --skip-lines 7\n"));
}

TEST_F(CtlProduceTest, ABatchThatIsTooLargeAsAWholeGoesInParts) {
  node_.refuse_batch = [](const std::string& batch) {
    return batch.size() > 500
               ? MakeError(absl::StatusCode::kInvalidArgument, "batch_too_large", "the batch is too large")
               : absl::OkStatus();
  };
  CtlRun run = Produce({"--batch-records", "100", "--compression", "none"}, Lines(0, 250));
  EXPECT_EQ(run.code, kDone) << run.err;
  EXPECT_EQ(node_.Values("sensors"), LineValues(0, 250));
}

TEST_F(CtlProduceTest, ALostAnswerLeavesItsLinesInDoubt) {
  node_.after_store = [](int call) {
    return call == 2 ? BareError(absl::StatusCode::kUnavailable, "socket closed") : absl::OkStatus();
  };
  CtlRun run = Produce({"--batch-records", "10", "-o", "json"}, Lines(0, 30));
  EXPECT_EQ(run.code, kOutcomeUnknown);
  EXPECT_THAT(run.err,
              HasSubstr("10 records acknowledged, offsets 0..9\n"
                        "lines 11..20 were under way: the node may have stored them or not\n"
                        "to resume: look whether they are in partition 0 of sensors beyond offset 9: "
                        "if they are, --skip-lines 20; else --skip-lines 10\n"));
  EXPECT_EQ(boost::json::parse(run.out).at("lines_in_doubt"), 10);
  EXPECT_EQ(node_.produce_calls(), 2);

  node_.after_store = nullptr;
  run = Produce({"--batch-records", "10", "--skip-lines", "20"}, Lines(0, 30));
  EXPECT_EQ(run.code, kDone);
  EXPECT_EQ(node_.Values("sensors"), LineValues(0, 30));
}

TEST_F(CtlProduceTest, ACommitThatFailedLeavesItsLinesInDoubt) {
  node_.before_store = [](int call) {
    return call == 2 ? MakeError(absl::StatusCode::kResourceExhausted, "disk_full", "No space left on device")
                     : absl::OkStatus();
  };
  CtlRun run = Produce({"--batch-records", "10"}, Lines(0, 30));
  EXPECT_EQ(run.code, kOutcomeUnknown);
  EXPECT_THAT(run.err, HasSubstr("lines 11..20 were under way"));
}

TEST_F(CtlProduceTest, ACutConnectionLeavesItsLinesInDoubt) {
  node_.hanging_call = 2;
  CtlRun run;
  std::thread producer = ProduceFromPipe({"--batch-records", "10"}, run);
  pipe_.Write(Lines(0, 30));
  EXPECT_TRUE(test::Eventually(absl::Seconds(20), [&] { return node_.produce_calls() == 2; }));
  node_.Stop();
  producer.join();
  EXPECT_EQ(run.code, kOutcomeUnknown) << run.err;
  EXPECT_THAT(run.err, HasSubstr("error: no connection to "));
  EXPECT_THAT(run.err, HasSubstr("10 records acknowledged, offsets 0..9\nlines 11..20 were under way"));
}

TEST_F(CtlProduceTest, WithRetryALostAnswerMayDuplicateAndSaysSo) {
  node_.after_store = [](int call) {
    return call == 2 ? BareError(absl::StatusCode::kUnavailable, "socket closed") : absl::OkStatus();
  };
  CtlRun run = Produce({"--batch-records", "10", "--retry"}, Lines(0, 20));
  EXPECT_EQ(run.code, kDone) << run.err;
  EXPECT_THAT(run.err,
              HasSubstr("20 records acknowledged, offsets 0..29 with others' records in between; "
                        "batches sent again after a lost answer: 1, their records may be stored twice\n"));
  EXPECT_EQ(node_.Values("sensors").size(), 30u);
}

TEST_F(CtlProduceTest, ANodeThatIsAwayBetweenBatchesIsWaitedForWithoutDoubt) {
  test::TestDir dir;
  CtlRun run;
  std::thread producer = ProduceFromPipe({"--linger", "1ms", "--acks-file", dir.File("acks")}, run);
  pipe_.Write("one\n");
  EXPECT_TRUE(test::Eventually(absl::Seconds(20), [&] { return !test::ReadFile(dir.File("acks")).empty(); }));
  node_.Stop();
  pipe_.Write("two\n");
  absl::SleepFor(absl::Milliseconds(100));  // it may find the node away; it must not matter
  node_.Start();
  pipe_.CloseWrite();
  producer.join();
  EXPECT_EQ(run.code, kDone) << run.err;
  EXPECT_THAT(node_.Values("sensors"), ElementsAre("one", "two"));
}

TEST_F(CtlProduceTest, ALineThatWaitsGoesAfterTheLinger) {
  CtlRun run;
  std::thread producer = ProduceFromPipe({"--linger", "10ms"}, run);
  pipe_.Write("alone\nunfinished");
  EXPECT_TRUE(node_.WaitForRecords("sensors", 1));
  EXPECT_THAT(node_.Values("sensors"), ElementsAre("alone"));
  pipe_.CloseWrite();
  producer.join();
  EXPECT_THAT(node_.Values("sensors"), ElementsAre("alone", "unfinished"));
}

TEST_F(CtlProduceTest, AnInterruptWritesWhatWasTakenAndNoHalfLine) {
  CtlRun run;
  std::thread producer = ProduceFromPipe({"--linger", "1h"}, run);
  node_.before_store = [this](int) {
    interrupted_ = true;
    return absl::OkStatus();
  };
  pipe_.Write(Lines(0, 1000) + "half");
  EXPECT_TRUE(node_.WaitForRecords("sensors", 1000));
  producer.join();
  EXPECT_EQ(run.code, kDone);
  EXPECT_EQ(run.err, "1000 records acknowledged, offsets 0..999\nto resume: --skip-lines 1000\n");
  EXPECT_EQ(node_.Values("sensors"), LineValues(0, 1000));
}

TEST_F(CtlProduceTest, AcksFileKnowsEveryAcknowledgedRecord) {
  test::TestDir dir;
  node_.AppendValues("sensors", {"earlier"});
  CtlRun run = Produce({"--acks-file", dir.File("acks")}, "\n\n");
  EXPECT_EQ(run.code, kDone);
  run = Produce({"--acks-file", dir.File("acks")}, "\n");
  EXPECT_EQ(test::ReadFile(dir.File("acks")),
            "0 1 2d06800538d394c2\n0 2 2d06800538d394c2\n0 3 2d06800538d394c2\n");
}

TEST_F(CtlProduceTest, RateIsKept) {
  absl::Time start = absl::Now();
  CtlRun run = Produce({"--rate", "50", "--linger", "1ms"}, Lines(0, 11));
  EXPECT_EQ(run.code, kDone);
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(190));
  EXPECT_EQ(node_.Values("sensors"), LineValues(0, 11));
}

TEST_F(CtlProduceTest, ProgressIsDrawnOnATerminalOnly) {
  CtlRun run = Produce({"--rate", "40"}, Lines(0, 11), [](World& world) { world.err_is_terminal = true; });
  EXPECT_THAT(run.err, HasSubstr("lines/s"));
  EXPECT_THAT(run.err, HasSubstr("\r\x1b[K11 records acknowledged, offsets 0..10\n"));
  run = Produce({"--rate", "40"}, Lines(0, 11));
  EXPECT_THAT(run.err, Not(HasSubstr("lines/s")));
}

TEST_F(CtlProduceTest, AMissingFileIsOneClearError) {
  CtlRun run = Produce({"--file", "/nowhere/in.csv"}, "");
  EXPECT_EQ(run.code, kFailed);
  EXPECT_EQ(run.err,
            "error: /nowhere/in.csv cannot be read: No such file or directory; a retry does not help\n");
}

}  // namespace
}  // namespace selvage::ctl
