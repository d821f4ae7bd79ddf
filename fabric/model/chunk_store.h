#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "fabric/model/digest.h"

namespace selvage::model {

/// Chunks of models on disk: files that are named by their digests, in folders by the first byte. Nothing
/// counts who refers to a chunk: Sweep removes what no manifest names, but for what is pinned. Thread-safe.
class ChunkStore {
 public:
  struct Chunk {
    Digest digest;
    std::string_view data;
  };

  /// Makes the folder if there is none, and removes what a crash left half-written. Error: "io_error".
  static absl::StatusOr<std::unique_ptr<ChunkStore>> Open(const std::filesystem::path& folder);

  bool Has(const Digest& digest) const;
  /// Of all chunks.
  uint64_t bytes() const;

  /// Stores those that are not there, all of them durably or, after an error, some. Errors: "corrupt_chunk"
  /// when data does not have its digest (nothing is stored then), "disk_full", "io_error".
  absl::Status Put(const std::vector<Chunk>& chunks);
  /// Errors: "unknown_chunk" (kNotFound), "corrupt_chunk" (kDataLoss) for one that is damaged: it is removed,
  /// so that it is fetched again.
  absl::StatusOr<std::string> Get(const Digest& digest);

  /// Keeps chunks from being swept while it lives, also those that come later. The store must outlive it.
  class Pin {
   public:
    ~Pin();
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;

   private:
    friend class ChunkStore;
    Pin(ChunkStore& store, std::vector<Digest> digests) : store_(store), digests_(std::move(digests)) {}
    ChunkStore& store_;
    const std::vector<Digest> digests_;
  };
  std::unique_ptr<Pin> PinAll(std::vector<Digest> digests);

  struct Swept {
    uint64_t chunks = 0;
    uint64_t bytes = 0;
  };
  /// Removes all that are neither `needed` nor pinned. Error: "io_error".
  absl::StatusOr<Swept> Sweep(const std::set<Digest>& needed);

 private:
  explicit ChunkStore(std::filesystem::path folder) : folder_(std::move(folder)) {}
  absl::Status Scan();
  std::filesystem::path PathOf(const Digest& digest) const;
  absl::Status PutLocked(const std::vector<Chunk>& chunks) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::filesystem::path folder_;
  mutable absl::Mutex mutex_;
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<Digest, int> pins_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage::model
