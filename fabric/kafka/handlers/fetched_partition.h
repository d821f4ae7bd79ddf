#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fabric/kafka/handlers/call.h"
#include "fabric/kafka/handlers/topics.h"
#include "fabric/kafka/protocol/fetch.h"

namespace selvage::kafka {

class FetchedPartition;

/// The partitions that are worth a look: what committers tell fetches. Safe to use from several threads.
class ReadyPartitions {
 public:
  /// Each partition is in the list once.
  void Add(FetchedPartition& partition);
  std::vector<FetchedPartition*> Take();
  /// `waiter` is raised with every Add from here on; null for nobody.
  void SetWaiter(std::shared_ptr<Signal> waiter);
  bool empty() const;

 private:
  mutable absl::Mutex mutex_;
  std::vector<FetchedPartition*> ready_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Signal> waiter_ ABSL_GUARDED_BY(mutex_);
};

/// A partition that one client fetches, and what the client was told of it. On the strand of the call that
/// has it.
class FetchedPartition {
 public:
  using Asked = FetchRequest::Topic::Partition;
  using Row = FetchResponse::Topic::Partition;

  /// `ready` must outlive it.
  FetchedPartition(std::string topic, int32_t partition, ReadyPartitions& ready)
      : topic_(std::move(topic)), partition_(partition), ready_(ready) {}
  ~FetchedPartition() { Unwatch(); }
  FetchedPartition(const FetchedPartition&) = delete;
  FetchedPartition& operator=(const FetchedPartition&) = delete;

  const std::string& topic() const { return topic_; }
  int32_t partition() const { return partition_; }

  /// Where and how much the client wants to read.
  void Ask(const Asked& asked) { asked_ = asked; }
  enum class Place {
    kFound,
    kAbsent,     ///< no log, and none until the topics change
    kUncertain,  ///< an error, or a log that was superseded: look again soon
  };
  /// Finds the log, or the one that took its place; ready when that is news.
  Place Resolve(Topics& topics);
  bool has_log() const { return log_ != nullptr; }
  /// The log was superseded: Resolve is to look for the one that took its place. Until there is one, it is
  /// read on.
  bool outdated() const { return log_ != nullptr && log_->superseded(); }
  /// From here on the ready list hears of every growth of the log.
  void Watch();
  void Unwatch();

  struct Found {
    Row row;
    size_t bytes = 0;
    bool more = false;  ///< there is more to read than was taken
  };
  /// What there is to say, with at most `bytes_max` of records; a first batch that is larger is taken if
  /// `first`.
  Found Read(size_t bytes_max, bool first);
  /// Whether the row says what the client does not know yet.
  bool IsNews(const Row& row) const;
  /// The row is sent.
  void Told(const Row& row);

 private:
  friend class ReadyPartitions;
  absl::Status ReadBatches(size_t bytes_max, bool first, Found& found);

  const std::string topic_;
  const int32_t partition_;
  ReadyPartitions& ready_;
  bool is_ready_ = false;  // in the list; guarded by its mutex
  Asked asked_;
  std::shared_ptr<Log> log_;
  absl::Status unresolved_;
  std::optional<int> watch_;
  int64_t told_high_watermark_ = -1;
  int64_t told_log_start_ = -1;
};

}  // namespace selvage::kafka
