#pragma once

#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "tests/e2e/daemon.h"
#include "tests/support/record_checker.h"

namespace selvage::test {

/// What is found at the core, judged against what was acknowledged at the edges.
struct LoadReport {
  CheckReport check;
  /// Records of one content found at several offsets: nothing here is ever sent twice.
  uint64_t repeated = 0;
  uint64_t gaps = 0;

  bool ok() const { return check.ok() && repeated == 0 && gaps == 0; }
  std::string Describe() const;
};

/// Producers that write to partitions of edges, a thread for each, as fast as `pause` lets them: batches of
/// one record up to `batch_bytes_max`, some compressed. A batch whose answer is an error or never comes
/// counts as not acknowledged, and is not sent again. Edges may come and go meanwhile.
class Load {
 public:
  struct Target {
    Daemon* edge = nullptr;
    std::string edge_name;
    std::string stream;
    int32_t partition = 0;
  };
  struct Options {
    size_t batch_bytes_max = 900u << 10;
    absl::Duration pause_max = absl::Milliseconds(40);
    uint64_t seed = 1;
  };

  Load(std::vector<Target> targets, Options options);
  ~Load() { Stop(); }

  /// Returns when all producers have ended.
  void Stop();
  uint64_t acknowledged() const { return acknowledged_; }
  uint64_t unknown() const { return unknown_; }

  /// Reads all partitions at the core. After Stop.
  absl::StatusOr<LoadReport> Check(Daemon& core) const;

 private:
  void Run(const Target& target, uint64_t seed);

  const std::vector<Target> targets_;
  const Options options_;
  absl::Notification stopping_;
  std::atomic<uint64_t> acknowledged_{0};
  std::atomic<uint64_t> unknown_{0};
  mutable absl::Mutex mutex_;
  RecordChecker checker_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace selvage::test
