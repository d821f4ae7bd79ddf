#include "fabric/transport/codec.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "fabric/base/error.h"

namespace selvage {
namespace {

using google::protobuf::util::MessageDifferencer;
using replication::Message;

Message DataMessage(std::string payload) {
  Message message;
  v1::Data& data = *message.frame.mutable_data();
  data.set_flow(7);
  data.set_from(1'000'000'000'000);
  data.set_to(1'000'000'000'100);
  data.set_kind(static_cast<uint32_t>(EntryKind::kBatch));
  data.set_entry_size(1 << 20);
  message.payload = Bytes(std::move(payload));
  return message;
}

std::string Join(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices)
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

/// A buffer of these bytes, cut into slices of at most `slice_max`.
grpc::ByteBuffer Cut(std::string_view bytes, size_t slice_max) {
  std::vector<grpc::Slice> slices;
  for (size_t at = 0; at < bytes.size(); at += slice_max) {
    std::string_view piece = bytes.substr(at, slice_max);
    slices.emplace_back(piece.data(), piece.size());
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

/// Decoding agrees with protobuf's own parser, for whatever bytes.
void ExpectAgreesWithProtobuf(std::string_view bytes, size_t slice_max) {
  v1::Frame expected;
  const bool parses = expected.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  auto message = DecodeFrame(Cut(bytes, slice_max));
  ASSERT_EQ(message.ok(), parses) << message.status();
  if (!parses) {
    EXPECT_EQ(ErrorKind(message.status()), "malformed_frame");
    return;
  }
  EXPECT_EQ(message->payload.view(), expected.payload());
  expected.clear_payload();
  EXPECT_TRUE(MessageDifferencer::Equals(message->frame, expected)) << expected.DebugString();
}

TEST(Codec, IsWhatProtobufSerializes) {
  for (size_t size : {0u, 1u, 127u, 128u, 1024u, 1025u, 16384u, 300'000u}) {
    Message message = DataMessage(std::string(size, 'x'));
    v1::Frame whole = message.frame;
    whole.set_payload(std::string(message.payload.view()));
    EXPECT_EQ(Join(EncodeFrame(message)), whole.SerializeAsString()) << size;
  }
}

TEST(Codec, EncodingSharesAndReleasesALargePayload) {
  Message message = DataMessage(std::string(300'000, 'x'));
  std::weak_ptr<const void> memory = message.payload.owner();
  const char* at = message.payload.data();
  {
    grpc::ByteBuffer buffer = EncodeFrame(message);
    message.payload = Bytes();
    EXPECT_FALSE(memory.expired());
    std::vector<grpc::Slice> slices;
    ASSERT_TRUE(buffer.Dump(&slices).ok());
    EXPECT_EQ(reinterpret_cast<const char*>(slices.back().begin()), at);
  }
  EXPECT_TRUE(memory.expired());
}

TEST(Codec, DecodingSharesAPayloadInOnePiece) {
  grpc::ByteBuffer buffer = EncodeFrame(DataMessage(std::string(300'000, 'x')));
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(buffer.Dump(&slices).ok());
  auto message = DecodeFrame(buffer);
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->payload.data(), reinterpret_cast<const char*>(slices.back().begin()));
  buffer.Clear();
  slices.clear();
  EXPECT_EQ(message->payload.view(), std::string(300'000, 'x'));
}

TEST(Codec, RoundTripsHoweverTheBytesAreCut) {
  std::string bytes = Join(EncodeFrame(DataMessage("the bytes of an entry, long enough to be cut")));
  for (size_t slice_max = 1; slice_max <= bytes.size(); ++slice_max)
    ExpectAgreesWithProtobuf(bytes, slice_max);
}

TEST(Codec, AnyLengthOfATruncatedFrameIsAnErrorOrAFrame) {
  std::string bytes = Join(EncodeFrame(DataMessage(std::string(2000, 'x'))));
  for (size_t length = 0; length <= bytes.size(); ++length) {
    ExpectAgreesWithProtobuf(std::string_view(bytes).substr(0, length), 700);
  }
}

TEST(Codec, PayloadMayLieAnywhereAndTheLastCounts) {
  v1::Frame payload;
  payload.set_payload(std::string(3000, 'p'));
  v1::Frame other;
  other.set_payload("other");
  const std::string data = DataMessage("").frame.SerializeAsString();
  const std::string first = payload.SerializeAsString();
  const std::string second = other.SerializeAsString();
  for (size_t slice_max : {5u, 100u, 100'000u}) {
    ExpectAgreesWithProtobuf(first + data, slice_max);
    ExpectAgreesWithProtobuf(first + data + second, slice_max);
    ExpectAgreesWithProtobuf(second + data + first, slice_max);
    ExpectAgreesWithProtobuf(first + second, slice_max);
  }
}

TEST(Codec, UnknownFieldsAreIgnored) {
  const std::string frame = Join(EncodeFrame(DataMessage(std::string(2000, 'x'))));
  for (std::string unknown : {std::string("\xc0\x3e\x05", 3),  // 1000: varint
                              std::string("\xc1\x3e"
                                          "12345678",
                                          10),  // fixed64
                              std::string("\xc2\x3e\x03"
                                          "abc",
                                          6),  // length-delimited
                              std::string("\xc5\x3e"
                                          "1234",
                                          6),                                     // fixed32
                              std::string("\xc3\x3e\xc0\x3e\x05\xc4\x3e", 7)}) {  // group
    for (const std::string& bytes : {unknown + frame, frame + unknown}) {
      auto message = DecodeFrame(Cut(bytes, 512));
      ASSERT_TRUE(message.ok()) << message.status();
      EXPECT_EQ(message->frame.data().flow(), 7u);
      EXPECT_EQ(message->payload.view(), std::string(2000, 'x'));
    }
  }
}

TEST(Codec, RandomBytesAreAFrameOrAnError) {
  std::mt19937_64 random(20180301);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(random() % 64, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    ExpectAgreesWithProtobuf(bytes, 1 + random() % 40);
  }
}

TEST(Codec, DamagedFramesAreAFrameOrAnError) {
  std::mt19937_64 random(20180302);
  const std::string frame = Join(EncodeFrame(DataMessage(std::string(1500, 'x'))));
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = frame;
    for (uint64_t flips = 1 + random() % 4; flips > 0; --flips) {
      bytes[random() % (random() % 4 == 0 ? bytes.size() : 40)] = static_cast<char>(random());
    }
    ExpectAgreesWithProtobuf(bytes, 1 + random() % 2000);
  }
}

TEST(Codec, AnEmptyMessageIsAnEmptyFrame) {
  auto message = DecodeFrame(grpc::ByteBuffer());
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->frame.body_case(), v1::Frame::BODY_NOT_SET);
}

TEST(Codec, FramesBeyondTheLimitAreRefused) {
  EXPECT_EQ(ErrorKind(DecodeFrame(EncodeFrame(DataMessage(std::string(kFrameBytesMax, 'x')))).status()),
            "malformed_frame");
}

}  // namespace
}  // namespace selvage
