#include "fabric/node/view_alarms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/node/node_state.h"
#include "fabric/storage/memory_store.h"
#include "fabric/stream/log_format.h"
#include "fabric/stream/record_batch.h"
#include "fabric/table/table_keys.h"
#include "tests/contract/table/table_node.h"

namespace selvage {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// Alarms of a view "v" that counts the records of each `site`, on a store in memory.
class ViewAlarmsTest : public testing::Test {
 protected:
  void SetUp() override {
    Open();
    v1::StreamDefinition stream;
    stream.set_name("s");
    stream.set_direction(v1::LOCAL);
    stream.set_partitions(1);
    *stream.mutable_settings() = DefaultStreamSettings();
    stream = CompleteDefinition(stream).value();
    ASSERT_EQ(node_->catalog().Put(stream), absl::OkStatus());
    ASSERT_EQ(node_->streams().CreateLogs(stream), absl::OkStatus());
    v1::ViewDefinition view;
    view.set_name("v");
    view.set_stream("s");
    view.mutable_aggregate()->add_group_by()->set_path("site");
    view.mutable_aggregate()->add_columns()->set_function(v1::VIEW_COUNT);
    ASSERT_EQ(node_->views().Create(view).status(), absl::OkStatus());
  }
  void Open() {
    NodeState::Options options;
    options.node = "rig-7";
    node_ = std::make_unique<NodeState>(options, store_, clock_, random_);
    ASSERT_EQ(node_->Open({}), absl::OkStatus());
    view_alarms_ = std::make_unique<ViewAlarms>(node_->views(), node_->alarms());
  }
  void Reopen() {
    while (node_->committer().CommitOnce()) {  // alarms are stored by and by
    }
    view_alarms_.reset();
    node_.reset();
    Open();
  }
  void Produce(const std::string& value) { ProduceBatch({value}); }
  void ProduceBatch(const std::vector<std::string>& values) {
    BatchBuilder builder;
    for (const std::string& value : values) {
      builder.Add({Offset(0), absl::ToUnixMillis(clock_.Wall()), std::nullopt, value, {}});
    }
    ASSERT_EQ(log()->Append(builder.Build(), [](const auto&) {}), absl::OkStatus());
    while (node_->committer().CommitOnce()) {
    }
  }
  std::shared_ptr<EmbeddedLog> log() {
    return node_->embedded_logs().FindEmbedded({"", Slot(0), "s", PartitionId(0)});
  }
  /// Until there is nothing to do, then looks for alarms. The error otherwise.
  std::string Feed() {
    absl::StatusOr<bool> more = true;
    while (more.ok() && *more) more = node_->views().RunOnce();
    view_alarms_->Report();
    return ErrorKind(more.status());
  }
  /// The log ends before the entry at `from`, as the disk has it after a fault.
  void LoseEnd(Offset from) {
    const auto batch = store_.NewBatch();
    batch->Delete(Family::kLog, LogKey(log()->number(), from));
    ASSERT_EQ(store_.Write(*batch, true), absl::OkStatus());
    Reopen();
    ASSERT_EQ(log()->end(), from);
  }
  /// What the view keeps of the site "a" cannot be read.
  void DamageState() {
    // The first table of this node.
    const std::string key = table::OwnedStateKey(table::TableNumber(1), "\"a\"");
    ASSERT_TRUE(store_.Get(Family::kRow, key)->has_value());
    const auto batch = store_.NewBatch();
    batch->Put(Family::kRow, key, {"junk"});
    ASSERT_EQ(store_.Write(*batch, true), absl::OkStatus());
  }
  std::optional<v1::AlarmDocument> Alarm(std::string_view kind) {
    for (v1::AlarmDocument& alarm : node_->alarms().All(false)) {
      if (alarm.kind() == kind && alarm.subject() == "v") return std::move(alarm);
    }
    return std::nullopt;
  }
  bool Stopped() { return Alarm(ViewAlarms::kStopped).has_value(); }
  bool Diverged() { return Alarm(ViewAlarms::kDiverged).has_value(); }

