#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include "absl/synchronization/notification.h"
#include "fabric/admin/log_pages.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "tests/support/eventually.h"
#include "tests/unit/admin/admin_harness.h"

namespace selvage::test {
namespace {

constexpr uint32_t kLongMs = 30'000;

/// A Fetch that is under way.
class PendingFetch {
 public:
  PendingFetch(Stub& stub, const v1::LogAddress& address, int64_t offset, uint32_t max_wait_ms) {
    *request_.mutable_address() = address;
    request_.set_offset(offset);
    request_.set_max_wait_ms(max_wait_ms);
    stub.async()->Fetch(&context_, &request_, &response_, [this](grpc::Status status) {
      status_ = std::move(status);
      done_.Notify();
    });
  }
  ~PendingFetch() {
    context_.TryCancel();
    done_.WaitForNotification();
  }
  void Cancel() { context_.TryCancel(); }
  bool done() const { return done_.HasBeenNotified(); }
  const grpc::Status& Wait() {
    done_.WaitForNotification();
    return status_;
  }
  const v1::FetchResponse& response() const { return response_; }

 private:
  grpc::ClientContext context_;
  v1::FetchRequest request_;
  v1::FetchResponse response_;
  grpc::Status status_;
  absl::Notification done_;
};

class FetchTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(edge_.state().CreateStream(Definition("temperature", v1::UP)).ok()); }
  Log& log() { return *edge_.node().logs().Find({"", Slot(0), "temperature", PartitionId(0)}); }
  void Append(const std::string& batch) { ASSERT_TRUE(AppendNow(log(), batch).ok()); }
  absl::StatusOr<v1::FetchResponse> Fetch(int64_t offset, uint32_t max_wait_ms = 0, uint32_t max_bytes = 0) {
    return edge_.Fetch(Address("temperature"), offset, max_wait_ms, max_bytes);
  }
  absl::StatusOr<int64_t> FindOffset(int64_t timestamp_ms) {
    v1::FindOffsetRequest request;
    *request.mutable_address() = Address("temperature");
    request.set_timestamp_ms(timestamp_ms);
    auto found = edge_.Ask(&Stub::FindOffset, request);
    if (!found.ok()) return found.status();
    return found->offset();
  }
  absl::StatusOr<v1::ReadDigestsResponse> Digests(int64_t offset, uint32_t max_entries = 0) {
    v1::ReadDigestsRequest request;
    *request.mutable_address() = Address("temperature");
    request.set_offset(offset);
    request.set_max_entries(max_entries);
    return edge_.Ask(&Stub::ReadDigests, request);
  }

  EdgeNode edge_;
};

TEST_F(FetchTest, GivesBatchesAsTheyAreStored) {
  Append(Batch({"a", "b"}));
  Append(Batch({"c"}));
  const auto page = Fetch(kOffsetStart);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->start(), 0);
  EXPECT_EQ(page->high_watermark(), 3);
  EXPECT_EQ(page->next_offset(), 3);
  ASSERT_EQ(page->entries_size(), 2);
  EXPECT_EQ(page->entries(1).from(), 2);
  EXPECT_EQ(page->entries(1).to(), 3);
  EXPECT_FALSE(page->entries(1).gap());
  EXPECT_EQ(page->entries(1).batch(), log().Read(Offset(2), 1)->front().body.view());
  EXPECT_EQ(DecodeRecords(page->entries(0).batch())->back().value, "b");

  EXPECT_EQ(Fetch(1)->entries(0).from(), 0) << "the batch that holds the offset comes whole";
  const auto end = Fetch(kOffsetEnd);
  EXPECT_EQ(end->entries_size(), 0);
  EXPECT_EQ(end->next_offset(), 3);
}

