#include "fabric/transport/write_queue.h"

#include <gtest/gtest.h>

#include <string>

namespace selvage {
namespace {

using replication::Message;

Message Data(int64_t from, size_t bytes = 1000) {
  Message message;
  message.frame.mutable_data()->set_from(from);
  message.payload = Bytes(std::string(bytes, 'x'));
  return message;
}

Message Credit(uint64_t received) {
  Message message;
  message.frame.mutable_credit()->set_received(received);
  return message;
}

Message Ack(uint32_t flow, int64_t offset) {
  Message message;
  message.frame.mutable_ack()->set_flow(flow);
  message.frame.mutable_ack()->mutable_durable()->set_offset(offset);
  return message;
}

TEST(WriteQueue, KeepsTheOrder) {
  WriteQueue queue;
  EXPECT_TRUE(queue.empty());
  for (int i = 0; i < 5; ++i) queue.Push(Data(i));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(queue.Pop()->frame.data().from(), i);
  EXPECT_FALSE(queue.Pop());
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(WriteQueue, OnlyTheNewestTotalsAreSent) {
  WriteQueue queue;
  for (int i = 1; i <= 100; ++i) {
    queue.Push(Credit(i));
    queue.Push(Ack(1, i));
    queue.Push(Ack(2, 2 * i));
  }
  EXPECT_EQ(queue.Pop()->frame.credit().received(), 100u);
  EXPECT_EQ(queue.Pop()->frame.ack().durable().offset(), 100);
  EXPECT_EQ(queue.Pop()->frame.ack().durable().offset(), 200);
  EXPECT_TRUE(queue.empty());
}

TEST(WriteQueue, TotalsOvertakeDataButTakeTurns) {
  WriteQueue queue;
  queue.Push(Data(1));
  queue.Push(Data(2));
  queue.Push(Credit(1));
  queue.Push(Ack(1, 1));
  EXPECT_TRUE(queue.Pop()->frame.has_credit());
  EXPECT_EQ(queue.Pop()->frame.data().from(), 1);
  queue.Push(Credit(2));
  EXPECT_TRUE(queue.Pop()->frame.has_credit());
  EXPECT_EQ(queue.Pop()->frame.data().from(), 2);
  EXPECT_TRUE(queue.Pop()->frame.has_ack());
  EXPECT_TRUE(queue.empty());
}

TEST(WriteQueue, DroppingDataKeepsTheRest) {
  WriteQueue queue;
  queue.Push(Data(1));
  Message close;
  close.frame.mutable_close();
  queue.Push(close);
  queue.Push(Data(2));
  queue.DropData();
  EXPECT_LT(queue.bytes(), 1000u);
  EXPECT_TRUE(queue.Pop()->frame.has_close());
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(WriteQueue, CountsWhatWaits) {
  WriteQueue queue;
  queue.Push(Data(1, 10'000));
  EXPECT_GE(queue.bytes(), 10'000u);
  EXPECT_LT(queue.bytes(), 11'000u);
  queue.Clear();
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0u);
}

}  // namespace
}  // namespace selvage
