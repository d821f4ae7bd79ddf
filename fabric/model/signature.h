#pragma once

#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/base/random.h"
#include "fabric/model/digest.h"
#include "selvage/v1/model.pb.h"

/// Ed25519 signatures (RFC 8032, by OpenSSL) over typed messages.
namespace selvage::model {

/// Digest of the public key.
using KeyId = Digest;

/// What a signature is about. A signature of one type says nothing about another.
inline constexpr std::string_view kRootType = "application/vnd.selvage.model-root.v1+protobuf";
inline constexpr std::string_view kManifestType = "application/vnd.selvage.model-manifest.v1+protobuf";
inline constexpr std::string_view kAssignmentType = "application/vnd.selvage.model-assignment.v1+protobuf";

/// 32 bytes; made and read by OpenSSL.
class SigningKey {
 public:
  static SigningKey Make(Random& random);
  /// PKCS #8, as `openssl genpkey -algorithm ed25519` writes it. Error: "invalid_key".
  static absl::StatusOr<SigningKey> FromPem(std::string_view pem);
  /// As FromPem reads it. Secret.
  std::string Pem() const;

  /// 32 bytes.
  const std::string& public_key() const { return public_key_; }
  KeyId id() const { return KeyId::Of(public_key_); }
  /// 64 bytes.
  std::string Sign(std::string_view data) const;

 private:
  SigningKey(std::string secret, std::string public_key);

  std::string secret_;
  std::string public_key_;
};

/// PEM of a public key (SubjectPublicKeyInfo), as `openssl pkey -pubout` writes it, and back. Error:
/// "invalid_key".
std::string PublicKeyPem(std::string_view public_key);
absl::StatusOr<std::string> PublicKeyFromPem(std::string_view pem);

/// What is signed: the pre-authentication encoding of DSSE (github.com/secure-systems-lab/dsse, protocol.md).
std::string SignedBytes(std::string_view type, std::string_view payload);

/// More in one document are refused.
inline constexpr int kSignaturesMax = 64;

/// Adds the key's signature, in place of an older one of this key.
void AddSignature(v1::ModelSigned& document, const SigningKey& key);

/// The keys of `role` that signed the document. Signatures of other keys, and those that do not verify, count
/// for nothing.
std::set<KeyId> SignersOf(const v1::ModelSigned& document, const v1::ModelRoot::Role& role);

/// The keys that signed, when the document is of this type and enough keys of the role signed it. Errors:
/// "wrong_type", "not_signed" (with how many of how many).
absl::StatusOr<std::set<KeyId>> CheckSigned(const v1::ModelSigned& document, std::string_view type,
                                            const v1::ModelRoot::Role& role);

}  // namespace selvage::model
