#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <random>

#include "fabric/base/clock.h"
#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"

namespace selvage::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr size_t kRecordBytes = 512 << 10;
constexpr int kRecordsMax = 400;  // several times the budget

/// One edge into which numbered records are written; its link is down at first.
class FillingTest : public testing::Test {
 protected:
  explicit FillingTest(const Settings& edge) : cluster_({.edges = 1, .core = {}, .edge = edge}) {}

  void SetUp() override { ASSERT_THAT(cluster_.Prepare(), IsOk()); }

  void Start(v1::OnFull on_full) {
    ASSERT_THAT(core().Start(), IsOk());
    ASSERT_THAT(edge().Start(), IsOk());
    v1::StreamDefinition definition = Definition("readings", v1::UP);
    definition.mutable_settings()->set_on_full(on_full);
    definition.mutable_settings()->set_keep_after_ack(false);
    definition.mutable_settings()->set_link_compression(v1::NONE);
    ASSERT_THAT(CreateStream(core(), definition), IsOk());
    ASSERT_THAT(ProduceSoon(edge(), At("readings"), BatchOf({"0"})), IsOk());
    ASSERT_THAT(AwaitReplicated(edge(), "edge-0", core(), "readings"), IsOk());
    cluster_.link().Refuse(true);
    cluster_.link().Cut();
  }

  /// Writes the next numbered record.
  absl::Status WriteNext() {
    std::string value = fmt::format("{} ", next_);
    while (value.size() < kRecordBytes) value += static_cast<char>(random_());
    SELVAGE_ASSIGN_OR_RETURN(auto answer, Produce(edge(), At("readings"), BatchOf({value})));
    EXPECT_EQ(answer.base_offset(), next_);
    ++next_;
    return absl::OkStatus();
  }

  /// The numbers in the records of a log; each must be the record's offset.
  static std::vector<int64_t> Numbers(const LogContents& log) {
    std::vector<int64_t> numbers;
    for (const Record& record : log.records) {
      numbers.push_back(std::stoll(*record.value));
      EXPECT_EQ(record.offset.value(), numbers.back());
    }
    return numbers;
  }

  Daemon& core() { return cluster_.core(); }
  Daemon& edge() { return cluster_.edge(); }

  /// Everything that was acknowledged reaches the core, each record once.
  void ExpectAllAtCore() {
    ASSERT_THAT(AwaitReplicated(edge(), "edge-0", core(), "readings"), IsOk());
    auto log = ReadLog(core(), At("readings", 0, "edge-0"));
    ASSERT_THAT(log, IsOk());
    EXPECT_EQ(Numbers(*log).size(), static_cast<size_t>(next_));
    EXPECT_THAT(log->gaps, IsEmpty());
    EXPECT_THAT(Losses(core(), "readings"), IsEmpty());
  }

  /// Writes until a record is taken.
  void AwaitRoom() {
    absl::Status again;
    EXPECT_TRUE(Eventually(
        absl::Seconds(60),
        [&] {
          again = WriteNext();
          return again.ok();
        },
        absl::Milliseconds(200)))
        << selvage::Describe(again);
  }

  Cluster cluster_;
  int64_t next_ = 1;
  std::mt19937_64 random_{7};
};

/// The edge's store may take 48 MiB, of which 16 MiB are its reserve.
class FullDiskTest : public FillingTest {
 protected:
  FullDiskTest()
      : FillingTest({{"storage.budget", "48MiB"},
                     {"storage.reserve", "16MiB"},
                     {"storage.write_buffer", "1MiB"},
                     {"storage.tail_cache", "1MiB"}}) {}
};

TEST_F(FullDiskTest, RejectRefusesAndRecoversByItself) {
  ASSERT_NO_FATAL_FAILURE(Start(v1::REJECT));
  absl::Status full;
  while (full.ok() && next_ < kRecordsMax) full = WriteNext();
  EXPECT_THAT(full, HasKind("disk_full"));
  EXPECT_TRUE(IsRetryable(full));
  EXPECT_GE(edge().ErrorsCounted("disk_full"), 1);
  EXPECT_GT(next_, 20);
  EXPECT_EQ(ReadLog(edge(), At("readings"))->end.value(), next_) << "reads go on";

  cluster_.link().Refuse(false);
  AwaitRoom();
  ExpectAllAtCore();
}

TEST_F(FullDiskTest, DropOldestTakesEveryWriteAndRecordsTheLoss) {
  ASSERT_NO_FATAL_FAILURE(Start(v1::DROP_OLDEST));
  absl::Duration longest;
  while (next_ < kRecordsMax) {
    const absl::Duration asked = SystemClock().Monotonic();
    absl::Status written;
    ASSERT_TRUE(Eventually(absl::Seconds(60),
                           [&] {
                             written = WriteNext();
                             return written.ok();
                           }))
        << next_ << ": " << selvage::Describe(written);
    longest = std::max(longest, SystemClock().Monotonic() - asked);
  }
  fmt::print("a write waited at most {:.1f} s for room\n", absl::ToDoubleSeconds(longest));
  auto lost_at_edge = Losses(edge(), "readings");
  ASSERT_THAT(lost_at_edge, Not(IsEmpty()));
  EXPECT_EQ(lost_at_edge.front().reason(), "dropped_for_space");

  cluster_.link().Refuse(false);
  ASSERT_THAT(AwaitReplicated(edge(), "edge-0", core(), "readings"), IsOk());
  auto log = ReadLog(core(), At("readings", 0, "edge-0"));
  ASSERT_THAT(log, IsOk());
  int64_t missing = 0;
  for (const auto& gap : log->gaps) {
    EXPECT_EQ(gap.reason, "dropped_for_space");
    missing += gap.to - gap.from;
  }
  EXPECT_GT(missing, 0);
  EXPECT_EQ(static_cast<int64_t>(Numbers(*log).size()) + missing, next_) << "each is there or accounted for";
  int64_t in_ledger = 0;
  for (const v1::Loss& loss : Losses(core(), "readings")) {
    EXPECT_EQ(loss.edge(), "edge-0");
    in_ledger += loss.to() - loss.from();
  }
  EXPECT_EQ(in_ledger, missing);
}