TEST_F(FetchTest, NamesGapsWithTheirReason) {
  Append(Batch({"a"}));
  ASSERT_TRUE(AppendGapNow(log(), Offset(5), GapReason::kLostWithDisk).ok());
  Append(Batch({"b"}));
  const auto page = Fetch(3);
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->entries_size(), 2);
  EXPECT_TRUE(page->entries(0).gap());
  EXPECT_EQ(page->entries(0).from(), 1);
  EXPECT_EQ(page->entries(0).to(), 5);
  EXPECT_EQ(page->entries(0).gap_reason(), GapReasonName(GapReason::kLostWithDisk));
  EXPECT_EQ(page->entries(0).batch(), "");
  EXPECT_FALSE(page->entries(1).gap());
}

TEST_F(FetchTest, RefusesOffsetsOutsideTheLog) {
  Append(Batch({"a"}));
  for (const int64_t offset : {int64_t{2}, int64_t{-3}, INT64_MAX, INT64_MIN}) {
    EXPECT_EQ(KindOf(Fetch(offset)), "offset_out_of_range") << offset;
    EXPECT_EQ(KindOf(Fetch(offset, kLongMs)), "offset_out_of_range") << "without waiting";
    EXPECT_EQ(KindOf(Digests(offset)), "offset_out_of_range");
  }
  EXPECT_EQ(KindOf(edge_.Fetch(Address("humidity"), 0)), "unknown_stream");
  EXPECT_EQ(KindOf(edge_.Fetch(Address("temperature", 9), 0)), "wrong_partition");
}

TEST_F(FetchTest, ReadsAReplica) {
  EXPECT_EQ(KindOf(edge_.Fetch(Address("commands"), 0)), "unknown_stream");
  edge_.TakeFromCore(Definition("commands", v1::DOWN, 2), {Batch({"open", "close"})});
  EXPECT_EQ(edge_.Fetch(Address("commands"), 0)->next_offset(), 2);
  const auto absent = edge_.Fetch(Address("commands", 1), 0);
  EXPECT_EQ(KindOf(absent), "not_replicated_yet");
  EXPECT_TRUE(IsRetryable(absent.status()));
}

TEST_F(FetchTest, KeepsToTheSizeAskedForAndToItsOwn) {
  const std::string value(1 << 20, 'x');
  for (int i = 0; i < 7; ++i) Append(Batch({value.substr(0, 1'000'000)}));
  EXPECT_EQ(Fetch(0, 0, 1)->entries_size(), 1) << "at least one, whole";
  EXPECT_EQ(Fetch(0, 0, 2'500'000)->entries_size(), 2);
  const auto most = Fetch(0, 0, UINT32_MAX);
  ASSERT_TRUE(most.ok()) << most.status();
  EXPECT_LE(most->ByteSizeLong(), kFetchBytesMax + 1000u);
  EXPECT_EQ(most->entries_size(), 4);
  EXPECT_EQ(most->next_offset(), most->entries_size());
}

TEST_F(FetchTest, ALongPollWakesOnAppend) {
  const absl::Duration started = SystemClock().Monotonic();
  PendingFetch at_end(edge_.stub(), Address("temperature"), kOffsetEnd, kLongMs);
  PendingFetch at_zero(edge_.stub(), Address("temperature"), 0, kLongMs);
  ASSERT_EQ(edge_.Fetch(Address("temperature"), 0)->entries_size(), 0) << "a call in between is answered";
  EXPECT_FALSE(at_zero.done());
  ASSERT_TRUE(edge_.Produce(Address("temperature"), Batch({"news"})).ok());
  ASSERT_TRUE(at_zero.Wait().ok());
  EXPECT_EQ(at_zero.response().entries_size(), 1);
  EXPECT_EQ(at_zero.response().next_offset(), 1);
  // Where the end was when the other call arrived is not known, so the log grows until the call noticed.
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] {
    Append(Batch({"more"}));
    return at_end.done();
  }));
  ASSERT_TRUE(at_end.Wait().ok());
  EXPECT_GE(at_end.response().entries_size(), 1);
  EXPECT_LT(SystemClock().Monotonic() - started, absl::Milliseconds(kLongMs) / 2);
}

