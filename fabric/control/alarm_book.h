#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/clock.h"
#include "fabric/storage/committer.h"
#include "selvage/v1/stream.pb.h"

namespace selvage {

/// What an operator should know or decide, kept over restarts. One open alarm for each (kind, subject):
/// raising it again counts. Safe to use from several threads, but not from the committer's.
class AlarmBook {
 public:
  struct Raise {
    std::string_view kind;  ///< a stable word
    std::string subject;    ///< what it is about
    std::string message;
    std::string hint;
    bool needs_operator = false;  ///< something is held until it is resolved
  };
  /// Acts on an operator's word; an error keeps the alarm open.
  using Resolver = std::function<absl::Status(const v1::AlarmDocument&, const std::string& action)>;

  AlarmBook(KvStore& store, Committer& committer, Clock& clock)
      : store_(store), committer_(committer), clock_(clock) {}

  absl::Status Open();
  /// The node's name, shown as the origin of its alarms.
  void set_origin(std::string origin) { origin_ = std::move(origin); }
  /// `resolver` runs when an alarm of this kind is resolved. Set up before the first alarm can be resolved.
  void OnResolve(std::string kind, Resolver resolver) { resolvers_[std::move(kind)] = std::move(resolver); }

  void Report(const Raise& raise);
  /// Errors: "unknown_alarm", or the resolver's.
  absl::StatusOr<v1::AlarmDocument> Resolve(uint64_t id, const std::string& action);
  /// Ends an alarm because its cause is gone; nothing happens if there is none.
  void Clear(std::string_view kind, const std::string& subject);

  /// Ends the open alarms of this kind whose subject `stays` denies: their causes are gone.
  void ClearExcept(std::string_view kind, const std::function<bool(const std::string& subject)>& stays);

  std::vector<v1::AlarmDocument> All(bool also_resolved) const;
  int open_count() const;

 private:
  absl::Status Store(const v1::AlarmDocument& alarm);

  KvStore& store_;
  Committer& committer_;
  Clock& clock_;
  std::string origin_;
  std::map<std::string, Resolver> resolvers_;
  mutable absl::Mutex mutex_;
  std::map<uint64_t, v1::AlarmDocument> alarms_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace selvage
