#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/synchronization/blocking_counter.h"
#include "fabric/base/error.h"
#include "tests/unit/admin/admin_harness.h"

namespace selvage::test {
namespace {

using testing::HasSubstr;

class ProduceTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(edge_.state().CreateStream(Definition("temperature", v1::UP, 2)).ok());
    ASSERT_TRUE(edge_.Produce(Address("temperature"), Batch({"first"})).ok());
  }
  Log& log() { return *edge_.node().logs().Find({"", Slot(0), "temperature", PartitionId(0)}); }
  /// Produces what must be refused, and checks that it left nothing behind.
  absl::Status Refused(const v1::LogAddress& address, const std::string& batch) {
    const LogState before = log().state();
    const auto answer = edge_.Produce(address, batch);
    EXPECT_EQ(log().state().position(), before.position());
    EXPECT_EQ(log().state().log_bytes, before.log_bytes);
    EXPECT_EQ(edge_.Errors(KindOf(answer)), 1) << KindOf(answer);
    return answer.status();
  }

  EdgeNode edge_{{.disk = {.budget = 64 << 20, .reserve = 1 << 20}}};
};

TEST_F(ProduceTest, AnswersWithTheOffsetsGiven) {
  const auto produced = edge_.Produce(Address("temperature"), Batch({"a", "b", "c"}));
  ASSERT_TRUE(produced.ok()) << produced.status();
  EXPECT_EQ(produced->base_offset(), 1);
  EXPECT_EQ(produced->next_offset(), 4);
  EXPECT_EQ(log().state().end, Offset(4)) << "stored when it is answered";
  EXPECT_EQ(edge_.Produce(Address("temperature", 1, "rig-7"), Batch({"d"}))->base_offset(), 0);
}

TEST_F(ProduceTest, RefusesPlacesThatCannotBeWritten) {
  EXPECT_EQ(ErrorKind(Refused(Address("humidity"), Batch({"x"}))), "unknown_stream");
  const absl::Status wrong = Refused(Address("temperature", 2), Batch({"x"}));
  EXPECT_EQ(ErrorKind(wrong), "wrong_partition");
  EXPECT_THAT(ErrorHint(wrong), HasSubstr("0 to 1"));
  EXPECT_EQ(KindOf(edge_.Produce(Address("temperature", -1), Batch({"x"}))), "wrong_partition");
  EXPECT_EQ(ErrorKind(Refused(Address("temperature", 0, "rig-8"), Batch({"x"}))), "wrong_node");

  edge_.TakeFromCore(Definition("commands", v1::DOWN), {});
  const absl::Status replica = Refused(Address("commands"), Batch({"x"}));
  EXPECT_EQ(ErrorKind(replica), "read_only_replica");
  EXPECT_THAT(std::string(replica.message()), HasSubstr("written at the core"));
}

TEST_F(ProduceTest, RefusesADeletedStream) {
  v1::DeleteStreamRequest request;
  request.set_stream("temperature");
  ASSERT_TRUE(edge_.Ask(&Stub::DeleteStream, request).ok());
  EXPECT_EQ(KindOf(edge_.Produce(Address("temperature"), Batch({"x"}))), "unknown_stream");
}

TEST_F(ProduceTest, ABadBatchChangesNothing) {
  const std::string good = Batch({"some", "records"});
  std::string corrupt = good;
  corrupt.back() ^= 1;
  const absl::Status damaged = Refused(Address("temperature"), corrupt);
  EXPECT_EQ(ErrorKind(damaged), "corrupt_batch");

  std::string old_format = good;
  old_format[16] = 1;  // magic
  EXPECT_EQ(ErrorKind(Refused(Address("temperature"), old_format)), "unsupported_format");
  EXPECT_EQ(KindOf(edge_.Produce(Address("temperature"), good.substr(0, good.size() - 3))), "corrupt_batch");
  EXPECT_EQ(ErrorKind(Refused(Address("temperature"), "")), "invalid_record");
  EXPECT_EQ(ErrorKind(Refused(Address("temperature"), Batch({std::string(2 << 20, 'x')}))),
            "batch_too_large");
  EXPECT_EQ(log().state().end, Offset(1));
}

TEST_F(ProduceTest, AFullDiskRefusesUntilThereIsRoom) {
  edge_.node().budget().Measured(64 << 20, 1 << 30);
  const absl::Status full = Refused(Address("temperature"), Batch({"x"}));
  EXPECT_EQ(ErrorKind(full), "disk_full");
  EXPECT_TRUE(IsRetryable(full));
  EXPECT_TRUE(edge_.Fetch(Address("temperature"), 0).ok()) << "reading goes on";
  edge_.node().budget().Measured(1 << 20, 1 << 30);
  EXPECT_TRUE(edge_.Produce(Address("temperature"), Batch({"x"})).ok());
}

TEST_F(ProduceTest, ManyAtATimeGetOffsetsOfTheirOwn) {
  constexpr int kCalls = 200;
  struct Call {
    grpc::ClientContext context;
    v1::ProduceRequest request;
    v1::ProduceResponse response;
    grpc::Status status;
  };
  std::vector<Call> calls(kCalls);
  absl::BlockingCounter waiting(kCalls);
  for (Call& call : calls) {
    *call.request.mutable_address() = Address("temperature");
    call.request.set_batch(Batch({"x", "y"}));
    edge_.stub().async()->Produce(&call.context, &call.request, &call.response, [&](grpc::Status status) {
      call.status = std::move(status);
      waiting.DecrementCount();
    });
  }
  waiting.Wait();
  std::set<int64_t> bases;
  for (const Call& call : calls) {
    ASSERT_TRUE(call.status.ok()) << call.status.error_message();
    EXPECT_EQ(call.response.next_offset(), call.response.base_offset() + 2);
    bases.insert(call.response.base_offset());
  }
  EXPECT_EQ(bases.size(), size_t{kCalls});
  EXPECT_EQ(log().state().end, Offset(1 + 2 * kCalls));
}

TEST(ProduceLarge, ABatchLargerThanAPagePassesWhole) {
  EdgeNode edge({.disk = {}, .batch_max = 8 << 20});
  ASSERT_TRUE(edge.state().CreateStream(Definition("images", v1::UP)).ok());
  const std::string image(6 << 20, 'x');
  const auto produced = edge.Produce(Address("images"), Batch({image}));
  ASSERT_TRUE(produced.ok()) << produced.status();
  const auto page = edge.Fetch(Address("images"), 0);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->entries_size(), 1);
  EXPECT_EQ(DecodeRecords(page->entries(0).batch())->front().value, image);
}

}  // namespace
}  // namespace selvage::test
