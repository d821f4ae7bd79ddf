#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "fabric/telemetry/http_endpoint.h"

namespace selvage {

/// Whether the process lives and whether it should get work, for /healthz and /readyz. Safe from any thread.
///
/// Live: not live means that only a new process can help, as after a failed store; it stays so.
/// Ready: every part that announced itself as not ready has become ready.
class Health {
 public:
  /// `part` is a word such as "store"; `reason` says what it waits for.
  void SetNotReady(std::string_view part, std::string_view reason);
  void SetReady(std::string_view part);
  /// The process cannot do its work any more; the first failure is kept.
  void SetFailed(const absl::Status& status);

  /// 200 or 503, `{"live":true}` or `{"live":false,"reason":"..."}`.
  HttpReply Live() const;
  /// 200 or 503, `{"ready":false,"reasons":[{"part":"store","reason":"..."}]}`.
  HttpReply Ready() const;

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, std::string, std::less<>> waiting_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage
