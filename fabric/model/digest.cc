#include "fabric/model/digest.h"

#include <openssl/evp.h>

#include <algorithm>

#include "fabric/base/check.h"

namespace selvage::model {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

}  // namespace

Digest Digest::Of(std::string_view data) {
  Hasher hasher;
  hasher.Add(data);
  return hasher.Finish();
}

std::optional<Digest> Digest::FromBytes(std::string_view bytes) {
  if (bytes.size() != kSize) return std::nullopt;
  Digest digest;
  std::copy(bytes.begin(), bytes.end(), digest.bytes_.begin());
  return digest;
}

std::optional<Digest> Digest::FromHex(std::string_view hex) {
  if (hex.size() != 2 * kSize) return std::nullopt;
  Digest digest;
  for (size_t i = 0; i < kSize; ++i) {
    const size_t high = kDigits.find(hex[2 * i]);
    const size_t low = kDigits.find(hex[2 * i + 1]);
    if (high == kDigits.npos || low == kDigits.npos) return std::nullopt;
    digest.bytes_[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return digest;
}

std::string Digest::Hex() const {
  std::string hex;
  for (const uint8_t byte : bytes_) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 0xf];
  }
  return hex;
}

Hasher::Hasher() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
  SELVAGE_CHECK(context_ != nullptr);
  SELVAGE_CHECK(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
}

void Hasher::Add(std::string_view data) {
  SELVAGE_CHECK(EVP_DigestUpdate(context_.get(), data.data(), data.size()) == 1);
}

Digest Hasher::Finish() {
  Digest digest;
  SELVAGE_CHECK(EVP_DigestFinal_ex(context_.get(), digest.bytes_.data(), nullptr) == 1);
  return digest;
}

}  // namespace selvage::model
