#include "fabric/node/alarm_book.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/storage/memory_store.h"
#include "tests/contract/log/log_node.h"

namespace selvage {
namespace {

using ::testing::HasSubstr;

class CountingStore : public MemoryStore {
 public:
  absl::Status Write(WriteBatch& batch, bool sync) override {
    ++writes;
    return MemoryStore::Write(batch, sync);
  }
  int writes = 0;
};

/// A book on a store that outlives it. The committer is driven by hand.
class AlarmBookTest : public ::testing::Test {
 protected:
  AlarmBookTest() { Restart(); }
  void Restart() {
    book_.reset();
    committer_ = std::make_unique<Committer>(store_, Committer::Options());
    book_ = std::make_unique<AlarmBook>(store_, *committer_, clock_);
    opened_ = book_->Open();
  }
  void CommitAll() {
    while (committer_->CommitOnce()) {
    }
  }
  std::optional<v1::AlarmDocument> Open(std::string_view kind) {
    for (const v1::AlarmDocument& alarm : book_->All(false)) {
      if (alarm.kind() == kind) return alarm;
    }
    return std::nullopt;
  }

  CountingStore store_;
  FakeClock clock_;
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<AlarmBook> book_;
  absl::Status opened_;
};

TEST_F(AlarmBookTest, ReportingWaitsForNoSyncAndManyShareOne) {
  for (int i = 0; i < 50; ++i) book_->Report({"log_held", fmt::format("log {}", i), "short", "", true});
  EXPECT_EQ(book_->open_count(), 50) << "shown at once";
  EXPECT_EQ(store_.writes, 0);
  CommitAll();
  EXPECT_EQ(store_.writes, 1);
  Restart();
  EXPECT_EQ(book_->open_count(), 50);
}

TEST_F(AlarmBookTest, IsStoredBeforeWhatItsCallerCommitsNext) {
  book_->Report({"clone", "rig", "two machines", "", true});
  ASSERT_TRUE(Commit(*committer_, [](WriteBatch& batch) {
                batch.Put(Family::kMeta, "held", {"yes"});
                return absl::OkStatus();
              }).ok());
  Restart();
  EXPECT_TRUE(book_->IsOpen("clone", "rig"));
}

TEST_F(AlarmBookTest, OfOnePeerOnlySoManyAreOpen) {
  book_->Report({"flow_held", "own", "", "", true});
  for (int i = 0; i < 10'000; ++i) {
    book_->Report({"definition_mismatch", fmt::format("rig/stream-{}", i), "differs", "", true, "rig"});
  }
  book_->Report({"definition_mismatch", "shop/stream", "differs", "", true, "shop"});
  CommitAll();
  const int limit = static_cast<int>(AlarmBook::kOpenOfPeerMax);
  EXPECT_EQ(book_->open_count(), limit + 3) << "and that some are left out; others are not touched";
  EXPECT_EQ(book_->left_out(), 10'000u - AlarmBook::kOpenOfPeerMax);
  ASSERT_TRUE(Open(AlarmBook::kLeftOut));
  EXPECT_EQ(Open(AlarmBook::kLeftOut)->subject(), "rig");
  EXPECT_EQ(Open(AlarmBook::kLeftOut)->count(), 10'000u - AlarmBook::kOpenOfPeerMax);

  Restart();
  book_->Report({"definition_mismatch", "rig/one-more", "differs", "", true, "rig"});
  EXPECT_FALSE(book_->IsOpen("definition_mismatch", "rig/one-more")) << "they count after a restart, too";
  book_->Clear("definition_mismatch", "rig/stream-7");
  EXPECT_FALSE(Open(AlarmBook::kLeftOut)) << "there is room again";
  book_->Report({"definition_mismatch", "rig/one-more", "differs", "", true, "rig"});
  EXPECT_TRUE(book_->IsOpen("definition_mismatch", "rig/one-more"));
  book_->ClearOfPeer("rig");
  EXPECT_EQ(book_->open_count(), 2);
}

TEST_F(AlarmBookTest, WhatAPeerCallsThingsKeepsNobodyFromOpeningTheStore) {
  // A text that is cut in the midst of a character, or never was one, can be written in a document, but not
  // be read.
  const std::string cut = std::string(399, 'a') + "\xC3\xA9";
  book_->Report({"definition_mismatch", cut, "\xFF\xFE", std::string(1 << 20, 'h'), true, "rig"});
  book_->Report({"definition_mismatch", cut, "again", "", true, "rig"});
  CommitAll();
  Restart();
  ASSERT_TRUE(opened_.ok()) << opened_;
  ASSERT_EQ(book_->open_count(), 1);
  const v1::AlarmDocument alarm = book_->All(false).front();
  EXPECT_EQ(alarm.subject(), std::string(399, 'a'));
  EXPECT_EQ(alarm.count(), 2u);
  EXPECT_LT(alarm.ByteSizeLong(), 5000u);
}

TEST_F(AlarmBookTest, AnAlarmThatRepeatsIsNotWrittenEachTime) {
  book_->Report({"flow_held", "sensors/0", "refused", "", true});
  CommitAll();
  for (int i = 0; i < 100; ++i) {
    clock_.Advance(absl::Milliseconds(100));
    book_->Report({"flow_held", "sensors/0", "refused", "", true});
    CommitAll();
  }
  EXPECT_EQ(store_.writes, 1);
  EXPECT_EQ(Open("flow_held")->count(), 101u);
}

TEST_F(AlarmBookTest, ResolvedOnesAreForgottenOldestFirst) {
  for (int i = 0; i < 1100; ++i) {
    book_->Report({"fork", fmt::format("log {}", i), "", "", false});
    book_->Clear("fork", fmt::format("log {}", i));
  }
  CommitAll();
  Restart();
  const auto all = book_->All(true);
  ASSERT_EQ(all.size(), 1000u);
  EXPECT_EQ(all.front().subject(), "log 100");
}

TEST_F(AlarmBookTest, WhatIsHeldOfAPeerIsTriedAgainWhenItIsResolved) {
  std::vector<std::string> tried;
  book_->OnResolveHeldOfPeer([&](const v1::AlarmDocument& alarm, const std::string&) {
    tried.push_back(alarm.peer() + ": " + alarm.subject());
    return absl::OkStatus();
  });
  book_->Report({"name_reserved", "rig/plant.alarms/0", "", "", true, "rig"});
  book_->Report({"clock_skew", "rig", "", "", false, "rig"});
  for (const v1::AlarmDocument& alarm : book_->All(false)) ASSERT_TRUE(book_->Resolve(alarm.id(), "").ok());
  EXPECT_THAT(tried, ::testing::ElementsAre("rig: rig/plant.alarms/0"));
  EXPECT_EQ(book_->open_count(), 0);
  EXPECT_EQ(ErrorKind(book_->Resolve(1, "").status()), "unknown_alarm");
}

}  // namespace
}  // namespace selvage
