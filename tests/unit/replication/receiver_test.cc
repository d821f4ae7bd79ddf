#include "fabric/replication/receiver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include "tests/unit/replication/memory_log.h"

namespace selvage::replication::test {
namespace {

constexpr size_t kEntryMax = 1000;

class ReceiverTest : public testing::Test {
 protected:
  ReceiverTest() {
    log.AppendBatch(10, "held");
    accept = receiver.Accept(sink);
  }
  static v1::Data Fragment(int64_t from, int64_t to, size_t size, size_t position = 0) {
    v1::Data data;
    data.set_flow(7);
    data.set_from(from);
    data.set_to(to);
    data.set_kind(static_cast<uint32_t>(EntryKind::kBatch));
    data.set_entry_size(static_cast<uint32_t>(size));
    data.set_wire_size(static_cast<uint32_t>(size));
    data.set_position(static_cast<uint32_t>(position));
    return data;
  }
  Receiver::Outcome Send(const v1::Data& data, std::string_view payload) {
    return receiver.OnData(data, payload, kEntryMax);
  }

  MemoryLog log{TestLogId(1)};
  LogSink sink{log};
  Receiver receiver{FlowNumber(7)};
  Message accept;
};

TEST_F(ReceiverTest, AcceptNamesTheDurablePosition) {
  EXPECT_EQ(accept.frame.flow_accept().flow(), 7u);
  EXPECT_EQ(FromProto(accept.frame.flow_accept().position()), log.position());
}

TEST_F(ReceiverTest, FragmentsAreReassembled) {
  EXPECT_FALSE(Send(Fragment(10, 13, 9, 0), "abcd").complete.has_value());
  EXPECT_EQ(receiver.partial_bytes(), CreditOf(9));
  EXPECT_FALSE(Send(Fragment(10, 13, 9, 4), "e").complete.has_value());
  auto last = Send(Fragment(10, 13, 9, 5), "fghi");
  ASSERT_TRUE(last.complete.has_value());
  EXPECT_EQ(last.complete->body.view(), "abcdefghi");
  EXPECT_EQ(last.complete->from, Offset(10));
  EXPECT_EQ(last.complete->to, Offset(13));
  EXPECT_EQ(receiver.partial_bytes(), 0u);
  auto next = Send(Fragment(13, 14, 1), "x");
  EXPECT_TRUE(next.complete.has_value());
}

TEST_F(ReceiverTest, RepeatIsDropped) {
  auto first = Send(Fragment(4, 10, 6), "ab");
  EXPECT_TRUE(first.fatal.ok() && first.refuse.ok());
  auto last = Send(Fragment(4, 10, 6, 2), "cdef");
  EXPECT_FALSE(last.complete.has_value());
  EXPECT_EQ(last.released, CreditOf(6));
  EXPECT_TRUE(Send(Fragment(10, 11, 1), "x").complete.has_value());
  EXPECT_EQ(Send(Fragment(10, 11, 1), "x").released, CreditOf(1));
}

TEST_F(ReceiverTest, JumpAndOverlapAreRefused) {
  for (auto [from, to] : {std::pair{11, 12}, std::pair{9, 12}}) {
    auto outcome = Send(Fragment(from, to, 3), "abc");
    EXPECT_EQ(ErrorKind(outcome.refuse), "out_of_sequence");
    EXPECT_TRUE(IsRetryable(outcome.refuse));
    EXPECT_EQ(outcome.released, CreditOf(3));
    EXPECT_FALSE(outcome.complete.has_value());
  }
}

TEST_F(ReceiverTest, FragmentOutOfOrderIsFatal) {
  EXPECT_FALSE(Send(Fragment(10, 11, 9, 3), "abc").fatal.ok());  // begins in the middle
  Send(Fragment(10, 11, 9, 0), "abc");
  for (v1::Data wrong :
       {Fragment(10, 11, 9, 2), Fragment(10, 11, 9, 4), Fragment(10, 11, 9, 0), Fragment(11, 12, 9, 3)}) {
    EXPECT_EQ(ErrorKind(Send(wrong, "x").fatal), "protocol_error");
  }
  EXPECT_FALSE(Send(Fragment(10, 11, 9, 3), "").fatal.ok());
  EXPECT_FALSE(Send(Fragment(10, 11, 9, 3), "abcdefg").fatal.ok());
}

TEST_F(ReceiverTest, ImpossibleSizesAndOffsetsAreFatal) {
  EXPECT_FALSE(Send(Fragment(10, 11, kEntryMax + 1), "x").fatal.ok());
  EXPECT_TRUE(Send(Fragment(10, 11, kEntryMax), "x").fatal.ok());
  Receiver other(FlowNumber(7));
  other.Accept(sink);
  EXPECT_FALSE(other.OnData(Fragment(10, 10, 1), "x", kEntryMax).fatal.ok());
  EXPECT_FALSE(other.OnData(Fragment(-5, -1, 1), "x", kEntryMax).fatal.ok());
  v1::Data empty_and_long = Fragment(10, 11, 0);
  empty_and_long.set_wire_size(1);
  EXPECT_FALSE(other.OnData(empty_and_long, "x", kEntryMax).fatal.ok());
  v1::Data longer_on_the_wire = Fragment(10, 11, 5);
  longer_on_the_wire.set_wire_size(6);
  EXPECT_FALSE(other.OnData(longer_on_the_wire, "x", kEntryMax).fatal.ok());
  v1::Data raw_and_shorter = Fragment(10, 11, 5);
  raw_and_shorter.set_wire_size(4);
  EXPECT_FALSE(other.OnData(raw_and_shorter, "abcd", kEntryMax).fatal.ok());
}

TEST_F(ReceiverTest, TheKindOfAnEntryIsForTheSinkToJudge) {
  v1::Data kind = Fragment(10, 11, 3);
  kind.set_kind(77);
  const auto outcome = Send(kind, "abc");
  ASSERT_TRUE(outcome.complete.has_value());
  EXPECT_EQ(outcome.complete->kind, static_cast<EntryKind>(77));
}

TEST_F(ReceiverTest, AnEmptyEntryAdvances) {
  const auto outcome = Send(Fragment(10, 15, 0), "");
  ASSERT_TRUE(outcome.complete.has_value());
  EXPECT_TRUE(outcome.complete->body.empty());
  EXPECT_EQ(outcome.complete->to, Offset(15));
  EXPECT_EQ(Send(Fragment(10, 15, 0), "").released, CreditOf(0));  // a repeat
  EXPECT_TRUE(Send(Fragment(15, 16, 1), "x").complete.has_value());
}

TEST_F(ReceiverTest, UnknownEncodingRefusesTheFlow) {
  v1::Data encoding = Fragment(10, 11, 3);
  encoding.set_encoding(static_cast<v1::Encoding>(77));
  EXPECT_EQ(ErrorKind(Send(encoding, "abc").refuse), "unknown_encoding");
  EXPECT_FALSE(IsRetryable(Send(encoding, "abc").refuse));
}

TEST_F(ReceiverTest, ZstdIsUnpackedAndDamageRefused) {
  std::string body(500, 'z');
  std::string packed(ZSTD_compressBound(body.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), body.data(), body.size(), 1));
  v1::Data data = Fragment(10, 11, body.size());
  data.set_encoding(v1::ENCODING_ZSTD);
  data.set_wire_size(static_cast<uint32_t>(packed.size()));
  std::string damaged = packed;
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 0x55);
  damaged[0] = 'x';
  auto refused = Send(data, damaged);
  EXPECT_EQ(ErrorKind(refused.refuse), "corrupt_batch");
  EXPECT_EQ(refused.released, body.size());
  for (size_t size : {body.size() - 1, body.size() + 1}) {
    v1::Data other_size = data;
    other_size.set_entry_size(static_cast<uint32_t>(size));
    EXPECT_EQ(ErrorKind(Send(other_size, packed).refuse), "corrupt_batch");
  }
  auto taken = Send(data, packed);
  ASSERT_TRUE(taken.complete.has_value());
  EXPECT_EQ(taken.complete->body.view(), body);
}

