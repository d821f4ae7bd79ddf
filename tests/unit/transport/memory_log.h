#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fabric/replication/flow.h"

namespace selvage::test {

/// A log in memory that can be either end of a flow: one offset for each entry. Safe to use from several
/// threads.
class MemoryLog final : public replication::FlowSource, public replication::FlowSink {
 public:
  explicit MemoryLog(std::string name, replication::FlowSettings settings = {});

  const std::string& name() const { return name_; }
  /// At the source. The watcher is called after each entry, in the same thread.
  void Append(std::string body);
  void Watch(std::function<void()> watcher);
  /// At the replica: fails for an entry that does not follow the last.
  absl::StatusOr<LogPosition> AppendReplica(const replication::ReceivedEntry& entry);

  size_t entries() const;
  std::vector<std::string> bodies() const;
  /// Entries that the replica has acknowledged.
  int64_t acknowledged() const;
  /// Waits until there are `count` entries; false when it takes longer than `deadline`.
  bool WaitForEntries(size_t count, absl::Duration deadline) const;
  bool WaitForAcknowledged(int64_t count, absl::Duration deadline) const;

  v1::FlowOpen Describe() override;
  replication::FlowSettings settings() override { return settings_; }
  Offset end() override;
  absl::StatusOr<bool> Continues(const LogPosition& replica) override;
  absl::StatusOr<std::vector<replication::SourceEntry>> Read(Offset from, size_t max_bytes) override;
  absl::StatusOr<LogPosition> BoundaryAtOrBefore(Offset offset) override;
  void Acknowledged(const LogPosition& durable) override;

  LogPosition position() override;
  absl::Status Check(const replication::ReceivedEntry&) override { return absl::OkStatus(); }
  replication::Located Locate(Offset offset) override;

 private:
  struct Entry {
    Bytes body;
    ChainHash hash;
  };
  LogPosition PositionAt(size_t offset) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void Add(std::string body) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string name_;
  const replication::FlowSettings settings_;
  mutable absl::Mutex mutex_;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);
  int64_t acknowledged_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<void()> watcher_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace selvage::test
