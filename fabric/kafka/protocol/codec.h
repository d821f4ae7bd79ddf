#pragma once

// Reading and writing of messages from their descriptions. Only the sources that instantiate it include this.

#include <fmt/format.h>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fabric/base/bytes.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/kafka/protocol/api.h"
#include "fabric/kafka/protocol/fields.h"
#include "fabric/kafka/protocol/message.h"
#include "fabric/kafka/protocol/wire.h"

namespace selvage::kafka {

/// How a version writes its messages.
struct Form {
  int16_t version;
  bool flexible;
};

template <class T>
concept Number = (std::integral<T> && !std::same_as<T, bool>) || std::is_enum_v<T>;

/// The least number of bytes that a value takes on the wire.
class LeastSize {
 public:
  explicit LeastSize(Form form) : form_(form) {}

  template <class T>
  static size_t Of(Form form) {
    LeastSize size(form);
    size.Add(T{});
    return size.bytes_;
  }

  template <class T>
  void operator()(const char*, const T& value, Versions versions = {}) {
    if (versions.Has(form_.version)) Add(value);
  }
  void Blob(const char*, const std::string&, Versions versions = {}) {
    if (versions.Has(form_.version)) AddLength(sizeof(int32_t));
  }
  template <class T>
  void Records(const char*, const T&) {
    AddLength(sizeof(int32_t));
  }
  template <class T>
  void Tagged(uint32_t, const char*, const T&, const std::type_identity_t<T>&, Versions) {}

 private:
  void AddLength(size_t plain) { bytes_ += form_.flexible ? 1 : plain; }
  template <Number T>
  void Add(const T&) {
    bytes_ += sizeof(T);
  }
  void Add(const bool&) { bytes_ += 1; }
  void Add(const TopicId&) { bytes_ += 16; }
  void Add(const std::string&) { AddLength(sizeof(int16_t)); }
  void Add(const std::optional<std::string>&) { AddLength(sizeof(int16_t)); }
  template <class T>
  void Add(const std::vector<T>&) {
    AddLength(sizeof(int32_t));
  }
  template <class T>
  void Add(const std::optional<std::vector<T>>&) {
    AddLength(sizeof(int32_t));
  }
  template <class T>
  void Add(const T& value) {
    T::Fields(*this, value);
    if (form_.flexible) bytes_ += 1;
  }

  Form form_;
  size_t bytes_ = 0;
};

/// Reads one struct; nested ones have decoders of their own.
class Decoder {
 public:
  Decoder(Reader& in, Form form) : in_(in), form_(form) {}

  template <class T>
  void operator()(const char* name, T& value, Versions versions = {}) {
    if (!versions.Has(form_.version)) return;
    in_.Name(name);
    Read(value, versions.LetNull(form_.version));
  }

  void Blob(const char* name, std::string& value, Versions versions = {}) {
    if (!versions.Has(form_.version)) return;
    in_.Name(name);
    value = in_.Take(Length<int32_t>(false).value_or(0));
  }

  void Records(const char* name, std::optional<Bytes>& value) {
    in_.Name(name);
    if (const auto size = Length<int32_t>(true)) value = in_.TakeBytes(*size);
  }
  void Records(const char* name, std::vector<Bytes>& value) {
    in_.Name(name);
    const size_t size = Length<int32_t>(true).value_or(0);
    if (size > 0) value.push_back(in_.TakeBytes(size));
  }

  template <class T>
  void Tagged(uint32_t tag, const char* name, T& value, const std::type_identity_t<T>&, Versions versions) {
    if (!form_.flexible || !versions.Has(form_.version)) return;
    SkipTagsBelow(tag);
    if (!in_.ok() || tags_left_ == 0 || tag_ != tag) return;
    in_.Name(name);
    const size_t end = in_.Narrow(tag_size_);
    Read(value, true);
    in_.Widen(end);
    NextTag();
  }

  /// After the last field.
  void End() {
    if (form_.flexible) SkipTagsBelow(INT64_MAX);
  }

