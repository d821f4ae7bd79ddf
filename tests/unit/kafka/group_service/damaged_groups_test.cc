#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "fabric/kafka/group_service/group_service.h"
#include "fabric/node/node_state.h"
#include "fabric/storage/rocksdb_store.h"
#include "tests/contract/log/log_node.h"
#include "tests/support/seeded_random.h"
#include "tests/support/test_dir.h"

/// Consumer groups on a real store of which a block is damaged.
namespace selvage::kafka {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

constexpr int kGroups = 20;
constexpr int kPartitions = 100;

std::string Name(int group) {
  return fmt::format("group-{:02}", group);
}

/// Short, so that a block holds many; each is there once.
std::string Metadata(int group, int partition) {
  return fmt::format("committed by {} for {}", group, partition);
}

class DamagedGroupsTest : public testing::Test {
 protected:
  void Open() {
    Close();
    auto store = RocksDbStore::Open({.path = dir_.File("store")});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    NodeState::Options options;
    options.node = "rig";
    state_ = std::make_unique<NodeState>(options, *store_, clock_, random_);
    ASSERT_TRUE(state_->Open({}).ok());
    groups_ = std::make_unique<GroupService>(GroupService::PartsOf(*state_));
    const absl::Status opened = groups_->Open();
    ASSERT_TRUE(opened.ok()) << opened;
  }
  void Close() {
    groups_.reset();
    state_.reset();
    store_.reset();
  }

  void Commit(int group, const std::vector<int>& partitions, int64_t first_offset) {
    group::CommitRequest request{Name(group), "", std::nullopt, -1, {}};
    for (int partition : partitions) {
      request.partitions.push_back(
          {{"t", partition}, first_offset + partition, -1, Metadata(group, partition)});
    }
    std::optional<ErrorCode> answered;
    groups_->Commit(std::move(request),
                    [&](const group::CommitAnswer& answer) { answered = answer.partitions[0]; });
    while (state_->committer().CommitOnce()) groups_->Tick();
    EXPECT_EQ(answered, ErrorCode::kNone);
  }
  int64_t Committed(int group, int partition) {
    return groups_->Fetch(Name(group), {{"t", partition}})[0].offset;
  }

  /// Overwrites what is in a table of the closed store.
  bool DamageTable(const std::string& text) {
    for (const auto& entry : std::filesystem::directory_iterator(dir_.File("store"))) {
      if (entry.path().extension() != ".sst") continue;
      const size_t at = test::ReadFile(entry.path().string()).find(text);
      if (at == std::string::npos) continue;
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(at));
      file.write("damage", 6);
      return file.good();
    }
    return false;
  }

  test::TestDir dir_;
  FakeClock clock_;
  test::SeededRandom random_{1};
  std::unique_ptr<RocksDbStore> store_;
  std::unique_ptr<NodeState> state_;
  std::unique_ptr<GroupService> groups_;
};

TEST_F(DamagedGroupsTest, WhatLiesInADamagedBlockIsLostWithAnAlarmAndNothingElse) {
  Open();
  std::vector<int> all(kPartitions);
  std::iota(all.begin(), all.end(), 0);
  for (int group = 0; group < kGroups; ++group) Commit(group, all, 1000);
  ASSERT_TRUE(store_->Reclaim(Family::kGroup, "", "\xff").ok());
  Close();
  ASSERT_TRUE(DamageTable(Metadata(7, 50)));

  Open();
  int lost = 0;
  for (int group = 0; group < kGroups; ++group) {
    for (int partition = 0; partition < kPartitions; ++partition) {
      const int64_t committed = Committed(group, partition);
      lost += committed == -1;
      if (committed != -1) {
        EXPECT_EQ(committed, 1000 + partition);
      }
    }
  }
  EXPECT_EQ(Committed(7, 50), -1);
  EXPECT_LT(lost, kGroups * kPartitions / 10) << "more than a block";
  const auto alarms = state_->alarms().All(false);
  ASSERT_THAT(alarms, SizeIs(1));
  EXPECT_EQ(alarms[0].kind(), "group_damaged");
  EXPECT_THAT(alarms[0].message(), HasSubstr("from group-07 to group-0"));

  // What is committed again stays, also behind later starts, and the rest too.
  Commit(7, {50}, 2000);
  Commit(12, {3}, 2000);
  for (int starts = 0; starts < 2; ++starts) {
    Open();
    EXPECT_EQ(Committed(7, 50), 2050);
    EXPECT_EQ(Committed(12, 3), 2003);
    EXPECT_EQ(Committed(19, 99), 1099);
    EXPECT_EQ(Committed(0, 0), 1000);
  }
  EXPECT_EQ(state_->alarms().All(false)[0].count(), 1u) << "it is told once";
}

}  // namespace
}  // namespace selvage::kafka
