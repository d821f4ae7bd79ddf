#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/error.h"
#include "fabric/model/digest.h"

namespace selvage::model {

/// Fetches what a version of a model is made of from the core, over whatever link there is. Thread-safe; no
/// call blocks. What comes is as good as its sender: whoever asked checks signatures and digests.
///
/// Errors: "link_lost" when there is no link or it ended first (ask again for what is still missing),
/// "unknown_model", "unknown_chunk", "unknown_kind" when the core knows no models, "overloaded",
/// "protocol_error" for an answer to another question, and what the core says.
class ChunkFetcher {
 public:
  template <class Value>
  using Done = std::function<void(Value)>;
  using ManifestDone = Done<absl::StatusOr<std::string>>;
  using ChunksDone = Done<absl::Status>;
  /// Chunk `index` has come. `stored` is to be called once, on any thread, when it is durable, or with why it
  /// is not taken: then the fetch ends with that error. What waits for `stored` is bounded.
  using Take =
      std::function<void(uint32_t index, std::string chunk, std::function<void(absl::Status)> stored)>;

  virtual ~ChunkFetcher() = default;

  /// `done` gets the ModelSigned of the manifest, serialized; once, on any thread, and must not block.
  virtual void FetchManifest(const Digest& manifest, ManifestDone done) = 0;
  /// Asks for chunks by their indexes of DistinctChunks, each once, rising. `take` is called in this order
  /// and must not block; `done` once, after the last of them was stored or with the error. Calls of `take`
  /// may not have been answered yet when `done` brings an error.
  virtual void FetchChunks(const Digest& manifest, std::vector<uint32_t> wanted, Take take,
                           ChunksDone done) = 0;
};

/// The fetcher of whatever link there is just now; outlives links. Thread-safe.
class ChunkFetchers : public ChunkFetcher {
 public:
  void LinkBegan(std::shared_ptr<ChunkFetcher> fetcher) {
    const absl::MutexLock lock(&mutex_);
    fetcher_ = std::move(fetcher);
  }
  /// Without effect when another link has begun meanwhile.
  void LinkEnded(const std::shared_ptr<ChunkFetcher>& fetcher) {
    const absl::MutexLock lock(&mutex_);
    if (fetcher_ == fetcher) fetcher_.reset();
  }

  void FetchManifest(const Digest& manifest, ManifestDone done) override {
    if (const auto fetcher = Get()) return fetcher->FetchManifest(manifest, std::move(done));
    done(NoLink());
  }
  void FetchChunks(const Digest& manifest, std::vector<uint32_t> wanted, Take take,
                   ChunksDone done) override {
    if (const auto fetcher = Get()) {
      return fetcher->FetchChunks(manifest, std::move(wanted), std::move(take), std::move(done));
    }
    done(NoLink());
  }

 private:
  std::shared_ptr<ChunkFetcher> Get() {
    const absl::MutexLock lock(&mutex_);
    return fetcher_;
  }
  static absl::Status NoLink() {
    return MakeError(absl::StatusCode::kUnavailable, "link_lost", "there is no link to the core",
                     "it is asked again when there is one", Retry::kYes);
  }

  absl::Mutex mutex_;
  std::shared_ptr<ChunkFetcher> fetcher_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage::model
