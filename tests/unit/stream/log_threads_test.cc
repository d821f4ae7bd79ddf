#include <atomic>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/synchronization/notification.h"
#include "fabric/storage/rocksdb_store.h"
#include "fabric/stream/maintenance.h"
#include "tests/contract/log/log_node.h"
#include "tests/support/test_dir.h"

namespace selvage {
namespace {

constexpr int kProducers = 8;
constexpr int kReaders = 3;
constexpr int kBatches = 150;  // of each producer
constexpr int kRecords = 2;

class LogThreads : public ::testing::Test {
 protected:
  LogThreads() {
    auto opened = RocksDbStore::Open({.path = dir_.File("store")});
    SELVAGE_CHECK(opened.ok());
    store_ = *std::move(opened);
    node_ = std::make_unique<LogNode>(*store_, clock_, std::map<LogNumber, Offset>{}, DiskBudget::Limits{},
                                      64 << 10);
    log_ = node_->Source().shared_from_this();
    committing_ = std::make_unique<CommitterThread>(node_->committer());
  }

  void Produce(std::atomic<int64_t>& highest) {
    for (int i = 0; i < kBatches; ++i) {
      absl::Notification done;
      ASSERT_TRUE(log_->Append(ProducedBatch(kRecords, 200),
                               [&](const absl::StatusOr<Appended>& appended) {
                                 EXPECT_TRUE(appended.ok());
                                 const Offset end = appended->end.offset;
                                 int64_t seen = highest;
                                 while (seen < end.value() &&
                                        !highest.compare_exchange_weak(seen, end.value())) {
                                 }
                                 EXPECT_GE(log_->state().end, end) << "visible before it is acknowledged";
                                 done.Notify();
                               })
                      .ok());
      done.WaitForNotification();
    }
  }

  /// Reads to `end`, woken by the log; whether each offset came once, in order, in an unbroken chain.
  void Tail(Offset end, bool from_disk) {
    absl::Mutex mutex;
    bool woken = true;
    const int watch = log_->Watch([&] {
      absl::MutexLock lock(&mutex);
      woken = true;
    });
    const absl::Cleanup unwatch = [&] { log_->Unwatch(watch); };
    Offset next(0);
    ChainHash hash(0);
    while (next < end) {
      {
        absl::MutexLock lock(&mutex);
        mutex.Await(absl::Condition(&woken));
        woken = false;
      }
      while (true) {
        auto entries = log_->Read(next, 4000, from_disk);
        ASSERT_TRUE(entries.ok()) << entries.status();
        if (entries->empty()) break;
        for (const Entry& entry : *entries) {
          ASSERT_EQ(entry.from, next);
          ASSERT_EQ(entry.hash_before, hash);
          ASSERT_TRUE(BatchCrcMatches(entry.body.view()));
          next = entry.to;
          hash = entry.hash_after;
        }
      }
    }
    EXPECT_EQ(hash, log_->state().hash);
  }

  test::TestDir dir_;
  FakeClock clock_;
  std::unique_ptr<RocksDbStore> store_;
  std::unique_ptr<LogNode> node_;
  std::shared_ptr<EmbeddedLog> log_;
  std::unique_ptr<CommitterThread> committing_;
};

TEST_F(LogThreads, EveryReaderSeesEachOffsetOnceInOrder) {
  const Offset end(kProducers * kBatches * kRecords);
  std::atomic<int64_t> highest{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kReaders; ++i) threads.emplace_back([&, i] { Tail(end, /*from_disk=*/i == 0); });
  for (int i = 0; i < kProducers; ++i) threads.emplace_back([&] { Produce(highest); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(highest, end.value());
  EXPECT_EQ(log_->state().end, end);
  EXPECT_LT(node_->committer().stats().groups, static_cast<uint64_t>(kProducers * kBatches))
      << "writers share syncs";
}

TEST_F(LogThreads, TrimsBesideAppendsAndReadsAreNeverDamage) {
  std::atomic<int64_t> highest{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> producers, others;
  for (int i = 0; i < kProducers; ++i) producers.emplace_back([&] { Produce(highest); });
  others.emplace_back([&] {  // forgets what is acknowledged
    while (!stop) EXPECT_TRUE(log_->Trim(Offset(highest / 2), std::nullopt, GapReason::kExpired).ok());
  });
  others.emplace_back([&] {  // drops, as for space
    while (!stop) {
      EXPECT_TRUE(log_->Trim(Offset(highest * 3 / 4), Offset(highest / 2), GapReason::kDroppedForSpace).ok());
    }
  });
  others.emplace_back([&] {
    while (!stop) {
      const Offset start = log_->state().start;
      for (Offset from : {start, start + 1, start + 7}) {
        auto entries = log_->Read(from, 2000, true);
        EXPECT_TRUE(entries.ok() || KindOfError(entries) == "offset_out_of_range") << entries.status();
      }
      EXPECT_TRUE(log_->FirstRecordAtOrAfter(1).ok());
      EXPECT_TRUE(log_->Search([&](const Entry& e) { return e.to >= start + 20; }).ok());
    }
  });
  for (std::thread& thread : producers) thread.join();
  stop = true;
  for (std::thread& thread : others) thread.join();

  const Offset end(kProducers * kBatches * kRecords);
  EXPECT_EQ(log_->state().end, end);
  Offset next = log_->state().start;
  for (const Entry& entry : AllEntries(*log_)) {
    EXPECT_EQ(entry.from, next) << "no hole";
    next = entry.to;
  }
  EXPECT_EQ(next, end);
}

}  // namespace
}  // namespace selvage
