#include "fabric/node/row_damage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/node/node_state.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/memory_store.h"
#include "fabric/table/table_keys.h"

namespace selvage {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class RowDamageTest : public ::testing::Test {
 protected:
  static NodeState::Options Options() {
    NodeState::Options options;
    options.node = "rig-7";
    return options;
  }
  RowDamageTest() {
    EXPECT_EQ(node_.Open({}), absl::OkStatus());
    v1::TableDefinition definition;
    definition.set_name("pumps");
    definition.set_direction(v1::TABLE_LOCAL);
    EXPECT_EQ(node_.tables().Create(definition), absl::OkStatus());
  }
  /// A row that is damaged, and that somebody has read.
  void MakeDamaged(const std::string& key) {
    table::RowOperation put{.key = key, .what = table::RowOperation::Put()};
    ASSERT_EQ(node_.tables().WriteAndWait("pumps", {std::move(put)}).status(), absl::OkStatus());
    const auto batch = store_.NewBatch();
    batch->Put(Family::kRow, table::RowKey(table::TableNumber(1), key), {"junk"});
    ASSERT_EQ(store_.Write(*batch, true), absl::OkStatus());
    ASSERT_EQ(ErrorKind(node_.tables().Get("pumps", key).status()), "corrupt_row");
    damage_.Report();
  }
  void Replace(const std::string& key) {
    table::RowOperation put{.key = key, .what = table::RowOperation::Put(), .replace_damaged = true};
    ASSERT_EQ(node_.tables().WriteAndWait("pumps", {std::move(put)}).status(), absl::OkStatus());
    // A task that is about to go may have held the row as it was before it was damaged here.
    ASSERT_EQ(node_.tables().RunDue(), absl::OkStatus());
    damage_.Report();
  }
  std::optional<v1::AlarmDocument> Alarm() {
    for (v1::AlarmDocument& alarm : node_.alarms().All(false)) {
      if (alarm.kind() == RowDamage::kKind) return std::move(alarm);
    }
    return std::nullopt;
  }

  MemoryStore store_;
  NodeState node_{Options(), store_, SystemClock(), SystemRandom()};
  CommitterThread committer_{node_.committer()};
  RowDamage damage_{node_.tables(), node_.alarms()};
};

TEST_F(RowDamageTest, AnAlarmNamesDamagedRowsUntilTheyAreReplaced) {
  damage_.Report();
  EXPECT_FALSE(Alarm());
  MakeDamaged("b");
  ASSERT_TRUE(Alarm());
  EXPECT_EQ(Alarm()->subject(), "pumps");
  EXPECT_THAT(Alarm()->message(), HasSubstr("a row of table pumps cannot be read: \"b\""));
  EXPECT_THAT(Alarm()->hint(), HasSubstr("--replace-damaged"));
  for (const char* key : {"a", "c", "d", "e", "f"}) MakeDamaged(key);
  EXPECT_THAT(Alarm()->message(),
              AllOf(HasSubstr("\"a\""), HasSubstr("\"e\" and more"), Not(HasSubstr("\"f\""))));
  for (const char* key : {"a", "b", "c", "d", "e"}) Replace(key);
  EXPECT_THAT(Alarm()->message(), HasSubstr("\"f\""));
  Replace("f");
  EXPECT_FALSE(Alarm());
}

TEST_F(RowDamageTest, AnAlarmOfBeforeAStartStaysUntilTheRowIsReplaced) {
  MakeDamaged("b");
  RowDamage after(node_.tables(), node_.alarms());
  after.Report();
  ASSERT_TRUE(Alarm());
  Replace("b");
  EXPECT_FALSE(Alarm());
}

TEST_F(RowDamageTest, AnAlarmEndsWithItsTable) {
  MakeDamaged("b");
  ASSERT_EQ(node_.tables().Drop("pumps"), absl::OkStatus());
  RowDamage(node_.tables(), node_.alarms()).Report();
  EXPECT_FALSE(Alarm());
}

}  // namespace
}  // namespace selvage
