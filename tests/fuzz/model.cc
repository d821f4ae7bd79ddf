/// What is signed about models, as a peer or a file may hold it. The first byte chooses: a manifest, a root,
/// or a signed document of any type, which a node with one root judges.
#include <string>
#include <string_view>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/model/manifest.h"
#include "fabric/model/model_trust.h"
#include "tests/fuzz/input.h"
#include "tests/unit/model/model_samples.h"

namespace selvage::model {
namespace {

/// Whatever is taken can be put together below a folder, and stays within the limits.
void CheckManifestBytes(std::string_view payload) {
  const auto manifest = ReadManifest(payload);
  if (!manifest.ok()) {
    SELVAGE_CHECK(ErrorKind(manifest.status()) == "invalid_manifest");
    return;
  }
  SELVAGE_CHECK(manifest->version() > 0 && BytesOf(*manifest) <= kModelBytesMax);
  for (const auto& file : manifest->files()) {
    SELVAGE_CHECK(IsModelPath(file.path()) && !file.path().starts_with('/'));
    SELVAGE_CHECK(file.path().find("/../") == std::string::npos && !file.path().starts_with("../"));
    uint64_t size = 0;
    for (const auto& chunk : file.chunks()) size += chunk.size();
    SELVAGE_CHECK(size == file.size());
  }
}

/// Whatever is taken needs at least one signature for everything.
void CheckRootBytes(std::string_view payload) {
  const auto root = ReadRoot(payload);
  if (!root.ok()) {
    SELVAGE_CHECK(ErrorKind(root.status()) == "invalid_root");
    return;
  }
  for (const auto* role : {&root->root(), &root->model(), &root->rollout()}) {
    SELVAGE_CHECK(role->threshold() > 0 && role->threshold() <= static_cast<uint32_t>(role->keys_size()));
  }
}

ModelTrust TrustOfOneRoot() {
  v1::ModelRoot root;
  root.set_trust_domain("acme.example");
  root.set_version(1);
  samples::AddRole(*root.mutable_root(), {samples::KeyNo(1)}, 1);
  samples::AddRole(*root.mutable_model(), {samples::KeyNo(4)}, 1);
  samples::AddRole(*root.mutable_rollout(), {samples::KeyNo(5)}, 1);
  const v1::ModelSigned signed_root = samples::Signed(kRootType, root, {samples::KeyNo(1)});
  return ModelTrust::Pin(signed_root, Digest::Of(signed_root.payload())).value();
}

/// Nothing is taken that the keys of the seeds did not sign, and what is taken changes no root.
void CheckDocument(std::string_view bytes) {
  static const ModelTrust kTrust = TrustOfOneRoot();
  v1::ModelSigned document;
  if (!document.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  ModelTrust trust = kTrust;
  if (const auto manifest = trust.CheckManifest(document); manifest.ok()) trust.Raise(*manifest);
  if (const auto assignment = trust.CheckAssignment(document, "pump-7", samples::kNow); assignment.ok()) {
    SELVAGE_CHECK(assignment->message.edge() == "pump-7");
    trust.Raise(*assignment);
    SELVAGE_CHECK(trust.CheckAssignment(document, "pump-7", samples::kNow).ok());
  }
  if (!trust.Advance(document).ok()) SELVAGE_CHECK(trust.root().version() == 1);
  SELVAGE_CHECK(ModelTrust::FromStored(trust.Stored()).ok());
}

}  // namespace
}  // namespace selvage::model

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace selvage::model;
  selvage::fuzz::Input input(data, size);
  switch (input.Below(3)) {
    case 0:
      CheckManifestBytes(input.Rest());
      break;
    case 1:
      CheckRootBytes(input.Rest());
      break;
    default:
      CheckDocument(input.Rest());
  }
  return 0;
}
