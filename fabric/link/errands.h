#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fabric/replication/session.h"

namespace selvage {

/// What one link has done elsewhere because it may wait for the disk: one errand after the other, in their
/// order. The threads of the links serve all links, so none of them may wait. Add, Begin and Apply are the
/// link's, one call at a time.
class Errands : public std::enable_shared_from_this<Errands> {
 public:
  /// Runs what it is given, at once or on another thread.
  using Runner = std::function<void(std::function<void()>)>;
  /// What is to be done with the session when an errand is back.
  using Then = std::function<void(replication::Session&)>;
  /// Must refer to nothing that ends with the link. Gives what comes next; may be empty.
  using Errand = std::function<Then()>;
  /// Says that an errand is back; may be called on any thread.
  using Back = std::function<void(Then)>;

  static Runner AtOnce();

  /// `wake` is called, on any thread, when an errand is back: Apply is to be called then.
  Errands(Runner run, std::function<void()> wake) : run_(std::move(run)), wake_(std::move(wake)) {}

  void Add(Errand errand) ABSL_LOCKS_EXCLUDED(mutex_);
  /// The same for an errand that somebody else ends: `begin` hands on what it is given, which is then called
  /// once. The next errand begins after that.
  void Begin(std::function<void(Back)> begin) ABSL_LOCKS_EXCLUDED(mutex_);
  /// Cheap when nothing is back.
  void Apply(replication::Session& session) ABSL_LOCKS_EXCLUDED(mutex_);
  /// For the errand under way: what it found ends the link, so none is begun behind it. What comes of it is
  /// still applied.
  void BeginNoOthers() ABSL_LOCKS_EXCLUDED(mutex_);
  /// The link ended: errands that were not begun are dropped, and what comes of the one under way is, too.
  void Drop() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void RunOne() ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeBack(Then then) ABSL_LOCKS_EXCLUDED(mutex_);

  const Runner run_;
  const std::function<void()> wake_;
  std::atomic<bool> any_back_{false};
  absl::Mutex mutex_;
  std::deque<std::function<void(Back)>> waiting_ ABSL_GUARDED_BY(mutex_);
  std::vector<Then> back_ ABSL_GUARDED_BY(mutex_);
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  bool begins_others_ ABSL_GUARDED_BY(mutex_) = true;
  bool dropped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace selvage
