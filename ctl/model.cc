#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "ctl/model_commands.h"
#include "ctl/options.h"
#include "ctl/published_models.h"
#include "ctl/session.h"
#include "ctl/units.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "fabric/base/random.h"
#include "fabric/model/bundle.h"
#include "fabric/model/manifest.h"
#include "fabric/model/model_trust.h"
#include "fabric/model/signature.h"
#include "fabric/security/files.h"
#include "fabric/storage/synced_file.h"

/// selvagectl model: keys, roots and signed bundles, on this machine, since the keys that sign models are
/// never where a daemon runs; published_models.h has what the core does with them.
namespace selvage::ctl {
namespace {

constexpr mode_t kSecret = 0600;
constexpr mode_t kPublic = 0644;

absl::StatusOr<std::string> ReadWhole(const std::string& path) {
  SELVAGE_ASSIGN_OR_RETURN(std::optional<std::string> content, ReadSyncedFile(path));
  if (content) return *std::move(content);
  return MakeError(absl::StatusCode::kNotFound, "file_missing", fmt::format("there is no file {}", path));
}

absl::StatusOr<model::SigningKey> ReadSecretKey(const std::string& path) {
  SELVAGE_ASSIGN_OR_RETURN(const std::string pem, ReadCredentialFile(path));
  auto key = model::SigningKey::FromPem(pem);
  if (!key.ok()) return Annotate(key.status(), path);
  return key;
}

/// 32 bytes, of a public key's file or a private one's.
absl::StatusOr<std::string> ReadPublicKey(const std::string& path) {
  SELVAGE_ASSIGN_OR_RETURN(const std::string pem, ReadCredentialFile(path));
  if (auto key = model::PublicKeyFromPem(pem); key.ok()) return key;
  SELVAGE_ASSIGN_OR_RETURN(const model::SigningKey key, ReadSecretKey(path));
  return key.public_key();
}

absl::StatusOr<v1::ModelSigned> ReadDocument(const std::string& path) {
  SELVAGE_ASSIGN_OR_RETURN(const std::string content, ReadWhole(path));
  v1::ModelSigned document;
  if (document.ParseFromString(content) && document.type() == model::kRootType) return document;
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_root", fmt::format("{} is no root", path),
                   "selvagectl model root create makes one");
}

absl::Status WriteDocument(const std::string& path, const v1::ModelSigned& document, Existing existing) {
  return WriteCredentialFile(path, document.SerializeAsString(), kPublic, existing);
}

// --- Keys

struct KeyOptions {
  std::string file;
};

absl::Status GenerateKey(Session& session, const KeyOptions& options) {
  const model::SigningKey key = model::SigningKey::Make(SystemRandom());
  const std::string public_file = options.file + ".pub";
  SELVAGE_RETURN_IF_ERROR(WriteCredentialFile(options.file, key.Pem(), kSecret, Existing::kRefuse));
  SELVAGE_RETURN_IF_ERROR(
      WriteCredentialFile(public_file, model::PublicKeyPem(key.public_key()), kPublic, Existing::kReplace));
  if (session.json()) {
    PrintJson(session.out(), {{"key", options.file}, {"public_key", public_file}, {"id", key.id().Hex()}});
  } else {
    session.out() << fmt::format(
        "key {}\n{} is secret: keep it off the machines that run Selvage\n{} goes into a root\n",
        key.id().Hex(), options.file, public_file);
  }
  return absl::OkStatus();
}

absl::Status ShowKey(Session& session, const KeyOptions& options) {
  SELVAGE_ASSIGN_OR_RETURN(const std::string key, ReadPublicKey(options.file));
  const std::string id = model::KeyId::Of(key).Hex();
  if (session.json()) {
    PrintJson(session.out(), {{"id", id}, {"public_key", model::PublicKeyPem(key)}});
  } else {
    session.out() << fmt::format("key {}\n{}", id, model::PublicKeyPem(key));
  }
  return absl::OkStatus();
}

// --- Roots

struct RoleOptions {
  std::vector<std::string> keys;
  uint32_t threshold = 1;
};

struct RootOptions {
  std::string file;
  std::string after;
  std::string trust_domain;
  RoleOptions root, model, rollout;
  std::string key;
};

absl::Status FillRole(const RoleOptions& options, v1::ModelRoot::Role& role) {
  for (const std::string& file : options.keys) {
    SELVAGE_ASSIGN_OR_RETURN(*role.add_keys(), ReadPublicKey(file));
  }
  role.set_threshold(options.threshold);
  return absl::OkStatus();
}

void PrintRoot(Session& session, const v1::ModelSigned& document, const v1::ModelRoot& root) {
  const std::string digest = model::Digest::Of(document.payload()).Hex();
  const std::set<model::KeyId> signers = model::SignersOf(document, root.root());
  if (session.json()) {
    boost::json::value value = ToJson(root);
    value.as_object()["digest"] = digest;
    value.as_object()["signatures"] = signers.size();
    return PrintJson(session.out(), value);
  }
  PrintFields(session.out(), {{"trust domain", root.trust_domain()},
                              {"version", std::to_string(root.version())},
                              {"digest", digest},
                              {"signed by", fmt::format("{} of {} root keys; {} have to", signers.size(),
                                                        root.root().keys_size(), root.root().threshold())}});
  Table table({{"role"}, {"key"}, {"signed"}, {"threshold", Table::Align::kRight}});
  const auto add = [&](const std::string& name, const v1::ModelRoot::Role& role, bool signs) {
    for (const std::string& key : role.keys()) {
      const model::KeyId id = model::KeyId::Of(key);
      table.Add({name, id.Hex(),
                 !signs                 ? ""
                 : signers.contains(id) ? "yes"
                                        : "no",
                 std::to_string(role.threshold())});
    }
  };
  add("root", root.root(), true);
  add("model", root.model(), false);
  add("rollout", root.rollout(), false);
  table.Print(session.out());
}

absl::Status CreateRoot(Session& session, const RootOptions& options) {
  v1::ModelRoot root;
  root.set_trust_domain(options.trust_domain);
  root.set_version(1);
  if (!options.after.empty()) {
    SELVAGE_ASSIGN_OR_RETURN(const v1::ModelSigned before, ReadDocument(options.after));
    SELVAGE_ASSIGN_OR_RETURN(const v1::ModelRoot former, model::ReadRoot(before.payload()));
    root.set_trust_domain(former.trust_domain());
    root.set_version(former.version() + 1);
  }
  SELVAGE_RETURN_IF_ERROR(FillRole(options.root, *root.mutable_root()));
  SELVAGE_RETURN_IF_ERROR(FillRole(options.model, *root.mutable_model()));
  SELVAGE_RETURN_IF_ERROR(FillRole(options.rollout, *root.mutable_rollout()));
  v1::ModelSigned document;
  document.set_type(std::string(model::kRootType));
  document.set_payload(root.SerializeAsString());
  SELVAGE_RETURN_IF_ERROR(model::ReadRoot(document.payload()).status());
  SELVAGE_RETURN_IF_ERROR(WriteDocument(options.file, document, Existing::kRefuse));
  PrintRoot(session, document, root);
  return absl::OkStatus();
}

absl::Status SignRoot(Session& session, const RootOptions& options) {
  SELVAGE_ASSIGN_OR_RETURN(v1::ModelSigned document, ReadDocument(options.file));
  SELVAGE_ASSIGN_OR_RETURN(const v1::ModelRoot root, model::ReadRoot(document.payload()));
  SELVAGE_ASSIGN_OR_RETURN(const model::SigningKey key, ReadSecretKey(options.key));
  model::AddSignature(document, key);
  SELVAGE_RETURN_IF_ERROR(WriteDocument(options.file, document, Existing::kReplace));
  PrintRoot(session, document, root);
  return absl::OkStatus();
}

absl::Status ShowRoot(Session& session, const RootOptions& options) {
  SELVAGE_ASSIGN_OR_RETURN(const v1::ModelSigned document, ReadDocument(options.file));
  SELVAGE_ASSIGN_OR_RETURN(const v1::ModelRoot root, model::ReadRoot(document.payload()));
  PrintRoot(session, document, root);
  return absl::OkStatus();
}

// --- Models

struct SignOptions {
  std::string folder;
  std::string out;
  std::vector<std::string> keys;
  v1::ModelManifest manifest;
  std::vector<std::string> features;
};

void PrintManifest(Session& session, const v1::ModelSigned& document, const v1::ModelManifest& manifest) {
  size_t chunks = 0;
  for (const auto& file : manifest.files()) chunks += static_cast<size_t>(file.chunks_size());
  const std::string digest = model::Digest::Of(document.payload()).Hex();
  if (session.json()) {
    return PrintJson(session.out(), {{"trust_domain", manifest.trust_domain()},
                                     {"model", manifest.model()},
                                     {"version", manifest.version()},
                                     {"manifest", digest},
                                     {"files", manifest.files_size()},
                                     {"bytes", model::BytesOf(manifest)},
                                     {"chunks", chunks}});
  }
  PrintFields(session.out(), {{"model", manifest.model()},
                              {"version", std::to_string(manifest.version())},
                              {"trust domain", manifest.trust_domain()},
                              {"manifest", digest},
                              {"files", std::to_string(manifest.files_size())},
                              {"size", HumanBytes(static_cast<double>(model::BytesOf(manifest)))},
                              {"chunks", std::to_string(chunks)}});
}

/// What lies in the folder is signed, and goes to every edge.
absl::Status CheckOutside(const std::string& file, const std::string& folder) {
  std::error_code error;
  const auto path = std::filesystem::weakly_canonical(file, error);
  const auto below = path.lexically_relative(std::filesystem::weakly_canonical(folder, error));
  if (error || below.empty() || *below.begin() == "..") return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, "bad_value",
                   fmt::format("{} lies in the folder that is signed, and would go to every edge", file),
                   "keep keys and bundles elsewhere");
}

