#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/escaping.h"
#include "fabric/kafka/protocol/message.h"

namespace selvage::kafka::test {

inline std::string FromHex(std::string_view hex) {
  return absl::HexStringToBytes({hex.data(), hex.size()});
}
inline std::string ToHex(std::string_view bytes) {
  return absl::BytesToHexString({bytes.data(), bytes.size()});
}

inline std::string Joined(const std::vector<Bytes>& segments) {
  std::string bytes;
  for (const Bytes& segment : segments) bytes += segment.view();
  return bytes;
}

/// The body alone, without the size prefix.
template <class Message>
std::string BodyOf(const Message& message, int16_t version) {
  Writer out;
  Encode(message, version, out);
  const auto segments = std::move(out).Finish();
  EXPECT_TRUE(segments.ok()) << segments.status();
  return segments.ok() ? Joined(*segments).substr(4) : "";
}

template <class Message>
absl::StatusOr<Message> FromBody(std::string body, int16_t version) {
  Reader in{Bytes(std::move(body))};
  return Decode<Message>(in, version);
}

}  // namespace selvage::kafka::test
