#include "fabric/stream/maintenance.h"

#include "fabric/base/crc32c.h"
#include "fabric/base/endian.h"
#include "fabric/storage/memory_store.h"
#include "fabric/stream/produce_check.h"
#include "fabric/stream/record_format.h"
#include "tests/contract/log/log_node.h"

namespace selvage {
namespace {

constexpr uint64_t kBudget = 200'000;
constexpr uint64_t kReserve = 40'000;

/// Cannot read anything.
class FailingCursor : public Cursor {
 public:
  void Seek(std::string_view) override {}
  void SeekForPrev(std::string_view) override {}
  void Next() override {}
  void Prev() override {}
  bool Valid() const override { return false; }
  std::string_view key() const override { return {}; }
  std::string_view value() const override { return {}; }
  absl::Status status() const override { return MakeError(absl::StatusCode::kInternal, "io_error", "EIO"); }
};

/// Remembers what was to be reclaimed; with `lazy`, its files shrink only then, as those of a real engine.
class ReclaimingStore : public MemoryStore {
 public:
  explicit ReclaimingStore(bool lazy) : lazy_(lazy) {}

  absl::Status Reclaim(Family family, std::string_view from, std::string_view to) override {
    EXPECT_EQ(family, Family::kLog);
    ranges.emplace_back(from, to);
    largest_ = 0;
    return absl::OkStatus();
  }
  absl::StatusOr<uint64_t> FileBytes() override {
    largest_ = std::max(largest_, *MemoryStore::FileBytes());
    return lazy_ ? largest_ : *MemoryStore::FileBytes();
  }
  absl::Status Write(WriteBatch& batch, bool sync) override {
    ++writes;
    absl::Status written = MemoryStore::Write(batch, sync);
    (void)FileBytes();
    return written;
  }

  std::unique_ptr<Cursor> Scan(Family family, std::string_view from, std::string_view to) override {
    ++scans;
    if (from == unreadable) return std::make_unique<FailingCursor>();
    return MemoryStore::Scan(family, from, to);
  }

  std::vector<std::pair<std::string, std::string>> ranges;
  int scans = 0;
  int writes = 0;
  std::string unreadable;  // where the range begins of which scans fail

 private:
  const bool lazy_;
  uint64_t largest_ = 0;
};

class MaintenanceTest : public ::testing::Test {
 protected:
  explicit MaintenanceTest(bool lazy = false) : store_(lazy) {
    node_.logs().set_make_room(
        [this](EmbeddedLog& log, size_t bytes) { return maintenance_.MakeRoom(log, bytes); });
  }

  EmbeddedLog& Stream(const std::string& name, const std::function<void(v1::StreamSettings&)>& settings,
                      v1::Direction direction = v1::UP) {
    v1::StreamDefinition definition;
    definition.set_name(name);
    definition.set_direction(direction);
    settings(*definition.mutable_settings());
    SELVAGE_CHECK(catalog_.Put(*CompleteDefinition(definition)).ok());
    return node_.Create(LogOrigin{"", Slot(0), name, PartitionId(0)}, ++ids_);
  }
  void Append(Log& log, int records, size_t value_bytes = 10) {
    ASSERT_TRUE(node_.Append(log, ProducedBatch(records, value_bytes)).ok());
  }
  std::string ShapeAfterRun(Log& log) {
    absl::Status ran = maintenance_.RunOnce();
    return ran.ok() ? Shape(AllEntries(log)) : ErrorKind(ran);
  }

