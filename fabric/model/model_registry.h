#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fabric/base/clock.h"
#include "fabric/model/chunk_store.h"
#include "fabric/model/manifest.h"
#include "fabric/model/model_pieces.h"
#include "fabric/model/model_trust.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"
#include "fabric/stream/disk_budget.h"
#include "selvage/v1/model.pb.h"

namespace selvage::model {

/// What a core keeps of models: every root, the versions that were published, and their chunks. Durable when
/// a call returns. It verifies what it takes, so that a mistake shows at the core and not at a thousand
/// edges; edges verify it again, and trust no core. Thread-safe; calls wait for the disk.
///
/// A version is published in three steps: Begin says which chunks are missing, Put stores them, Finish
/// verifies all of it and makes it known. Chunks of a version that is not finished are pinned until the
/// publisher has been silent for ten minutes, or the core starts again.
class ModelRegistry : public ModelPieces {
 public:
  /// All of it must outlive the registry.
  struct Parts {
    KvStore& store;
    Committer& committer;
    Clock& clock;
    DiskBudget& budget;
    /// Makes a new root durable with `stage`, calls `show`, and lets edges know; empty: there are none to
    /// know. A change of roots waits for it.
    std::function<absl::Status(const std::function<void(WriteBatch&)>& stage,
                               const std::function<void()>& show)>
        commit_root = {};
    /// Who needs a version, for people; empty: nobody. Not set: nobody ever does.
    std::function<std::string(const Digest& manifest)> needed_by = {};
  };
  static constexpr size_t kPublishedAtOnce = 8;
  static constexpr absl::Duration kPublisherSilentMax = absl::Minutes(10);
  /// Of chunks in one Put, or in one answer of ReadChunks; a larger chunk comes alone.
  static constexpr size_t kPieceBytes = 2 << 20;

  /// `chunks`: the folder of the chunks. Removes chunks that nothing refers to. Errors: "corrupt_meta",
  /// "io_error".
  static absl::StatusOr<std::unique_ptr<ModelRegistry>> Open(const Parts& parts,
                                                             const std::filesystem::path& chunks);

  /// Adds the next root; the first has version 1. One that is there already changes nothing. Its digest.
  /// Errors: "root_out_of_order", "not_signed", "invalid_root".
  absl::StatusOr<Digest> AddRoot(const v1::ModelSigned& root);
  /// In the order of their versions.
  std::vector<v1::ModelSigned> Roots() const;

  struct Begun {
    Digest manifest;
    std::vector<uint32_t> missing;  ///< indexes of DistinctChunks
  };
  /// Errors: "no_model_root", those of ModelTrust::CheckManifest, "version_exists" for another manifest of
  /// this version, "too_many_publishers" (a retry helps), "disk_full".
  absl::StatusOr<Begun> BeginPublish(const v1::ModelSigned& document);
  struct Piece {
    uint32_t index = 0;  ///< of DistinctChunks
    std::string data;
  };
  /// Errors: "not_begun" (a retry from BeginPublish helps), "unknown_chunk", "corrupt_chunk", "disk_full",
  /// "io_error".
  absl::Status PutChunks(const Digest& manifest, const std::vector<Piece>& pieces);
  /// Errors: "not_begun", "chunks_missing" (a retry from BeginPublish helps), "corrupt_model" when the chunks
  /// do not make up the files.
  absl::StatusOr<v1::ModelVersion> FinishPublish(const Digest& manifest);

  /// By name, the newest version first.
  std::vector<v1::ModelVersion> List() const;
  /// `version` 0: the newest. Error: "unknown_model".
  absl::StatusOr<v1::ModelVersion> Find(const std::string& model, uint64_t version) const;
  /// Error: "unknown_model".
  absl::StatusOr<v1::ModelSigned> Document(const Digest& manifest) const override;
  absl::StatusOr<std::string> ReadChunk(const Digest& chunk) override { return chunks_->Get(chunk); }
  /// Chunks from this index on, kPieceBytes of them or a larger one; none behind the last. Errors:
  /// "unknown_model", those of ChunkStore::Get.
  absl::StatusOr<std::vector<std::string>> ReadChunks(const Digest& manifest, uint32_t first);
  /// With the chunks that no other version has. Errors: "unknown_model", "model_in_use".
  absl::Status Delete(const std::string& model, uint64_t version);

  /// Of all chunks.
  uint64_t bytes() const { return chunks_->bytes(); }

 private:
  using Name = std::pair<std::string, uint64_t>;  // model, version
  struct Publish {
    v1::ModelSigned document;
    Verified<v1::ModelManifest> manifest;
    std::vector<ManifestChunk> chunks;
    std::unique_ptr<ChunkStore::Pin> pin;
    absl::Duration used;
  };

  ModelRegistry(const Parts& parts, std::unique_ptr<ChunkStore> chunks)
      : parts_(parts), chunks_(std::move(chunks)) {}
  absl::Status Load();
  absl::Status Sweep();
  absl::StatusOr<std::shared_ptr<Publish>> FindPublish(const Digest& manifest);
  void ForgetSilent() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckName(const v1::ModelManifest& manifest, const Digest& digest) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  absl::Status CheckFiles(const v1::ModelManifest& manifest);

  const Parts parts_;
  const std::unique_ptr<ChunkStore> chunks_;
  absl::Mutex change_mutex_;  // one change of roots or versions at a time; taken before mutex_
  mutable absl::Mutex mutex_;
  std::vector<v1::ModelSigned> roots_ ABSL_GUARDED_BY(mutex_);
  std::optional<ModelTrust> trust_ ABSL_GUARDED_BY(mutex_);
  std::map<Name, v1::ModelVersion> versions_ ABSL_GUARDED_BY(mutex_);
  std::map<Digest, std::shared_ptr<Publish>> publishes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage::model
