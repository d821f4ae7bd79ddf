#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fabric/base/clock.h"
#include "fabric/base/random.h"
#include "fabric/kafka/group/coordinator.h"
#include "fabric/kafka/group_service/stored_documents.h"
#include "fabric/node/alarm_book.h"
#include "fabric/node/node_streams.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"
#include "fabric/stream/age_clock.h"
#include "fabric/stream/disk_budget.h"
#include "fabric/stream/log_store.h"
#include "fabric/stream/stream_catalog.h"

namespace selvage {
class NodeState;
}

namespace selvage::kafka {

/// The consumer groups of a node: runs the coordinator, writes through the committer what it wants kept, and
/// answers after the sync. Safe to use from several threads; nothing waits for the disk.
///
/// Requests that may have to wait take a callback, which is called once, on any thread, perhaps before the
/// method returns, and must neither block nor call the service. Time passes only in Tick: a GroupTimer calls
/// it in the daemons, a simulation by itself.
class GroupService {
 public:
  template <class Body>
  using Done = std::function<void(Body)>;

  /// What it uses of the node, which is open. All of it must outlive it; the committer may finish tasks later
  /// than the service lives.
  struct Parts {
    KvStore& store;
    Committer& committer;
    Clock& clock;
    Random& random;
    LogStore& logs;
    AgeClock& ages;
    const StreamCatalog& catalog;
    AlarmBook& alarms;
    DiskBudget& budget;
    NodeStreams& streams;
  };
  static Parts PartsOf(NodeState& node);

  explicit GroupService(const Parts& parts, const group::Settings& settings = {});
  /// Stops.
  ~GroupService();
  GroupService(const GroupService&) = delete;
  GroupService& operator=(const GroupService&) = delete;

  /// Takes over what is stored; once, before anything else. What cannot be read or understood is left out,
  /// with the alarm "group_damaged". Errors: those of the store but kDataLoss.
  absl::Status Open();

  group::RequestId Join(group::JoinRequest request, Done<group::JoinAnswer> done);
  group::RequestId Sync(group::SyncRequest request, Done<group::SyncAnswer> done);
  group::RequestId Leave(group::LeaveRequest request, Done<group::LeaveAnswer> done);
  group::RequestId Commit(group::CommitRequest request, Done<group::CommitAnswer> done);
  group::RequestId DeleteOffsets(group::DeleteOffsetsRequest request, Done<group::DeleteOffsetsAnswer> done);
  group::RequestId DeleteGroups(const std::vector<std::string>& groups, Done<group::DeleteGroupsAnswer> done);
  /// A stream is gone, and with it what was committed for it and for its origin topics: another stream of
  /// that name would be read from where this one was.
  void ForgetStream(const std::string& stream);
  /// Whoever waited is gone: the callback is dropped, unless it is being called. The request itself takes its
  /// course.
  void Forget(group::RequestId request);

  ErrorCode Heartbeat(const group::HeartbeatRequest& request);
  std::vector<group::CommittedOffset> Fetch(std::string_view group,
                                            const std::vector<group::TopicPartition>& partitions) const;
  std::vector<std::pair<group::TopicPartition, group::CommittedOffset>> FetchAll(
      std::string_view group) const;
  group::GroupDescription Describe(std::string_view group) const;
  std::vector<group::GroupListing> List(const std::vector<std::string>& states,
                                        const std::vector<std::string>& types) const;

  /// Does what is due.
  void Tick();
  /// By the node's monotonic clock.
  absl::Duration NextDeadline() const;
  /// Blocks until Tick has something to do (true), or it is stopped (false).
  bool WaitForDeadline();

  /// Answers all that waits, and everything from here on, with COORDINATOR_NOT_AVAILABLE. When it returns,
  /// callbacks run only within calls of the service.
  void Stop();

  size_t bytes() const;

 private:
  using Body = decltype(group::Answer::body);
  struct Waiting {
    std::function<void(Body)> done;
    Body when_stopped;
  };
  using Calls = std::vector<std::pair<std::function<void(Body)>, Body>>;
  class WriteTask;
  struct Outlet;

  template <class Answer, class Enter>
  group::RequestId Ask(Done<Answer> done, Answer when_stopped, Enter enter);
  group::Instant Now() const;
  absl::Status GiveUp(const UnreadableDocuments& unreadable) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Restore(std::string_view key, std::string_view value) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Hands over what is to be written; what may be answered.
  Calls TakeReady() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<DiskCharge> Admit(const group::Persist& persist);
  void Submit(group::Persist persist) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Tells the coordinator the outcomes that are known, in order; false when there was none.
  bool TellOutcomes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Written(group::PersistId id, const absl::Status& outcome);
  static void Give(Calls calls);
  bool DeadlineMovedOrStopped() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Parts parts_;
  const std::shared_ptr<Outlet> outlet_;

  mutable absl::Mutex mutex_;
  group::Coordinator coordinator_ ABSL_GUARDED_BY(mutex_);
  std::map<group::RequestId, Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  group::RequestId last_request_ ABSL_GUARDED_BY(mutex_) = 0;
  struct UnderWay {
    group::PersistId id;
    std::optional<absl::Status> outcome;
  };
  std::deque<UnderWay> under_way_ ABSL_GUARDED_BY(mutex_);  // in the order in which the coordinator asked
  absl::Duration awaited_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();  // by WaitForDeadline
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

/// The thread that calls Tick when it is due.
class GroupTimer {
 public:
  explicit GroupTimer(GroupService& service);
  /// Stops the service.
  ~GroupTimer();

 private:
  GroupService& service_;
  std::thread thread_;
};

}  // namespace selvage::kafka
