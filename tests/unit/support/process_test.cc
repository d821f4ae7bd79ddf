#include "tests/support/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "tests/support/eventually.h"
#include "tests/support/test_dir.h"

namespace selvage::test {
namespace {

using ::testing::HasSubstr;

SpawnOptions Shell(const std::string& script) {
  return {.args = {"sh", "-c", script}};
}

class ProcessTest : public ::testing::Test {
 protected:
  std::unique_ptr<ChildProcess> StartShell(const std::string& script) {
    auto child = ChildProcess::Start({.spawn = Shell(script), .output_path = dir_.File("out")});
    EXPECT_TRUE(child.ok()) << child.status();
    return std::move(child).value();
  }
  bool OutputHolds(const std::string& text) {
    return Eventually(absl::Seconds(10),
                      [&] { return ReadFile(dir_.File("out")).find(text) != std::string::npos; });
  }

  TestDir dir_;
};

TEST_F(ProcessTest, TellsHowAProcessEnded) {
  auto child = StartShell("exit 3");
  const auto status = child->Wait(absl::Seconds(10));
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(*status, (ExitStatus{.code = 3}));
  EXPECT_EQ(Describe(*status), "exit code 3");
  // Asked again, it says the same, and signals find nobody.
  EXPECT_EQ(child->Kill(), *status);
  EXPECT_FALSE(child->running());
  EXPECT_EQ(ErrorKind(child->Signal(SIGTERM)), "process_ended");
  EXPECT_EQ(ErrorKind(child->Memory().status()), "process_ended");
  EXPECT_EQ(ErrorKind(child->CpuTime().status()), "process_ended");
}

TEST_F(ProcessTest, WaitGivesUpAtItsDeadline) {
  auto child = StartShell("exec sleep 600");
  const absl::Duration start = SystemClock().Monotonic();
  EXPECT_FALSE(child->Wait(absl::Milliseconds(50)).has_value());
  EXPECT_GE(SystemClock().Monotonic() - start, absl::Milliseconds(50));
  EXPECT_TRUE(child->running());
  EXPECT_EQ(child->Kill(), (ExitStatus{.signal = SIGKILL}));
}

TEST_F(ProcessTest, TerminateLetsItCleanUpOrKillsIt) {
  auto polite = StartShell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(OutputHolds("ready"));
  const auto status = polite->Terminate(absl::Seconds(10));
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->code, 7);

  auto deaf = StartShell("trap '' TERM; echo deaf; while :; do sleep 0.01; done");
  ASSERT_TRUE(OutputHolds("deaf"));
  EXPECT_EQ(ErrorKind(deaf->Terminate(absl::Milliseconds(100)).status()), "process_not_ended");
  EXPECT_EQ(deaf->Wait(absl::ZeroDuration()), (ExitStatus{.signal = SIGKILL}));
}

TEST_F(ProcessTest, SignalsReachIt) {
  auto child = StartShell("trap 'echo caught' USR1; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(OutputHolds("ready"));
  EXPECT_TRUE(child->Signal(SIGUSR1).ok());
  EXPECT_TRUE(OutputHolds("caught"));
}

TEST_F(ProcessTest, OutputOfBothKindsIsAppendedAcrossRestarts) {
  StartShell("echo one; echo two >&2")->Wait(absl::Seconds(10));
  StartShell("echo three")->Wait(absl::Seconds(10));
  EXPECT_EQ(ReadFile(dir_.File("out")), "one\ntwo\nthree\n");
}

TEST_F(ProcessTest, TheDestructorKillsAndReaps) {
  pid_t pid = 0;
  {
    auto child = StartShell("exec sleep 600");
    pid = child->pid();
    EXPECT_EQ(kill(pid, 0), 0);
  }
  EXPECT_EQ(kill(pid, 0), -1);
}

TEST_F(ProcessTest, OutlivesTheThreadThatStartedIt) {
  std::unique_ptr<ChildProcess> child;
  std::thread([&] { child = StartShell("exec sleep 600"); }).join();
  EXPECT_FALSE(child->Wait(absl::Milliseconds(100)).has_value());
}

// Not a test of its own: the one below runs it in another process.
TEST(CrashingTest, DISABLED_StartsAChildAndCrashes) {
  const auto pid = Spawn(Shell("exec sleep 600"), 0, 1, 2);
  ASSERT_TRUE(pid.ok()) << pid.status();
  std::cout << "child " << *pid << std::endl;
  kill(getpid(), SIGKILL);
}

TEST_F(ProcessTest, DiesWithTheTestHoweverThatEnds) {
  const auto crashed = RunProgram(
      {.args = {"/proc/self/exe", "--gtest_also_run_disabled_tests", "--gtest_filter=CrashingTest.*"},
       .environment = {{"GTEST_TOTAL_SHARDS", "1"}, {"GTEST_SHARD_INDEX", "0"}}});
  ASSERT_TRUE(crashed.ok()) << crashed.status();
  EXPECT_EQ(crashed->exit, (ExitStatus{.signal = SIGKILL}));
  const size_t at = crashed->out.find("child ");
  ASSERT_NE(at, std::string::npos) << crashed->out;
  const std::string orphan = std::to_string(std::stoi(crashed->out.substr(at + 6)));
  // Whoever inherits it may be slow to reap it: a zombie is dead too.
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] {
    const std::string stat = ReadFile("/proc/" + orphan + "/stat");
    return stat.empty() || stat.find(") Z ") != std::string::npos;
  }));
}

