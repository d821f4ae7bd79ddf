/// Change capture of a node's tables, on a store in memory.
#include "fabric/node/table_captures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/node/node_state.h"
#include "fabric/storage/memory_store.h"
#include "tests/contract/table/table_node.h"

namespace selvage {
namespace {

using table::DeleteOf;
using table::IncrementOf;
using table::PutOf;
using table::SetOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kStream[] = "table.t.changes";

class TableCapturesTest : public testing::Test {
 protected:
  void SetUp() override {
    Open();
    v1::TableDefinition definition = table::Definition();
    definition.set_incarnation(table::Incarnation::Mint(random_).bytes());
    definition.mutable_settings()->set_expired_kept_ms(60'000);
    ASSERT_EQ(tables().Create(definition), absl::OkStatus());
    ASSERT_EQ(*node_->captures().Start("t"), kStream);
  }
  void Open() {
    NodeState::Options options;
    options.node = "rig-7";
    node_ = std::make_unique<NodeState>(options, store_, clock_, random_);
    ASSERT_EQ(node_->Open({}), absl::OkStatus());
  }
  void Reopen() {
    node_.reset();
    Open();
  }
  table::TableStore& tables() { return node_->tables(); }
  std::shared_ptr<Log> log() { return node_->logs().Find({"", Slot(0), kStream, PartitionId(0)}); }

  /// "" when it was done.
  std::string Do(std::vector<table::RowOperation> operations) {
    return ErrorKind(tables().WriteAndWait("t", std::move(operations)).status());
  }
  int64_t now_ms() { return absl::ToUnixMillis(clock_.Wall()); }
  void RunDue() { ASSERT_EQ(tables().RunDue(), absl::OkStatus()); }
  void Pass(absl::Duration time) {
    clock_.Advance(time);
    RunDue();
  }
  /// "key reason: before -> after" of what was captured since the last call, each as long as it is there.
  std::vector<std::string> Captured() {
    std::vector<std::string> captured;
    for (const Record& record : Records()) {
      std::string text = *record.key + " ";
      if (record.value) {
        text += *record.value;
      } else {
        for (const RecordHeader& header : record.headers) {
          if (header.key == "reason" || header.key == "before")
            text += header.key + "=" + *header.value + " ";
        }
      }
      // Whose write and when: in a test of its own.
      captured.push_back(text.substr(0, text.find(",\"store\"")));
    }
    return captured;
  }
  std::vector<Record> Records() {
    std::vector<Record> records;
    while (read_to_ < log()->end()) {
      const auto entries = log()->Read(read_to_, kAll);
      for (const Entry& entry : *entries) {
        auto decoded = DecodeRecords(entry.body.view());
        for (Record& record : *decoded) records.push_back(std::move(record));
        read_to_ = entry.to;
      }
    }
    return records;
  }
  /// Merges what a peer sent; "" when it was taken.
  std::string Apply(std::vector<table::RowChange> changes,
                    std::optional<table::Incoming::Sweep> sweep = std::nullopt) {
    table::Incoming incoming;
    incoming.changes = std::move(changes);
    incoming.sweep = std::move(sweep);
    incoming.incarnation = *table::Incarnation::FromBytes(tables().Find("t")->incarnation());
    incoming.peer = table::samples::Store(9);
    incoming.fence = {"core", SessionEpoch(1)};
    node_->fences().Raise(incoming.fence);
    std::string outcome = "none";
    tables().Apply("t", std::move(incoming),
                   [&](const absl::Status& status) { outcome = ErrorKind(status); });
    while (node_->committer().CommitOnce()) {
    }
    return outcome;
  }
  table::RowChange FarPut(const std::string& key, std::string_view json, int64_t at_ms,
                          std::optional<int64_t> expires_at_ms = {}) {
    return {key, table::Put({}, table::ParseFields(json).value(), expires_at_ms,
                            {table::Hlc::AtMs(at_ms), table::samples::Store(9)})};
  }

  FakeClock clock_;
  test::SeededRandom random_{1};
  MemoryStore store_;
  std::unique_ptr<NodeState> node_;
  Offset read_to_;
};

TEST_F(TableCapturesTest, EachChangeThatReadersSeeIsARecord) {
  ASSERT_EQ(Do({PutOf("a", R"({"x":1})"), PutOf("b", "{}")}), "");
  ASSERT_EQ(Do({SetOf("a", "y", "2")}), "");
  ASSERT_EQ(Do({SetOf("a", "y", "2")}), "") << "readers see no change";
  ASSERT_EQ(Do({DeleteOf("a")}), "");
  ASSERT_EQ(Do({DeleteOf("a")}), "");
  EXPECT_THAT(Captured(), ElementsAre(R"(a {"after":{"x":1},"before":null,"reason":"write")",
                                      R"(b {"after":{},"before":null,"reason":"write")",
                                      R"(a {"after":{"x":1,"y":2},"before":{"x":1},"reason":"write")",
                                      R"(a reason=write before={"x":1,"y":2} )"));
}

TEST_F(TableCapturesTest, ARecordSaysWhoseWriteItIsAndWhen) {
  ASSERT_EQ(Do({PutOf("a", "{}")}), "");
  const std::vector<Record> records = Records();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_THAT(*records[0].value, HasSubstr(R"("store":")" + node_->identity().store_id().hex() + '"'));
  EXPECT_THAT(*records[0].value, HasSubstr(R"("time_ms":)" + std::to_string(now_ms()) + "}"));
  EXPECT_EQ(records[0].timestamp, now_ms());
}

TEST_F(TableCapturesTest, WhatIsRefusedIsNotCaptured) {
  ASSERT_EQ(Do({PutOf("a", "{}"),
                IncrementOf("a", "n", 1),
                {.key = "a",
                 .what = table::RowOperation::Delete(),
                 .condition = {table::Condition::Kind::kAbsent}}}),
            "row_exists");
  EXPECT_THAT(Captured(), IsEmpty());
}

TEST_F(TableCapturesTest, MergesAndSweepsAreTold) {
  ASSERT_EQ(Do({PutOf("a", R"({"x":1})")}), "");
  const uint64_t sent = tables().End().sequence;
  ASSERT_EQ(Apply({FarPut("a", R"({"x":2})", now_ms() + 1), FarPut("b", "{}", now_ms())}), "");
  ASSERT_EQ(Apply({FarPut("a", R"({"x":0})", now_ms() - 1)}), "") << "loses";
  ASSERT_EQ(Apply({FarPut("b", "{}", now_ms())},
                  table::Incoming::Sweep{.from = "", .upto = std::nullopt, .unsent = sent}),
            "");
  EXPECT_THAT(Captured(), ElementsAre(R"(a {"after":{"x":1},"before":null,"reason":"write")",
                                      R"(a {"after":{"x":2},"before":{"x":1},"reason":"merge")",
                                      R"(b {"after":{},"before":null,"reason":"merge")",
                                      R"(a {"after":null,"before":{"x":2},"reason":"sweep")"));
}

#ifdef SELVAGE_CANARIES
TEST_F(TableCapturesTest, ASweepThatIsToldAsADeleteIsFound) {
  planted_canary = Canary::kCaptureSweepAsDelete;
  EXPECT_EQ(Apply({FarPut("b", "{}", now_ms())}), "");
  EXPECT_EQ(Apply({}, table::Incoming::Sweep{.from = "", .upto = std::nullopt, .unsent = 0}), "");
  planted_canary = Canary::kNone;
  const std::vector<std::string> captured = Captured();
  EXPECT_EQ(captured.back(), "b reason=merge before={} ");
}
#endif

TEST_F(TableCapturesTest, WhatWaitedForItsTimeIsReleased) {
  ASSERT_EQ(Apply({FarPut("a", R"({"x":2})", now_ms() + 3'600'000)}), "");
  EXPECT_THAT(Captured(), IsEmpty());
  Pass(absl::Hours(1));
  EXPECT_THAT(Captured(), ElementsAre(R"(a {"after":{"x":2},"before":null,"reason":"release")"));
}

TEST_F(TableCapturesTest, AnExpiryIsToldOnce) {
  ASSERT_EQ(Do({PutOf("a", R"({"x":1})", now_ms() + 1000), PutOf("b", "{}", now_ms() + 5000)}), "");
  EXPECT_EQ(Captured().size(), 2u);
  Pass(absl::Milliseconds(999));
  EXPECT_THAT(Captured(), IsEmpty());
  Pass(absl::Milliseconds(2));
  EXPECT_THAT(Captured(), ElementsAre(R"(a reason=expiry before={"x":1} )"));
  Reopen();
  Pass(absl::Seconds(1));
  EXPECT_THAT(Captured(), IsEmpty());
  Pass(absl::Minutes(5));
  EXPECT_THAT(Captured(), ElementsAre("b reason=expiry before={} ")) << "also where the row is removed then";
  Pass(absl::Minutes(5));
  EXPECT_THAT(Captured(), IsEmpty());
}

TEST_F(TableCapturesTest, ARowThatIsWrittenOverBeforeItsExpiryWasToldGoesOnFromWhatWasTold) {
  ASSERT_EQ(Do({PutOf("a", R"({"x":1})", now_ms() + 1000)}), "");
  clock_.Advance(absl::Seconds(2));
  ASSERT_EQ(Do({DeleteOf("a")}), "");
  ASSERT_EQ(Do({PutOf("a", R"({"x":2})")}), "");
  RunDue();
  EXPECT_THAT(Captured(), ElementsAre(R"(a {"after":{"x":1},"before":null,"reason":"write")",
                                      R"(a reason=write before={"x":1} )",
                                      R"(a {"after":{"x":2},"before":null,"reason":"write")"));
}

TEST_F(TableCapturesTest, ARowThatCameExpiredIsNeverTold) {
  ASSERT_EQ(Apply({FarPut("a", "{}", now_ms() - 5000, now_ms() - 1000)}), "");
  RunDue();
  Pass(absl::Seconds(1));
  EXPECT_THAT(Captured(), IsEmpty());
  // Its life is longer after all.
  ASSERT_EQ(Apply({FarPut("a", "{}", now_ms() - 4000, now_ms() + 1000)}), "");
  Pass(absl::Seconds(2));
  EXPECT_THAT(Captured(),
              ElementsAre(R"(a {"after":{},"before":null,"reason":"merge")", "a reason=expiry before={} "));
}

TEST_F(TableCapturesTest, ManyThatExpireAtOnceAreAllTold) {
  const int64_t at_ms = now_ms() + 1000;
  std::vector<table::RowOperation> operations;
  for (int i = 0; i < 1200; ++i) operations.push_back(PutOf("k" + std::to_string(i), "{}", at_ms + i / 400));
  ASSERT_EQ(Do(std::move(operations)), "");
  EXPECT_EQ(Captured().size(), 1200u);
  clock_.Advance(absl::Seconds(2));
  size_t told = 0;
  for (int i = 0; i < 4; ++i) {
    RunDue();
    told += Captured().size();
  }
  EXPECT_EQ(told, 1200u);
}

TEST_F(TableCapturesTest, ItGoesOnAfterARestartAndEndsWhereItIsSwitchedOff) {
  Reopen();
  ASSERT_EQ(Do({PutOf("a", "{}")}), "");
  EXPECT_EQ(Captured().size(), 1u);
  ASSERT_EQ(node_->captures().Stop("t"), absl::OkStatus());
  ASSERT_EQ(Do({PutOf("b", "{}")}), "");
  Reopen();
  ASSERT_EQ(Do({PutOf("c", "{}")}), "");
  EXPECT_THAT(Captured(), IsEmpty());
  ASSERT_TRUE(node_->captures().Start("t").ok());
  ASSERT_EQ(Do({DeleteOf("c")}), "");
  EXPECT_THAT(Captured(), ElementsAre("c reason=write before={} "));
}

TEST_F(TableCapturesTest, NobodyElseWritesTheStreamOrTakesItAway) {
  EXPECT_EQ(ErrorKind(CheckProducible(*node_->catalog().Find(kStream))), "read_only_stream");
  EXPECT_EQ(ErrorKind(node_->streams().Delete(kStream).status()), "capturing");
  EXPECT_EQ(ErrorKind(node_->streams().AddPartitions(kStream, 2, false)), "read_only_stream");
  v1::StreamDefinition other;
  other.set_name("table.other.changes");
  other.set_direction(v1::LOCAL);
  EXPECT_EQ(ErrorKind(CompleteDefinition(other).status()), "name_reserved");
  ASSERT_EQ(node_->captures().Stop("t"), absl::OkStatus());
  EXPECT_TRUE(node_->streams().Delete(kStream).ok());
}

TEST_F(TableCapturesTest, RowsGoOnWhereTheLogTakesNothingAndAnAlarmSaysSo) {
  node_->embedded_logs()
      .FindEmbedded({"", Slot(0), kStream, PartitionId(0)})
      ->Hold(MakeError(absl::StatusCode::kDataLoss, "log_damaged", "the end of the log is damaged"));
  ASSERT_EQ(Do({PutOf("a", "{}")}), "");
  EXPECT_FALSE(tables().Facts("t")->capture.on);
  node_->captures().RunOnce();
  EXPECT_TRUE(node_->alarms().IsOpen("capture_stopped", "t"));
  EXPECT_NE(ErrorKind(node_->captures().Start("t").status()), "");
  Reopen();  // the hold of this test ends with the process
  node_->captures().RunOnce();
  EXPECT_TRUE(node_->alarms().IsOpen("capture_stopped", "t")) << "changes were missed: somebody must know";
  ASSERT_TRUE(node_->captures().Start("t").ok());
  node_->captures().RunOnce();
  EXPECT_FALSE(node_->alarms().IsOpen("capture_stopped", "t"));
  ASSERT_EQ(Do({PutOf("b", "{}")}), "");
  EXPECT_EQ(Captured().size(), 1u);
}

TEST_F(TableCapturesTest, ATableWhoseNameIsTooLongIsRefused) {
  const std::string name(240, 'n');
  ASSERT_EQ(tables().Create(table::Definition(name)), absl::OkStatus());
  EXPECT_EQ(ErrorKind(node_->captures().Start(name).status()), "invalid_stream");
  EXPECT_EQ(ErrorKind(node_->captures().Start("nothing").status()), "unknown_table");
}

}  // namespace
}  // namespace selvage
