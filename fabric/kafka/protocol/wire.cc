#include "fabric/kafka/protocol/wire.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <memory>

#include "fabric/base/check.h"
#include "fabric/base/error.h"

namespace selvage::kafka {
namespace {

constexpr size_t kSpliceMin = 256;
constexpr size_t kVarintMax = 5;

size_t PutVarint(std::array<char, kVarintMax>& out, uint32_t value) {
  size_t size = 0;
  for (; value >= 0x80; value >>= 7) out[size++] = static_cast<char>(value | 0x80);
  out[size++] = static_cast<char>(value);
  return size;
}

}  // namespace

void Reader::Fail(const char* reason) {
  if (!ok()) return;
  reason_ = reason;
  fault_field_ = field_;
  fault_at_ = at_;
  at_ = end_;
}

absl::Status Reader::Finish(std::string_view kind, std::string_view what) const {
  if (ok()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, kind,
                   fmt::format("{}: field '{}' at byte {} of {}: {}", what, fault_field_, fault_at_,
                               frame_.size(), reason_));
}

uint32_t Reader::Varint() {
  uint64_t value = 0;
  for (size_t i = 0; i < kVarintMax; ++i) {
    const auto byte = Int<uint8_t>();
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if ((byte & 0x80) != 0) continue;
    if (value > std::numeric_limits<uint32_t>::max()) break;
    return static_cast<uint32_t>(value);
  }
  Fail("a varint of more than 32 bits");
  return 0;
}

std::string_view Reader::Take(size_t size) {
  if (size > left()) {
    Fail("the message ends before it");
    return {};
  }
  const std::string_view taken = frame_.view().substr(at_, size);
  at_ += size;
  return taken;
}

Bytes Reader::TakeBytes(size_t size) {
  const std::string_view taken = Take(size);
  return Bytes(frame_.owner(), taken);
}

bool Reader::HasRoomFor(size_t count, size_t least, size_t size) {
  if (count > left() / least) {
    Fail("the message is too short for so many elements");
  } else if (count > memory_ / size) {
    Fail("too many elements for a message of this size");
  } else {
    memory_ -= count * size;
  }
  return ok();
}

size_t Reader::Narrow(size_t size) {
  const size_t end = end_;
  if (size > left()) {
    Fail("the message ends before it");
  } else {
    end_ = at_ + size;
  }
  return end;
}

void Reader::Widen(size_t end) {
  if (at_ != end_) Fail("bytes are left over in a tagged field");
  end_ = end;
  if (!ok()) at_ = end_;
}

Writer::Writer() : own_(sizeof(int32_t), '\0') {}

void Writer::Varint(uint32_t value) {
  std::array<char, kVarintMax> bytes;
  own_.append(bytes.data(), PutVarint(bytes, value));
}

void Writer::Splice(const Bytes& bytes) {
  if (bytes.size() < kSpliceMin) {
    Append(bytes.view());
  } else {
    spliced_.push_back({own_.size(), bytes});
  }
}

void Writer::InsertVarint(size_t at, uint32_t value) {
  SELVAGE_CHECK(spliced_.empty() || spliced_.back().at <= at);
  std::array<char, kVarintMax> bytes;
  own_.insert(at, bytes.data(), PutVarint(bytes, value));
}

void Writer::Fail(const char* field, const char* reason) {
  if (reason_ != nullptr) return;
  field_ = field;
  reason_ = reason;
}

absl::StatusOr<std::vector<Bytes>> Writer::Finish() && {
  size_t size = own_.size() - sizeof(int32_t);
  for (const Spliced& spliced : spliced_) size += spliced.bytes.size();
  if (size > static_cast<size_t>(std::numeric_limits<int32_t>::max()))
    Fail("", "the message is longer than 2 GiB");
  if (reason_ != nullptr) {
    return MakeError(absl::StatusCode::kInternal, "unencodable_message",
                     fmt::format("field '{}' cannot be written: {}", field_, reason_));
  }
  StoreBig<int32_t>(own_.data(), static_cast<int32_t>(size));

  std::vector<Bytes> segments;
  segments.reserve(2 * spliced_.size() + 1);
  const Bytes own(std::move(own_));
  size_t at = 0;
  for (Spliced& spliced : spliced_) {
    if (spliced.at > at) segments.push_back(own.Slice(at, spliced.at - at));
    at = spliced.at;
    segments.push_back(std::move(spliced.bytes));
  }
  if (own.size() > at) segments.push_back(own.Slice(at));
  return segments;
}

}  // namespace selvage::kafka
