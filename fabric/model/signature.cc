#include "fabric/model/signature.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "fabric/base/check.h"
#include "fabric/base/error.h"

namespace selvage::model {
namespace {

constexpr size_t kKeySize = 32;
constexpr size_t kSignatureSize = 64;

template <auto free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    free(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, Freed<BIO_free>>;
using Context = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;

const uint8_t* Octets(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}
uint8_t* Octets(std::string& text) {
  return reinterpret_cast<uint8_t*>(text.data());
}

Key SecretKey(std::string_view secret) {
  Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, Octets(secret), secret.size()));
  SELVAGE_CHECK(key != nullptr);
  return key;
}

/// Nothing for bytes that are no key.
Key PublicKey(std::string_view bytes) {
  return Key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, Octets(bytes), bytes.size()));
}

std::string PublicOf(const Key& key) {
  std::string bytes(kKeySize, '\0');
  size_t size = bytes.size();
  SELVAGE_CHECK(EVP_PKEY_get_raw_public_key(key.get(), Octets(bytes), &size) == 1 && size == kKeySize);
  return bytes;
}

std::string TextOf(const Bio& bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

/// Asks nobody for a passphrase.
int NoPassphrase(char*, int, int, void*) {
  return -1;
}

bool IsEd25519(const Key& key) {
  return key != nullptr && EVP_PKEY_id(key.get()) == EVP_PKEY_ED25519;
}

absl::Status InvalidKey(std::string_view what, std::string_view hint) {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_key", what, hint);
}

bool Verifies(std::string_view public_key, std::string_view signature, std::string_view data) {
  if (signature.size() != kSignatureSize) return false;
  const Key key = PublicKey(public_key);
  const Context context(EVP_MD_CTX_new());
  return key != nullptr && context != nullptr &&
         EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), Octets(signature), signature.size(), Octets(data), data.size()) == 1;
}

}  // namespace

SigningKey::SigningKey(std::string secret, std::string public_key)
    : secret_(std::move(secret)), public_key_(std::move(public_key)) {}

SigningKey SigningKey::Make(Random& random) {
  std::string secret(kKeySize, '\0');
  random.Fill(secret.data(), secret.size());
  std::string public_key = PublicOf(SecretKey(secret));
  return {std::move(secret), std::move(public_key)};
}

absl::StatusOr<SigningKey> SigningKey::FromPem(std::string_view pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  if (!IsEd25519(key)) {
    return InvalidKey("this is no private Ed25519 key in PEM without a passphrase",
                      "selvagectl model key generate makes one");
  }
  std::string secret(kKeySize, '\0');
  size_t size = secret.size();
  SELVAGE_CHECK(EVP_PKEY_get_raw_private_key(key.get(), Octets(secret), &size) == 1 && size == kKeySize);
  return SigningKey(std::move(secret), PublicOf(key));
}

std::string SigningKey::Pem() const {
  const Bio bio(BIO_new(BIO_s_mem()));
  SELVAGE_CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), SecretKey(secret_).get(), nullptr, nullptr, 0,
                                              nullptr, nullptr) == 1);
  return TextOf(bio);
}

std::string SigningKey::Sign(std::string_view data) const {
  const Key key = SecretKey(secret_);
  const Context context(EVP_MD_CTX_new());
  std::string signature(kSignatureSize, '\0');
  size_t size = signature.size();
  SELVAGE_CHECK(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
                EVP_DigestSign(context.get(), Octets(signature), &size, Octets(data), data.size()) == 1 &&
                size == kSignatureSize);
  return signature;
}

std::string PublicKeyPem(std::string_view public_key) {
  const Bio bio(BIO_new(BIO_s_mem()));
  const Key key = PublicKey(public_key);
  SELVAGE_CHECK(key != nullptr && PEM_write_bio_PUBKEY(bio.get(), key.get()) == 1);
  return TextOf(bio);
}

absl::StatusOr<std::string> PublicKeyFromPem(std::string_view pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const Key key(PEM_read_bio_PUBKEY(bio.get(), nullptr, NoPassphrase, nullptr));
  if (!IsEd25519(key)) {
    return InvalidKey("this is no public Ed25519 key in PEM",
                      "selvagectl model key show prints that of a private key");
  }
  return PublicOf(key);
}

std::string SignedBytes(std::string_view type, std::string_view payload) {
  return fmt::format("DSSEv1 {} {} {} {}", type.size(), type, payload.size(), payload);
}

void AddSignature(v1::ModelSigned& document, const SigningKey& key) {
  const std::string id = key.id().bytes();
  v1::ModelSignature* signature = nullptr;
  for (auto& one : *document.mutable_signatures()) {
    if (one.key_id() == id) signature = &one;
  }
  if (signature == nullptr) signature = document.add_signatures();
  signature->set_key_id(id);
  signature->set_signature(key.Sign(SignedBytes(document.type(), document.payload())));
}

std::set<KeyId> SignersOf(const v1::ModelSigned& document, const v1::ModelRoot::Role& role) {
  const std::string data = SignedBytes(document.type(), document.payload());
  std::set<KeyId> signers;
  for (const std::string& key : role.keys()) {
    const KeyId id = KeyId::Of(key);
    for (const auto& signature : document.signatures()) {
      if (signature.key_id() == id.bytes() && Verifies(key, signature.signature(), data)) signers.insert(id);
    }
  }
  return signers;
}

absl::StatusOr<std::set<KeyId>> CheckSigned(const v1::ModelSigned& document, std::string_view type,
                                            const v1::ModelRoot::Role& role) {
  if (document.type() != type) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "wrong_type",
        fmt::format("this is signed as '{}', and is to be '{}'", document.type().substr(0, 100), type));
  }
  if (document.signatures_size() > kSignaturesMax) {
    return MakeError(absl::StatusCode::kInvalidArgument, "not_signed",
                     fmt::format("there are more than {} signatures", kSignaturesMax));
  }
  // Each verification costs: nobody gets more than one for each key.
  std::set<std::string_view> ids;
  for (const auto& signature : document.signatures()) {
    if (!ids.insert(signature.key_id()).second) {
      return MakeError(absl::StatusCode::kInvalidArgument, "not_signed", "a key has signed it twice");
    }
  }
  std::set<KeyId> signers = SignersOf(document, role);
  // A role without a threshold trusts nobody.
  if (role.threshold() == 0 || signers.size() < role.threshold()) {
    return MakeError(
        absl::StatusCode::kPermissionDenied, "not_signed",
        fmt::format("{} of the {} keys that have to sign it did", signers.size(), role.threshold()),
        "sign it with a key that the newest root names");
  }
  return signers;
}

}  // namespace selvage::model
