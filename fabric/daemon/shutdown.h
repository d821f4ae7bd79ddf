#pragma once

#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace selvage {

/// Why and when a daemon ends: SIGTERM or SIGINT, or a failure that only a new process can mend.
/// Make it before any other thread, so that all of them leave the signals to Wait.
class Shutdown {
 public:
  Shutdown();

  /// The node cannot go on; the first failure counts. From any thread.
  void Fail(const absl::Status& why);
  /// Blocks until a signal came (OK) or Fail was called (its error).
  absl::Status Wait();

 private:
  absl::Mutex mutex_;
  std::optional<absl::Status> failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage
