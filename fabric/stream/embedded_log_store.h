#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "fabric/stream/embedded_log.h"
#include "fabric/stream/log_changes.h"
#include "fabric/stream/log_store.h"

namespace selvage {

/// The logs of a node in its own store. Opening (embedded_log_store_open.cc) reads the document, the last
/// entry and the producers of each log, so it does not depend on how much they hold.
///
/// A log is shared by this, as long as it is not deleted or renamed, and by whoever holds it beyond a call;
/// the last one frees it, on any thread. None may be used when this is gone, since logs use what is here and
/// in the environment: links, servers and committer threads end before, and what still waits in the committer
/// is failed (Committer::FailWaiting). To be freed late does no harm, as when a client's request hangs over
/// the end of a daemon; but in a development build the destructor takes it for a fault, and ends the process.
class EmbeddedLogStore : public LogStore {
 public:
  /// A log that cannot be served as it is; it stays held until an operator decides.
  struct OpenProblem {
    LogNumber number;
    std::shared_ptr<EmbeddedLog> log;  ///< null for a log that is gone altogether
    absl::Status what;
    Offset acknowledged_end;  ///< everything before it was acknowledged or stored: what
                              ///< EmbeddedLog::AcceptLoss is to cover
  };
  /// Keys of entries that are gone, and the bytes they held.
  struct DeletedLog {
    LogNumber number;
    uint64_t bytes = 0;
  };

  /// What is in the environment must outlive this.
  explicit EmbeddedLogStore(const LogEnvironment& env) : env_(env) {}
  ~EmbeddedLogStore() override;

  /// Reads all logs. `acknowledged_ends` is the separately synced watermark (storage/acked_ends.h): a log
  /// that holds less is held with a problem, never served as if it were whole; one that is gone, though it
  /// was not deleted, is a problem too. Call once, before anything else.
  absl::StatusOr<std::vector<OpenProblem>> Open(const std::map<LogNumber, Offset>& acknowledged_ends);

  absl::StatusOr<std::shared_ptr<Log>> Create(const CreateLog& create) override;
  std::shared_ptr<Log> Find(const LogOrigin& origin) override { return FindEmbedded(origin); }
  std::shared_ptr<Log> FindNumber(LogNumber number) override { return FindEmbedded(number); }
  std::vector<std::shared_ptr<Log>> All() override;
  uint64_t changes() const override { return changes_; }
  std::vector<std::shared_ptr<Log>> ChangedSince(uint64_t& seen) override;
  absl::StatusOr<int> DeleteStream(const std::string& stream, const Also& also) override;
  absl::Status BranchAll(const std::vector<Branching>& logs, const Also& also) override;
  absl::Status AdoptAll(const std::vector<Adoption>& adoptions, const Also& also) override;
  void StageAcknowledged(WriteBatch& batch) override;
  absl::StatusOr<std::vector<LostRange>> Losses() override;

  // Logs as what they are here, for who looks after the store that they are in.
  std::shared_ptr<EmbeddedLog> FindEmbedded(const LogOrigin& origin);
  std::shared_ptr<EmbeddedLog> FindEmbedded(LogNumber number);
  std::vector<std::shared_ptr<EmbeddedLog>> Logs();

  /// Gives the logs of a stream another stream's name, with all they hold, and writes what `also` stages, all
  /// or nothing. Durable when it returns; each log is another object from then on, and the former one is
  /// closed, as if it were deleted. There must be no log of that name, and nobody else makes or deletes logs
  /// of the two. Error: that of a log that is held.
  absl::Status RenameStream(const std::string& from, const std::string& to, const Also& also);
  /// What of the keys of entries in [from, to) is alive. Reads all of them: kDataLoss where one is damaged.
  absl::StatusOr<LiveKeys> LiveEntries(std::string_view from, std::string_view to);
  /// Stores what peers acknowledged since the last call.
  absl::Status FlushAcknowledged();
  /// Given to every log, present and future; see EmbeddedLog::set_make_room. Call before Open.
  void set_make_room(EmbeddedLog::MakeRoom make_room) { make_room_ = std::move(make_room); }
  /// The logs in memory: those of the store, and what is still held of deleted and renamed ones.
  int live() const { return *live_; }
  /// Logs deleted since the last call: their space waits to be reclaimed.
  std::vector<DeletedLog> TakeDeleted();

 private:
  absl::Status OpenLog(const v1::StoredLog& document, const std::map<LogNumber, Offset>& acknowledged_ends,
                       std::vector<OpenProblem>& problems);
  /// What the store holds of the producers of these logs, in keys from `from` up to `to`.
  absl::Status LoadProducers(const std::map<LogNumber, std::shared_ptr<EmbeddedLog>>& logs,
                             std::string_view from, std::string_view to);
  /// The log as `document` says, which was just stored.
  absl::StatusOr<std::shared_ptr<EmbeddedLog>> Renamed(EmbeddedLog& log, const v1::StoredLog& document);
  absl::StatusOr<std::shared_ptr<Log>> MakeCurrent(const std::shared_ptr<EmbeddedLog>& log,
                                                   const std::shared_ptr<EmbeddedLog>& former);
  /// A log that is counted as long as it lives.
  std::shared_ptr<EmbeddedLog> MakeLog(LogNumber number, LogOrigin origin, LogState state,
                                       std::optional<Offset> acknowledged, bool superseded);
  /// A log with the next number; part of the store once it is added.
  std::shared_ptr<EmbeddedLog> NewLog(const CreateLog& create);
  /// Stages the number after that of `newest`, the newest log.
  static void StageNextNumber(WriteBatch& batch, const EmbeddedLog& newest);
  void FindVanished(const std::map<LogNumber, Offset>& acknowledged_ends, std::vector<OpenProblem>& problems);
  /// They are not the store's any more.
  void Remove(const std::vector<std::shared_ptr<EmbeddedLog>>& logs) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Add(std::shared_ptr<EmbeddedLog> log) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const LogEnvironment env_;
  LogChanges log_changes_;
  EmbeddedLog::MakeRoom make_room_;
  absl::Mutex create_mutex_;  // one creation or deletion at a time; taken before mutex_
  absl::Mutex mutex_;
  std::vector<std::shared_ptr<EmbeddedLog>> logs_ ABSL_GUARDED_BY(mutex_);
  std::vector<DeletedLog> to_reclaim_ ABSL_GUARDED_BY(mutex_);
  std::map<LogOrigin, std::shared_ptr<EmbeddedLog>> current_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<LogNumber, std::shared_ptr<EmbeddedLog>> by_number_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> changes_{0};  // of current_
  /// Logs may be freed after this.
  const std::shared_ptr<std::atomic<int>> live_ = std::make_shared<std::atomic<int>>(0);
  uint32_t next_number_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::Mutex flush_mutex_;                             // one FlushAcknowledged at a time
  uint64_t flushed_ ABSL_GUARDED_BY(flush_mutex_) = 0;  // changes of which the acknowledgements are stored
};

}  // namespace selvage
