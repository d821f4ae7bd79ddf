#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"
#include "fabric/stream/disk_budget.h"

namespace selvage {
namespace {

// A write lies in the write-ahead log and, for a while, in a blob file too.
constexpr uint64_t kFilesPerByte = 2;

int64_t Signed(uint64_t bytes) {
  return static_cast<int64_t>(std::min<uint64_t>(bytes, INT64_MAX / 4));
}

}  // namespace

void DiskBudget::Measured(uint64_t file_bytes, uint64_t free_bytes) {
  absl::MutexLock lock(&mutex_);
  file_bytes_ = file_bytes;
  free_bytes_ = free_bytes;
  charged_ = 0;
  if (Headroom() >= Signed(wanted_)) wanted_ = 0;
}

int64_t DiskBudget::Headroom() const {
  int64_t room = Signed(free_bytes_);
  if (limits_.budget > 0) room = std::min(room, Signed(limits_.budget) - Signed(file_bytes_));
  return room - Signed(limits_.reserve) - Signed(charged_);
}

absl::Status DiskBudget::Take(uint64_t bytes, int64_t headroom) {
  if (Signed(bytes * kFilesPerByte) > headroom) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, "disk_full",
        fmt::format(
            "no room for {} bytes: the store's files hold {} bytes{}, {} bytes are free on the volume, "
            "{} are kept in reserve",
            bytes, file_bytes_, limits_.budget > 0 ? fmt::format(" of a budget of {}", limits_.budget) : "",
            free_bytes_, limits_.reserve),
        "writes resume by themselves when data are acknowledged and trimmed; else raise storage.budget, "
        "shorten the retention or let the stream drop_oldest",
        Retry::kYes);
  }
  charged_ += bytes * kFilesPerByte;
  return absl::OkStatus();
}

absl::Status DiskBudget::Admit(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  absl::Status taken = Take(bytes, Headroom());
  if (!taken.ok()) wanted_ = std::max(wanted_, bytes * kFilesPerByte);
  return taken;
}

absl::Status DiskBudget::AdmitFromReserve(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  return Take(bytes, Headroom() + Signed(limits_.reserve / 2));
}

bool DiskBudget::FitsReserve(uint64_t bytes) const {
  absl::MutexLock lock(&mutex_);
  return Signed(bytes * kFilesPerByte) <= Headroom() + Signed(limits_.reserve / 2);
}

uint64_t DiskBudget::file_bytes() const {
  absl::MutexLock lock(&mutex_);
  return file_bytes_;
}

uint64_t DiskBudget::free_bytes() const {
  absl::MutexLock lock(&mutex_);
  return free_bytes_;
}

bool DiskBudget::Fits(uint64_t bytes) const {
  absl::MutexLock lock(&mutex_);
  return Signed(bytes * kFilesPerByte) <= Headroom();
}

bool DiskBudget::has_room() const {
  absl::MutexLock lock(&mutex_);
  return Headroom() > 0 && Headroom() >= Signed(wanted_);
}

}  // namespace selvage
