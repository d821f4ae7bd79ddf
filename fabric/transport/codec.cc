#include "fabric/transport/codec.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream.h>
#include <grpc/slice.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "fabric/base/error.h"

namespace selvage {
namespace {

using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };
constexpr uint32_t kPayloadTag = v1::Frame::kPayloadFieldNumber << 3 | kLengthDelimited;
/// Below this a copy is cheaper than a slice of its own.
constexpr size_t kCopyMax = 1 << 10;

void ReleaseBytes(void* bytes) {
  delete static_cast<Bytes*>(bytes);
}

/// Where the payload lies when it is the last field.
struct TrailingPayload {
  size_t head_size;  ///< bytes before its tag
  size_t from;
  size_t size;
};

/// Reads slices in place. Unlike grpc::ProtoBufferReader it can back up over more than the last piece, which
/// protobuf asks for when malformed bytes come in pieces of a few bytes: gRPC's ends the process then.
class SliceInput final : public google::protobuf::io::ZeroCopyInputStream {
 public:
  explicit SliceInput(const std::vector<grpc::Slice>& slices) : slices_(slices) {}

  bool Next(const void** data, int* size) override {
    for (; index_ < slices_.size(); ++index_, within_ = 0) {
      const grpc::Slice& slice = slices_[index_];
      if (within_ == slice.size()) continue;
      *data = slice.begin() + within_;
      *size = static_cast<int>(slice.size() - within_);
      count_ += *size;
      within_ = slice.size();
      return true;
    }
    return false;
  }
  void BackUp(int count) override {
    count_ -= count;
    auto rest = static_cast<size_t>(count);
    while (rest > within_ && index_ > 0) {
      rest -= within_;
      within_ = slices_[--index_].size();
    }
    within_ -= std::min(rest, within_);
  }
  bool Skip(int count) override {
    const void* data;
    int size = 0;
    for (; count > 0; count -= size) {
      if (!Next(&data, &size)) return false;
      if (size > count) {
        BackUp(size - count);
        size = count;
      }
    }
    return true;
  }
  int64_t ByteCount() const override { return count_; }

 private:
  const std::vector<grpc::Slice>& slices_;
  size_t index_ = 0;
  size_t within_ = 0;  // of slices_[index_]
  int64_t count_ = 0;
};

bool SkipValue(CodedInputStream& in, uint32_t tag) {
  uint64_t number;
  uint32_t length;
  switch (tag & 7) {
    case kVarint:
      return in.ReadVarint64(&number);
    case kFixed64:
      return in.Skip(8);
    case kFixed32:
      return in.Skip(4);
    case kLengthDelimited:
      return in.ReadVarint32(&length) && length <= kFrameBytesMax && in.Skip(static_cast<int>(length));
    default:
      return false;  // groups: left to the full parser
  }
}

/// Nothing when the payload lies elsewhere, or the bytes are not a frame: for the full parser to decide.
std::optional<TrailingPayload> FindTrailingPayload(const std::vector<grpc::Slice>& slices, size_t size) {
  SliceInput input(slices);
  CodedInputStream in(&input);
  while (true) {
    const auto start = static_cast<size_t>(in.CurrentPosition());
    const uint32_t tag = in.ReadTag();
    if (tag == 0) return std::nullopt;
    if (tag != kPayloadTag) {
      if (!SkipValue(in, tag)) return std::nullopt;
      continue;
    }
    uint32_t length;
    if (!in.ReadVarint32(&length)) return std::nullopt;
    const auto from = static_cast<size_t>(in.CurrentPosition());
    if (length > size - from) return std::nullopt;
    if (from + length == size) return TrailingPayload{start, from, length};
    if (!in.Skip(static_cast<int>(length))) return std::nullopt;
  }
}

/// The bytes [from, from + size) without a copy, when one slice holds them all.
std::optional<Bytes> ShareSlice(const std::vector<grpc::Slice>& slices, size_t from, size_t size) {
  for (const grpc::Slice& slice : slices) {
    if (from >= slice.size()) {
      from -= slice.size();
      continue;
    }
    if (slice.size() - from < size) return std::nullopt;
    auto owner = std::make_shared<const grpc::Slice>(slice);
    std::string_view view(reinterpret_cast<const char*>(owner->begin()) + from, size);
    return Bytes(std::move(owner), view);
  }
  return std::nullopt;
}

absl::Status Malformed(size_t size) {
  return MakeError(absl::StatusCode::kInvalidArgument, "malformed_frame",
                   fmt::format("a message of {} bytes is not a frame of the link", size),
                   "the peer runs another version or is faulty", Retry::kYes);
}

}  // namespace

grpc::ByteBuffer EncodeFrame(const replication::Message& message) {
  const Bytes& payload = message.payload;
  const bool share = payload.size() > kCopyMax;
  size_t head_size = message.frame.ByteSizeLong();
  const auto length = static_cast<uint32_t>(payload.size());
  if (!payload.empty()) {
    head_size += CodedOutputStream::VarintSize32(kPayloadTag) + CodedOutputStream::VarintSize32(length);
    if (!share) head_size += payload.size();
  }
  grpc_slice head = grpc_slice_malloc(head_size);
  uint8_t* out = message.frame.SerializeWithCachedSizesToArray(GRPC_SLICE_START_PTR(head));
  if (!payload.empty()) {
    out = CodedOutputStream::WriteVarint32ToArray(kPayloadTag, out);
    out = CodedOutputStream::WriteVarint32ToArray(length, out);
    if (!share) CodedOutputStream::WriteRawToArray(payload.data(), static_cast<int>(length), out);
  }
  grpc::Slice slices[] = {grpc::Slice(head, grpc::Slice::STEAL_REF), grpc::Slice()};
  if (share) {
    auto owner = std::make_unique<Bytes>(payload);
    void* bytes = const_cast<char*>(owner->data());  // gRPC only reads what it sends
    slices[1] = grpc::Slice(bytes, payload.size(), ReleaseBytes, owner.get());
    owner.release();  // NOLINT(bugprone-unused-return-value): the slice owns it now
  }
  return grpc::ByteBuffer(slices, share ? 2 : 1);
}

absl::StatusOr<replication::Message> DecodeFrame(const grpc::ByteBuffer& buffer) {
  const size_t size = buffer.Length();
  replication::Message message;
  if (size == 0) return message;
  std::vector<grpc::Slice> slices;
  if (size > kFrameBytesMax || !buffer.Dump(&slices).ok()) return Malformed(size);
  SliceInput input(slices);
  if (auto place = FindTrailingPayload(slices, size)) {
    if (auto bytes = ShareSlice(slices, place->from, place->size)) {
      if (!message.frame.ParseFromBoundedZeroCopyStream(&input, static_cast<int>(place->head_size))) {
        return Malformed(size);
      }
      message.frame.clear_payload();  // an earlier one: the last counts
      message.payload = *std::move(bytes);
      return message;
    }
  }
  if (!message.frame.ParseFromBoundedZeroCopyStream(&input, static_cast<int>(size))) return Malformed(size);
  if (!message.frame.payload().empty()) message.payload = Bytes(std::move(*message.frame.mutable_payload()));
  message.frame.clear_payload();
  return message;
}

}  // namespace selvage