  ReclaimingStore store_;
  FakeClock clock_;
  LogNode node_{
      store_, clock_, {}, {.budget = kBudget, .reserve = kReserve}, 1 << 20, {.queue_bytes_max = 20'000}};
  StreamCatalog catalog_{store_, node_.committer()};
  Maintenance maintenance_{
      store_,
      node_.logs(),
      catalog_,
      node_.budget(),
      clock_,
      node_.ages(),
      [](const LogOrigin&, const v1::StreamDefinition& d) { return d.direction() == v1::UP; }};
  int ids_ = 0;
};

TEST_F(MaintenanceTest, AgeCountsFromStorageThroughClockJumps) {
  EmbeddedLog& log = Stream(
      "s", [](auto& s) { s.set_retention_ms(10 * 3'600'000); }, v1::LOCAL);
  Append(log, 1);
  clock_.Advance(absl::Hours(4));
  clock_.JumpTo(absl::UnixEpoch());
  Append(log, 2);
  clock_.JumpTo(absl::FromUnixSeconds(2'208'988'800));  // 2040
  Append(log, 3);
  EXPECT_EQ(ShapeAfterRun(log), "[0,1)batch [1,3)batch [3,6)batch") << "a jump expires nothing";
  clock_.JumpTo(absl::FromUnixSeconds(1'780'000'000) + absl::Hours(4));
  clock_.Advance(absl::Hours(6) + absl::Seconds(1));
  EXPECT_EQ(ShapeAfterRun(log), "[1,3)batch [3,6)batch");
  clock_.Advance(absl::Hours(4));
  EXPECT_EQ(ShapeAfterRun(log), "") << "and keeps nothing for ever";
  EXPECT_EQ(log.state().end, Offset(6));
}

TEST_F(MaintenanceTest, LogsOfWhichNothingIsDueAreNotRead) {
  std::vector<std::shared_ptr<EmbeddedLog>> logs;
  for (int i = 0; i < 20; ++i) {
    EmbeddedLog& made = Stream(
        "s" + std::to_string(i),
        [](auto& s) {
          s.set_retention_ms(3'600'000);
          s.set_retention_bytes(10'000);
          s.set_keep_after_ack(true);
          s.set_cleanup(v1::CLEANUP_DELETE);
        },
        i % 2 == 0 ? v1::UP : v1::LOCAL);
    Append(made, 1);
    made.SetAcknowledged(Offset(1));
    logs.push_back(made.shared_from_this());
  }
  clock_.Advance(absl::Minutes(30));
  for (const std::shared_ptr<EmbeddedLog>& log : logs) Append(*log, 1);
  const auto run = [&] {
    ASSERT_TRUE(maintenance_.RunOnce().ok());
    ASSERT_TRUE(maintenance_.Compact().ok());
    ASSERT_TRUE(maintenance_.MaybeReclaim().ok());
  };
  run();
  store_.scans = store_.writes = 0;
  for (int i = 0; i < 20; ++i) {
    clock_.Advance(absl::Minutes(1));
    run();
  }
  EXPECT_EQ(store_.scans, 0);
  EXPECT_EQ(store_.writes, 0);
  clock_.Advance(absl::Minutes(10) + absl::Seconds(1));
  run();
  for (const std::shared_ptr<EmbeddedLog>& log : logs)
    EXPECT_EQ(log->state().start, Offset(1)) << "what is due is not forgotten";
  clock_.Advance(absl::Minutes(30));
  run();
  for (size_t i = 0; i < logs.size(); ++i) {
    EXPECT_EQ(logs[i]->state().start, Offset(i % 2 == 0 ? 1 : 2)) << "what was not acknowledged stays";
  }
  store_.scans = 0;
  run();
  run();
  EXPECT_EQ(store_.scans, 0) << "and is not looked at each time";
  logs[0]->SetAcknowledged(Offset(2));
  run();
  EXPECT_EQ(logs[0]->state().start, Offset(2));
}

TEST_F(MaintenanceTest, ChangedSettingsCountForLogsThatNobodyTouches) {
  EmbeddedLog& log = Stream(
      "s", [](auto& s) { s.set_retention_ms(0); }, v1::LOCAL);
  Append(log, 1);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(ShapeAfterRun(log), "[0,1)batch");
  v1::StreamDefinition definition = *catalog_.Find("s");
  definition.mutable_settings()->set_retention_ms(60'000);
  ASSERT_TRUE(catalog_.Put(definition).ok());
  EXPECT_EQ(ShapeAfterRun(log), "");
}

TEST_F(MaintenanceTest, IdleProducersAreForgottenWhenTheirDayIsOver) {
  EmbeddedLog& log = Stream(
      "s", [](auto&) {}, v1::LOCAL);
  std::string batch = ProducedBatch();
  StoreBig<int64_t>(batch.data() + 43, 7);  // the producer
  StoreBig<int16_t>(batch.data() + 51, 0);  // its epoch
  StoreBig<int32_t>(batch.data() + 53, 0);  // its sequence
  ASSERT_TRUE(node_.Append(log, batch).ok());
  ASSERT_TRUE(maintenance_.RunOnce().ok());
  EXPECT_NE(log.idlest_producer_ms(), INT64_MAX);
  clock_.Advance(kProducerIdleMax + absl::Seconds(1));
  ASSERT_TRUE(maintenance_.RunOnce().ok());
  EXPECT_EQ(log.idlest_producer_ms(), INT64_MAX);
}

TEST_F(MaintenanceTest, OnlyStreamsThatSaySoAreCompacted) {
  LogNode roomy(store_, clock_);
  Maintenance maintenance(store_, roomy.logs(), catalog_, roomy.budget(), clock_, roomy.ages(),
                          [](const auto&, const auto&) { return false; });
  for (const v1::CleanupPolicy cleanup :
       {v1::CLEANUP_COMPACT, v1::CLEANUP_COMPACT_DELETE, v1::CLEANUP_DELETE}) {
    const std::string name = "s" + std::to_string(cleanup);
    v1::StreamDefinition definition;
    definition.set_name(name);
    definition.set_direction(v1::LOCAL);
    definition.mutable_settings()->set_cleanup(cleanup);
    ASSERT_TRUE(catalog_.Put(*CompleteDefinition(definition)).ok());
    EmbeddedLog& log = roomy.Create(LogOrigin{"", Slot(0), name, PartitionId(0)}, ++ids_);
    for (int i = 0; i < 30; ++i) {
      BatchBuilder builder;
      builder.Add({Offset(0), 1000, "key", std::string(100'000, 'v'), {}});
      ASSERT_TRUE(roomy.Append(log, builder.Build()).ok());
    }
  }
  ASSERT_TRUE(maintenance.Compact().ok());
  const auto entries = [&](const std::string& name) {
    return AllEntries(*roomy.logs().FindEmbedded({"", Slot(0), name, PartitionId(0)})).size();
  };
  EXPECT_LT(entries("s2"), 15u);
  EXPECT_EQ(entries("s3"), entries("s2"));
  EXPECT_EQ(entries("s1"), 30u);
  ASSERT_TRUE(maintenance.Compact().ok()) << "nothing to do";
}

TEST_F(MaintenanceTest, BytesKeepAtLeastTheLimit) {
  EmbeddedLog& log = Stream(
      "s", [](auto& s) { s.set_retention_bytes(1000); }, v1::LOCAL);
  for (int i = 0; i < 20; ++i) Append(log, 1, 130);
  ASSERT_TRUE(maintenance_.RunOnce().ok());
  const uint64_t one = AllEntries(log).front().body.size();
  EXPECT_GE(log.state().bytes(), 1000u);
  EXPECT_LT(log.state().bytes(), 1000 + one);
}

TEST_F(MaintenanceTest, AcknowledgedGoesAtOnceOrIsKept) {
  EmbeddedLog& goes = Stream("goes", [](auto&) {});
  EmbeddedLog& kept = Stream("kept", [](auto& s) {
    s.set_keep_after_ack(true);
    s.set_retention_ms(1000);
  });
  for (EmbeddedLog* log : {&goes, &kept}) {
    Append(*log, 3);
    Append(*log, 2);
    Append(*log, 1);
    log->SetAcknowledged(Offset(5));
  }
  EXPECT_EQ(ShapeAfterRun(goes), "[5,6)batch");
  EXPECT_EQ(Shape(AllEntries(kept)), "[0,3)batch [3,5)batch [5,6)batch");
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(ShapeAfterRun(kept), "[5,6)batch") << "what is not acknowledged does not expire";
}

TEST_F(MaintenanceTest, DropOldestExpiresAsAGap) {
  EmbeddedLog& log = Stream("s", [](auto& s) {
    s.set_on_full(v1::DROP_OLDEST);
    s.set_retention_ms(1000);
  });
  Append(log, 3);
  Append(log, 2);
  log.SetAcknowledged(Offset(3));
  clock_.Advance(absl::Seconds(2));
  Append(log, 1);
  EXPECT_EQ(ShapeAfterRun(log), "[3,5)gap:expired [5,6)batch");
  EXPECT_EQ(ShapeAfterRun(log), "[3,5)gap:expired [5,6)batch") << "the next pass changes nothing";
}

TEST_F(MaintenanceTest, OneLogThatCannotBeReadDoesNotStopTheOthers) {
  auto short_lived = [](auto& s) { s.set_retention_ms(1000); };
  EmbeddedLog& broken = Stream("a", short_lived, v1::LOCAL);
  EmbeddedLog& held = Stream("b", short_lived, v1::LOCAL);
  EmbeddedLog& fine = Stream("c", short_lived, v1::LOCAL);
  for (EmbeddedLog* log : {&broken, &held, &fine}) Append(*log, 2);
  held.Hold(absl::DataLossError("held"));
  store_.unreadable = LogKey(broken.number(), Offset(0));
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(ErrorKind(maintenance_.RunOnce()), "io_error");
  EXPECT_EQ(broken.state().start, Offset(0));
  EXPECT_EQ(fine.state().start, Offset(2));
  EXPECT_EQ(held.state().start, Offset(0));
}

TEST_F(MaintenanceTest, DamagedEntriesExpireLikeOthers) {
  EmbeddedLog& log = Stream(
      "a", [](auto& s) { s.set_retention_ms(1000); }, v1::LOCAL);
  for (int i = 0; i < 3; ++i) Append(log, 2);
  auto batch = store_.NewBatch();
  for (int64_t at : {0, 4}) batch->Put(Family::kLog, LogKey(log.number(), Offset(at)), {"junk"});
  ASSERT_TRUE(store_.Write(*batch, true).ok());
  EXPECT_EQ(KindOfError(log.Read(Offset(4), kAll, true)), "corrupt_entry");
  clock_.Advance(absl::Seconds(2));
  Append(log, 1);
  EXPECT_EQ(ShapeAfterRun(log), "[6,7)batch");
  EXPECT_TRUE(log.damages().empty());
}

TEST_F(MaintenanceTest, AcknowledgementsAreStored) {
  EmbeddedLog& log = Stream("s", [](auto& s) { s.set_keep_after_ack(true); });
  Append(log, 3);
  log.SetAcknowledged(Offset(3));
  ASSERT_TRUE(maintenance_.RunOnce().ok());
  LogNode again(store_, clock_);
  EXPECT_EQ(again.logs().FindEmbedded(log.origin())->acknowledged(), Offset(3));
}

TEST_F(MaintenanceTest, RejectRefusesAndRecoversByItself) {
  EmbeddedLog& log = Stream("s", [](auto&) {});
  absl::StatusOr<LogPosition> last;
  do {
    last = node_.Append(log, ProducedBatch(1, 5000));
    ASSERT_TRUE(maintenance_.RunOnce().ok());
    ASSERT_LE(*store_.FileBytes(), kBudget - kReserve);
  } while (last.ok());
  EXPECT_EQ(KindOfError(last), "disk_full");
  EXPECT_TRUE(IsRetryable(last.status()));
  EXPECT_GT(log.state().bytes(), kBudget / 2);
  EXPECT_EQ(log.state().start, Offset(0)) << "nothing was dropped";
  EXPECT_TRUE(log.Read(Offset(0), kAll).ok());
  log.SetAcknowledged(Offset(10));
  ASSERT_TRUE(maintenance_.RunOnce().ok());
  EXPECT_TRUE(node_.Append(log, ProducedBatch(1, 5000)).ok());
  EXPECT_TRUE(node_.logs().Losses()->empty());
}

TEST_F(MaintenanceTest, ReclaimsRangesOfTrimmedAndDeletedLogs) {
  EmbeddedLog& log = Stream("s", [](auto& s) { s.set_on_full(v1::DROP_OLDEST); });
  EmbeddedLog& doomed = Stream(
      "doomed", [](auto&) {}, v1::LOCAL);
  for (int i = 0; i < 8; ++i) Append(log, 1, 5000);
  Append(doomed, 1, 5000);
  ASSERT_TRUE(maintenance_.MaybeReclaim().ok());
  EXPECT_TRUE(store_.ranges.empty());
  ASSERT_TRUE(log.Trim(Offset(6), Offset(2), GapReason::kDroppedForSpace).ok());
  const LogNumber doomed_number = doomed.number();
  ASSERT_TRUE(node_.logs().DeleteStream("doomed", [](WriteBatch&) {}).ok());
  ASSERT_TRUE(maintenance_.MaybeReclaim().ok());
  EXPECT_TRUE(store_.ranges.empty()) << "not worth it while there is room";
  node_.budget().Measured(kBudget, kBudget);
  ASSERT_TRUE(maintenance_.MaybeReclaim().ok());
  ASSERT_EQ(store_.ranges.size(), 2u);
  EXPECT_EQ(store_.ranges[0],
            std::make_pair(LogKey(doomed_number, Offset(0)), LogKey(doomed_number, Offset(INT64_MAX))));
  EXPECT_EQ(store_.ranges[1],
            std::make_pair(LogKey(log.number(), Offset(0)), LogKey(log.number(), Offset(6))))
      << "up to the end of the gap that stands for what was dropped";
  EXPECT_TRUE(node_.budget().has_room());
  node_.budget().Measured(kBudget, kBudget);
  ASSERT_TRUE(maintenance_.MaybeReclaim().ok());
  EXPECT_EQ(store_.ranges.size(), 2u) << "nothing was trimmed since";
}

class LazyMaintenanceTest : public MaintenanceTest {
 protected:
  LazyMaintenanceTest() : MaintenanceTest(/*lazy=*/true) {}
};

TEST_F(LazyMaintenanceTest, DropOldestGoesOnWriting) {
  EmbeddedLog& log = Stream("s", [](auto& s) { s.set_on_full(v1::DROP_OLDEST); });
  int refused = 0;
  for (int i = 0; i < 500; ++i) {
    auto appended = node_.Append(log, ProducedBatch(1, 1000));
    if (i == 2) log.SetAcknowledged(Offset(3));
    if (!appended.ok()) {
      ASSERT_EQ(KindOfError(appended), "disk_full");
      ++refused;
    }
    ASSERT_LE(*store_.FileBytes(), kBudget - kReserve / 2) << "the reserve pays, but only half of it";
    if (i % 10 == 9) {
      ASSERT_TRUE(maintenance_.RunOnce().ok());
      ASSERT_TRUE(maintenance_.MaybeReclaim().ok());
    }
  }
  EXPECT_LT(refused, 50);
  EXPECT_FALSE(store_.ranges.empty());
  const std::vector<Entry> entries = AllEntries(log);
  EXPECT_EQ(entries.front().kind, EntryKind::kGap);
  EXPECT_EQ(entries.front().from, Offset(3));
  EXPECT_EQ(DecodeGap(entries.front().body.view())->reason, GapReason::kDroppedForSpace);
  EXPECT_EQ(entries.size(), static_cast<size_t>(500 - refused) - (entries.front().to.value()) + 1);
  EXPECT_GT(log.state().bytes(), kBudget / 4) << "it does not drop more than it must";
}

// What a full queue turns away costs nothing, however often it is tried: no room on the disk, and no old
// record.
TEST_F(LazyMaintenanceTest, AFullQueueDropsNothing) {
  EmbeddedLog& log = Stream("s", [](auto& s) { s.set_on_full(v1::DROP_OLDEST); });
  while (node_.budget().FitsReserve(1000 + kReserve)) Append(log, 1, 1000);
  const LogState full = log.state();
  int answered = 0;
  const auto done = [&](const absl::StatusOr<Appended>& appended) { answered += appended.ok() ? 1 : 0; };
  std::string batch = ProducedBatch(1, 1000);
  int queued = 0;
  while (log.Append(std::string(batch), done).ok()) ++queued;
  const LogState after = log.state();
  const uint64_t charged = node_.budget().charged();
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(KindOfError(log.Append(std::move(batch), done)), "overloaded");
  }
  EXPECT_EQ(node_.budget().charged(), charged);
  EXPECT_EQ(log.state().start, after.start);
  node_.CommitAll();
  EXPECT_EQ(answered, queued);
  EXPECT_EQ(log.state().end, full.end + queued);
}

// As a duplicate of what is stored: admitted, since only the committer knows it, and then not written.
TEST_F(LazyMaintenanceTest, WhatIsNotWrittenAfterAllLeavesItsRoomToTheNext) {
  EmbeddedLog& log = Stream("s", [](auto& s) { s.set_on_full(v1::DROP_OLDEST); });
  for (int i = 0; i < 60; ++i) Append(log, 1, 1000);
  node_.budget().Measured(kBudget - kReserve, kBudget);
  std::string batch = ProducedBatch(1, 1000);
  StoreBig<int64_t>(batch.data() + record_format::kProducerIdAt, 7);
  StoreBig<int16_t>(batch.data() + record_format::kProducerEpochAt, 0);
  StoreBig<int32_t>(batch.data() + record_format::kBaseSequenceAt, 0);
  StoreBig<uint32_t>(batch.data() + record_format::kCrcAt,
                     Crc32c(std::string_view(batch).substr(record_format::kAttributesAt)));
  ASSERT_TRUE(node_.Append(log, batch).ok());
  const uint64_t charged = node_.budget().charged();
  std::optional<Offset> start;
  for (int i = 0; i < 100; ++i) {
    const auto again = node_.Produce(log, batch);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_TRUE(again->duplicate);
    if (!start) start = log.state().start;
  }
  EXPECT_EQ(node_.budget().charged(), charged);
  EXPECT_EQ(log.state().start, *start) << "one dropped, the others used what it made";
}

TEST_F(LazyMaintenanceTest, AWriterThatTriesAgainDoesNotEmptyTheLog) {
  EmbeddedLog& log = Stream("s", [](auto& s) { s.set_on_full(v1::DROP_OLDEST); });
  for (int i = 0; i < 60; ++i) Append(log, 1, 1000);
  node_.budget().Measured(kBudget - kReserve / 4, kBudget);  // even the reserve is used up
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(KindOfError(node_.Append(log, ProducedBatch(1, 1000))), "disk_full");
  }
  EXPECT_GT(log.state().bytes(), 50u * 1000);
  ASSERT_TRUE(maintenance_.MaybeReclaim().ok());
  EXPECT_TRUE(node_.Append(log, ProducedBatch(1, 1000)).ok());
}

/// Admits and writes so many bytes, or does not.
bool Write(DiskBudget& budget, uint64_t bytes) {
  auto charge = budget.Admit(bytes);
  if (charge.ok()) charge->Written();
  return charge.ok();
}

TEST(DiskBudget, ChargesWhatWasWrittenSinceTheLastMeasurement) {
  DiskBudget budget({.budget = 1000, .reserve = 200});
  budget.Measured(0, 1 << 20);
  EXPECT_TRUE(Write(budget, 300));
  EXPECT_FALSE(Write(budget, 300)) << "a write may lie in two files for a while";
  EXPECT_TRUE(Write(budget, 100));
  EXPECT_FALSE(budget.has_room());
  EXPECT_TRUE(budget.FitsReserve(50));
  auto small = budget.AdmitFromReserve(50);
  ASSERT_TRUE(small.ok());
  EXPECT_FALSE(budget.FitsReserve(1)) << "the other half is for trims and gaps";
  EXPECT_FALSE(budget.AdmitFromReserve(1).ok());
  small->Written();
  budget.Measured(450, 1 << 20);
  EXPECT_FALSE(budget.has_room()) << "not for a write like the one that was refused";
  budget.Measured(100, 1 << 20);
  EXPECT_TRUE(budget.has_room());
  EXPECT_TRUE(Write(budget, 350));
}

TEST(DiskBudget, WhatIsNotWrittenIsNotCharged) {
  DiskBudget budget({.budget = 1000, .reserve = 0});
  budget.Measured(0, 1 << 20);
  {
    auto charge = budget.Admit(500);
    ASSERT_TRUE(charge.ok());
    DiskCharge moved = *std::move(charge);
    EXPECT_EQ(budget.charged(), 1000u);
    EXPECT_FALSE(budget.Admit(1).ok());
  }
  EXPECT_EQ(budget.charged(), 0u);
  EXPECT_TRUE(Write(budget, 500));
}

TEST(DiskBudget, AMeasurementHasWhatWasWrittenBeforeItBegan) {
  DiskBudget budget({.budget = 1000, .reserve = 0});
  auto late = budget.Admit(50);
  EXPECT_TRUE(Write(budget, 100));
  const uint64_t before = budget.written();
  EXPECT_TRUE(Write(budget, 200));
  late->Written();
  budget.Measured(200, 1 << 20, before);
  EXPECT_EQ(budget.charged(), 500u) << "written while the files were looked at";
  budget.Measured(700, 1 << 20);
  EXPECT_EQ(budget.charged(), 0u);
  budget.Measured(200, 1 << 20, before);
  EXPECT_EQ(budget.file_bytes(), 700u) << "a measurement that began earlier and ends later says nothing new";
}

TEST(DiskBudget, WhatWasDroppedForNothingIsThereForTheNext) {
  DiskBudget budget({.budget = 1000, .reserve = 1000});
  budget.Measured(0, 1 << 20);
  EXPECT_EQ(budget.MustDrop(100), 200u);
  budget.Dropped(250);
  EXPECT_EQ(budget.MustDrop(100), 0u);
  auto charge = budget.AdmitIntoDropped(100);
  ASSERT_TRUE(charge.ok());
  EXPECT_EQ(budget.MustDrop(100), 200u) << "used up";
  charge->GiveBack();
  EXPECT_EQ(budget.MustDrop(100), 0u);
  charge = budget.AdmitIntoDropped(100);
  ASSERT_TRUE(charge.ok());
  budget.Reclaimed();
  charge->GiveBack();
  EXPECT_EQ(budget.MustDrop(1), 2u) << "it shows in the files";
}

TEST(DiskBudget, TheVolumeIsALimitToo) {
  DiskBudget unlimited({.budget = 0, .reserve = 100});
  EXPECT_TRUE(Write(unlimited, 1 << 30)) << "not measured yet";
  unlimited.Measured(1 << 30, 150);
  EXPECT_TRUE(Write(unlimited, 25));
  EXPECT_FALSE(Write(unlimited, 1));
  unlimited.Measured(1 << 30, 50);
  EXPECT_FALSE(Write(unlimited, 0));
}

}  // namespace
}  // namespace selvage