/// Mounts of this process are its own, and those of the daemons that it starts. Before main, since it must
/// have one thread.
const bool kMayMount =
    ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;

/// The edge's data are on a volume of 256 MiB of which it keeps 64 MiB in reserve. Another process writes
/// there too.
class SharedVolumeTest : public FillingTest {
 protected:
  SharedVolumeTest()
      : FillingTest({{"storage.reserve", "64MiB"},
                     {"storage.write_buffer", "1MiB"},
                     {"storage.tail_cache", "1MiB"}}) {}

  void SetUp() override {
    if (!kMayMount) GTEST_SKIP() << "a volume of its own needs the right to mount";
    ASSERT_NO_FATAL_FAILURE(FillingTest::SetUp());
    std::filesystem::create_directories(edge().data_dir());
    ASSERT_EQ(::mount("tmpfs", edge().data_dir().c_str(), "tmpfs", 0, "size=256m"), 0)
        << std::strerror(errno);
    mounted_ = true;
  }

  void TearDown() override {
    if (!mounted_) return;
    if (edge().running()) edge().Kill();
    EXPECT_EQ(::umount2(edge().data_dir().c_str(), MNT_DETACH), 0) << std::strerror(errno);
  }

  std::filesystem::space_info Volume() { return std::filesystem::space(edge().data_dir()); }
  std::string OthersFile() { return edge().data_dir() + "/of-another-process"; }

  /// Another process takes all but so many bytes of the volume.
  void TakeAllBut(uint64_t left) {
    const uint64_t available = Volume().available;
    ASSERT_GT(available, left);
    // More than there is: it writes until it is told that the volume is full.
    const uint64_t bytes = left > 0 ? available - left : Volume().capacity;
    const auto taken = RunProgram({.args = {"/bin/sh", "-c", "head -c \"$0\" /dev/zero > \"$1\"",
                                            std::to_string(bytes), OthersFile()}});
    ASSERT_THAT(taken, IsOk());
    EXPECT_EQ(taken->exit.ok(), left > 0) << taken->err;
  }

  bool mounted_ = false;
};

TEST_F(SharedVolumeTest, WritesAreRefusedWhileAnotherProcessHoldsTheReserve) {
  ASSERT_NO_FATAL_FAILURE(Start(v1::REJECT));
  for (int i = 0; i < 20; ++i) ASSERT_THAT(WriteNext(), IsOk());
  ASSERT_NO_FATAL_FAILURE(TakeAllBut(48 << 20));
  absl::Status full;
  EXPECT_TRUE(Eventually(absl::Seconds(30), [&] {
    full = WriteNext();
    return !full.ok();
  }));
  EXPECT_THAT(full, HasKind("disk_full"));
  EXPECT_TRUE(IsRetryable(full));
  EXPECT_EQ(ReadLog(edge(), At("readings"))->end.value(), next_) << "reads go on";
  cluster_.link().Refuse(false);
  ASSERT_NO_FATAL_FAILURE(ExpectAllAtCore());  // replication goes on

  ASSERT_TRUE(std::filesystem::remove(OthersFile()));
  const pid_t pid = edge().process().pid();
  AwaitRoom();
  EXPECT_EQ(edge().process().pid(), pid);
  EXPECT_TRUE(edge().running());
  ExpectAllAtCore();
}

TEST_F(SharedVolumeTest, ANodeWhoseVolumeIsFullToTheLastByteStopsAndLosesNothing) {
  ASSERT_NO_FATAL_FAILURE(Start(v1::REJECT));
  for (int i = 0; i < 20; ++i) ASSERT_THAT(WriteNext(), IsOk());
  ASSERT_NO_FATAL_FAILURE(TakeAllBut(0));
  // Until its next look at the volume it takes writes, and finds no room for one.
  std::optional<ExitStatus> exit;
  EXPECT_TRUE(Eventually(absl::Seconds(60), [&] {
    (void)WriteNext();
    exit = edge().AwaitExit(absl::ZeroDuration());
    return exit.has_value();
  }));
  ASSERT_TRUE(exit.has_value());
  EXPECT_EQ(exit->signal, 0) << Describe(*exit);
  EXPECT_NE(exit->code, 0);
  EXPECT_THAT(ReadFile(edge().log_path()), HasSubstr("free space on the volume, then start again"));

  ASSERT_TRUE(std::filesystem::remove(OthersFile()));
  cluster_.link().Refuse(false);
  ASSERT_THAT(edge().Start(), IsOk());
  ASSERT_THAT(WriteNext(), IsOk());
  ExpectAllAtCore();
}

}  // namespace
}  // namespace selvage::test