TEST_F(ProcessTest, MeasuresMemoryAndProcessorTime) {
  auto child = StartShell("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo counted; exec sleep 600");
  ASSERT_TRUE(OutputHolds("counted"));
  const auto memory = child->Memory();
  ASSERT_TRUE(memory.ok()) << memory.status();
  EXPECT_GT(memory->anonymous_bytes, 0);
  // Equal when the machine was short of memory and took the pages of the program file back.
  EXPECT_GE(memory->resident_bytes, memory->anonymous_bytes);
  EXPECT_LT(memory->resident_bytes, 64 << 20);
  const auto time = child->CpuTime();
  ASSERT_TRUE(time.ok()) << time.status();
  EXPECT_GE(*time, absl::Milliseconds(10));
  EXPECT_LT(*time, absl::Seconds(30));
}

TEST_F(ProcessTest, AProgramThatCannotStartIsAnError) {
  const auto missing = RunProgram({.args = {"/no/such/program"}});
  EXPECT_EQ(ErrorKind(missing.status()), "program_not_started");
  EXPECT_THAT(missing.status().ToString(), HasSubstr("No such file"));
  SpawnOptions nowhere = Shell("true");
  nowhere.working_directory = dir_.File("missing");
  EXPECT_EQ(ErrorKind(RunProgram(nowhere).status()), "program_not_started");
  EXPECT_EQ(ErrorKind(RunProgram({}).status()), "no_program");
}

TEST_F(ProcessTest, TheChildHoldsNoneOfOurDescriptors) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);  // not close-on-exec, as Asio's sockets are not
  auto child = StartShell("exec sleep 600");
  close(ends[1]);
  char byte;
  EXPECT_EQ(read(ends[0], &byte, 1), 0);
  close(ends[0]);
}

TEST(RunProgramTest, GivesCodeAndBothOutputs) {
  const auto result = RunProgram(Shell("cat; echo oops >&2; exit 4"), "line one\nline two\n");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit.code, 4);
  EXPECT_FALSE(result->exit.ok());
  EXPECT_EQ(result->out, "line one\nline two\n");
  EXPECT_EQ(result->err, "oops\n");
}

TEST(RunProgramTest, SetsEnvironmentAndWorkingDirectory) {
  SpawnOptions options = Shell("echo $SELVAGE_TEST_A $SELVAGE_TEST_B; pwd");
  ASSERT_EQ(setenv("SELVAGE_TEST_A", "inherited", 1), 0);
  ASSERT_EQ(setenv("SELVAGE_TEST_B", "hidden", 1), 0);
  options.environment = {{"SELVAGE_TEST_B", "given"}};
  options.working_directory = "/";
  const auto result = RunProgram(options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->out, "inherited given\n/\n");
}

TEST(RunProgramTest, LargeInputAndOutputPass) {
  const std::string input(3 << 20, 'x');
  const auto result = RunProgram({.args = {"cat"}}, input);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->out == input);
}

TEST(RunProgramTest, AtTheDeadlineItKillsAndShowsWhatWasSaid) {
  const auto result = RunProgram(Shell("echo started; exec sleep 600"), {}, absl::Milliseconds(300));
  EXPECT_EQ(ErrorKind(result.status()), "process_not_ended");
  EXPECT_THAT(result.status().ToString(), HasSubstr("started"));
}

}  // namespace
}  // namespace selvage::test
