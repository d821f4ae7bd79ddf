#include "fabric/storage/committer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/storage/memory_store.h"
#include "tests/unit/storage/recorded_task.h"

namespace selvage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CommitterTest : public ::testing::Test {
 protected:
  absl::Status Submit(Committer& committer, std::string name, size_t bytes = 10) {
    return committer.Submit(std::make_unique<RecordedTask>(std::move(name), bytes, trail_));
  }
  bool Stored(std::string_view key) { return store_.Get(Family::kLog, key)->has_value(); }

  CountingStore store_;
  Trail trail_;
};

TEST_F(CommitterTest, NothingWaitsNothingHappens) {
  Committer committer(store_, {});
  EXPECT_FALSE(committer.CommitOnce());
  EXPECT_EQ(store_.writes(), 0);
}

TEST_F(CommitterTest, ManyTasksAreOneSyncedWrite) {
  Committer committer(store_, {});
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Submit(committer, fmt::format("{:02}", i)).ok());
  EXPECT_EQ(committer.QueuedBytes(), 1000u);
  EXPECT_TRUE(committer.CommitOnce());
  EXPECT_EQ(store_.writes(), 1);
  EXPECT_EQ(store_.syncs(), 1);
  EXPECT_EQ(committer.QueuedBytes(), 0u);
  EXPECT_EQ(committer.stats().groups, 1u);
  EXPECT_EQ(committer.stats().tasks, 100u);
  EXPECT_GE(committer.stats().bytes, 1000u);
  EXPECT_TRUE(Stored("00"));
  EXPECT_TRUE(Stored("99"));
  EXPECT_FALSE(committer.CommitOnce());
}

TEST_F(CommitterTest, StagesAllThenFinishesAllInOrder) {
  Committer committer(store_, {});
  for (auto name : {"a", "b", "c"}) ASSERT_TRUE(Submit(committer, name).ok());
  committer.CommitOnce();
  EXPECT_THAT(trail_.Take(),
              ElementsAre("stage a", "stage b", "stage c", "finish a: ok", "finish b: ok", "finish c: ok"));
}

TEST_F(CommitterTest, AGroupIsBoundedInBytes) {
  Committer committer(store_, {.group_bytes_max = 100});
  for (auto name : {"a", "b", "c", "d"}) ASSERT_TRUE(Submit(committer, name, 50).ok());
  ASSERT_TRUE(Submit(committer, "large", 500).ok());
  ASSERT_TRUE(Submit(committer, "e", 50).ok());
  int groups = 0;
  while (committer.CommitOnce()) ++groups;
  EXPECT_EQ(groups, 4) << "a b | c d | large | e";
  EXPECT_EQ(store_.writes(), 4);
  EXPECT_EQ(committer.stats().tasks, 6u);
}

TEST_F(CommitterTest, AFailedStageFailsThatTaskAlone) {
  Committer committer(store_, {});
  ASSERT_TRUE(Submit(committer, "a").ok());
  ASSERT_TRUE(Submit(committer, "!refused").ok());
  ASSERT_TRUE(Submit(committer, "b").ok());
  committer.CommitOnce();
  EXPECT_THAT(trail_.Take(), ElementsAre("stage a", "stage !refused", "stage b", "finish a: ok",
                                         "finish !refused: refused", "finish b: ok"));
  EXPECT_TRUE(Stored("a"));
  EXPECT_TRUE(Stored("b"));
  EXPECT_FALSE(Stored("!refused"));
  EXPECT_EQ(committer.stats().tasks, 2u);
}

TEST_F(CommitterTest, AGroupThatChangesNothingIsNotWritten) {
  Committer committer(store_, {});
  ASSERT_TRUE(Submit(committer, "!refused").ok());
  ASSERT_TRUE(Submit(committer, "-fence").ok());
  EXPECT_TRUE(committer.CommitOnce());
  EXPECT_EQ(store_.writes(), 0);
  EXPECT_THAT(trail_.Take(),
              ElementsAre("stage !refused", "stage -fence", "finish !refused: refused", "finish -fence: ok"));
}

TEST_F(CommitterTest, AFullQueueRefuses) {
  Committer committer(store_, {.queue_bytes_max = 100});
  ASSERT_TRUE(Submit(committer, "a", 60).ok());
  const absl::Status refused = Submit(committer, "b", 60);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrorKind(refused), "overloaded");
  EXPECT_TRUE(IsRetryable(refused));
  ASSERT_TRUE(Submit(committer, "c", 40).ok());
  while (committer.CommitOnce()) {
  }
  EXPECT_THAT(trail_.Take(), ElementsAre("stage a", "stage c", "finish a: ok", "finish c: ok"));
  EXPECT_TRUE(Submit(committer, "b", 60).ok()) << "room again";
}