  FakeClock clock_;
  test::SeededRandom random_{1};
  MemoryStore store_;
  std::unique_ptr<NodeState> node_;
  std::unique_ptr<ViewAlarms> view_alarms_;
};

TEST_F(ViewAlarmsTest, AViewThatStoppedIsToldUntilItIsBuiltAnew) {
  Produce(R"({"site":"a"})");
  EXPECT_EQ(Feed(), "");
  EXPECT_FALSE(Stopped());
  DamageState();
  Produce(R"({"site":"a"})");
  EXPECT_EQ(Feed(), "corrupt_view");
  ASSERT_TRUE(Stopped());
  const v1::AlarmDocument alarm = *Alarm(ViewAlarms::kStopped);
  EXPECT_THAT(alarm.message(), AllOf(HasSubstr("view v is not fed"), HasSubstr("s/0")));
  EXPECT_THAT(alarm.hint(), HasSubstr("selvagectl view rebuild"));
  EXPECT_EQ(Feed(), "corrupt_view");
  EXPECT_EQ(Alarm(ViewAlarms::kStopped)->count(), alarm.count()) << "told once";
  ASSERT_EQ(node_->views().Rebuild("v"), absl::OkStatus());
  view_alarms_->Report();
  EXPECT_TRUE(Stopped()) << "what serves is what stopped";
  EXPECT_EQ(Feed(), "");
  EXPECT_FALSE(Stopped());
}

TEST_F(ViewAlarmsTest, ItEndsWithTheView) {
  Produce(R"({"site":"a"})");
  EXPECT_EQ(Feed(), "");
  DamageState();
  Produce(R"({"site":"a"})");
  EXPECT_EQ(Feed(), "corrupt_view");
  EXPECT_TRUE(Stopped());
  ASSERT_EQ(node_->views().Drop("v"), absl::OkStatus());
  view_alarms_->Report();
  EXPECT_FALSE(Stopped());
}

TEST_F(ViewAlarmsTest, OneOfBeforeAStartStaysUntilTheViewIsFed) {
  Produce(R"({"site":"a"})");
  EXPECT_EQ(Feed(), "");
  DamageState();
  Produce(R"({"site":"a"})");
  EXPECT_EQ(Feed(), "corrupt_view");
  Reopen();
  view_alarms_->Report();
  EXPECT_TRUE(Stopped()) << "nothing was tried yet";
  EXPECT_EQ(Feed(), "corrupt_view");
  EXPECT_TRUE(Stopped());
}

TEST_F(ViewAlarmsTest, AnErrorThatPassesIsToldWhenItStays) {
  Produce(R"({"site":"a"})");
  node_->budget().Measured(/*file_bytes=*/1 << 20, /*free_bytes=*/0);
  EXPECT_EQ(Feed(), "disk_full");
  EXPECT_FALSE(Stopped());
  clock_.Advance(ViewAlarms::kPassesWithin);
  EXPECT_EQ(Feed(), "disk_full");
  EXPECT_TRUE(Stopped());
  node_->budget().Measured(1 << 20, 1 << 30);
  EXPECT_EQ(Feed(), "");
  EXPECT_FALSE(Stopped());
  Produce(R"({"site":"b"})");
  node_->budget().Measured(1 << 20, 0);
  EXPECT_EQ(Feed(), "disk_full");
  EXPECT_FALSE(Stopped()) << "counted from the first time that it went wrong";
}

TEST_F(ViewAlarmsTest, WhatWasReadOfALostEndIsToldUntilItIsBuiltAnew) {
  Produce(R"({"site":"a"})");
  Produce(R"({"site":"lost"})");
  EXPECT_EQ(Feed(), "");
  EXPECT_FALSE(Diverged());
  LoseEnd(Offset(1));
  EXPECT_EQ(node_->views().AllFacts()["v"].serving.behind, 0u) << "the log ends before what was read";
  Produce(R"({"site":"other"})");
  Produce(R"({"site":"more"})");
  EXPECT_EQ(Feed(), "");
  ASSERT_TRUE(Diverged());
  EXPECT_THAT(Alarm(ViewAlarms::kDiverged)->message(), HasSubstr("lost since, of s/0"));
  EXPECT_FALSE(Stopped());
  Reopen();
  view_alarms_->Report();
  EXPECT_TRUE(Diverged());
  ASSERT_EQ(node_->views().Rebuild("v"), absl::OkStatus());
  EXPECT_EQ(Feed(), "");
  EXPECT_FALSE(Diverged());
}

TEST_F(ViewAlarmsTest, ALostEndIsSeenWhereverTheNewEntriesBegin) {
  Produce(R"({"site":"a"})");
  Produce(R"({"site":"lost"})");
  EXPECT_EQ(Feed(), "");
  LoseEnd(Offset(1));
  ProduceBatch({R"({"site":"other"})", R"({"site":"more"})"});
  EXPECT_EQ(Feed(), "");
  EXPECT_TRUE(Diverged()) << "the batch lies over where the view went on";
}

TEST_F(ViewAlarmsTest, WhatRetentionTookIsNoLostEnd) {
  ProduceBatch({R"({"site":"a"})", R"({"site":"b"})"});
  EXPECT_EQ(Feed(), "");
  for (int i = 0; i < 3; ++i) ProduceBatch({R"({"site":"a"})", R"({"site":"b"})"});
  ASSERT_EQ(log()->DeleteRecords(Offset(5)), absl::OkStatus());
  EXPECT_EQ(Feed(), "");
  ASSERT_EQ(node_->views().Rebuild("v"), absl::OkStatus());
  EXPECT_EQ(Feed(), "");
  EXPECT_FALSE(Diverged()) << "of a log that is read from a start that is not 0";
  EXPECT_EQ(node_->views().AllFacts()["v"].serving.records, 3u);
}

}  // namespace
}  // namespace selvage
