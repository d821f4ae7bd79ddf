#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "tests/contract/log/log_contract.h"

namespace selvage {
namespace {

/// Who keeps a log in memory, and for how long.
class LogLifetime : public LogContract {
 protected:
  std::shared_ptr<EmbeddedLog> Source() { return node().Source().shared_from_this(); }
  void Delete() {
    ASSERT_EQ(*node().logs().DeleteStream("sensors", [](WriteBatch&) {}), 1);
  }
};
INSTANTIATE_TEST_SUITE_P(Stores, LogLifetime, ::testing::ValuesIn(AllStoreKinds()), NameOfKind);

TEST_P(LogLifetime, ADeletedLogIsFreedWhenItsLastUserLetsGo) {
  std::shared_ptr<EmbeddedLog> log = Source();
  const std::weak_ptr<EmbeddedLog> weak = log;
  Fill(*log, {3, 2});
  int told = 0;
  log->Watch([&] { ++told; });
  Delete();
  EXPECT_EQ(told, 1) << "that it is superseded";
  EXPECT_TRUE(log->superseded());
  EXPECT_EQ(node().logs().live(), 1);
  EXPECT_EQ(KindOfError(log->Read(Offset(0), kAll)), "unknown_stream");
  EXPECT_EQ(KindOfError(node().Append(*log, ProducedBatch())), "unknown_stream");
  EXPECT_EQ(log->state().end, Offset(5));
  log.reset();
  EXPECT_TRUE(weak.expired());
  EXPECT_EQ(node().logs().live(), 0);
}

TEST_P(LogLifetime, ALogThatNobodyUsesIsFreedWithItsStream) {
  const std::weak_ptr<EmbeddedLog> weak = Source();
  Fill(*weak.lock(), {3});
  Delete();
  EXPECT_TRUE(weak.expired());
}

TEST_P(LogLifetime, AWatcherDoesNotKeepADeletedLog) {
  std::shared_ptr<EmbeddedLog> log = Source();
  const std::weak_ptr<EmbeddedLog> weak = log;
  log->Watch([log] {});  // and never unwatched
  const int watch = log->Watch([] {});
  Delete();
  log->Watch([log] {});  // by who has not heard of it
  log->Unwatch(watch);
  log.reset();
  EXPECT_TRUE(weak.expired());
}

TEST_P(LogLifetime, WhatWaitsInTheQueueHoldsItsLog) {
  std::optional<std::weak_ptr<EmbeddedLog>> weak;
  std::string appended;
  {
    const std::shared_ptr<EmbeddedLog> log = Source();
    weak = log;
    ASSERT_TRUE(log->Append(ProducedBatch(),
                            [&](const auto& answer) {
                              appended = KindOfError(answer);
                              EXPECT_FALSE(weak->expired());
                            })
                    .ok());
  }
  Delete();
  EXPECT_EQ(appended, "unknown_stream");
  EXPECT_TRUE(weak->expired());
}

TEST_P(LogLifetime, AShutdownFreesWhatWaits) {
  const std::weak_ptr<EmbeddedLog> weak = Source();
  std::string appended;
  ASSERT_TRUE(
      weak.lock()->Append(ProducedBatch(), [&](const auto& answer) { appended = KindOfError(answer); }).ok());
  Reopen();
  EXPECT_EQ(appended, "stopping");
  EXPECT_TRUE(weak.expired());
}

TEST_P(LogLifetime, ARenamedLogIsFreedAndItsSuccessorIsNot) {
  std::shared_ptr<EmbeddedLog> log = Source();
  const std::weak_ptr<EmbeddedLog> weak = log;
  Fill(*log, {3});
  ASSERT_TRUE(node().logs().RenameStream("sensors", "renamed", [](WriteBatch&) {}).ok());
  EXPECT_EQ(KindOfError(log->Read(Offset(0), kAll)), "unknown_stream");
  EXPECT_EQ(node().logs().live(), 2);
  log.reset();
  EXPECT_TRUE(weak.expired());
  const auto renamed = node().logs().FindEmbedded({"", Slot(0), "renamed", PartitionId(0)});
  ASSERT_NE(renamed, nullptr);
  EXPECT_EQ(Shape(AllEntries(*renamed)), "[0,3)batch");
}

TEST_P(LogLifetime, OfStreamsThatComeAndGoNothingStays) {
  for (int i = 1; i <= 50; ++i) {
    EmbeddedLog& log = node().Source(i);
    Fill(log, {2});
    log.SetAcknowledged(Offset(1));
    ASSERT_TRUE(node().logs().FlushAcknowledged().ok());
    const std::shared_ptr<EmbeddedLog> held = log.shared_from_this();
    Delete();
    held->SetAcknowledged(Offset(2));  // by who has not heard of it
  }
  EXPECT_EQ(node().logs().live(), 0);
  EXPECT_EQ(node().cache().bytes(), 0u);
  uint64_t seen = 0;
  EXPECT_TRUE(node().logs().ChangedSince(seen).empty());
  EXPECT_TRUE(node().logs().All().empty());
}

}  // namespace
}  // namespace selvage
