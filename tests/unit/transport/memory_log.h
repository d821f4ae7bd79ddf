#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fabric/replication/flow.h"

namespace selvage::test {

/// A log in memory that can be either end of a flow: one offset for each entry. Safe to use from several
/// threads.
class MemoryLog final : public replication::FlowSource,
                        public replication::FlowSink,
                        public replication::History {
 public:
  explicit MemoryLog(std::string name, replication::FlowSettings settings = {});

  const std::string& name() const { return name_; }
  /// At the source. The watcher is called after each entry, in the same thread.
  void Append(std::string body);
  void Watch(std::function<void()> watcher);
  /// At the replica: fails for an entry that does not follow the last.
  absl::StatusOr<replication::FlowPosition> AppendReplica(const FlowEntry& entry);

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
  absl::StatusOr<std::vector<FlowEntry>> Read(Offset from, size_t max_bytes) override;
  void Acknowledged(const replication::FlowPosition& durable) override;

  replication::FlowPosition position() override;
  absl::Status Check(const FlowEntry&) override { return absl::OkStatus(); }
  void Persist(FlowEntry entry, Done done) override;

  replication::History* history() override { return this; }
  absl::StatusOr<bool> Continues(const replication::FlowPosition& replica) override;
  absl::StatusOr<replication::FlowPosition> FirstBoundary() override { return BoundaryAtOrBefore(Offset(0)); }
  absl::StatusOr<replication::FlowPosition> BoundaryAtOrBefore(Offset offset) override;
  Offset LastAcknowledged() override { return Offset(0); }
  replication::Located Locate(Offset offset) override;

 private:
  struct Entry {
    Bytes body;
    ChainHash hash;
  };
  replication::FlowPosition PositionAt(size_t offset) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void Add(std::string body) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string name_;
  const replication::FlowSettings settings_;
  mutable absl::Mutex mutex_;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);
  int64_t acknowledged_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<void()> watcher_ ABSL_GUARDED_BY(mutex_);
};

/// Persists into a log wherever `run` has it done, once, at once or later.
class ElsewhereSink final : public replication::FlowSink {
 public:
  using Run = std::function<void(std::function<void()> work)>;

  /// `log` must outlive what was handed to `run`.
  ElsewhereSink(MemoryLog& log, Run run) : log_(log), run_(std::move(run)) {}

  replication::FlowPosition position() override { return log_.position(); }
  absl::Status Check(const FlowEntry& entry) override { return log_.Check(entry); }
  void Persist(FlowEntry entry, Done done) override {
    run_([&log = log_, entry = std::move(entry), done = std::move(done)] { log.Persist(entry, done); });
  }
  replication::History* history() override { return log_.history(); }

 private:
  MemoryLog& log_;
  const Run run_;
};

}  // namespace selvage::test
