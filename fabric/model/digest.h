#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct evp_md_ctx_st;  // of OpenSSL

namespace selvage::model {

/// A SHA-256 digest (FIPS 180-4). It names chunks, files, manifests and keys.
class Digest {
 public:
  static constexpr size_t kSize = 32;

  /// All zeros: the digest of nothing that anybody knows.
  Digest() = default;
  static Digest Of(std::string_view data);
  /// Nothing unless there are 32 bytes.
  static std::optional<Digest> FromBytes(std::string_view bytes);
  /// Nothing unless there are 64 hexadecimal digits, in lower case.
  static std::optional<Digest> FromHex(std::string_view hex);

  std::string bytes() const { return {reinterpret_cast<const char*>(bytes_.data()), kSize}; }
  std::string Hex() const;

  auto operator<=>(const Digest&) const = default;

 private:
  friend class Hasher;
  std::array<uint8_t, kSize> bytes_{};
};

/// The digest of data that comes in pieces.
class Hasher {
 public:
  Hasher();

  void Add(std::string_view data);
  /// Of all that was added. Nothing may be added afterwards.
  Digest Finish();

 private:
  std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
};

}  // namespace selvage::model
