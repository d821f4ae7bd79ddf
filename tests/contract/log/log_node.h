#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/storage/committer.h"
#include "fabric/stream/embedded_log_store.h"
#include "fabric/stream/record_batch.h"
#include "fabric/stream/synced_ends.h"

namespace selvage {

/// A clock that stands still until it is told otherwise.
class FakeClock : public Clock {
 public:
  absl::Duration Monotonic() override {
    absl::MutexLock lock(&mutex_);
    return monotonic_;
  }
  absl::Time Wall() override {
    absl::MutexLock lock(&mutex_);
    return wall_;
  }
  void Advance(absl::Duration by) {
    absl::MutexLock lock(&mutex_);
    monotonic_ += by;
    wall_ += by;
  }
  void JumpTo(absl::Time wall) {
    absl::MutexLock lock(&mutex_);
    wall_ = wall;
  }

 private:
  absl::Mutex mutex_;
  absl::Duration monotonic_ = absl::Hours(5);
  absl::Time wall_ = absl::FromUnixSeconds(1'780'000'000);
};

inline constexpr size_t kAll = size_t{1} << 30;

/// A batch as a producer sends it: `records` records of `value_bytes` each, the last with the given
/// timestamp.
inline std::string ProducedBatch(int records = 1, size_t value_bytes = 10, int64_t timestamp = 1000) {
  BatchBuilder builder;
  for (int i = 0; i < records; ++i) {
    builder.Add({Offset(0), timestamp - (records - 1 - i), std::nullopt, std::string(value_bytes, 'v'), {}});
  }
  return builder.Build();
}

inline LogId IdOf(int n) {
  std::string bytes(16, '\x11');
  bytes[15] = static_cast<char>(n);
  return *LogId::FromBytes(bytes);
}

/// What would be written as acknowledged ends.
inline std::map<LogNumber, Offset> EndsOf(EmbeddedLogStore& logs) {
  SyncedEnds ends(logs, {});
  ends.Update();
  return ends.ends();
}

template <class T>
std::string KindOfError(const absl::StatusOr<T>& result) {
  return ErrorKind(result.status());
}
inline std::string KindOfError(const absl::Status& status) {
  return ErrorKind(status);
}

/// What a node's logs need, over a store that may live longer than the node; the committer is driven by hand.
class LogNode {
 public:
  using Problems = std::vector<EmbeddedLogStore::OpenProblem>;

  explicit LogNode(KvStore& store, FakeClock& clock,
                   const std::map<LogNumber, Offset>& acknowledged_ends = {}, DiskBudget::Limits limits = {},
                   size_t cache_bytes = 1 << 20, Committer::Options commit = {})
      : budget_(limits),
        committer_(store, std::move(commit)),
        cache_(cache_bytes),
        ages_(clock),
        logs_(LogEnvironment{store, committer_, clock, ages_, cache_, budget_, fences_}) {
    auto problems = logs_.Open(acknowledged_ends);
    EXPECT_TRUE(problems.ok()) << problems.status();
    if (problems.ok()) problems_ = *std::move(problems);
  }

  ~LogNode() { committer_.FailWaiting(); }

  EmbeddedLogStore& logs() { return logs_; }
  AgeClock& ages() { return ages_; }
  Committer& committer() { return committer_; }
  TailCache& cache() { return cache_; }
  DiskBudget& budget() { return budget_; }
  FenceTable& fences() { return fences_; }
  const Problems& problems() const { return problems_; }
  void CommitAll() {
    while (committer_.CommitOnce()) CheckInvariants();
  }

  EmbeddedLog& Create(LogOrigin origin, int id = 1, LogPosition base = {},
                      LeaderEpoch epoch = LeaderEpoch(0)) {
    auto log = logs_.Create({.origin = std::move(origin),
                             .id = IdOf(id),
                             .base = base.offset,
                             .base_hash = base.hash,
                             .leader_epoch = epoch});
    SELVAGE_CHECK(log.ok());
    return *logs_.FindEmbedded((*log)->number());
  }
  EmbeddedLog& Source(int id = 1) { return Create(LogOrigin{"", Slot(0), "sensors", PartitionId(0)}, id); }
  EmbeddedLog& Replica(int id = 1, LogPosition base = {}) {
    return Create(LogOrigin{"rig", Slot(3), "sensors", PartitionId(0)}, id, base);
  }

  absl::StatusOr<LogPosition> Append(Log& log, std::string batch) {
    SELVAGE_ASSIGN_OR_RETURN(const Appended appended, Produce(log, std::move(batch)));
    return appended.end;
  }
  absl::StatusOr<Appended> Produce(Log& log, std::string batch) {
    return Await<Appended>([&](ProduceDone done) { return log.Append(std::move(batch), std::move(done)); });
  }
  absl::StatusOr<LogPosition> AppendGap(Log& log, Offset to, GapReason reason = GapReason::kCorrupt) {
    return Await<LogPosition>([&](AppendDone done) { return log.AppendGap(to, reason, std::move(done)); });
  }
  void RaiseFence(const Fence& fence) {
    ASSERT_TRUE(Commit(committer_, [&](WriteBatch&) {
                  fences_.Raise(fence);
                  return absl::OkStatus();
                }).ok());
  }
  absl::StatusOr<LogPosition> AppendReplica(Log& log, FlowEntry entry,
                                            Fence fence = {"rig", SessionEpoch(1)}) {
    return Await<LogPosition>(
        [&](AppendDone done) { return log.AppendReplica(std::move(entry), fence, std::move(done)); });
  }

 private:
  template <class Outcome, class Submit>
  absl::StatusOr<Outcome> Await(Submit submit) {
    std::optional<absl::StatusOr<Outcome>> outcome;
    absl::Status queued = submit([&](const absl::StatusOr<Outcome>& answer) { outcome = answer; });
    if (!queued.ok()) return queued;
    while (!outcome) committer_.CommitOnce();
    CheckInvariants();
    return *outcome;
  }
  void CheckInvariants() {
    for (const auto& log : logs_.Logs()) EXPECT_EQ(log->CheckInvariants(), absl::OkStatus());
  }

  DiskBudget budget_;  // before the committer: what waits there has a charge
  Committer committer_;
  TailCache cache_;
  FenceTable fences_;
  AgeClock ages_;
  EmbeddedLogStore logs_;
  Problems problems_;
};

inline FlowEntry ToReplica(const Entry& entry) {
  return {entry.kind, entry.from, entry.to, entry.body};
}

/// All entries of a log from its start, as the disk has them.
inline std::vector<Entry> AllEntries(Log& log) {
  auto entries = log.Read(log.state().start, kAll, /*from_disk=*/true);
  EXPECT_TRUE(entries.ok()) << entries.status();
  return entries.ok() ? *entries : std::vector<Entry>();
}

/// "[0,3)batch [3,7)gap:expired" and so on.
inline std::string Shape(const std::vector<Entry>& entries) {
  std::string shape;
  for (const Entry& entry : entries) {
    if (!shape.empty()) shape += " ";
    shape += "[" + std::to_string(entry.from.value()) + "," + std::to_string(entry.to.value()) + ")";
    if (entry.kind == EntryKind::kBatch) {
      shape += "batch";
    } else {
      shape += "gap:" + std::string(GapReasonName(DecodeGap(entry.body.view())->reason));
    }
  }
  return shape;
}

}  // namespace selvage
