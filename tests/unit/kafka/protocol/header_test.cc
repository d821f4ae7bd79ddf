#include "fabric/kafka/protocol/header.h"

#include "fabric/base/error.h"
#include "fabric/kafka/protocol/api_versions.h"
#include "fabric/kafka/protocol/error_code.h"
#include "tests/unit/kafka/protocol/frames.h"

namespace selvage::kafka::test {
namespace {

std::string Written(auto write) {
  Writer out;
  write(out);
  const auto segments = std::move(out).Finish();
  EXPECT_TRUE(segments.ok());
  return ToHex(Joined(*segments).substr(4));
}

absl::StatusOr<RequestHeader> FromHexHeader(const std::string& hex, size_t left = 0) {
  Reader in{Bytes(FromHex(hex))};
  auto header = DecodeRequestHeader(in);
  EXPECT_EQ(in.left(), left);
  return header;
}

TEST(KafkaHeaderTest, RequestHeadersOfBothForms) {
  const RequestHeader plain{.api_key = 3, .api_version = 8, .correlation_id = 258, .client_id = "ab"};
  EXPECT_EQ(Written([&](Writer& out) { EncodeRequestHeader(plain, out); }),
            "0003"
            "0008"
            "00000102"
            "0002"
            "6162");
  EXPECT_EQ(*FromHexHeader("0003"
                           "0008"
                           "00000102"
                           "0002"
                           "6162"
                           "ff",
                           1),
            plain);

  // The client id keeps its length of two bytes where tagged fields follow it.
  const RequestHeader flexible{.api_key = 3, .api_version = 9, .correlation_id = 258, .client_id = "ab"};
  EXPECT_EQ(Written([&](Writer& out) { EncodeRequestHeader(flexible, out); }),
            "0003"
            "0009"
            "00000102"
            "0002"
            "6162"
            "00");
  EXPECT_EQ(*FromHexHeader("0003"
                           "0009"
                           "00000102"
                           "0002"
                           "6162"
                           "01"
                           "07"
                           "02"
                           "abcd"
                           "ff",
                           1),
            flexible);

  const RequestHeader nameless{
      .api_key = 3, .api_version = 9, .correlation_id = -1, .client_id = std::nullopt};
  EXPECT_EQ(Written([&](Writer& out) { EncodeRequestHeader(nameless, out); }),
            "0003"
            "0009"
            "ffffffff"
            "ffff"
            "00");
  EXPECT_EQ(*FromHexHeader("0003"
                           "0009"
                           "ffffffff"
                           "ffff"
                           "00"),
            nameless);
}

TEST(KafkaHeaderTest, CutAndBrokenHeadersAreErrors) {
  const std::string whole = FromHex(
      "0003"
      "0009"
      "00000102"
      "0002"
      "6162"
      "01"
      "07"
      "02"
      "abcd");
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(ErrorKind(FromHexHeader(ToHex(whole.substr(0, size))).status()), "malformed_request") << size;
  }
  EXPECT_EQ(ErrorKind(FromHexHeader("0003"
                                    "0009"
                                    "00000102"
                                    "fffe"
                                    "00")
                          .status()),
            "malformed_request");
  EXPECT_EQ(ErrorKind(FromHexHeader("0003"
                                    "0009"
                                    "00000102"
                                    "7fff"
                                    "00")
                          .status()),
            "malformed_request");
  EXPECT_EQ(ErrorKind(FromHexHeader("0003"
                                    "0009"
                                    "00000102"
                                    "ffff"
                                    "ffffffff0f")
                          .status()),
            "malformed_request");
}

TEST(KafkaHeaderTest, OfWhatIsNotKnownOnlyTheBeginningIsRead) {
  for (const char* hex : {"0063"
                          "0000"
                          "00000102"
                          "ffff",
                          "ffff"
                          "0000"
                          "00000102"
                          "8000",
                          "0012"
                          "0005"
                          "00000102"
                          "fffe",
                          "0000"
                          "0002"
                          "00000102"
                          "0000",
                          "0003"
                          "ffff"
                          "00000102"
                          "7fff"}) {
    const auto header = FromHexHeader(hex, 2);
    ASSERT_TRUE(header.ok()) << hex;
    EXPECT_FALSE(IsKnown(*header));
    EXPECT_EQ(header->correlation_id, 258);
  }
}

TEST(KafkaHeaderTest, ResponseHeadersAndThatOfApiVersions) {
  const auto header = [](ApiKey key, int16_t version) {
    return Written([&](Writer& out) { EncodeResponseHeader(key, version, 258, out); });
  };
  EXPECT_EQ(header(ApiKey::kMetadata, 8), "00000102");
  EXPECT_EQ(header(ApiKey::kMetadata, 9),
            "00000102"
            "00");
  EXPECT_EQ(header(ApiKey::kApiVersions, 3), "00000102");
  EXPECT_EQ(header(ApiKey::kApiVersions, 4), "00000102");
  EXPECT_EQ(header(ApiKey::kSaslHandshake, 1), "00000102");
  EXPECT_EQ(header(ApiKey::kOffsetDelete, 0), "00000102");
  EXPECT_EQ(header(ApiKey::kDescribeCluster, 0),
            "00000102"
            "00");

  Reader flexible{
      Bytes(FromHex("00000102"
                    "01"
                    "07"
                    "02"
                    "abcd"))};
  EXPECT_EQ(*DecodeResponseHeader(ApiKey::kMetadata, 9, flexible), 258);
  EXPECT_EQ(flexible.left(), 0u);
  Reader cut{Bytes(FromHex("000001"))};
  EXPECT_EQ(ErrorKind(DecodeResponseHeader(ApiKey::kMetadata, 9, cut).status()), "malformed_response");
}

TEST(KafkaHeaderTest, ApiVersionsThatAreTooNewAreAnsweredInTheOldestForm) {
  const auto frame = EncodeResponse(0, 258, UnservedApiVersions(0, 4));
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(ToHex(Joined(*frame)),
            "00000010"  // 16 bytes
            "00000102"  // correlation id
            "0023"      // UNSUPPORTED_VERSION
            "00000001"  // one API
            "0012"
            "0000"
            "0004");
}

TEST(KafkaErrorCodeTest, NamesAreThoseOfTheProtocol) {
  EXPECT_EQ(ErrorCodeName(ErrorCode::kNone), "NONE");
  EXPECT_EQ(ErrorCodeName(ErrorCode::kUnknownServerError), "UNKNOWN_SERVER_ERROR");
  EXPECT_EQ(ErrorCodeName(ErrorCode::kInvalidTopic), "INVALID_TOPIC_EXCEPTION");
  EXPECT_EQ(ErrorCodeName(static_cast<ErrorCode>(103)), "INCONSISTENT_TOPIC_ID");
  EXPECT_EQ(ErrorCodeName(static_cast<ErrorCode>(12345)), "UNLISTED");
}

TEST(KafkaApiTest, KeysThatAreNotInTheListAreNotFound) {
  EXPECT_EQ(FindApi(18)->name, "ApiVersions");
  for (const int16_t key : {int16_t{-1}, int16_t{4}, int16_t{61}, int16_t{32767}, int16_t{-32768}}) {
    EXPECT_EQ(FindApi(key), nullptr);
  }
}

}  // namespace
}  // namespace selvage::kafka::test
