#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace selvage {

/// Admission of writes by disk space, before the storage engine sees them (DESIGN "Disk full is admission").
/// Between two measurements of the files it charges what was admitted since. Safe to use from several
/// threads.
class DiskBudget {
 public:
  struct Limits {
    uint64_t budget = 0;  ///< bytes of files the store may occupy; 0: the volume is the only limit
    uint64_t reserve =
        0;  ///< bytes kept free for trims, gaps and drop_oldest, within budget and on the volume
  };
  explicit DiskBudget(Limits limits) : limits_(limits) {}

  /// New measurements: bytes the store's files occupy and bytes free on the volume.
  void Measured(uint64_t file_bytes, uint64_t free_bytes);

  /// Takes `bytes` if they fit without touching the reserve; else kResourceExhausted "disk_full" (a retry
  /// helps).
  absl::Status Admit(uint64_t bytes);
  /// Whether Admit would take `bytes` now.
  bool Fits(uint64_t bytes) const;
  /// Takes `bytes` if they fit when half of the reserve may be used: for writes that made room by dropping.
  absl::Status AdmitFromReserve(uint64_t bytes);
  /// Whether AdmitFromReserve would take `bytes` now.
  bool FitsReserve(uint64_t bytes) const;

  uint64_t file_bytes() const;
  uint64_t free_bytes() const;
  uint64_t budget() const { return limits_.budget; }
  /// False when even a small write would be refused, or one like those that were refused since there was
  /// room.
  bool has_room() const;

 private:
  /// Bytes left above the reserve; negative when it is touched.
  int64_t Headroom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Take(uint64_t bytes, int64_t headroom) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Limits limits_;
  mutable absl::Mutex mutex_;
  uint64_t file_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t free_bytes_ ABSL_GUARDED_BY(mutex_) = UINT64_MAX / 4;
  uint64_t charged_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t wanted_ ABSL_GUARDED_BY(mutex_) = 0;  // bytes of files that a refused write would have taken
};

}  // namespace selvage
