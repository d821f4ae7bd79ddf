#pragma once

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"

namespace selvage {

/// Admission of writes by disk space, before the storage engine sees them (DESIGN "Disk full is admission"). Between
/// two measurements of the files it charges what was admitted since. Safe to use from several threads.
class DiskBudget {
 public:
  struct Limits {
    uint64_t budget = 0;   ///< bytes of files the store may occupy; 0: the volume is the only limit
    uint64_t reserve = 0;  ///< bytes kept free for trims, gaps and drop_oldest, within budget and on the volume
  };
  explicit DiskBudget(Limits limits) : limits_(limits) {}

  /// New measurements: bytes the store's files occupy and bytes free on the volume.
  void Measured(uint64_t file_bytes, uint64_t free_bytes);

  /// Takes `bytes` if they fit without touching the reserve; else kResourceExhausted "disk_full" (a retry helps).
  absl::Status Admit(uint64_t bytes);
  /// Takes `bytes` if they fit when half of the reserve may be used: for writes that made room by dropping.
  absl::Status AdmitFromReserve(uint64_t bytes);

  uint64_t file_bytes() const { return file_bytes_.load(); }
  uint64_t free_bytes() const { return free_bytes_.load(); }
  uint64_t budget() const { return limits_.budget; }
  /// False when even a small write would be refused.
  bool has_room() const;

 private:
  /// Bytes left above the reserve; negative when it is touched.
  int64_t Headroom() const;
  absl::Status Take(uint64_t bytes, int64_t headroom);

  const Limits limits_;
  std::atomic<uint64_t> file_bytes_{0};
  std::atomic<uint64_t> free_bytes_{UINT64_MAX / 4};
  std::atomic<uint64_t> charged_{0};
};

}  // namespace selvage
