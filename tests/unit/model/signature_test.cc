#include "fabric/model/signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fabric/base/error.h"
#include "tests/unit/model/model_samples.h"

namespace selvage::model {
namespace {

using samples::AddRole;
using samples::KeyNo;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

v1::ModelSigned DocumentOf(const std::vector<SigningKey>& keys) {
  v1::ModelSigned document;
  document.set_type(std::string(kManifestType));
  document.set_payload("payload");
  for (const SigningKey& key : keys) AddSignature(document, key);
  return document;
}

v1::ModelRoot::Role RoleOf(const std::vector<SigningKey>& keys, uint32_t threshold) {
  v1::ModelRoot::Role role;
  AddRole(role, keys, threshold);
  return role;
}

std::string KindOf(const v1::ModelSigned& document, const v1::ModelRoot::Role& role) {
  return ErrorKind(CheckSigned(document, kManifestType, role).status());
}

TEST(SignatureTest, BytesAreThoseOfDsse) {
  // The example of the protocol's specification.
  EXPECT_EQ(SignedBytes("http://example.com/HelloWorld", "hello world"),
            "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}

TEST(SignatureTest, KeysAreWrittenAndReadBack) {
  const SigningKey key = KeyNo(1);
  const auto read = SigningKey::FromPem(key.Pem());
  ASSERT_EQ(read.status(), absl::OkStatus());
  EXPECT_EQ(read->public_key(), key.public_key());
  EXPECT_EQ(read->Sign("x"), key.Sign("x"));
  EXPECT_EQ(PublicKeyFromPem(PublicKeyPem(key.public_key())).value(), key.public_key());
  EXPECT_EQ(ErrorKind(SigningKey::FromPem("no key").status()), "invalid_key");
  EXPECT_EQ(ErrorKind(SigningKey::FromPem(PublicKeyPem(key.public_key())).status()), "invalid_key");
  EXPECT_EQ(ErrorKind(PublicKeyFromPem(key.Pem()).status()), "invalid_key");
}

TEST(SignatureTest, SoManyKeysOfTheRoleAreCounted) {
  const SigningKey a = KeyNo(1), b = KeyNo(2), c = KeyNo(3), stranger = KeyNo(4);
  const auto role = RoleOf({a, b, c}, 2);
  const auto signers = CheckSigned(DocumentOf({a, stranger, c}), kManifestType, role);
  ASSERT_EQ(signers.status(), absl::OkStatus());
  EXPECT_THAT(*signers, UnorderedElementsAre(a.id(), c.id()));
  EXPECT_EQ(KindOf(DocumentOf({a, stranger}), role), "not_signed");
  EXPECT_EQ(KindOf(DocumentOf({}), role), "not_signed");
  EXPECT_EQ(KindOf(DocumentOf({a}), RoleOf({a}, 0)), "not_signed") << "nobody is asked";
}

TEST(SignatureTest, OneKeyThatSignsTwiceCountsOnce) {
  const SigningKey a = KeyNo(1), b = KeyNo(2);
  v1::ModelSigned document = DocumentOf({a});
  *document.add_signatures() = document.signatures(0);
  EXPECT_EQ(KindOf(document, RoleOf({a, b}, 2)), "not_signed");
  EXPECT_EQ(KindOf(document, RoleOf({a, b}, 1)), "not_signed") << "nobody verifies the same again and again";
  // Nor under the name of another key.
  document.mutable_signatures(1)->set_key_id(b.id().bytes());
  EXPECT_EQ(KindOf(document, RoleOf({a, b}, 2)), "not_signed");
}

TEST(SignatureTest, AnyOtherByteIsNotSigned) {
  const SigningKey key = KeyNo(1);
  const auto role = RoleOf({key}, 1);
  const v1::ModelSigned document = DocumentOf({key});
  ASSERT_EQ(KindOf(document, role), "");
  for (size_t i = 0; i < document.payload().size(); ++i) {
    v1::ModelSigned other = document;
    (*other.mutable_payload())[i] ^= 1;
    EXPECT_EQ(KindOf(other, role), "not_signed") << i;
  }
  for (size_t i = 0; i < 64; ++i) {
    v1::ModelSigned other = document;
    (*other.mutable_signatures(0)->mutable_signature())[i] ^= 1;
    EXPECT_EQ(KindOf(other, role), "not_signed") << i;
  }
  v1::ModelSigned shorter = document;
  shorter.mutable_signatures(0)->mutable_signature()->pop_back();
  EXPECT_EQ(KindOf(shorter, role), "not_signed");
}

TEST(SignatureTest, WhatIsSignedAsOneThingIsNoOther) {
  const SigningKey key = KeyNo(1);
  v1::ModelSigned document = DocumentOf({key});
  document.set_type(std::string(kAssignmentType));
  EXPECT_EQ(KindOf(document, RoleOf({key}, 1)), "wrong_type");
  EXPECT_EQ(ErrorKind(CheckSigned(document, kAssignmentType, RoleOf({key}, 1)).status()), "not_signed");
}

TEST(SignatureTest, EndlessSignaturesAreNotTried) {
  const SigningKey key = KeyNo(1);
  v1::ModelSigned document = DocumentOf({key});
  for (int i = 0; i < kSignaturesMax; ++i) *document.add_signatures() = document.signatures(0);
  const auto checked = CheckSigned(document, kManifestType, RoleOf({key}, 1));
  EXPECT_THAT(checked.status().ToString(), HasSubstr("more than 64"));
}

}  // namespace
}  // namespace selvage::model
