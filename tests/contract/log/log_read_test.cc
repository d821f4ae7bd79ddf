#include <random>

#include "tests/contract/log/log_contract.h"

namespace selvage {
namespace {

class LogRead : public LogContract {};
INSTANTIATE_TEST_SUITE_P(Stores, LogRead, ::testing::ValuesIn(AllStoreKinds()), NameOfKind);

std::string ShapeOf(absl::StatusOr<std::vector<Entry>> entries) {
  return entries.ok() ? Shape(*entries) : ErrorKind(entries.status());
}

TEST_P(LogRead, AnswersWithWholeEntriesFromTheOneThatHoldsTheOffset) {
  EmbeddedLog& log = node().Source();
  Fill(log, {3, 2});
  ASSERT_TRUE(node().AppendGap(log, Offset(8)).ok());
  Fill(log, {4});
  for (bool from_disk : {false, true}) {
    EXPECT_EQ(ShapeOf(log.Read(Offset(0), kAll, from_disk)),
              "[0,3)batch [3,5)batch [5,8)gap:corrupt [8,12)batch");
    EXPECT_EQ(ShapeOf(log.Read(Offset(4), kAll, from_disk)), "[3,5)batch [5,8)gap:corrupt [8,12)batch");
    EXPECT_EQ(ShapeOf(log.Read(Offset(6), 1, from_disk)), "[5,8)gap:corrupt");
    EXPECT_EQ(ShapeOf(log.Read(Offset(11), 0, from_disk)), "[8,12)batch");
    EXPECT_EQ(ShapeOf(log.Read(Offset(12), kAll, from_disk)), "");
    EXPECT_EQ(ShapeOf(log.Read(Offset(13), kAll, from_disk)), "offset_out_of_range");
  }
  ASSERT_TRUE(log.Trim(Offset(8), std::nullopt, GapReason::kExpired).ok());
  EXPECT_EQ(ShapeOf(log.Read(Offset(7), kAll)), "offset_out_of_range");
  EXPECT_EQ(ShapeOf(log.Read(Offset(8), kAll)), "[8,12)batch");
}

TEST_P(LogRead, CacheAndDiskAgreeForEveryOffsetAndLimit) {
  EmbeddedLog& log = node().Source();
  Fill(log, {3, 1, 5, 2});
  ASSERT_TRUE(node().AppendGap(log, Offset(20)).ok());
  Fill(log, {2, 2});
  const size_t all = log.state().log_bytes;
  for (Offset from(0); from < log.state().end; ++from) {
    for (size_t limit = 0; limit <= all + 1; limit += 37) {
      ASSERT_EQ(ShapeOf(log.Read(from, limit, false)), ShapeOf(log.Read(from, limit, true)))
          << from.value() << " " << limit;
    }
  }
}

TEST_P(LogRead, NeverBeyondTheSyncedEnd) {
  EmbeddedLog& log = node().Source();
  Fill(log, {2});
  ASSERT_TRUE(log.Append(ProducedBatch(2), [](const auto&) {}).ok());
  EXPECT_EQ(ShapeOf(log.Read(Offset(0), kAll, false)), "[0,2)batch");
  EXPECT_EQ(ShapeOf(log.Read(Offset(0), kAll, true)), "[0,2)batch");
  EXPECT_EQ(log.BoundaryAtOrBefore(Offset(99))->offset, Offset(2));
  node().CommitAll();
  EXPECT_EQ(ShapeOf(log.Read(Offset(0), kAll, true)), "[0,2)batch [2,4)batch");
}

TEST_P(LogRead, MissingEntryIsDamageNotAbsence) {
  EmbeddedLog& log = node().Source();
  Fill(log, {2, 2, 2});
  auto batch = store().NewBatch();
  batch->Delete(Family::kLog, LogKey(log.number(), Offset(2)));
  ASSERT_TRUE(store().Write(*batch, true).ok());
  EXPECT_EQ(ShapeOf(log.Read(Offset(0), kAll, true)), "[0,2)batch");
  EXPECT_EQ(ShapeOf(log.Read(Offset(2), kAll, true)), "corrupt_entry");
  EXPECT_EQ(ShapeOf(log.Read(Offset(3), kAll, true)), "corrupt_entry");
  EXPECT_EQ(ShapeOf(log.Read(Offset(4), kAll, true)), "[4,6)batch");
  const ChainHash before = log.Read(Offset(0), kAll, true)->back().hash_after;
  EXPECT_EQ(*log.BoundaryAtOrBefore(Offset(3)), (LogPosition{IdOf(1), Offset(2), before}));
}

TEST_P(LogRead, BoundariesAreEntryStarts) {
  EmbeddedLog& log = node().Source();
  Fill(log, {3, 2});
  const std::vector<Entry> entries = AllEntries(log);
  EXPECT_EQ(*log.BoundaryAtOrBefore(Offset(2)), (LogPosition{IdOf(1), Offset(0), ChainHash(0)}));
  EXPECT_EQ(*log.BoundaryAtOrBefore(Offset(3)), (LogPosition{IdOf(1), Offset(3), entries[0].hash_after}));
  EXPECT_EQ(*log.BoundaryAtOrBefore(Offset(5)), log.state().position());
  ASSERT_TRUE(log.Trim(Offset(3), std::nullopt, GapReason::kExpired).ok());
  EXPECT_EQ(KindOfError(log.BoundaryAtOrBefore(Offset(2))), "offset_out_of_range");
  EXPECT_EQ(*log.BoundaryAtOrBefore(Offset(4)), (LogPosition{IdOf(1), Offset(3), entries[0].hash_after}));
}

/// The first record from `from` on with a timestamp >= `timestamp`, found by looking at each.
std::optional<Offset> BruteForce(const std::vector<Entry>& entries, Offset from, int64_t timestamp) {
  for (const Entry& entry : entries) {
    if (entry.kind != EntryKind::kBatch) continue;
    const std::vector<Record> records = *DecodeRecords(entry.body.view());
    for (const Record& record : records) {
      if (record.offset >= from && record.timestamp >= timestamp) return record.offset;
    }
  }
  return std::nullopt;
}

TEST_P(LogRead, FirstRecordAtOrAfterAgreesWithAModel) {
  std::mt19937 random(7);
  EmbeddedLog& log = node().Source();
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 25; ++i) {
      if (random() % 9 == 0) {
        ASSERT_TRUE(node().AppendGap(log, log.state().end + 1 + random() % 5).ok());
      }
      ASSERT_TRUE(node().Append(log, ProducedBatch(1 + random() % 4, 10, 100 + random() % 200)).ok());
    }
    const std::vector<Entry> entries = AllEntries(log);
    for (int64_t timestamp = 95; timestamp <= 305; ++timestamp) {
      auto found = log.FirstRecordAtOrAfter(timestamp);
      ASSERT_TRUE(found.ok()) << found.status();
      auto expected = BruteForce(entries, log.state().log_start(), timestamp);
      ASSERT_EQ(found->has_value(), expected.has_value()) << timestamp;
      if (expected) {
        ASSERT_EQ((*found)->offset, *expected) << timestamp;
      }
    }
    const Offset to(log.state().start.value() + (log.state().end - log.state().start) / 2);
    std::optional<Offset> unacknowledged;
    if (round % 2 == 1) unacknowledged = Offset(log.state().start.value() + 3);
    ASSERT_TRUE(log.Trim(to, unacknowledged, GapReason::kDroppedForSpace).ok());
    if (round > 0) {
      ASSERT_TRUE(log.DeleteRecords(log.state().start + 2 + random() % 5).ok());
    }
  }
}

