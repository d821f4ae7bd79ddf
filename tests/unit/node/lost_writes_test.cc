// A node whose write-ahead log was damaged while it was stopped: what went back is said.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "fabric/daemon/node_store.h"
#include "fabric/kafka/group/stored.h"
#include "fabric/kafka/group_service/group_service.h"
#include "tests/support/test_dir.h"

namespace selvage {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class LostWritesTest : public ::testing::Test {
 protected:
  void Open() { OpenAt(dir_.File("data")); }
  void OpenAt(const std::string& data_dir) {
    Close();
    NodeStore::Options options;
    options.data_dir = data_dir;
    options.state.node = "rig";
    options.group_of = kafka::group::GroupOf;
    options.on_failure = [](const absl::Status& why) { ADD_FAILURE() << why; };
    auto store = NodeStore::Open(std::move(options));
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    groups_.emplace(kafka::GroupService::PartsOf(store_->state()));
    ASSERT_TRUE(groups_->Open().ok());
  }
  void Close() {
    groups_.reset();
    store_.reset();
  }
  /// The metadata makes the commit's place in the files known.
  void Commit(const std::string& group, int64_t offset) {
    kafka::group::CommitRequest request{group, "", std::nullopt, -1, {}};
    request.partitions.push_back({{"t", 0}, offset, -1, fmt::format("{} at {};", group, offset)});
    absl::Notification done;
    groups_->Commit(std::move(request), [&](const auto& answer) {
      EXPECT_EQ(answer.partitions[0], kafka::ErrorCode::kNone);
      done.Notify();
    });
    done.WaitForNotification();
  }
  int64_t Committed(const std::string& group) { return groups_->Fetch(group, {{"t", 0}})[0].offset; }
  void MakeStream(const std::string& name) {
    v1::StreamDefinition definition;
    definition.set_name(name);
    definition.set_direction(v1::LOCAL);
    definition.set_partitions(1);
    auto complete = CompleteDefinition(definition);
    ASSERT_TRUE(complete.ok()) << complete.status();
    ASSERT_TRUE(store_->state().catalog().Put(*complete).ok());
  }
  /// Overwrites some bytes of what the write-ahead log holds of this commit.
  void Damage(const std::string& group, int64_t offset) {
    const std::string mark = fmt::format("{} at {};", group, offset);
    for (const auto& file : std::filesystem::directory_iterator(dir_.File("data") + "/store")) {
      if (file.path().extension() != ".log") continue;
      const size_t at = test::ReadFile(file.path().string()).find(mark);
      if (at == std::string::npos) continue;
      std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
      stream.seekp(static_cast<std::streamoff>(at));
      stream.write("damage", 6);
      ASSERT_TRUE(stream.good());
      return;
    }
    FAIL() << "no write-ahead log holds it";
  }
  std::vector<v1::AlarmDocument> Alarms() { return store_->state().alarms().All(/*also_resolved=*/false); }

  test::TestDir dir_;
  std::unique_ptr<NodeStore> store_;
  std::optional<kafka::GroupService> groups_;
};

TEST_F(LostWritesTest, ADamagedWriteAheadLogTellsWhichGroupsWentBack) {
  Open();
  Commit("whole", 10);
  Commit("reader", 20);
  Commit("reader", 21);
  Commit("other", 30);
  Close();
  Damage("reader", 21);

  Open();
  EXPECT_EQ(Committed("whole"), 10);
  EXPECT_EQ(Committed("reader"), 20) << "it went back";
  EXPECT_EQ(Committed("other"), -1);
  ASSERT_THAT(Alarms(), SizeIs(1));
  EXPECT_EQ(Alarms()[0].kind(), "writes_lost");
  EXPECT_THAT(Alarms()[0].message(), AllOf(HasSubstr("other, reader"), Not(HasSubstr("whole"))));

  // It is told once, and what is written from here on is known again.
  Commit("reader", 22);
  Open();
  ASSERT_THAT(Alarms(), SizeIs(1));
  EXPECT_EQ(Alarms()[0].count(), 1u);
  Commit("reader", 23);
  Close();
  Damage("reader", 23);
  Open();
  EXPECT_EQ(Committed("reader"), 22);
  EXPECT_EQ(Alarms()[0].count(), 2u);
}

TEST_F(LostWritesTest, RowsOfTablesAreNamedToo) {
  Open();
  v1::TableDefinition definition;
  definition.set_name("pumps");
  definition.set_direction(v1::TABLE_LOCAL);
  ASSERT_TRUE(store_->state().tables().Create(definition).ok());
  Commit("reader", 20);
  ASSERT_TRUE(store_->state().tables().WriteAndWait("pumps", {{"p-7", table::RowOperation::Put{}}}).ok());
  Close();
  Damage("reader", 20);

  Open();
  EXPECT_FALSE(store_->state().tables().Get("pumps", "p-7")->has_value());
  ASSERT_THAT(Alarms(), SizeIs(1));
  EXPECT_THAT(Alarms()[0].message(),
              AllOf(HasSubstr("rows of tables"), Not(HasSubstr("definitions of tables"))));
}

TEST_F(LostWritesTest, DefinitionsAndAlarmsAreNamedToo) {
  Open();
  Commit("whole", 10);
  Commit("reader", 20);
  MakeStream("sensors");
  store_->state().alarms().Report({"some_kind", "subject", "message", "", false});
  Close();
  Damage("reader", 20);
  Open();
  EXPECT_FALSE(store_->state().catalog().Find("sensors"));
  ASSERT_THAT(Alarms(), SizeIs(1)) << "the other alarm is gone";
  EXPECT_THAT(Alarms()[0].message(), AllOf(HasSubstr("reader"), HasSubstr("definitions of streams"),
                                           HasSubstr("alarms"), Not(HasSubstr("whole"))));
}

TEST_F(LostWritesTest, NeitherAStopNorACrashIsALoss) {
  Open();
  MakeStream("sensors");
  for (int i = 0; i < 20; ++i) Commit("reader", i);
  Open();  // which leaves a mark
  Commit("reader", 20);
  // As a crash leaves it: synced, but closed by nobody. The mark may be older by a moment.
  std::filesystem::create_directories(dir_.File("crashed"));
  std::filesystem::copy(dir_.File("data") + "/store", dir_.File("crashed") + "/store",
                        std::filesystem::copy_options::recursive);
  std::ofstream(dir_.File("crashed") + "/newest-writes", std::ios::binary)
      << test::ReadFile(dir_.File("data") + "/newest-writes");
  Open();
  EXPECT_THAT(Alarms(), IsEmpty());
  EXPECT_EQ(Committed("reader"), 20);
  OpenAt(dir_.File("crashed"));
  EXPECT_THAT(Alarms(), IsEmpty());
  EXPECT_EQ(Committed("reader"), 20);
}

TEST_F(LostWritesTest, ADamagedMarkIsSaid) {
  Open();
  Commit("reader", 1);
  Close();
  std::ofstream(dir_.File("data") + "/newest-writes", std::ios::binary | std::ios::trunc) << "damage";
  Open();
  ASSERT_THAT(Alarms(), SizeIs(1));
  EXPECT_EQ(Alarms()[0].kind(), "write_mark_damaged");
  Open();
  EXPECT_EQ(Alarms()[0].count(), 1u);
}

}  // namespace
}  // namespace selvage