 private:
  /// Nothing when it says null, and after a fault. At most what the frame has left.
  template <class Plain>
  std::optional<size_t> Length(bool let_null) {
    const int64_t length = form_.flexible ? int64_t{in_.Varint()} - 1 : int64_t{in_.Int<Plain>()};
    if (!in_.ok()) return std::nullopt;
    if (length == -1 && let_null) return std::nullopt;
    if (length < 0) {
      in_.Fail(length == -1 ? "it is null and must not be" : "its length is negative");
      return std::nullopt;
    }
    return static_cast<size_t>(length);
  }

  template <Number T>
  void Read(T& value, bool) {
    if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(in_.Int<std::underlying_type_t<T>>());
    } else {
      value = in_.Int<T>();
    }
  }
  void Read(bool& value, bool) { value = in_.Int<int8_t>() != 0; }
  void Read(TopicId& value, bool) { value = TopicId::FromBytes(in_.Take(16)).value_or(TopicId()); }
  void Read(std::string& value, bool) { value = String(Length<int16_t>(false).value_or(0)); }
  void Read(std::optional<std::string>& value, bool let_null) {
    const auto length = Length<int16_t>(let_null);
    value = length ? std::optional<std::string>(String(*length)) : std::nullopt;
  }
  template <class T>
  void Read(std::vector<T>& value, bool) {
    Elements(Length<int32_t>(false).value_or(0), value);
  }
  template <class T>
  void Read(std::optional<std::vector<T>>& value, bool let_null) {
    const auto count = Length<int32_t>(let_null);
    value = std::nullopt;
    if (count) Elements(*count, value.emplace());
  }
  template <class T>
  void Read(T& value, bool) {
    Decoder inner(in_, form_);
    T::Fields(inner, value);
    inner.End();
  }

  std::string_view String(size_t size) {
    if (size > kStringMax) in_.Fail("a string of more than 32,767 bytes");
    return in_.ok() ? in_.Take(size) : std::string_view();
  }

  template <class T>
  void Elements(size_t count, std::vector<T>& value) {
    if (!in_.HasRoomFor(count, LeastSize::Of<T>(form_), sizeof(T))) return;
    value.resize(count);
    for (T& element : value) {
      Read(element, false);
      if (!in_.ok()) return;
    }
  }

  // The tags on the wire and the tagged fields of the description both ascend: they are merged.
  void SkipTagsBelow(int64_t tag) {
    if (!in_tags_) {
      in_tags_ = true;
      in_.Name("tagged fields");
      tags_left_ = in_.Varint() + uint64_t{1};
      NextTag();
    }
    while (in_.ok() && tags_left_ > 0 && tag_ < tag) {
      in_.Take(tag_size_);
      NextTag();
    }
  }
  void NextTag() {
    if (--tags_left_ == 0 || !in_.ok()) return;
    in_.Name("tagged fields");
    const int64_t tag = in_.Varint();
    if (tag <= tag_) in_.Fail("the tags do not ascend");
    tag_ = tag;
    tag_size_ = in_.Varint();
  }

  Reader& in_;
  Form form_;
  bool in_tags_ = false;
  uint64_t tags_left_ = 0;  ///< with the one that is next
  int64_t tag_ = -1;
  uint32_t tag_size_ = 0;
};

/// Writes one struct; nested ones have encoders of their own.
class Encoder {
 public:
  Encoder(Writer& out, Form form) : out_(out), form_(form) {}

  template <class T>
  void operator()(const char* name, const T& value, Versions versions = {}) {
    if (versions.Has(form_.version)) Write(name, value, versions.LetNull(form_.version));
  }

  void Blob(const char*, const std::string& value, Versions versions = {}) {
    if (!versions.Has(form_.version)) return;
    Length<int32_t>(value.size());
    out_.Append(value);
  }

  void Records(const char*, const std::optional<Bytes>& value) {
    if (!value) return Null<int32_t>(true);
    Length<int32_t>(value->size());
    out_.Splice(*value);
  }
  void Records(const char*, const std::vector<Bytes>& value) {
    size_t size = 0;
    for (const Bytes& batch : value) size += batch.size();
    Length<int32_t>(size);
    for (const Bytes& batch : value) out_.Splice(batch);
  }

