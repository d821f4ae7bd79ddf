#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
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
/// raising it again counts. Safe to use from several threads; Open and Resolve wait for the committer, so not
/// from its own.
class AlarmBook {
 public:
  struct Raise {
    std::string_view kind;  ///< a stable word
    std::string subject;    ///< what it is about
    std::string message;
    std::string hint;
    bool needs_operator = false;  ///< something is held until it is resolved
    /// Whose doing it is: an edge's id, or kCoreOrigin; empty: this node's own. What a peer says can make
    /// alarms without end, so only kOpenOfPeerMax of a peer are open at a time; further ones are counted, and
    /// one alarm says so.
    std::string peer = {};
  };
  static constexpr size_t kOpenOfPeerMax = 100;
  /// Kind of the alarm that stands for those of a peer that were left out. Its subject is the peer.
  static constexpr std::string_view kLeftOut = "alarms_left_out";

  /// Acts on an operator's word; an error keeps the alarm open.
  using Resolver = std::function<absl::Status(const v1::AlarmDocument&, const std::string& action)>;

  AlarmBook(KvStore& store, Committer& committer, Clock& clock)
      : store_(store), committer_(committer), clock_(clock) {}

  absl::Status Open();
  /// The node's name, shown as the origin of its alarms.
  void set_origin(std::string origin) { origin_ = std::move(origin); }
  /// `resolver` runs when an alarm of this kind is resolved. Set up before the first alarm can be resolved.
  void OnResolve(std::string kind, Resolver resolver) { resolvers_[std::move(kind)] = std::move(resolver); }

  /// Runs for an alarm of a peer that holds something and has no resolver of its own.
  void OnResolveHeldOfPeer(Resolver resolver) { of_peer_ = std::move(resolver); }

  /// Shown at once, stored without waiting for it: in the committer's order, so before whatever its caller
  /// commits next. Texts are cut to what a document can hold.
  void Report(const Raise& raise);
  /// Errors: "unknown_alarm", or the resolver's.
  absl::StatusOr<v1::AlarmDocument> Resolve(uint64_t id, const std::string& action);
  /// Ends an alarm because its cause is gone; nothing happens if there is none. Stored as by Report.
  void Clear(std::string_view kind, const std::string& subject);
  /// Ends every open alarm of a peer that is gone for good.
  void ClearOfPeer(const std::string& peer);
  /// Ends what is held of a peer, of any kind, where `goes_on` says so of the subject.
  void ClearHeldOfPeer(const std::string& peer,
                       const std::function<bool(const std::string& subject)>& goes_on);
  /// Ends the open alarms of this kind whose subject `stays` denies: their causes are gone.
  void ClearExcept(std::string_view kind, const std::function<bool(const std::string& subject)>& stays);
  bool IsOpen(std::string_view kind, const std::string& subject) const;
  /// What the open alarms of this kind are about that are a peer's doing; of an empty one: this node's own.
  std::set<std::string> OpenSubjects(std::string_view kind, const std::string& peer) const;

  std::vector<v1::AlarmDocument> All(bool also_resolved) const;
  int open_count() const;
  /// Grows with every change of an alarm.
  uint64_t changes() const { return changes_; }
  size_t open_of_peer(const std::string& peer) const;
  /// Alarms of peers that were left out since the start.
  uint64_t left_out() const;

 private:
  using Key = std::pair<std::string, std::string>;  // kind, subject

  static Key KeyOf(std::string_view kind, std::string_view subject);
  void Take(const Raise& raise, const Key& key, int64_t now_ms) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint64_t AddOpen(const Key& key, std::string_view peer, int64_t now_ms)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndAll(const std::function<bool(const v1::AlarmDocument&)>& which)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteChange(uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Has what changed written, unless that is on its way already.
  void StoreSoon();
  absl::Status StageChanged(WriteBatch& batch);

  KvStore& store_;
  Committer& committer_;
  Clock& clock_;
  std::string origin_;
  std::map<std::string, Resolver> resolvers_;
  Resolver of_peer_;
  mutable absl::Mutex mutex_;
  std::map<uint64_t, v1::AlarmDocument> alarms_ ABSL_GUARDED_BY(mutex_);
  std::map<Key, uint64_t> open_ ABSL_GUARDED_BY(mutex_);
  std::set<uint64_t> resolved_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, size_t> open_of_peer_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t left_out_ ABSL_GUARDED_BY(mutex_) = 0;
  std::set<uint64_t> changed_ ABSL_GUARDED_BY(mutex_);  // to be written; one that is gone is to be deleted
  std::atomic<uint64_t> changes_{0};
  bool storing_ ABSL_GUARDED_BY(mutex_) = false;  // a task that writes them waits in the committer's queue
};

}  // namespace selvage
