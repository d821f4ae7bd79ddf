// What holds for every message in every version, shown on samples made from their descriptions.
#include "fabric/base/error.h"
#include "fabric/kafka/protocol/api.h"
#include "tests/support/kafka_messages.h"
#include "tests/support/kafka_sample.h"
#include "tests/support/seeded_random.h"
#include "tests/unit/kafka/protocol/counted_memory.h"
#include "tests/unit/kafka/protocol/frames.h"

namespace selvage::kafka::test {
namespace {

using ::selvage::test::SeededRandom;

template <class Message>
std::string KindOfFault() {
  return Message::kHalf == Half::kRequest ? "malformed_request" : "malformed_response";
}

/// Calls `check` for every message, in every version, with its name for a trace.
void ForEachVersion(auto check) {
  const auto each = [&]<class Message>(std::type_identity<Message> type) {
    const Api& api = ApiOf(Message::kApi);
    for (int16_t version = api.min; version <= api.max; ++version) {
      SCOPED_TRACE(std::string(api.name) + (Message::kHalf == Half::kRequest ? " request" : " response") +
                   " version " + std::to_string(version));
      check(type, version);
    }
  };
  ForEachMessage<AllRequests>(each);
  ForEachMessage<AllResponses>(each);
}

TEST(KafkaRoundTripTest, EverySampleIsReadAsItWasWritten) {
  ForEachVersion([]<class Message>(std::type_identity<Message>, int16_t version) {
    for (uint32_t start = 0; start < 200; ++start) {
      const auto sample = Sample::Of<Message>(version, 1000 * start);
      Reader in{Bytes(BodyOf(sample, version))};
      const auto decoded = Decode<Message>(in, version);
      ASSERT_TRUE(decoded.ok()) << decoded.status();
      ASSERT_TRUE(*decoded == sample) << "start " << start;
      ASSERT_EQ(in.left(), 0u);
    }
  });
}

TEST(KafkaRoundTripTest, DefaultsAreReadAsTheyWereWritten) {
  ForEachVersion([]<class Message>(std::type_identity<Message>, int16_t version) {
    const std::string body = BodyOf(Message{}, version);
    const auto decoded = FromBody<Message>(body, version);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(ToHex(BodyOf(*decoded, version)), ToHex(body));
  });
}

TEST(KafkaRoundTripTest, EveryCutIsAnError) {
  ForEachVersion([]<class Message>(std::type_identity<Message>, int16_t version) {
    for (const uint32_t start : {1u, 2000u, 30000u}) {
      const std::string body = BodyOf(Sample::Of<Message>(version, start), version);
      for (size_t size = 0; size < body.size(); ++size) {
        const auto decoded = FromBody<Message>(body.substr(0, size), version);
        ASSERT_FALSE(decoded.ok()) << "cut to " << size << " of " << body.size();
        ASSERT_EQ(ErrorKind(decoded.status()), KindOfFault<Message>());
      }
    }
  });
}

// A large number in the place of every byte, so also of every length and count.
TEST(KafkaRoundTripTest, NoLengthMakesItAllocateBeyondTheMessage) {
  const std::string counts[] = {std::string("\x7f\xff\xff\xff", 4), std::string("\x00\x0f\xff\xff", 4),
                                std::string("\xff\xff\xff\xff\x0f", 5), std::string("\xff\xff\x03", 3),
                                std::string("\x7f\xff", 2)};
  ForEachVersion([&]<class Message>(std::type_identity<Message>, int16_t version) {
    const std::string body = BodyOf(Sample::Of<Message>(version, 77), version);
    for (const std::string& count : counts) {
      for (size_t at = 0; at < body.size(); ++at) {
        std::string changed = body.substr(0, at) + count;
        if (changed.size() < body.size()) changed += body.substr(changed.size());
        const size_t size = changed.size();
        const size_t before = AllocatedBytes();
        const auto decoded = FromBody<Message>(std::move(changed), version);
        ASSERT_LE(AllocatedBytes() - before, 4096 + 128 * size) << "at " << at;
        if (!decoded.ok()) {
          ASSERT_EQ(ErrorKind(decoded.status()), KindOfFault<Message>());
        }
      }
    }
  });
}

TEST(KafkaRoundTripTest, RandomBytesAreAnErrorOrAMessage) {
  SeededRandom random(4);
  ForEachVersion([&]<class Message>(std::type_identity<Message>, int16_t version) {
    for (int i = 0; i < 100; ++i) {
      std::string body = random.Bytes(random.Between(0, 60));
      for (char& c : body) c = random.OneIn(3) ? c : static_cast<char>(random.Below(3));
      const auto decoded = FromBody<Message>(body, version);
      if (!decoded.ok()) continue;
      const auto again = FromBody<Message>(BodyOf(*decoded, version), version);
      ASSERT_TRUE(again.ok()) << again.status();
      ASSERT_TRUE(*again == *decoded);
    }
  });
}

// The smallest elements there are, as many as a frame can hold.
TEST(KafkaRoundTripTest, SmallElementsMayOnlyTakeAMultipleOfTheMessage) {
  const size_t size = 4 << 20;
  Writer out;
  out.Varint(static_cast<uint32_t>(size / 2) + 1);
  const auto start = std::move(out).Finish();
  ASSERT_TRUE(start.ok());
  std::string body = Joined(*start).substr(4);
  for (size_t i = 0; i < size / 2; ++i) body += std::string("\1\0", 2);  // an empty name, no tagged fields
  body += std::string("\0\0\0\0", 4);
  const size_t before = AllocatedBytes();
  const auto decoded = FromBody<MetadataRequest>(std::move(body), 9);
  EXPECT_LE(AllocatedBytes() - before, (1 << 20) + 17 * size);
  EXPECT_FALSE(decoded.ok());
  EXPECT_THAT(std::string(decoded.status().message()), ::testing::HasSubstr("field 'topics' at byte 4 of"));
}

TEST(KafkaRoundTripTest, OtherVersionsAreRefused) {
  ForEachMessage<AllRequests>([]<class Message>(std::type_identity<Message>) {
    const Api& api = ApiOf(Message::kApi);
    for (const int version : {api.min - 1, api.max + 1, -32768, 32767}) {
      const auto decoded = FromBody<Message>(std::string(100, '\0'), static_cast<int16_t>(version));
      ASSERT_EQ(ErrorKind(decoded.status()), "unsupported_version");
    }
  });
}

}  // namespace
}  // namespace selvage::kafka::test
