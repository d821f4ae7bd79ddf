#pragma once

#include <cstdint>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace selvage {

class DiskBudget;

/// Room that a write was admitted to. It is given back, with what was dropped for it, when the charge goes
/// without the write having come to be; it must not outlive the budget. For one thread at a time.
class DiskCharge {
 public:
  DiskCharge() = default;
  DiskCharge(DiskCharge&& other) noexcept { *this = std::move(other); }
  DiskCharge& operator=(DiskCharge&& other) noexcept;
  ~DiskCharge() { GiveBack(); }

  /// The files hold it, or will: it counts until they are measured.
  void Written();
  /// Nothing came of it.
  void GiveBack();

 private:
  friend class DiskBudget;
  DiskCharge(DiskBudget& budget, uint64_t bytes) : budget_(&budget), bytes_(bytes) {}

  DiskBudget* budget_ = nullptr;
  uint64_t bytes_ = 0;  // of files
  uint64_t made_room_ = 0;
  uint64_t reclaims_ = 0;  // DiskBudget::reclaims_ when made_room_ was taken
};

/// Admission of writes by disk space, before the storage engine sees them (DESIGN "Disk full is admission"):
/// what was measured, with what was admitted and not measured yet. Safe to use from several threads.
class DiskBudget {
 public:
  struct Limits {
    uint64_t budget = 0;  ///< bytes of files the store may occupy; 0: the volume is the only limit
    uint64_t reserve =
        0;  ///< bytes kept free for trims, gaps and drop_oldest, within budget and on the volume
  };
  explicit DiskBudget(Limits limits) : limits_(limits) {}

  /// All that was ever written under a charge. Ask before looking at the files.
  uint64_t written() const;
  /// New measurements: bytes the store's files occupy and bytes free on the volume. They include what was
  /// `written` before the files were looked at; left out, everything written so far.
  void Measured(uint64_t file_bytes, uint64_t free_bytes, uint64_t written = UINT64_MAX);

  /// Takes `bytes` if they fit without touching the reserve; else kResourceExhausted "disk_full" (a retry
  /// helps).
  absl::StatusOr<DiskCharge> Admit(uint64_t bytes);
  /// Whether Admit would take `bytes` now.
  bool Fits(uint64_t bytes) const;
  /// Takes `bytes` if they fit when half of the reserve may be used: for what is small, or frees more than it
  /// takes.
  absl::StatusOr<DiskCharge> AdmitFromReserve(uint64_t bytes);

  // For writes that drop old entries to make room for themselves. What was dropped is not free yet; until it
  // is reclaimed, as much may be written from half of the reserve.
  /// So many bytes of entries were dropped.
  void Dropped(uint64_t bytes);
  /// The room is there, or gone: what was dropped shows in the files.
  void Reclaimed();
  /// Bytes that must be dropped before AdmitIntoDropped can take `bytes`.
  uint64_t MustDrop(uint64_t bytes) const;
  /// Takes `bytes` out of the reserve and out of what was dropped. Error: "disk_full".
  absl::StatusOr<DiskCharge> AdmitIntoDropped(uint64_t bytes);
  /// Whether AdmitFromReserve would take `bytes` now.
  bool FitsReserve(uint64_t bytes) const;

  uint64_t file_bytes() const;
  uint64_t free_bytes() const;
  uint64_t budget() const { return limits_.budget; }
  /// Bytes of files that are charged: admitted, and not measured since they were written.
  uint64_t charged() const;
  /// False when even a small write would be refused, or one like those that were refused since there was
  /// room.
  bool has_room() const;

 private:
  friend class DiskCharge;

  uint64_t Charged() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return under_way_ + written_ - measured_; }
  /// Bytes left above the reserve; negative when it is touched.
  int64_t Headroom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<DiskCharge> Take(uint64_t bytes, int64_t headroom) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Written(const DiskCharge& charge);
  void GiveBack(const DiskCharge& charge);

  const Limits limits_;
  mutable absl::Mutex mutex_;
  uint64_t file_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t free_bytes_ ABSL_GUARDED_BY(mutex_) = UINT64_MAX / 4;
  uint64_t under_way_ ABSL_GUARDED_BY(mutex_) = 0;  // admitted, and neither written nor given back
  uint64_t written_ ABSL_GUARDED_BY(mutex_) = 0;    // since the start; both in bytes of files
  uint64_t measured_ ABSL_GUARDED_BY(mutex_) = 0;   // so much of what was written is in `file_bytes_`
  uint64_t wanted_ ABSL_GUARDED_BY(mutex_) = 0;     // bytes of files that a refused write would have taken
  uint64_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;    // and not used up by writes or reclaimed
  uint64_t reclaims_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace selvage
