#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "fabric/base/random.h"

namespace selvage {

namespace internal {
std::string HexOf(const std::array<uint8_t, 16>& bytes);
std::optional<std::array<uint8_t, 16>> BytesOfHex(std::string_view hex);
}  // namespace internal

/// A random 128-bit identity. All zeros means "none" and is never minted.
template <class Tag>
class Id128 {
 public:
  constexpr Id128() = default;

  /// A fresh identity drawn from `random`.
  static Id128 Mint(Random& random) {
    Id128 id;
    while (id.none()) random.Fill(id.bytes_.data(), id.bytes_.size());
    return id;
  }
  /// From exactly 16 bytes; nothing for any other length.
  static std::optional<Id128> FromBytes(std::string_view bytes) {
    if (bytes.size() != 16) return std::nullopt;
    Id128 id;
    for (size_t i = 0; i < 16; ++i) id.bytes_[i] = static_cast<uint8_t>(bytes[i]);
    return id;
  }
  /// From 32 hexadecimal digits; nothing for anything else.
  static std::optional<Id128> FromHex(std::string_view hex) {
    auto bytes = internal::BytesOfHex(hex);
    if (!bytes) return std::nullopt;
    Id128 id;
    id.bytes_ = *bytes;
    return id;
  }

  bool none() const { return bytes_ == std::array<uint8_t, 16>{}; }
  /// The 16 bytes, as long as the id lives.
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }
  std::string bytes() const { return std::string(view()); }
  std::string hex() const { return internal::HexOf(bytes_); }

  auto operator<=>(const Id128&) const = default;
  template <class H>
  friend H AbslHashValue(H h, const Id128& v) {
    return H::combine(std::move(h), v.bytes_);
  }

 private:
  std::array<uint8_t, 16> bytes_{};
};

/// One history of one log: made with the log, kept by every replica of it.
using LogId = Id128<struct LogIdTag>;
/// One database on one disk: made when the store is created. A clone or a restored backup carries the same
/// one.
using StoreId = Id128<struct StoreIdTag>;
/// One process start.
using BootId = Id128<struct BootIdTag>;
/// One installation of Selvage: a core and its edges.
using ClusterId = Id128<struct ClusterIdTag>;
/// One history of the core's store: minted with it and anew after every restore.
using LineageId = Id128<struct LineageIdTag>;

}  // namespace selvage
