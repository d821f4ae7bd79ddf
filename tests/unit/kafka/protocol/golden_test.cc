// Every message in every version, byte for byte as another implementation writes it.
#include <map>
#include <set>

#include "fabric/kafka/protocol/api.h"
#include "tests/support/kafka_messages.h"
#include "tests/support/kafka_sample.h"
#include "tests/unit/kafka/protocol/frames.h"

namespace selvage::kafka::test {
namespace {

struct Golden {
  const char* message;
  int16_t version;
  const char* hex;
};

// Printed by golden_bytes.py, which has kafka-python encode values that follow from the names of the fields.
constexpr Golden kGolden[] = {
#include "tests/unit/kafka/protocol/golden_bytes.inc"
};

using Key = std::pair<std::string, int16_t>;

const std::map<Key, std::string>& GoldenHex() {
  static const auto* golden = [] {
    auto* rows = new std::map<Key, std::string>;
    for (const Golden& row : kGolden) (*rows)[{row.message, row.version}] = row.hex;
    return rows;
  }();
  return *golden;
}

template <class Messages>
void ExpectGolden(const std::string& half, std::set<Key>& seen) {
  ForEachMessage<Messages>([&]<class Message>(std::type_identity<Message>) {
    const Api& api = ApiOf(Message::kApi);
    const std::string name = std::string(api.name) + half;
    for (int16_t version = api.min; version <= api.max; ++version) {
      SCOPED_TRACE(name + " version " + std::to_string(version));
      const auto golden = GoldenHex().find({name, version});
      ASSERT_NE(golden, GoldenHex().end());
      seen.insert(golden->first);
      const auto sample = Sample::Of<Message>(version, 101u * static_cast<uint32_t>(version));
      EXPECT_EQ(ToHex(BodyOf(sample, version)), golden->second);
      const auto decoded = FromBody<Message>(FromHex(golden->second), version);
      ASSERT_TRUE(decoded.ok()) << decoded.status();
      EXPECT_TRUE(*decoded == sample);
    }
  });
}

TEST(KafkaGoldenTest, EveryMessageInEveryVersionIsWhatAnotherImplementationWrites) {
  std::set<Key> seen;
  ExpectGolden<AllRequests>("Request", seen);
  ExpectGolden<AllResponses>("Response", seen);
  EXPECT_EQ(seen.size(), GoldenHex().size());
}

TEST(KafkaGoldenTest, EveryApiHasARequestAndAResponse) {
  std::set<ApiKey> requests;
  std::set<ApiKey> responses;
  ForEachMessage<AllRequests>([&]<class Message>(std::type_identity<Message>) {
    EXPECT_EQ(Message::kHalf, Half::kRequest);
    requests.insert(Message::kApi);
  });
  ForEachMessage<AllResponses>([&]<class Message>(std::type_identity<Message>) {
    EXPECT_EQ(Message::kHalf, Half::kResponse);
    responses.insert(Message::kApi);
  });
  std::set<ApiKey> apis;
  for (const Api& api : Apis()) apis.insert(api.key);
  EXPECT_EQ(requests, apis);
  EXPECT_EQ(responses, apis);
}

}  // namespace
}  // namespace selvage::kafka::test
