#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fabric/base/clock.h"
#include "fabric/stream/producer_window.h"

namespace selvage::kafka {

/// The batches of idempotent producers that were refused and will come again, so that those sent behind them
/// are told to come again too. No log takes these: their sequence does not follow. But
/// OUT_OF_ORDER_SEQUENCE_NUMBER, which is what a log says, makes kafka-python give the records up, and
/// librdkafka begin a new epoch, while what is missing is on its way.
///
///     log at 5: [5 refused] [6 behind it] [7 behind it] [5] [6] [7]
///
/// Forgetting one does no harm: its followers are then told what the log says. Safe to use from several
/// threads.
class RefusedBatches {
 public:
  /// Remembered at most; above it no more are, until old ones have been forgotten.
  static constexpr size_t kMax = 10'000;
  /// One that was not tried again for so long has been given up; clients wait for at most 30 s.
  static constexpr absl::Duration kWait = absl::Minutes(1);

  /// `clock` must outlive it.
  explicit RefusedBatches(Clock& clock) : clock_(clock) {}

  /// A batch of a numbered producer was refused with an answer on which clients try again.
  void Refused(const std::string& topic, int32_t partition, const ProducerSequence& batch);
  /// A log took it, or had it.
  void Taken(const std::string& topic, int32_t partition, const ProducerSequence& batch);
  /// Whether one is awaited that its producer sent before this one.
  bool IsBehind(const std::string& topic, int32_t partition, const ProducerSequence& batch) const;

  size_t size() const { return size_; }

 private:
  using Key = std::tuple<int64_t, std::string, int32_t>;  // producer, topic, partition
  struct Batch {
    int16_t epoch = 0;
    int32_t first = 0;  ///< sequence of the earliest
    absl::Duration at;  ///< when it was refused last
  };

  void ForgetOld(absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock& clock_;
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<Key, Batch> refused_ ABSL_GUARDED_BY(mutex_);
  std::atomic<size_t> size_{0};  // of `refused_`: nearly always none, and then there is nothing to look up
  absl::Duration next_forget_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
};

}  // namespace selvage::kafka
