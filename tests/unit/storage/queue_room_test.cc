#include "fabric/storage/queue_room.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "fabric/base/error.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/memory_store.h"
#include "tests/unit/storage/recorded_task.h"

namespace selvage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class QueueRoomTest : public ::testing::Test {
 protected:
  QueueRoom::Turn GetInLine(size_t bytes, std::string name) {
    auto turn = room_->GetInLine(bytes, [this, name] { woken_.push_back(name); });
    EXPECT_TRUE(turn.has_value());
    return *std::move(turn);
  }
  std::vector<std::string> TakeWoken() { return std::exchange(woken_, {}); }

  const std::shared_ptr<QueueRoom> room_ = std::make_shared<QueueRoom>(100);
  std::vector<std::string> woken_;
};

TEST_F(QueueRoomTest, WhatIsTakenIsBounded) {
  EXPECT_TRUE(room_->TryTake(60));
  EXPECT_FALSE(room_->TryTake(41));
  EXPECT_TRUE(room_->TryTake(40));
  room_->GiveBack(100);
  EXPECT_TRUE(room_->TryTake(1000)) << "what is larger fits alone";
  EXPECT_FALSE(room_->TryTake(1));
}

TEST_F(QueueRoomTest, WhereThereIsRoomTheTurnComesAtOnce) {
  const auto turn = GetInLine(100, "a");
  EXPECT_TRUE(turn.come());
  EXPECT_THAT(TakeWoken(), ElementsAre("a"));
}

TEST_F(QueueRoomTest, TurnsComeInOrderAndNoMoreThanThereIsRoomFor) {
  room_->Take(100);
  const auto a = GetInLine(40, "a"), b = GetInLine(50, "b"), c = GetInLine(40, "c"), d = GetInLine(5, "d");
  EXPECT_THAT(TakeWoken(), IsEmpty());
  room_->GiveBack(39);
  EXPECT_THAT(TakeWoken(), IsEmpty()) << "what would fit waits for the first in line";
  room_->GiveBack(1);
  EXPECT_THAT(TakeWoken(), ElementsAre("a"));
  EXPECT_TRUE(a.come());
  EXPECT_FALSE(b.come());
  room_->GiveBack(60);
  EXPECT_THAT(TakeWoken(), ElementsAre("b"));
  EXPECT_EQ(room_->waiting(), 2u);
}

TEST_F(QueueRoomTest, WhatATurnIsForIsKeptUntilItGoes) {
  room_->Take(100);
  auto a = std::make_unique<QueueRoom::Turn>(GetInLine(60, "a"));
  const auto b = GetInLine(60, "b");
  room_->GiveBack(100);
  EXPECT_THAT(TakeWoken(), ElementsAre("a"));
  EXPECT_TRUE(room_->TryTake(60)) << "by a";
  a.reset();
  EXPECT_THAT(TakeWoken(), IsEmpty());
  room_->GiveBack(60);
  EXPECT_THAT(TakeWoken(), ElementsAre("b"));
}

TEST_F(QueueRoomTest, ATurnThatGoesUnusedIsTheNextOnes) {
  room_->Take(100);
  auto a = std::make_unique<QueueRoom::Turn>(GetInLine(80, "a"));
  const auto b = GetInLine(80, "b");
  room_->GiveBack(100);
  EXPECT_THAT(TakeWoken(), ElementsAre("a"));
  a.reset();
  EXPECT_THAT(TakeWoken(), ElementsAre("b"));
}

TEST_F(QueueRoomTest, WhoLeavesTheLineLetsTheNextGoOn) {
  room_->Take(50);
  auto large = std::make_unique<QueueRoom::Turn>(GetInLine(1000, "large"));
  const auto small = GetInLine(50, "small");
  EXPECT_THAT(TakeWoken(), IsEmpty());
  large.reset();
  EXPECT_THAT(TakeWoken(), ElementsAre("small"));
}

TEST_F(QueueRoomTest, WhatIsLargerThanTheQueueWaitsUntilItIsEmpty) {
  room_->Take(10);
  const auto large = GetInLine(1000, "large");
  room_->GiveBack(10);
  EXPECT_THAT(TakeWoken(), ElementsAre("large"));
}