absl::Status SignModel(Session& session, const SignOptions& options) {
  std::vector<model::SigningKey> keys;
  for (const std::string& file : options.keys) {
    SELVAGE_ASSIGN_OR_RETURN(model::SigningKey key, ReadSecretKey(file));
    keys.push_back(std::move(key));
  }
  v1::ModelManifest manifest = options.manifest;
  manifest.set_created_ms(absl::ToUnixMillis(SystemClock().Wall()));
  for (const std::string& feature : options.features) manifest.add_features(feature);
  SELVAGE_RETURN_IF_ERROR(CheckOutside(options.out, options.folder));
  for (const std::string& key : options.keys) SELVAGE_RETURN_IF_ERROR(CheckOutside(key, options.folder));
  SELVAGE_RETURN_IF_ERROR(model::DescribeFolder(options.folder, manifest));
  v1::ModelSigned document;
  document.set_type(std::string(model::kManifestType));
  document.set_payload(manifest.SerializeAsString());
  SELVAGE_RETURN_IF_ERROR(model::ReadManifest(document.payload()).status());
  for (const model::SigningKey& key : keys) model::AddSignature(document, key);
  SELVAGE_RETURN_IF_ERROR(model::WriteBundle(options.out, document, manifest, options.folder));
  PrintManifest(session, document, manifest);
  return absl::OkStatus();
}

