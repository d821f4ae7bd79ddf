#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/storage/committer.h"
#include "tests/unit/storage/recorded_task.h"

namespace selvage {
namespace {

using ::testing::ElementsAre;

/// The disk is full for the second group of tasks.
class CommitterFailureTest : public ::testing::Test {
 protected:
  CommitterFailureTest() {
    EXPECT_TRUE(Submit("a").ok());
    committer_.CommitOnce();
    trail_.Take();
    store_.SetCapacity(20);
  }
  absl::Status Submit(std::string name) {
    return committer_.Submit(std::make_unique<RecordedTask>(std::move(name), 60, trail_));
  }

  CountingStore store_;
  Trail trail_;
  std::vector<std::string> failures_;
  Committer committer_{store_, {.group_bytes_max = 150, .on_failure = [this](const absl::Status& error) {
                                  failures_.push_back(ErrorKind(error));
                                  trail_.Add("failure");
                                }}};
};

TEST_F(CommitterFailureTest, AFailedWriteFailsTheGroupAndAllThatWaits) {
  for (auto name : {"b", "!refused", "c", "d"}) ASSERT_TRUE(Submit(name).ok());
  EXPECT_TRUE(committer_.CommitOnce());
  EXPECT_THAT(trail_.Take(),
              ElementsAre("stage b", "stage !refused", "finish b: disk_full", "finish !refused: refused",
                          "finish c: disk_full", "finish d: disk_full", "failure"));
  EXPECT_EQ(committer_.QueuedBytes(), 0u);
  EXPECT_EQ(committer_.stats().tasks, 1u);
}

TEST_F(CommitterFailureTest, NothingIsTakenAfterAFailure) {
  ASSERT_TRUE(Submit("b").ok());
  committer_.CommitOnce();
  store_.SetCapacity(1 << 20);
  EXPECT_EQ(ErrorKind(Submit("c")), "disk_full");
  EXPECT_FALSE(committer_.CommitOnce());
  EXPECT_EQ(store_.writes(), 2) << "a failed write is not tried again";
  EXPECT_THAT(failures_, ElementsAre("disk_full"));
}

TEST_F(CommitterFailureTest, ATaskBroughtDuringTheFailureIsRefused) {
  absl::Status late;
  auto submit_late = [&](const absl::Status&) { late = Submit("late"); };
  EXPECT_EQ(ErrorKind(Commit(
                committer_,
                [](WriteBatch& batch) {
                  batch.Put(Family::kLog, "b", {std::string(100, 'v')});
                  return absl::OkStatus();
                },
                submit_late)),
            "disk_full");
  EXPECT_EQ(ErrorKind(late), "disk_full");
}

TEST_F(CommitterFailureTest, TheThreadEndsAfterAFailure) {
  {
    CommitterThread thread(committer_);
    EXPECT_EQ(ErrorKind(CommitAndWait(committer_, std::make_unique<RecordedTask>("b", 60, trail_))),
              "disk_full");
    thread.Stop();
  }
  EXPECT_THAT(failures_, ElementsAre("disk_full"));
}

TEST_F(CommitterFailureTest, NothingOfAFailedGroupIsVisible) {
  ASSERT_TRUE(Submit("b").ok());
  committer_.CommitOnce();
  EXPECT_EQ(*store_.Get(Family::kLog, "b"), std::nullopt);
  EXPECT_TRUE(store_.Get(Family::kLog, "a")->has_value());
}

}  // namespace
}  // namespace selvage