TEST_F(QueueRoomTest, TheLineIsBounded) {
  room_->Take(100);
  std::vector<QueueRoom::Turn> turns;
  for (size_t i = 0; i < QueueRoom::kTurnsMax; ++i) turns.push_back(GetInLine(1, "some"));
  EXPECT_FALSE(room_->GetInLine(1, [] {}).has_value());
  turns.pop_back();
  EXPECT_TRUE(room_->GetInLine(1, [] {}).has_value());
}

TEST_F(QueueRoomTest, OnceClosedEveryTurnHasCome) {
  room_->Take(100);
  const auto a = GetInLine(100, "a"), b = GetInLine(100, "b");
  room_->Close();
  EXPECT_THAT(TakeWoken(), ElementsAre("a", "b"));
  EXPECT_TRUE(GetInLine(100, "later").come());
}

TEST_F(QueueRoomTest, ACommitterTellsThoseWhoWaitAsItsQueueEmpties) {
  MemoryStore store;
  Trail trail;
  std::vector<std::string> woken;
  std::vector<QueueRoom::Turn> turns;
  {
    Committer committer(store, {.group_bytes_max = 50, .queue_bytes_max = 100});
    const auto submit = [&](const char* name) {
      return committer.Submit(std::make_unique<RecordedTask>(name, 50, trail));
    };
    ASSERT_TRUE(submit("1").ok());
    ASSERT_TRUE(submit("2").ok());
    EXPECT_EQ(ErrorKind(submit("3")), "overloaded");
    EXPECT_FALSE(committer.has_line());
    for (const char* name : {"3", "4", "5", "6"}) {
      turns.push_back(*committer.AwaitRoom(50, [&woken, name] { woken.push_back(name); }));
    }
    EXPECT_TRUE(committer.has_line());
    EXPECT_EQ(committer.waiting_for_room(), 4u);
    ASSERT_TRUE(committer.CommitOnce());
    EXPECT_THAT(woken, ElementsAre("3"));
    ASSERT_TRUE(submit("3").ok());
    turns.erase(turns.begin());
    EXPECT_THAT(woken, ElementsAre("3"));
    ASSERT_TRUE(committer.CommitOnce());
    ASSERT_TRUE(committer.CommitOnce());
    EXPECT_THAT(woken, ElementsAre("3", "4", "5"));
    committer.Close();
    EXPECT_THAT(woken, ElementsAre("3", "4", "5", "6"));
    EXPECT_EQ(ErrorKind(submit("6")), "stopping");
  }
  EXPECT_TRUE(turns.front().come()) << "it outlasts the committer";
}

TEST_F(QueueRoomTest, AFailedWriteWakesThoseWhoWait) {
  MemoryStore store({.capacity_bytes = 60});
  Trail trail;
  Committer committer(store, {.queue_bytes_max = 100});
  ASSERT_TRUE(committer.Submit(std::make_unique<RecordedTask>("large", 100, trail)).ok());
  int woken = 0;
  const auto a = committer.AwaitRoom(60, [&] { ++woken; }), b = committer.AwaitRoom(60, [&] { ++woken; });
  committer.CommitOnce();
  EXPECT_TRUE(committer.failed());
  EXPECT_EQ(woken, 2);
}

TEST_F(QueueRoomTest, ManyWritersShareAFullQueue) {
  constexpr int kWriters = 8;
  constexpr int kTasks = 200;
  CountingStore store;
  Trail trail;
  Committer committer(store, {.group_bytes_max = 100, .queue_bytes_max = 200});
  {
    CommitterThread thread(committer);
    std::vector<std::thread> writers;
    for (int w = 0; w < kWriters; ++w) {
      writers.emplace_back([&, w] {
        for (int i = 0; i < kTasks; ++i) {
          std::optional<QueueRoom::Turn> turn;
          while (true) {
            const std::string name = std::to_string(w) + "/" + std::to_string(i);
            if (committer.Submit(std::make_unique<RecordedTask>(name, 50, trail)).ok()) break;
            auto room = std::make_shared<absl::Notification>();
            turn.reset();
            turn = committer.AwaitRoom(50, [room] { room->Notify(); });
            room->WaitForNotification();
          }
        }
      });
    }
    for (auto& writer : writers) writer.join();
    thread.Stop();
  }
  EXPECT_EQ(committer.stats().tasks, static_cast<uint64_t>(kWriters * kTasks));
  EXPECT_FALSE(committer.has_line());
}

}  // namespace
}  // namespace selvage