struct VerifyOptions {
  std::string bundle;
  std::vector<std::string> roots;
  std::string pin;
};

absl::StatusOr<model::ModelTrust> TrustOf(const VerifyOptions& options) {
  const auto pinned = model::Digest::FromHex(options.pin);
  if (!pinned) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "bad_value",
        fmt::format("--pin {} is no digest of 64 hexadecimal digits", options.pin.substr(0, 100)),
        "selvagectl model root show prints it");
  }
  SELVAGE_ASSIGN_OR_RETURN(const v1::ModelSigned first, ReadDocument(options.roots.front()));
  SELVAGE_ASSIGN_OR_RETURN(model::ModelTrust trust, model::ModelTrust::Pin(first, *pinned));
  for (size_t i = 1; i < options.roots.size(); ++i) {
    SELVAGE_ASSIGN_OR_RETURN(const v1::ModelSigned next, ReadDocument(options.roots[i]));
    SELVAGE_RETURN_IF_ERROR(Annotate(trust.Advance(next), options.roots[i]));
  }
  return trust;
}

absl::Status VerifyBundle(Session& session, const VerifyOptions& options) {
  SELVAGE_ASSIGN_OR_RETURN(const model::ModelTrust trust, TrustOf(options));
  SELVAGE_ASSIGN_OR_RETURN(model::BundleReader bundle, model::BundleReader::Open(options.bundle));
  SELVAGE_ASSIGN_OR_RETURN(const auto manifest, trust.CheckManifest(bundle.document()));
  SELVAGE_RETURN_IF_ERROR(bundle.ReadChunks(
      manifest.message, [](const model::Digest&, std::string_view) { return absl::OkStatus(); }));
  PrintManifest(session, bundle.document(), manifest.message);
  return absl::OkStatus();
}

void AddKeys(CLI::App& noun, Session& session) {
  CLI::App* key = noun.add_subcommand("key", "Keys that sign roots, models and assignments");
  key->require_subcommand(1);
  auto options = std::make_shared<KeyOptions>();
  CLI::App* generate = key->add_subcommand("generate", "Make an Ed25519 key");
  generate->add_option("FILE", options->file, "Where the secret key goes; FILE.pub gets the public one")
      ->required();
  generate->callback([&session, options] { session.Finish(GenerateKey(session, *options)); });
  CLI::App* show = key->add_subcommand("show", "Print a key's id and its public part");
  show->add_option("FILE", options->file, "A secret or a public key, in PEM")->required();
  show->callback([&session, options] { session.Finish(ShowKey(session, *options)); });
}

