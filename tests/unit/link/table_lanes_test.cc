#include "fabric/table/table_store.h"
#include "tests/unit/link/linked_nodes.h"

/// What a core says to an edge of a table of which the edge reads a part.
namespace selvage {
namespace {

class TableLanesTest : public LinkedNodes {
 protected:
  TableLanesTest() {
    v1::TableDefinition definition;
    definition.set_name("t");
    definition.set_direction(v1::TABLE_DOWN);
    definition.mutable_settings()->set_prefix("site/${edge}/");
    SELVAGE_CHECK(core_.fleet->tables.Create(definition).ok());
    Link();
    Pass(5);
    Put("site/rig/0");
    Pass(1);
  }
  /// True when it woke the core's end of the link.
  bool Put(const std::string& key) {
    *ends_[1].woken = false;
    EXPECT_TRUE(core_.state->tables()
                    .WriteAndWait("t", {{key, table::RowOperation::Put{table::ParseFields("{}").value()}}})
                    .ok());
    return *ends_[1].woken;
  }
  bool IsAtEdge(const std::string& key) {
    const auto row = edge_.state->tables().Get("t", key);
    return row.ok() && row->has_value();
  }
  int Entries() {
    return static_cast<int>(std::ranges::count_if(ends_[1].sent, [](const v1::Frame& frame) {
      return frame.data().kind() == static_cast<uint32_t>(EntryKind::kTableChanges);
    }));
  }
};

TEST_F(TableLanesTest, RowsOfOthersDoNotWakeALink) {
  ASSERT_TRUE(IsAtEdge("site/rig/0"));
  const int sent = Entries();
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(Put("site/other/" + std::to_string(i)));
  Pass(5);
  EXPECT_EQ(Entries(), sent);
  EXPECT_TRUE(Put("site/rig/1"));
  Settle();
  EXPECT_TRUE(IsAtEdge("site/rig/1"));
  EXPECT_EQ(Entries(), sent + 1);
}

TEST_F(TableLanesTest, ThePositionMovesOnEachMinute) {
  const int sent = Entries();
  Put("site/other/1");
  Pass(60);
  EXPECT_EQ(Entries(), sent + 1);
  Pass(120);
  EXPECT_EQ(Entries(), sent + 1) << "nothing happened";
}

TEST_F(TableLanesTest, RowsThatCameWithoutALinkAreSent) {
  Unlink();
  Put("site/rig/1");
  Put("site/other/1");
  Link();
  Pass(5);
  EXPECT_TRUE(IsAtEdge("site/rig/1"));
  EXPECT_TRUE(Put("site/rig/2"));
  EXPECT_FALSE(Put("site/other/2"));
  Pass(1);
  EXPECT_TRUE(IsAtEdge("site/rig/2"));
}

TEST_F(TableLanesTest, AnotherPrefixIsAnotherLane) {
  v1::SetTableRequest request;
  request.set_table("t");
  request.mutable_settings()->set_prefix("place/${edge}/");
  request.add_fields("prefix");
  ASSERT_TRUE(core_.fleet->tables.Set(request).ok());
  Pass(5);
  EXPECT_FALSE(Put("site/rig/1"));
  EXPECT_TRUE(Put("place/rig/1"));
  Pass(1);
  EXPECT_TRUE(IsAtEdge("place/rig/1"));
  EXPECT_FALSE(IsAtEdge("site/rig/0"));
}

}  // namespace
}  // namespace selvage