TEST_F(CommitterTest, ATaskLargerThanTheQueueFitsAlone) {
  Committer committer(store_, {.queue_bytes_max = 100});
  ASSERT_TRUE(Submit(committer, "large", 1000).ok());
  EXPECT_EQ(Submit(committer, "small", 1).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(committer.CommitOnce());
  EXPECT_TRUE(Stored("large"));
}

TEST_F(CommitterTest, APlaceIsHeldForItsTask) {
  Committer committer(store_, {.queue_bytes_max = 100});
  {
    auto place = committer.Reserve(60);
    ASSERT_TRUE(place.ok());
    EXPECT_EQ(committer.QueuedBytes(), 0u) << "there is nothing to commit";
    EXPECT_EQ(ErrorKind(Submit(committer, "b", 60)), "overloaded");
    EXPECT_EQ(ErrorKind(committer.Reserve(60).status()), "overloaded");
    ASSERT_TRUE(Submit(committer, "c", 40).ok());
    ASSERT_TRUE(committer.Submit(std::make_unique<RecordedTask>("a", 60, trail_), *std::move(place)).ok());
  }
  EXPECT_EQ(committer.QueuedBytes(), 100u);
  while (committer.CommitOnce()) {
  }
  EXPECT_THAT(trail_.Take(), ElementsAre("stage c", "stage a", "finish c: ok", "finish a: ok"));
  EXPECT_TRUE(committer.Reserve(100).ok()) << "given back when it goes unused";
  EXPECT_TRUE(Submit(committer, "d", 100).ok());
}

TEST_F(CommitterTest, APlaceIsNoWayPastClose) {
  Committer committer(store_, {});
  auto place = committer.Reserve(10);
  ASSERT_TRUE(place.ok());
  committer.Close();
  EXPECT_EQ(ErrorKind(committer.Reserve(10).status()), "stopping");
  EXPECT_EQ(ErrorKind(committer.Submit(std::make_unique<RecordedTask>("a", 10, trail_), *std::move(place))),
            "stopping");
  EXPECT_THAT(trail_.Take(), IsEmpty());
}

TEST_F(CommitterTest, CloseCommitsWhatWaits) {
  Committer committer(store_, {});
  ASSERT_TRUE(Submit(committer, "a").ok());
  committer.Close();
  const absl::Status refused = Submit(committer, "b");
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(committer.WaitForWork());
  EXPECT_TRUE(committer.CommitOnce());
  EXPECT_FALSE(committer.WaitForWork());
  EXPECT_THAT(trail_.Take(), ElementsAre("stage a", "finish a: ok"));
}

TEST_F(CommitterTest, DestructionFailsWhatWaits) {
  {
    Committer committer(store_, {});
    ASSERT_TRUE(Submit(committer, "a").ok());
    ASSERT_TRUE(Submit(committer, "b").ok());
  }
  EXPECT_THAT(trail_.Take(), ElementsAre("finish a: stopping", "finish b: stopping"));
  EXPECT_EQ(store_.writes(), 0);
}

TEST_F(CommitterTest, TheThreadCommitsWhatManyWritersBring) {
  constexpr int kWriters = 4;
  constexpr int kTasks = 250;
  Committer committer(store_, {});
  std::atomic<int> refused{0};
  {
    CommitterThread thread(committer);
    EXPECT_TRUE(committer.driven_by_thread());
    std::vector<std::thread> writers;
    for (int w = 0; w < kWriters; ++w) {
      writers.emplace_back([&, w] {
        for (int i = 0; i < kTasks; ++i) refused += !Submit(committer, fmt::format("{}/{:03}", w, i)).ok();
      });
    }
    for (auto& writer : writers) writer.join();
    thread.Stop();
  }
  EXPECT_EQ(refused, 0);
  EXPECT_EQ(committer.stats().tasks, static_cast<uint64_t>(kWriters * kTasks));
  EXPECT_EQ(committer.stats().groups, static_cast<uint64_t>(store_.syncs()));
  // Each writer's tasks took effect in the order it brought them.
  std::vector<std::string> last(kWriters);
  for (const std::string& event : trail_.Take()) {
    if (event.rfind("finish ", 0) != 0) continue;
    const std::string name = event.substr(7, 5);
    std::string& before = last[static_cast<size_t>(name[0] - '0')];
    EXPECT_LT(before, name);
    before = name;
  }
}

TEST_F(CommitterTest, StoppingTheThreadTwiceIsFine) {
  Committer committer(store_, {});
  CommitterThread thread(committer);
  thread.Stop();
  thread.Stop();
}

}  // namespace
}  // namespace selvage