  template <class T>
  void Tagged(uint32_t tag, const char* name, const T& value, const std::type_identity_t<T>& fallback,
              Versions versions) {
    if (!form_.flexible || !versions.Has(form_.version) || value == fallback) return;
    if (tags_ == 0) tags_at_ = out_.own_size();
    ++tags_;
    out_.Varint(tag);
    const size_t at = out_.own_size();
    Write(name, value, true);
    out_.InsertVarint(at, static_cast<uint32_t>(out_.own_size() - at));
  }

  /// After the last field.
  void End() {
    if (!form_.flexible) return;
    if (tags_ == 0) {
      out_.Varint(0);
    } else {
      out_.InsertVarint(tags_at_, tags_);
    }
  }

 private:
  // A length beyond its field leaves a frame that is too long too, which the writer refuses.
  template <class Plain>
  void Length(size_t length) {
    if (form_.flexible) {
      out_.Varint(static_cast<uint32_t>(length + 1));
    } else {
      out_.Int(static_cast<Plain>(length));
    }
  }
  template <class Plain>
  void Null(bool let_null) {
    if (!let_null) {
      Length<Plain>(0);
    } else if (form_.flexible) {
      out_.Varint(0);
    } else {
      out_.Int(Plain{-1});
    }
  }

  template <Number T>
  void Write(const char*, const T& value, bool) {
    if constexpr (std::is_enum_v<T>) {
      out_.Int(static_cast<std::underlying_type_t<T>>(value));
    } else {
      out_.Int(value);
    }
  }
  void Write(const char*, const bool& value, bool) { out_.Int(static_cast<int8_t>(value)); }
  void Write(const char*, const TopicId& value, bool) { out_.Append(value.view()); }
  void Write(const char* name, const std::string& value, bool) {
    if (value.size() > kStringMax) return out_.Fail(name, "a string of more than 32,767 bytes");
    Length<int16_t>(value.size());
    out_.Append(value);
  }
  void Write(const char* name, const std::optional<std::string>& value, bool let_null) {
    if (!value) return Null<int16_t>(let_null);
    Write(name, *value, let_null);
  }
  template <class T>
  void Write(const char* name, const std::vector<T>& value, bool) {
    Length<int32_t>(value.size());
    for (const T& element : value) Write(name, element, false);
  }
  template <class T>
  void Write(const char* name, const std::optional<std::vector<T>>& value, bool let_null) {
    if (!value) return Null<int32_t>(let_null);
    Write(name, *value, let_null);
  }
  template <class T>
  void Write(const char*, const T& value, bool) {
    Encoder inner(out_, form_);
    T::Fields(inner, value);
    inner.End();
  }

  Writer& out_;
  Form form_;
  uint32_t tags_ = 0;
  size_t tags_at_ = 0;
};

template <class Message>
absl::StatusOr<Message> Decode(Reader& in, int16_t version) {
  constexpr bool request = Message::kHalf == Half::kRequest;
  const Api& api = ApiOf(Message::kApi);
  if (!api.Knows(version)) {
    return MakeError(
        absl::StatusCode::kUnimplemented, "unsupported_version",
        fmt::format("{} version {} is not known, only {} to {}", api.name, version, api.min, api.max));
  }
  Message message;
  Decoder decoder(in, {version, api.Flexible(version)});
  Message::Fields(decoder, message);
  decoder.End();
  if (!in.ok()) {
    return in.Finish(request ? "malformed_request" : "malformed_response",
                     fmt::format("{} {} version {}", api.name, request ? "request" : "response", version));
  }
  return message;
}

template <class Message>
void Encode(const Message& message, int16_t version, Writer& out) {
  const Api& api = ApiOf(Message::kApi);
  SELVAGE_CHECK(api.Knows(version));
  Encoder encoder(out, {version, api.Flexible(version)});
  Message::Fields(encoder, message);
  encoder.End();
}

}  // namespace selvage::kafka

/// Makes Decode and Encode of one message.
#define SELVAGE_KAFKA_MESSAGE(Message)                                            \
  template absl::StatusOr<Message> Decode<Message>(Reader & in, int16_t version); \
  template void Encode<Message>(const Message& message, int16_t version, Writer& out)
