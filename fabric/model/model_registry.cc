#include "fabric/model/model_registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"

namespace selvage::model {
namespace {

/// Of a file system's block and a name, for each chunk.
constexpr uint64_t kChunkOverhead = 4096;

std::string RootKey(uint64_t version) {
  std::string key(kModelRootPrefix);
  AppendBig(key, version);
  return key;
}

std::string KeyOf(std::string_view prefix, const Digest& manifest) {
  return std::string(prefix) + manifest.bytes();
}

absl::Status UnknownModel(std::string_view what) {
  return MakeError(absl::StatusCode::kNotFound, "unknown_model", fmt::format("there is no {}", what),
                   "selvagectl model list shows what was published");
}

absl::Status NotBegun(const Digest& manifest) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "not_begun",
                   fmt::format("nobody publishes {} now", manifest.Hex()),
                   "publish it again: what arrived is not sent twice", Retry::kYes);
}

v1::ModelVersion VersionOf(const Verified<v1::ModelManifest>& manifest, const Digest& digest, size_t chunks,
                           int64_t now_ms) {
  v1::ModelVersion version;
  version.set_model(manifest.message.model());
  version.set_version(manifest.message.version());
  version.set_manifest(digest.bytes());
  version.set_published_ms(now_ms);
  version.set_runtime(manifest.message.runtime());
  version.set_files(static_cast<uint32_t>(manifest.message.files_size()));
  version.set_bytes(BytesOf(manifest.message));
  version.set_chunks(static_cast<uint32_t>(chunks));
  for (const KeyId& key : manifest.signers) version.add_key_ids(key.bytes());
  return version;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ModelRegistry>> ModelRegistry::Open(const Parts& parts,
                                                                   const std::filesystem::path& chunks) {
  SELVAGE_ASSIGN_OR_RETURN(auto store, ChunkStore::Open(chunks));
  auto registry = std::unique_ptr<ModelRegistry>(new ModelRegistry(parts, std::move(store)));
  SELVAGE_RETURN_IF_ERROR(registry->Load());
  SELVAGE_RETURN_IF_ERROR(registry->Sweep());
  return registry;
}

absl::Status ModelRegistry::Load() {
  absl::MutexLock lock(&mutex_);
  auto cursor = parts_.store.Scan(Family::kMeta, kModelRootPrefix, PrefixEnd(kModelRootPrefix));
  for (cursor->Seek(kModelRootPrefix); cursor->Valid(); cursor->Next()) {
    v1::ModelSigned root;
    if (!root.ParseFromString(std::string(cursor->value()))) return DamagedMeta("root of models");
    if (trust_) {
      SELVAGE_RETURN_IF_ERROR(trust_->Advance(root));
    } else {
      SELVAGE_ASSIGN_OR_RETURN(trust_, ModelTrust::Pin(root, Digest::Of(root.payload())));
    }
    roots_.push_back(std::move(root));
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  cursor = parts_.store.Scan(Family::kMeta, kModelVersionPrefix, PrefixEnd(kModelVersionPrefix));
  for (cursor->Seek(kModelVersionPrefix); cursor->Valid(); cursor->Next()) {
    v1::ModelVersion version;
    if (!version.ParseFromString(std::string(cursor->value())) || !Digest::FromBytes(version.manifest())) {
      return DamagedMeta("version of a model");
    }
    versions_[{version.model(), version.version()}] = std::move(version);
  }
  return cursor->status();
}

absl::StatusOr<Digest> ModelRegistry::AddRoot(const v1::ModelSigned& root) {
  absl::MutexLock change(&change_mutex_);
  const Digest digest = Digest::Of(root.payload());
  std::optional<ModelTrust> next;
  {
    absl::MutexLock lock(&mutex_);
    for (const v1::ModelSigned& known : roots_) {
      if (Digest::Of(known.payload()) == digest) return digest;
    }
    next = trust_;
  }
  if (next) {
    SELVAGE_RETURN_IF_ERROR(next->Advance(root));
  } else {
    SELVAGE_ASSIGN_OR_RETURN(next, ModelTrust::Pin(root, digest));
    if (next->root().version() != 1) {
      return MakeError(absl::StatusCode::kFailedPrecondition, "root_out_of_order",
                       fmt::format("the first root here has version {}", next->root().version()),
                       "edges walk all roots one by one: add version 1 first");
    }
  }
  const auto stage = [&](WriteBatch& batch) {
    batch.Put(Family::kMeta, RootKey(next->root().version()), {root.SerializeAsString()});
  };
  const auto show = [&] {
    absl::MutexLock lock(&mutex_);
    trust_ = next;
    roots_.push_back(root);
  };
  if (parts_.commit_root) {
    SELVAGE_RETURN_IF_ERROR(parts_.commit_root(stage, show));
  } else {
    SELVAGE_RETURN_IF_ERROR(Commit(parts_.committer, [&](WriteBatch& batch) {
      stage(batch);
      return absl::OkStatus();
    }));
    show();
  }
  return digest;
}

std::vector<v1::ModelSigned> ModelRegistry::Roots() const {
  absl::MutexLock lock(&mutex_);
  return roots_;
}

absl::Status ModelRegistry::CheckName(const v1::ModelManifest& manifest, const Digest& digest) const {
  const auto known = versions_.find({manifest.model(), manifest.version()});
  if (known == versions_.end() || known->second.manifest() == digest.bytes()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kAlreadyExists, "version_exists",
      fmt::format("version {} of {} is another one already, with manifest {}", manifest.version(),
                  manifest.model(), Digest::FromBytes(known->second.manifest()).value_or(Digest()).Hex()),
      "a version is made once: sign the files as a higher version");
}

absl::StatusOr<ModelRegistry::Begun> ModelRegistry::BeginPublish(const v1::ModelSigned& document) {
  auto publish = std::make_shared<Publish>();
  {
    absl::MutexLock lock(&mutex_);
    if (!trust_) {
      return MakeError(absl::StatusCode::kFailedPrecondition, "no_model_root",
                       "this core has no root of models, so nothing can be verified",
                       "add one with selvagectl model root add");
    }
    SELVAGE_ASSIGN_OR_RETURN(publish->manifest, trust_->CheckManifest(document));
  }
  Begun begun{Digest::Of(document.payload()), {}};
  publish->document = document;
  publish->chunks = DistinctChunks(publish->manifest.message);
  std::vector<Digest> digests;
  digests.reserve(publish->chunks.size());
  for (const ManifestChunk& chunk : publish->chunks) digests.push_back(chunk.digest);
  publish->pin = chunks_->PinAll(std::move(digests));
  publish->used = parts_.clock.Monotonic();
  {
    absl::MutexLock lock(&mutex_);
    SELVAGE_RETURN_IF_ERROR(CheckName(publish->manifest.message, begun.manifest));
    ForgetSilent();
    if (publishes_.size() >= kPublishedAtOnce && !publishes_.contains(begun.manifest)) {
      return MakeError(absl::StatusCode::kResourceExhausted, "too_many_publishers",
                       fmt::format("{} versions are being published", publishes_.size()),
                       "wait until one is through", Retry::kYes);
    }
    publishes_[begun.manifest] = publish;
  }
  uint64_t wanted = 0;
  for (uint32_t index = 0; index < publish->chunks.size(); ++index) {
    if (chunks_->Has(publish->chunks[index].digest)) continue;
    begun.missing.push_back(index);
    wanted += publish->chunks[index].size + kChunkOverhead;
  }
  // Not taken yet: whoever fills the disk meanwhile is told so at its next write, as the publisher is.
  if (wanted > 0) SELVAGE_RETURN_IF_ERROR(parts_.budget.Admit(wanted).status());
  return begun;
}

void ModelRegistry::ForgetSilent() {
  const absl::Duration now = parts_.clock.Monotonic();
  std::erase_if(publishes_,
                [&](const auto& entry) { return now - entry.second->used > kPublisherSilentMax; });
}

absl::StatusOr<std::shared_ptr<ModelRegistry::Publish>> ModelRegistry::FindPublish(const Digest& manifest) {
  absl::MutexLock lock(&mutex_);
  const auto found = publishes_.find(manifest);
  if (found == publishes_.end()) return NotBegun(manifest);
  found->second->used = parts_.clock.Monotonic();
  return found->second;
}

absl::Status ModelRegistry::PutChunks(const Digest& manifest, const std::vector<Piece>& pieces) {
  SELVAGE_ASSIGN_OR_RETURN(const auto publish, FindPublish(manifest));
  std::vector<ChunkStore::Chunk> chunks;
  uint64_t bytes = 0;
  for (const Piece& piece : pieces) {
    if (piece.index >= publish->chunks.size() || piece.data.size() != publish->chunks[piece.index].size) {
      return MakeError(
          absl::StatusCode::kInvalidArgument, "unknown_chunk",
          fmt::format("the manifest has no chunk {} of {} bytes", piece.index, piece.data.size()));
    }
    chunks.push_back({publish->chunks[piece.index].digest, piece.data});
    bytes += piece.data.size() + kChunkOverhead;
  }
  SELVAGE_ASSIGN_OR_RETURN(DiskCharge charge, parts_.budget.Admit(bytes));
  SELVAGE_RETURN_IF_ERROR(chunks_->Put(chunks));
  charge.Written();
  return absl::OkStatus();
}

absl::Status ModelRegistry::CheckFiles(const v1::ModelManifest& manifest) {
  for (const auto& file : manifest.files()) {
    Hasher hasher;
    for (const auto& chunk : file.chunks()) {
      auto data = chunks_->Get(Digest::FromBytes(chunk.sha256()).value_or(Digest()));
      const bool missing = absl::IsNotFound(data.status()) || ErrorKind(data.status()) == "corrupt_chunk";
      if (missing) {
        return MakeError(absl::StatusCode::kFailedPrecondition, "chunks_missing",
                         fmt::format("not all chunks of {} are here", file.path()),
                         "publish it again: what arrived is not sent twice", Retry::kYes);
      }
      SELVAGE_RETURN_IF_ERROR(data.status());
      hasher.Add(*data);
    }
    if (hasher.Finish().bytes() == file.sha256()) continue;
    return MakeError(absl::StatusCode::kDataLoss, "corrupt_model",
                     fmt::format("the chunks of {} do not make up the file that was signed", file.path()),
                     "sign the folder again with selvagectl model sign");
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::ModelVersion> ModelRegistry::FinishPublish(const Digest& manifest) {
  SELVAGE_ASSIGN_OR_RETURN(const auto publish, FindPublish(manifest));
  const v1::ModelManifest& files = publish->manifest.message;
  SELVAGE_RETURN_IF_ERROR(CheckFiles(files));
  absl::MutexLock change(&change_mutex_);
  const Name name{files.model(), files.version()};
  v1::ModelVersion version =
      VersionOf(publish->manifest, manifest, publish->chunks.size(), absl::ToUnixMillis(parts_.clock.Wall()));
  {
    absl::MutexLock lock(&mutex_);
    SELVAGE_RETURN_IF_ERROR(CheckName(files, manifest));
    // What was published stays as it was; a chunk of it may have been damaged.
    if (const auto known = versions_.find(name); known != versions_.end()) version = known->second;
  }
  SELVAGE_RETURN_IF_ERROR(Commit(parts_.committer, [&](WriteBatch& batch) {
    batch.Put(Family::kMeta, KeyOf(kModelManifestPrefix, manifest), {publish->document.SerializeAsString()});
    batch.Put(Family::kMeta, KeyOf(kModelVersionPrefix, manifest), {version.SerializeAsString()});
    return absl::OkStatus();
  }));
  absl::MutexLock lock(&mutex_);
  versions_[name] = version;
  publishes_.erase(manifest);
  return version;
}

std::vector<v1::ModelVersion> ModelRegistry::List() const {
  absl::MutexLock lock(&mutex_);
  std::vector<v1::ModelVersion> all;
  all.reserve(versions_.size());
  for (const auto& [name, version] : versions_) all.push_back(version);
  std::stable_sort(all.begin(), all.end(), [](const v1::ModelVersion& a, const v1::ModelVersion& b) {
    return a.model() != b.model() ? a.model() < b.model() : a.version() > b.version();
  });
  return all;
}

absl::StatusOr<v1::ModelVersion> ModelRegistry::Find(const std::string& model, uint64_t version) const {
  absl::MutexLock lock(&mutex_);
  if (version != 0) {
    const auto found = versions_.find({model, version});
    if (found != versions_.end()) return found->second;
    return UnknownModel(fmt::format("version {} of model {}", version, model));
  }
  const auto behind = versions_.upper_bound({model, UINT64_MAX});
  if (behind == versions_.begin() || std::prev(behind)->first.first != model) {
    return UnknownModel(fmt::format("model {}", model));
  }
  return std::prev(behind)->second;
}

absl::StatusOr<v1::ModelSigned> ModelRegistry::Document(const Digest& manifest) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto stored,
                           parts_.store.Get(Family::kMeta, KeyOf(kModelManifestPrefix, manifest)));
  if (!stored) return UnknownModel(fmt::format("model with the manifest {}", manifest.Hex()));
  v1::ModelSigned document;
  if (!document.ParseFromString(*stored)) return DamagedMeta("manifest of a model");
  return document;
}

absl::StatusOr<std::vector<std::string>> ModelRegistry::ReadChunks(const Digest& manifest, uint32_t first) {
  SELVAGE_ASSIGN_OR_RETURN(const v1::ModelSigned document, Document(manifest));
  SELVAGE_ASSIGN_OR_RETURN(const v1::ModelManifest files, ReadManifest(document.payload()));
  const std::vector<ManifestChunk> chunks = DistinctChunks(files);
  std::vector<std::string> data;
  size_t bytes = 0;
  for (size_t index = first; index < chunks.size(); ++index) {
    bytes += chunks[index].size;
    if (!data.empty() && bytes > kPieceBytes) break;
    SELVAGE_ASSIGN_OR_RETURN(data.emplace_back(), chunks_->Get(chunks[index].digest));
  }
  return data;
}

absl::Status ModelRegistry::Delete(const std::string& model, uint64_t version) {
  {
    absl::MutexLock change(&change_mutex_);
    SELVAGE_ASSIGN_OR_RETURN(const v1::ModelVersion found, Find(model, version));
    const Digest manifest = Digest::FromBytes(found.manifest()).value_or(Digest());
    if (const std::string who = parts_.needed_by ? parts_.needed_by(manifest) : ""; !who.empty()) {
      return MakeError(absl::StatusCode::kFailedPrecondition, "model_in_use",
                       fmt::format("version {} of {} is needed: {}", version, model, who),
                       "roll out another version first, or take it away with selvagectl model remove");
    }
    SELVAGE_RETURN_IF_ERROR(Commit(parts_.committer, [&](WriteBatch& batch) {
      batch.Delete(Family::kMeta, KeyOf(kModelVersionPrefix, manifest));
      batch.Delete(Family::kMeta, KeyOf(kModelManifestPrefix, manifest));
      return absl::OkStatus();
    }));
    absl::MutexLock lock(&mutex_);
    versions_.erase({found.model(), found.version()});
  }
  return Sweep();
}

absl::Status ModelRegistry::Sweep() {
  // Whatever is published from here on is pinned before it is looked for.
  absl::MutexLock change(&change_mutex_);
  std::set<Digest> needed;
  for (const v1::ModelVersion& version : List()) {
    SELVAGE_ASSIGN_OR_RETURN(const v1::ModelSigned document,
                             Document(Digest::FromBytes(version.manifest()).value_or(Digest())));
    SELVAGE_ASSIGN_OR_RETURN(const v1::ModelManifest files, ReadManifest(document.payload()));
    for (const ManifestChunk& chunk : DistinctChunks(files)) needed.insert(chunk.digest);
  }
  return chunks_->Sweep(needed).status();
}

}  // namespace selvage::model
