// Idempotent producers: what they send again is not appended again, whatever happened in between.
#include "fabric/base/crc32c.h"
#include "fabric/base/endian.h"
#include "fabric/stream/maintenance.h"
#include "fabric/stream/meta_keys.h"
#include "tests/contract/log/log_contract.h"

namespace selvage {
namespace {

struct From {
  int64_t producer = 42;
  int16_t epoch = 0;
};

/// A batch that says of whom it is.
std::string Numbered(int32_t sequence, int records, From from = {}) {
  std::string batch = ProducedBatch(records);
  StoreBig<int64_t>(batch.data() + 43, from.producer);
  StoreBig<int16_t>(batch.data() + 51, from.epoch);
  StoreBig<int32_t>(batch.data() + 53, sequence);
  StoreBig<uint32_t>(batch.data() + 17, Crc32c(std::string_view(batch).substr(21)));
  SELVAGE_CHECK(ValidateProducedBatch(batch, kAll).ok());
  return batch;
}

class LogProducer : public LogContract {
 protected:
  /// "12" for an append at offset 12, "12 again" for a duplicate of what lies there, or the kind of the
  /// error.
  std::string Produce(Log& log, int32_t sequence, int records, From from = {}) {
    auto appended = node().Produce(log, Numbered(sequence, records, from));
    if (!appended.ok()) return ErrorKind(appended.status());
    EXPECT_EQ(appended->end, log.state().position());
    return std::to_string(appended->base.value()) + (appended->duplicate ? " again" : "");
  }
  /// Producers that the store knows, of all logs.
  int StoredProducers() {
    int count = 0;
    auto cursor = store().Scan(Family::kMeta, kProducerPrefix, PrefixEnd(kProducerPrefix));
    for (cursor->Seek(kProducerPrefix); cursor->Valid(); cursor->Next()) ++count;
    return count;
  }
};
INSTANTIATE_TEST_SUITE_P(Stores, LogProducer, ::testing::ValuesIn(AllStoreKinds()), NameOfKind);

TEST_P(LogProducer, WhatIsSentAgainIsAnsweredWithItsOffsetAndNotAppended) {
  EmbeddedLog& log = node().Source();
  EXPECT_EQ(Produce(log, 0, 3), "0");
  Fill(log, {2});
  EXPECT_EQ(Produce(log, 3, 1), "5");
  EXPECT_EQ(Produce(log, 0, 3), "0 again");
  EXPECT_EQ(Produce(log, 3, 1), "5 again");
  EXPECT_EQ(Produce(log, 4, 2), "6");
  EXPECT_EQ(Shape(AllEntries(log)), "[0,3)batch [3,5)batch [5,6)batch [6,8)batch");
}

TEST_P(LogProducer, WhatDoesNotFollowIsRefused) {
  EmbeddedLog& log = node().Source();
  EXPECT_EQ(Produce(log, 0, 3, {.epoch = 1}), "0");
  EXPECT_EQ(Produce(log, 4, 1, {.epoch = 1}), "out_of_order_sequence");
  EXPECT_EQ(Produce(log, 3, 1, {.epoch = 0}), "stale_producer_epoch");
  EXPECT_EQ(Produce(log, 3, 1, {.epoch = 2}), "out_of_order_sequence");
  EXPECT_EQ(Produce(log, 3, 1, {.epoch = 1}), "3");
  EXPECT_EQ(Produce(log, 0, 1, {.epoch = 2}), "4");
  EXPECT_EQ(Shape(AllEntries(log)), "[0,3)batch [3,4)batch [4,5)batch");
}

// A producer sends further batches before it has heard of the first; when that is refused, nobody would miss
// it any more if they were taken.
TEST_P(LogProducer, NothingIsTakenBehindARefusedFirstBatch) {
  EmbeddedLog& log = node().Source();
  node().budget().Measured(0, 10);
  EXPECT_EQ(Produce(log, 0, 3), "disk_full");
  node().budget().Measured(0, 1 << 30);
  EXPECT_EQ(Produce(log, 3, 1), "unknown_producer") << "of a log that was never written";
  Fill(log, {2});
  EXPECT_EQ(Produce(log, 4, 1), "unknown_producer") << "and of one that was";
  Reopen();
  EmbeddedLog& again = SourceAgain();
  EXPECT_EQ(Produce(again, 3, 1), "unknown_producer");
  ASSERT_TRUE(again.DeleteRecords(Offset(2)).ok());
  EXPECT_EQ(Produce(again, 3, 1), "unknown_producer") << "and of an emptied one";
  EXPECT_EQ(Produce(again, 0, 3), "2");
  EXPECT_EQ(Produce(again, 3, 1), "5");
  EXPECT_EQ(Produce(again, 4, 1), "6");
}

TEST_P(LogProducer, NothingIsTakenBehindARefusedFirstBatchOfItsGroup) {
  EmbeddedLog& log = node().Source();
  std::vector<std::string> answers;
  const auto note = [&](const absl::StatusOr<Appended>& appended) {
    answers.push_back(KindOfError(appended));
  };
  for (int32_t sequence : {1, 2, 0, 1}) ASSERT_TRUE(log.Append(Numbered(sequence, 1), note).ok());
  node().CommitAll();
  EXPECT_EQ(answers, (std::vector<std::string>{"unknown_producer", "unknown_producer", "", ""}));
}

TEST_P(LogProducer, ProducersAndLogsDoNotConcernEachOther) {
  EmbeddedLog& log = node().Source();
  EmbeddedLog& other = node().Create(LogOrigin{"", Slot(0), "alarms", PartitionId(0)}, 2);
  EXPECT_EQ(Produce(log, 0, 1, {.producer = 1}), "0");
  EXPECT_EQ(Produce(log, 0, 1, {.producer = 2}), "1");
  EXPECT_EQ(Produce(other, 0, 1, {.producer = 1}), "0");
  EXPECT_EQ(Produce(log, 0, 1, {.producer = 1}), "0 again");
  EXPECT_EQ(StoredProducers(), 3);
}

TEST_P(LogProducer, ADuplicateIsFoundInItsOwnGroupAndAnsweredInOrder) {
  EmbeddedLog& log = node().Source();
  std::vector<std::string> answers;
  const auto note = [&](const absl::StatusOr<Appended>& appended) {
    answers.push_back(!appended.ok()
                          ? ErrorKind(appended.status())
                          : std::to_string(appended->base.value()) + (appended->duplicate ? " again" : ""));
  };
  const uint64_t before = node().committer().stats().groups;
  for (int32_t sequence : {0, 2, 0, 6, 4}) ASSERT_TRUE(log.Append(Numbered(sequence, 2), note).ok());
  EXPECT_TRUE(answers.empty());
  node().CommitAll();
  EXPECT_EQ(answers, (std::vector<std::string>{"0", "2", "0 again", "out_of_order_sequence", "4"}));
  EXPECT_EQ(node().committer().stats().groups, before + 1);
  EXPECT_EQ(StoredProducers(), 1);
}

TEST_P(LogProducer, ARestartForgetsNothing) {
  EmbeddedLog& log = node().Source();
  for (int i = 0; i < 7; ++i) EXPECT_EQ(Produce(log, 2 * i, 2, {.epoch = 3}), std::to_string(2 * i));
  Reopen();
  EmbeddedLog& again = SourceAgain();
  for (int i = 2; i < 7; ++i)
    EXPECT_EQ(Produce(again, 2 * i, 2, {.epoch = 3}), std::to_string(2 * i) + " again");
  EXPECT_EQ(Produce(again, 2, 2, {.epoch = 3}), "out_of_order_sequence");
  EXPECT_EQ(Produce(again, 14, 2, {.epoch = 2}), "stale_producer_epoch");
  EXPECT_EQ(Produce(again, 14, 2, {.epoch = 3}), "14");
}

TEST_P(LogProducer, TrimmingForgetsNoBatch) {
  EmbeddedLog& log = node().Source();
  EXPECT_EQ(Produce(log, 0, 3), "0");
  EXPECT_EQ(Produce(log, 3, 3), "3");
  ASSERT_TRUE(log.Trim(Offset(6), std::nullopt, GapReason::kExpired).ok());
  Reopen();
  EXPECT_EQ(Produce(SourceAgain(), 0, 3), "0 again");
  EXPECT_EQ(Produce(SourceAgain(), 6, 1), "6");
}

TEST_P(LogProducer, ADeletedStreamLeavesNothingBehind) {
  EmbeddedLog& log = node().Source();
  EXPECT_EQ(Produce(log, 0, 3), "0");
  ASSERT_TRUE(node().logs().DeleteStream("sensors", [](WriteBatch&) {}).ok());
  EXPECT_EQ(StoredProducers(), 0);
  Reopen();
  EmbeddedLog& again = node().Source(2);
  EXPECT_EQ(Produce(again, 3, 3), "unknown_producer") << "nothing is known of what it wrote before";
  EXPECT_EQ(Produce(again, 0, 3), "0");
}

TEST_P(LogProducer, ABranchedLogKeepsWhatItKnows) {
  EmbeddedLog& log = node().Source();
  EXPECT_EQ(Produce(log, 0, 3), "0");
  const LogPosition end = log.state().position();
  EXPECT_EQ(Produce(log, 3, 3), "3");
  ASSERT_TRUE(node().logs().BranchAll({{log.shared_from_this(), IdOf(9), end}}, [](WriteBatch&) {}).ok());
  EXPECT_EQ(Produce(log, 0, 3), "0 again");
  EXPECT_EQ(Produce(log, 3, 3), "3 again");
}

TEST_P(LogProducer, ASourceThatTookOverStartsWithoutKnowledge) {
  EmbeddedLog& log = node().Source();
  ASSERT_TRUE(
      node()
          .logs()
          .AdoptAll({{log.origin(), {IdOf(5), Offset(50), ChainHash(1)}, LeaderEpoch(2)}}, [](WriteBatch&) {})
          .ok());
  EXPECT_EQ(Produce(SourceAgain(), 77, 3), "unknown_producer");
  EXPECT_EQ(Produce(SourceAgain(), 0, 3, {.epoch = 1}), "50");
}

TEST_P(LogProducer, AReplicaTakesWhatItsSourceTook) {
  EmbeddedLog& source = node().Source();
  EmbeddedLog& replica = node().Replica();
  node().RaiseFence({"rig", SessionEpoch(1)});
  EXPECT_EQ(Produce(source, 0, 3), "0");
  // Forgotten at the source, and sent once more.
  ASSERT_TRUE(source.ForgetIdleProducers(INT64_MAX).ok());
  EXPECT_EQ(Produce(source, 0, 3), "3");
  for (const Entry& entry : AllEntries(source))
    ASSERT_TRUE(node().AppendReplica(replica, ToReplica(entry)).ok());
  EXPECT_EQ(StoredProducers(), 1);
}

TEST_P(LogProducer, AfterAnAcceptedLossProducersBeginAnew) {
  EmbeddedLog& log = node().Source();
  EXPECT_EQ(Produce(log, 0, 3), "0");
  Reopen({{log.number(), Offset(8)}});
  EmbeddedLog& held = SourceAgain();
  EXPECT_EQ(Produce(held, 8, 1), "recovered_less_than_acknowledged");
  ASSERT_TRUE(held.AcceptLoss(Offset(8)).ok());
  EXPECT_EQ(Produce(held, 8, 1), "unknown_producer") << "what came before it may be lost";
  EXPECT_EQ(Produce(held, 0, 1, {.epoch = 1}), "8");
}

TEST_P(LogProducer, AnIdleProducerIsForgottenAfterAWeek) {
  StreamCatalog catalog(store(), node().committer());
  v1::StreamDefinition definition;
  definition.set_name("sensors");
  definition.set_direction(v1::LOCAL);
  ASSERT_TRUE(catalog.Put(*CompleteDefinition(definition)).ok());
  Maintenance maintenance(store(), node().logs(), catalog, node().budget(), clock_, node().ages(),
                          [](const auto&, const auto&) { return false; });
  EmbeddedLog& log = node().Source();
  EXPECT_EQ(Produce(log, 0, 3, {.producer = 1}), "0");
  clock_.Advance(kProducerIdleMax / 2 + absl::Hours(1));
  EXPECT_EQ(Produce(log, 0, 3, {.producer = 2}), "3");
  clock_.Advance(kProducerIdleMax / 2 - absl::Hours(2));
  ASSERT_TRUE(maintenance.RunOnce().ok());
  EXPECT_EQ(StoredProducers(), 2);
  clock_.Advance(absl::Hours(2));
  ASSERT_TRUE(maintenance.RunOnce().ok());
  EXPECT_EQ(StoredProducers(), 1);
  EXPECT_EQ(Produce(log, 3, 3, {.producer = 1}), "unknown_producer");
  EXPECT_EQ(Produce(log, 0, 3, {.producer = 1, .epoch = 1}), "6") << "as clients go on";
  EXPECT_EQ(Produce(log, 0, 3, {.producer = 2}), "3 again");
}

TEST_P(LogProducer, AboveTheBoundTheLongestIdleIsForgotten) {
  EmbeddedLog& log = node().Source();
  for (int64_t producer = 0; producer < static_cast<int64_t>(kProducersMax); ++producer) {
    clock_.Advance(absl::Seconds(1));
    ASSERT_TRUE(log.Append(Numbered(0, 1, {.producer = producer}), [](const auto&) {}).ok());
    node().CommitAll();
  }
  EXPECT_EQ(Produce(log, 1, 1, {.producer = 0}), "1000") << "not idle any more";
  EXPECT_EQ(Produce(log, 0, 1, {.producer = 5000}), "1001");
  EXPECT_EQ(StoredProducers(), static_cast<int>(kProducersMax));
  Reopen();
  EXPECT_EQ(Produce(SourceAgain(), 0, 1, {.producer = 2}), "2 again");
  EXPECT_EQ(Produce(SourceAgain(), 1, 1, {.producer = 1}), "unknown_producer") << "forgotten";
}

}  // namespace
}  // namespace selvage
