#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"
#include "selvage/v1/stream.pb.h"

namespace selvage {

/// The priority on the link of a stream of which its maker says nothing.
inline constexpr uint32_t kDefaultPriority = 5;

/// The settings of a stream of which its maker says nothing; those of configuration files and of selvagectl
/// are the same.
v1::StreamSettings DefaultStreamSettings();

/// Fills in what a definition leaves open and checks it: name, direction, partitions (1 to 1024), settings.
/// Errors: "invalid_stream" with what is allowed; "compaction_not_replicated"; "name_reserved" for a name
/// that captured changes of a table go to.
absl::StatusOr<v1::StreamDefinition> CompleteDefinition(v1::StreamDefinition definition);

/// Whether two definitions may be of one stream: direction and partition count are immutable, but for a local
/// stream, which may have got more partitions than `other` says. Error: "definition_mismatch".
absl::Status CheckSameShape(const v1::StreamDefinition& have, const v1::StreamDefinition& other);

/// Whether clients may write to the stream. Error: "read_only_stream" (kFailedPrecondition).
absl::Status CheckProducible(const v1::StreamDefinition& definition);

/// Copies the named fields of `from` into `into`. Error: "invalid_stream" for an unknown field.
absl::Status MergeSettings(const v1::StreamSettings& from, const std::vector<std::string>& fields,
                           v1::StreamSettings& into);

/// The streams a node knows, durable. Safe to use from several threads; changes wait for the sync.
class StreamCatalog {
 public:
  StreamCatalog(KvStore& store, Committer& committer) : store_(store), committer_(committer) {}

  /// Reads the catalog. Call once, first.
  absl::Status Open();
  std::optional<v1::StreamDefinition> Find(const std::string& name) const;
  std::vector<v1::StreamDefinition> All() const;
  /// Grows with every change of the catalog.
  uint64_t changes() const { return changes_; }

  /// Adds or replaces a complete definition; `also` is staged in the same batch.
  absl::Status Put(
      const v1::StreamDefinition& definition, std::function<void(WriteBatch&)> also = [](WriteBatch&) {});
  /// The same as part of `batch`; call Show when that is durable.
  static void StagePut(WriteBatch& batch, const v1::StreamDefinition& definition);
  void Show(const v1::StreamDefinition& definition);
  /// Removes a definition as part of `batch`; call Forget when that is durable.
  void StageRemove(WriteBatch& batch, const std::string& name);
  void Forget(const std::string& name);

 private:
  KvStore& store_;
  Committer& committer_;
  mutable absl::Mutex mutex_;
  std::map<std::string, v1::StreamDefinition> streams_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> changes_{0};  // of streams_
};

}  // namespace selvage
