/// Frames of the Kafka protocol as requests. What follows the header is also read as the response of the same
/// API and version: our own clients read those.
#include <string>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/kafka/protocol/message.h"
#include "tests/support/kafka_messages.h"

namespace selvage::kafka {
namespace {

std::string Body(const auto& message, int16_t version) {
  Writer out;
  Encode(message, version, out);
  const auto segments = std::move(out).Finish();
  SELVAGE_CHECK(segments.ok());
  std::string bytes;
  for (const Bytes& segment : *segments) bytes += segment.view();
  return bytes.substr(4);
}

/// What is read is written so that it reads the same; what is not is an error of one kind.
template <class Message>
void Check(const Bytes& body, int16_t version, std::string_view kind) {
  Reader in(body);
  const auto message = Decode<Message>(in, version);
  if (!message.ok()) {
    SELVAGE_CHECK(ErrorKind(message.status()) == kind);
    return;
  }
  const std::string written = Body(*message, version);
  Reader again_in{Bytes(written)};
  const auto again = Decode<Message>(again_in, version);
  SELVAGE_CHECK(again.ok() && *again == *message);
  SELVAGE_CHECK(again_in.left() == 0);
  SELVAGE_CHECK(Body(*again, version) == written);
}

template <class Messages>
void CheckAs(ApiKey key, const Bytes& body, int16_t version, std::string_view kind) {
  test::ForEachMessage<Messages>([&]<class Message>(std::type_identity<Message>) {
    if (Message::kApi == key) Check<Message>(body, version, kind);
  });
}

}  // namespace
}  // namespace selvage::kafka

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace selvage;
  using namespace selvage::kafka;
  const Bytes frame(std::string(reinterpret_cast<const char*>(data), size));
  Reader in(frame);
  const auto header = DecodeRequestHeader(in);
  if (!header.ok()) {
    SELVAGE_CHECK(ErrorKind(header.status()) == "malformed_request");
    return 0;
  }
  if (!IsKnown(*header)) return 0;

  const Bytes body = frame.Slice(frame.size() - in.left());
  const auto key = static_cast<ApiKey>(header->api_key);
  CheckAs<test::AllRequests>(key, body, header->api_version, "malformed_request");
  CheckAs<test::AllResponses>(key, body, header->api_version, "malformed_response");
  return 0;
}
