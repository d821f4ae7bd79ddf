#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/ids.h"
#include "fabric/link/call_flows.h"

namespace selvage {

/// The links that are up now: one of each edge counts, the one that was admitted last. Nothing of it is
/// stored. Safe to use from several threads; what a link gave to be called is called without the mutex, so
/// perhaps after the link has ended.
class EdgeLinks {
 public:
  /// How a link is reached from any thread.
  struct Handle {
    std::function<void()> close;  ///< ends it
    std::function<void()> wake;
    NodeCaller call = {};  ///< of the admin service at its other end
  };
  struct Up {
    uint64_t number;
    std::set<LogNumber> open_flows;  ///< logs of the edge that this end takes entries of
  };

  /// This link counts from here on, and the one before it ends. Its number; 0 when a link that was admitted
  /// later is there already: then this one must end.
  uint64_t Linked(const std::string& edge, SessionEpoch epoch, Handle handle);
  /// Whether it still counted.
  bool Unlinked(const std::string& edge, uint64_t link);
  /// Whether this link takes entries of a log of its edge now.
  void SetFlowOpen(const std::string& edge, uint64_t link, LogNumber log, bool open);

  bool Counts(const std::string& edge, uint64_t link) const;
  bool IsUp(const std::string& edge) const;
  std::optional<Up> Find(const std::string& edge) const;
  /// Null while there is no link.
  NodeCaller CallerOf(const std::string& edge) const;
  int count() const;

  /// Ends the edge's link, so that it dials again and offers everything anew.
  void Close(const std::string& edge) const;
  void CloseAll() const;
  void Wake(const std::string& edge) const;
  void WakeAll() const;

 private:
  struct Link {
    uint64_t number;
    SessionEpoch epoch;
    Handle handle;
    std::set<LogNumber> open_flows{};
  };
  const Link* FindLocked(const std::string& edge) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void Call(std::function<void()> Handle::*what, const std::string& edge) const;
  void CallAll(std::function<void()> Handle::*what) const;

  mutable absl::Mutex mutex_;
  std::map<std::string, Link> links_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_link_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace selvage
