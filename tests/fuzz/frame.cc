/// Frames of the link, cut into slices as gRPC may do it.
#include <google/protobuf/util/message_differencer.h>
#include <grpcpp/support/slice.h>

#include <string>
#include <vector>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/transport/codec.h"
#include "tests/fuzz/input.h"

namespace selvage {
namespace {

using google::protobuf::util::MessageDifferencer;

grpc::ByteBuffer Cut(std::string_view bytes, size_t slice_max) {
  std::vector<grpc::Slice> slices;
  for (size_t at = 0; at < bytes.size(); at += slice_max) {
    const std::string_view piece = bytes.substr(at, slice_max);
    slices.emplace_back(piece.data(), piece.size());
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

bool Same(const replication::Message& a, const replication::Message& b) {
  return MessageDifferencer::Equals(a.frame, b.frame) && a.payload == b.payload;
}

}  // namespace
}  // namespace selvage

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace selvage;
  static const auto no_log = google::protobuf::SetLogHandler(nullptr);
  (void)no_log;
  fuzz::Input input(data, size);
  const size_t slice_max = 1 + input.Byte();
  const std::string_view bytes = input.Rest();
  const auto message = DecodeFrame(Cut(bytes, slice_max));

  // Protobuf's own parser is the judge.
  v1::Frame expected;
  const bool parses = expected.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  SELVAGE_CHECK(message.ok() == parses);
  if (!parses) {
    SELVAGE_CHECK(ErrorKind(message.status()) == "malformed_frame");
    return 0;
  }
  SELVAGE_CHECK(message->payload.view() == expected.payload());
  expected.clear_payload();
  SELVAGE_CHECK(MessageDifferencer::Equals(message->frame, expected));

  const auto again = DecodeFrame(EncodeFrame(*message));
  SELVAGE_CHECK(again.ok() && Same(*again, *message));
  return 0;
}