void AddRole(CLI::App& verb, const std::string& name, const std::string& what, RoleOptions& role) {
  verb.add_option(fmt::format("--{}-key", name), role.keys,
                  fmt::format("File of a key that {}; may be repeated", what))
      ->required();
  verb.add_option(fmt::format("--{}-threshold", name), role.threshold, "So many of them have to sign")
      ->capture_default_str();
}

CLI::App& AddRoots(CLI::App& noun, Session& session) {
  CLI::App* root = noun.add_subcommand("root", "Which keys edges believe");
  root->require_subcommand(1);
  auto options = std::make_shared<RootOptions>();
  CLI::App* create =
      root->add_subcommand("create", "Make a root, or with --after the one that follows another");
  CLI::Option* domain = create->add_option("--trust-domain", options->trust_domain, "As of the certificates");
  create->add_option("--after", options->after, "File of the root before; edges walk from it to this one")
      ->excludes(domain);
  AddRole(*create, "root", "signs roots; offline", options->root);
  AddRole(*create, "model", "signs models; offline", options->model);
  AddRole(*create, "rollout", "signs who runs what; at the core", options->rollout);
  create->add_option("--out", options->file, "File of the root")->required();
  create->callback([&session, options] { session.Finish(CreateRoot(session, *options)); });
  CLI::App* sign =
      root->add_subcommand("sign", "Sign a root with one of its root keys, or of those of the root before");
  sign->add_option("FILE", options->file, "The root")->required();
  sign->add_option("--key", options->key, "File of the secret key")->required();
  sign->callback([&session, options] { session.Finish(SignRoot(session, *options)); });
  CLI::App* show = root->add_subcommand("show", "Print a root, who signed it, and the digest that edges pin");
  show->add_option("FILE", options->file, "The root")->required();
  show->callback([&session, options] { session.Finish(ShowRoot(session, *options)); });
  return *root;
}

void AddSign(CLI::App& noun, Session& session) {
  auto options = std::make_shared<SignOptions>();
  v1::ModelManifest* manifest = &options->manifest;
  CLI::App* verb =
      noun.add_subcommand("sign", "Sign the files of a folder as a version of a model, into a bundle");
  verb->add_option("FOLDER", options->folder, "The model's files")->required()->check(CLI::ExistingDirectory);
  const auto text = [&](const std::string& name, auto set, const std::string& help) {
    return verb->add_option_function<std::string>(name, set, help);
  };
  text(
      "--name", [manifest](const std::string& name) { manifest->set_model(name); },
      "Of the model: a DNS label")
      ->required();
  verb->add_option_function<uint64_t>(
          "--version", [manifest](uint64_t version) { manifest->set_version(version); },
          "Higher than all before: an edge takes none below the highest it has trusted")
      ->required();
  text(
      "--trust-domain", [manifest](const std::string& name) { manifest->set_trust_domain(name); },
      "As of the root")
      ->required();
  text(
      "--runtime", [manifest](const std::string& name) { manifest->set_runtime(name); },
      "For whom the files are, as in onnx");
  verb->add_option("--feature", options->features, "Name of an input, in their order; may be repeated");
  verb->add_option("--key", options->keys, "File of a secret model key; may be repeated")->required();
  verb->add_option("--out", options->out, "File of the bundle")->required();
  verb->callback([&session, options] { session.Finish(SignModel(session, *options)); });
}

void AddVerifyBundle(CLI::App& noun, Session& session) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App* verb =
      noun.add_subcommand("verify", "Check a bundle as an edge does: its signatures and all its bytes");
  verb->add_option("BUNDLE", options->bundle, "File of the bundle")->required();
  verb->add_option("--root", options->roots, "File of the pinned root; then, repeated, of those after it")
      ->required();
  verb->add_option("--pin", options->pin, "Digest of the first root")->required();
  verb->callback([&session, options] { session.Finish(VerifyBundle(session, *options)); });
}

}  // namespace

void AddModel(CLI::App& app, Session& session) {
  CLI::App* noun =
      app.add_subcommand("model", "Signed models: keys, roots, bundles, and what the core publishes");
  noun->require_subcommand(1);
  AddKeys(*noun, session);
  CLI::App& root = AddRoots(*noun, session);
  AddSign(*noun, session);
  AddVerifyBundle(*noun, session);
  AddPublishedModels(*noun, root, session, &ReadDocument);
  AddRollouts(*noun, session);
}

}  // namespace selvage::ctl
