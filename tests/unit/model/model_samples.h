#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fabric/model/digest.h"
#include "fabric/model/signature.h"
#include "selvage/v1/model.pb.h"
#include "tests/support/seeded_random.h"

/// Keys, roots, manifests and assignments for tests.
namespace selvage::model::samples {

/// Between when assignments are issued and when they expire.
inline constexpr int64_t kNow = 1'500'000;

inline SigningKey KeyNo(uint64_t number) {
  test::SeededRandom random(number);
  return SigningKey::Make(random);
}

inline void AddRole(v1::ModelRoot::Role& role, const std::vector<SigningKey>& keys, uint32_t threshold) {
  for (const SigningKey& key : keys) role.add_keys(key.public_key());
  role.set_threshold(threshold);
}

template <class Message>
v1::ModelSigned Signed(std::string_view type, const Message& message, const std::vector<SigningKey>& keys) {
  v1::ModelSigned document;
  document.set_type(std::string(type));
  document.set_payload(message.SerializeAsString());
  for (const SigningKey& key : keys) AddSignature(document, key);
  return document;
}

/// One file for each content.
inline v1::ModelManifest ManifestOf(uint64_t version,
                                    const std::vector<std::string>& contents = {"weights"}) {
  v1::ModelManifest manifest;
  manifest.set_trust_domain("acme.example");
  manifest.set_model("vibration");
  manifest.set_version(version);
  for (size_t i = 0; i < contents.size(); ++i) {
    auto& file = *manifest.add_files();
    file.set_path("file" + std::to_string(i));
    file.set_size(contents[i].size());
    file.set_sha256(Digest::Of(contents[i]).bytes());
    auto& chunk = *file.add_chunks();
    chunk.set_size(static_cast<uint32_t>(contents[i].size()));
    chunk.set_sha256(file.sha256());
  }
  return manifest;
}

inline Digest DigestOfVersion(uint64_t version) {
  return Digest::Of(ManifestOf(version).SerializeAsString());
}

inline v1::ModelAssignment AssignmentOf(uint64_t generation, const v1::ModelManifest& manifest,
                                        v1::ModelAction action = v1::MODEL_RUN) {
  v1::ModelAssignment assignment;
  assignment.set_trust_domain("acme.example");
  assignment.set_edge("pump-7");
  assignment.set_model("vibration");
  assignment.set_action(action);
  if (action != v1::MODEL_REMOVE) assignment.set_manifest(Digest::Of(manifest.SerializeAsString()).bytes());
  assignment.set_generation(generation);
  assignment.set_issued_ms(1'000'000);
  assignment.set_expires_ms(2'000'000);
  return assignment;
}

}  // namespace selvage::model::samples
