// A node of which a table is damaged: it says so, and when what was in it is dealt with, all is as before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/synchronization/notification.h"
#include "fabric/daemon/node_store.h"
#include "fabric/stream/record_batch.h"
#include "tests/support/eventually.h"
#include "tests/support/test_dir.h"

namespace selvage {
namespace {

class DamagedTableAlarmTest : public ::testing::Test {
 protected:
  void Open() {
    store_.reset();
    NodeStore::Options options;
    options.data_dir = dir_.File("data");
    options.state.node = "rig";
    options.on_failure = [](const absl::Status& why) { ADD_FAILURE() << why; };
    auto store = NodeStore::Open(std::move(options));
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  EmbeddedLog& log() {
    return *store_->state().embedded_logs().FindEmbedded(LogOrigin{"", Slot(0), "sensors", PartitionId(0)});
  }
  void Append(int number) {
    BatchBuilder builder;
    builder.Add({Offset(0), 1000, std::nullopt, Value(number), {}});
    absl::Notification done;
    ASSERT_TRUE(log()
                    .Append(builder.Build(),
                            [&](const auto& appended) {
                              EXPECT_TRUE(appended.ok());
                              done.Notify();
                            })
                    .ok());
    done.WaitForNotification();
  }
  static std::string Value(int number) {
    return "value " + std::to_string(number) + ";" + std::string(300, 'v');
  }
  void DamageTable(int number) {
    for (const auto& file : std::filesystem::directory_iterator(dir_.File("data") + "/store")) {
      if (file.path().extension() != ".sst") continue;
      const size_t at = test::ReadFile(file.path().string()).find(Value(number));
      if (at == std::string::npos) continue;
      std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
      stream.seekp(static_cast<std::streamoff>(at));
      stream.write("damage", 6);
      ASSERT_TRUE(stream.good());
      return;
    }
    FAIL() << "no table holds it";
  }
  bool Ended(const std::string& kind) {
    const auto alarms = store_->state().alarms().All(/*also_resolved=*/true);
    return std::any_of(alarms.begin(), alarms.end(), [&](const v1::AlarmDocument& alarm) {
      return alarm.kind() == kind && alarm.resolved();
    });
  }

  test::TestDir dir_;
  std::unique_ptr<NodeStore> store_;
};

TEST_F(DamagedTableAlarmTest, EndsWhenTheTableIsMended) {
  Open();
  v1::StreamDefinition definition;
  definition.set_name("sensors");
  definition.set_direction(v1::LOCAL);
  definition.set_partitions(1);
  auto complete = CompleteDefinition(definition);
  ASSERT_TRUE(complete.ok()) << complete.status();
  ASSERT_TRUE(store_->state().catalog().Put(*complete).ok());
  ASSERT_TRUE(store_->state().CreateOwnLogs(*complete).ok());
  for (int i = 0; i < 200; ++i) Append(i);
  Open();  // which moves it to a table
  store_.reset();
  DamageTable(100);
  Open();
  // Nobody else has it, so it becomes a gap as soon as somebody comes upon it.
  EXPECT_FALSE(log().Read(Offset(100), 1, /*from_disk=*/true).ok());
  ASSERT_TRUE(test::Eventually(absl::Seconds(30), [&] {
    auto read = log().Read(Offset(100), 1, /*from_disk=*/true);
    return read.ok() && read->front().kind == EntryKind::kGap;
  }));
  Append(200);
  const auto compact = [&] {
    return store_->state().store().Reclaim(Family::kLog, LogKey(LogNumber(0), Offset(0)),
                                           LogKey(LogNumber(9), Offset(0)));
  };
  EXPECT_FALSE(compact().ok());
  EXPECT_TRUE(test::Eventually(absl::Seconds(60), [&] { return Ended("store_damaged"); }));
  EXPECT_TRUE(compact().ok());
  EXPECT_EQ(log().Read(Offset(200), 1, /*from_disk=*/true)->front().to, Offset(201));
  EXPECT_EQ(log().Read(Offset(0), 1, /*from_disk=*/true)->front().to, Offset(1));
}

}  // namespace
}  // namespace selvage