TEST_P(LogRead, AQueryByTimeEndsWhenNobodyWaitsForIt) {
  EmbeddedLog& log = node().Source();
  Fill(log, {3, 1, 5});
  int asked = 0;
  const auto found = log.FirstRecordAtOrAfter(1, [&] { return ++asked > 0; });
  EXPECT_TRUE(absl::IsCancelled(found.status()));
  EXPECT_EQ(asked, 1);
}

TEST_P(LogRead, SearchFindsEveryBoundary) {
  EmbeddedLog& log = node().Source();
  Fill(log, {3, 1, 5, 2, 2, 7});
  for (const Entry& entry : AllEntries(log)) {
    auto found = log.Search([&](const Entry& e) { return e.log_bytes >= entry.log_bytes; });
    ASSERT_TRUE(found.ok() && *found);
    EXPECT_EQ((*found)->from, entry.from);
    found = log.SearchNearStart([&](const Entry& e) { return e.log_bytes >= entry.log_bytes; });
    ASSERT_TRUE(found.ok() && *found);
    EXPECT_EQ((*found)->from, entry.from);
  }
  EXPECT_FALSE(log.Search([](const Entry&) { return false; })->has_value());
  EXPECT_FALSE(log.SearchNearStart([](const Entry&) { return false; })->has_value());
}

TEST_P(LogRead, SearchNearTheStartReadsLittle) {
  EmbeddedLog& log = node().Source();
  for (int i = 0; i < 300; ++i) Fill(log, {3});
  int read = 0;
  const auto found = log.SearchNearStart([&](const Entry& e) { return ++read, e.from >= Offset(6); });
  ASSERT_TRUE(found.ok() && *found);
  EXPECT_EQ((*found)->from, Offset(6));
  EXPECT_LE(read, 4);
}

}  // namespace
}  // namespace selvage
