#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "fabric/base/bytes.h"
#include "fabric/kafka/protocol/fields.h"

namespace selvage::kafka::test {

/// Fills a message through its description. Every value is drawn from the name of its field and from how many
/// were drawn before it, in the order of the wire, beginning to count at `start`. golden_bytes.py follows the
/// same rule.
class Sample {
 public:
  Sample(int16_t version, uint32_t start) : version_(version), count_(start) {}

  template <class Message>
  static Message Of(int16_t version, uint32_t start) {
    Message message;
    Sample sample(version, start);
    Message::Fields(sample, message);
    return message;
  }

  template <class T>
  void operator()(const char* name, T& value, Versions versions = {}) {
    if (versions.Has(version_)) Fill(name, value, versions.LetNull(version_));
  }
  void Blob(const char* name, std::string& value, Versions versions = {}) {
    if (versions.Has(version_)) value = Text(name, Draw(name));
  }
  void Records(const char* name, std::optional<Bytes>& value) {
    const uint32_t draw = Draw(name);
    if (draw % 4 != 0) value = Bytes(Text(name, draw));
  }
  /// Never null here, as it is never written so.
  void Records(const char* name, std::vector<Bytes>& value) {
    const uint32_t draw = Draw(name);
    if (draw % 4 != 0) value = {Bytes(Text(name, draw))};
  }
  template <class T>
  void Tagged(uint32_t, const char* name, T& value, const std::type_identity_t<T>&, Versions versions) {
    if (versions.Has(version_)) Fill(name, value, true);
  }

 private:
  uint32_t Draw(std::string_view name) {
    uint32_t value = 2166136261u;
    for (const char c : name) value = (value ^ static_cast<uint8_t>(c)) * 16777619u;
    return ((value + 7919u * count_++) * 2654435761u) >> 8;
  }
  static std::string Text(const char* name, uint32_t draw) {
    return std::string(name) + "-" + std::to_string(draw % 1000);
  }

  template <class T>
    requires std::integral<T> || std::is_enum_v<T>
  static void Put(const char*, T& value, uint32_t draw) {
    if constexpr (std::same_as<T, bool>) {
      value = draw % 2 == 1;
    } else {
      value = static_cast<T>(draw * 0x9E3779B97F4A7C15u >> (64 - 8 * sizeof(T)));
    }
  }
  static void Put(const char* name, std::string& value, uint32_t draw) { value = Text(name, draw); }
  static void Put(const char*, TopicId& value, uint32_t draw) {
    std::string bytes(16, '\0');
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(draw + i);
    value = *TopicId::FromBytes(bytes);
  }
  template <class T>
  void Put(const char* name, std::vector<T>& value, uint32_t draw) {
    value.resize(draw % 8 == 1 ? 0 : 1 + draw % 2);
    for (T& element : value) Fill(name, element, false);
  }

  template <class T>
  void Fill(const char* name, T& value, bool) {
    if constexpr (requires { T::Fields(*this, value); }) {
      T::Fields(*this, value);
    } else {
      Put(name, value, Draw(name));
    }
  }
  template <class T>
  void Fill(const char* name, std::optional<T>& value, bool let_null) {
    const uint32_t draw = Draw(name);
    value = std::nullopt;
    if (!let_null || draw % 4 != 0) Put(name, value.emplace(), draw);
  }

  int16_t version_;
  uint32_t count_;
};

}  // namespace selvage::kafka::test
