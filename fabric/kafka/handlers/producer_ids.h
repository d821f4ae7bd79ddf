#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/random.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"

namespace selvage::kafka {

/// Gives each idempotent producer an id that this node never gave before. Blocks of ids are reserved in the
/// store, so a crash wastes some but repeats none; and a part is random at each start, so that a store that
/// was restored from a backup repeats none either. Safe to use from several threads.
class ProducerIds {
 public:
  /// `store` and `committer` must outlive it.
  ProducerIds(KvStore& store, Committer& committer, Random& random);

  /// Waits for the disk now and then. Errors: those of the committer, "corrupt_meta".
  absl::StatusOr<int64_t> Next();

 private:
  absl::Status Reserve() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  KvStore& store_;
  Committer& committer_;
  const uint64_t prefix_;
  absl::Mutex mutex_;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t reserved_ ABSL_GUARDED_BY(mutex_) = 0;  // ids below it are this process's
};

}  // namespace selvage::kafka