TEST_F(ReceiverTest, WhatTheSinkRefusesIsNotHandedOn) {
  sink.check_error = MakeError(absl::StatusCode::kDataLoss, "corrupt_batch", "CRC", "", Retry::kYes);
  auto outcome = Send(Fragment(10, 11, 3), "abc");
  EXPECT_EQ(ErrorKind(outcome.refuse), "corrupt_batch");
  EXPECT_FALSE(outcome.complete.has_value());
  sink.check_error = absl::OkStatus();
  EXPECT_TRUE(Send(Fragment(10, 11, 3), "abc").complete.has_value());  // its place is still free
}

TEST_F(ReceiverTest, AcknowledgesOnlyWhatIsDurable) {
  EXPECT_TRUE(Send(Fragment(10, 11, 3), "abc").complete.has_value());
  EXPECT_FALSE(receiver.TakeAck().has_value());
  FlowPosition durable{TestLogId(1), Offset(11), ChainHash(5), {}};
  EXPECT_TRUE(receiver.OnPersisted({TestLogId(1), Offset(10), ChainHash(4), {}}));
  EXPECT_FALSE(receiver.OnPersisted(durable));  // one is due already
  auto ack = receiver.TakeAck();
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(FromProto(ack->frame.ack().durable()), durable);
  EXPECT_FALSE(receiver.TakeAck().has_value());
}

TEST_F(ReceiverTest, RefusalDropsWhatWasUnderWay) {
  Send(Fragment(10, 11, 9), "abc");
  receiver.OnPersisted(log.position());
  Message refusal = receiver.Refuse(absl::UnavailableError("later"), absl::Milliseconds(1500));
  EXPECT_EQ(refusal.frame.flow_refuse().retry_after_ms(), 1500);
  EXPECT_EQ(receiver.partial_bytes(), 0u);
  EXPECT_FALSE(receiver.TakeAck().has_value());
  Receiver never(FlowNumber(8));
  EXPECT_EQ(never.Refuse(absl::UnavailableError("x"), absl::InfiniteDuration())
                .frame.flow_refuse()
                .retry_after_ms(),
            0);
}

TEST_F(ReceiverTest, DataBeforeTheAnswerIsFatal) {
  Receiver waiting(FlowNumber(9));
  EXPECT_FALSE(waiting.OnData(Fragment(0, 1, 1), "x", kEntryMax).fatal.ok());
}

}  // namespace
}  // namespace selvage::replication::test