TEST_F(FetchTest, ALongPollEndsEmptyWhenItsTimeIsOver) {
  const absl::Duration started = SystemClock().Monotonic();
  const auto page = Fetch(kOffsetEnd, 100);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->entries_size(), 0);
  EXPECT_EQ(page->next_offset(), 0);
  EXPECT_GE(SystemClock().Monotonic() - started, absl::Milliseconds(90));
}

TEST_F(FetchTest, WaitingCallsOccupyNoThread) {
  std::vector<std::unique_ptr<PendingFetch>> waiting;
  for (int i = 0; i < 50; ++i) {
    waiting.push_back(std::make_unique<PendingFetch>(edge_.stub(), Address("temperature"), 0, kLongMs));
  }
  for (int i = 0; i < 25; ++i) waiting[i]->Cancel();
  for (int i = 0; i < 25; ++i) EXPECT_EQ(waiting[i]->Wait().error_code(), grpc::StatusCode::CANCELLED);
  ASSERT_TRUE(edge_.Produce(Address("temperature"), Batch({"news"})).ok());
  for (int i = 25; i < 50; ++i) {
    ASSERT_TRUE(waiting[i]->Wait().ok());
    EXPECT_EQ(waiting[i]->response().entries_size(), 1);
  }
}

TEST_F(FetchTest, FindsTheOffsetOfATime) {
  EXPECT_EQ(*FindOffset(0), -1) << "nothing there";
  Append(Batch({"a", "b", "c"}, 1000));
  Append(Batch({"d", "e"}, 2000, Codec::kZstd));
  EXPECT_EQ(*FindOffset(0), 0);
  EXPECT_EQ(*FindOffset(1002), 2) << "within a batch";
  EXPECT_EQ(*FindOffset(1003), 3);
  EXPECT_EQ(*FindOffset(2001), 4) << "compressed or not";
  EXPECT_EQ(*FindOffset(2002), -1);
}

TEST_F(FetchTest, DigestsAreOfTheBytesOnTheDisk) {
  Append(Batch({"a", "b"}));
  ASSERT_TRUE(AppendGapNow(log(), Offset(5), GapReason::kExpired).ok());
  Append(Batch({"c"}));
  const auto all = Digests(kOffsetStart);
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->log_id(), log().state().id.bytes());
  EXPECT_EQ(all->start(), 0);
  EXPECT_EQ(all->end(), 6);
  ASSERT_EQ(all->entries_size(), 3);
  EXPECT_TRUE(all->entries(1).gap());
  const std::string batch = Fetch(0)->entries(0).batch();
  XXH128_canonical_t expected;
  XXH128_canonicalFromHash(&expected, XXH3_128bits(batch.data(), batch.size()));
  EXPECT_EQ(all->entries(0).digest(),
            std::string(reinterpret_cast<char*>(expected.digest), sizeof expected.digest));
  EXPECT_NE(all->entries(0).digest(), all->entries(2).digest());

  const auto some = Digests(0, 2);
  EXPECT_EQ(some->entries_size(), 2);
  EXPECT_EQ(Digests(some->entries(1).to())->entries_size(), 1);

  // A flipped bit in a record is on the disk, not in the cache that serves readers.
  const std::string key = LogKey(log().number(), Offset(5));
  std::string value = **edge_.store().Get(Family::kLog, key);
  value.back() ^= 1;
  auto write = edge_.store().NewBatch();
  write->Put(Family::kLog, key, {value});
  ASSERT_TRUE(edge_.store().Write(*write, true).ok());
  EXPECT_NE(Digests(5)->entries(0).digest(), all->entries(2).digest());
}

TEST_F(FetchTest, DigestsOfALongLogComeInPages) {
  for (int i = 0; i < 1100; ++i) Append(Batch({std::to_string(i)}));
  const auto page = Digests(kOffsetStart, UINT32_MAX);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->entries_size(), static_cast<int>(kDigestEntriesMax));
  EXPECT_EQ(Digests(page->entries(page->entries_size() - 1).to())->entries_size(), 100);
}

}  // namespace
}  // namespace selvage::test
