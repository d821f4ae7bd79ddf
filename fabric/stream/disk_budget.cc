#include "fabric/stream/disk_budget.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"

namespace selvage {
namespace {

// A write lies in the write-ahead log and, for a while, in a blob file too.
constexpr uint64_t kFilesPerByte = 2;

int64_t Signed(uint64_t bytes) {
  return static_cast<int64_t>(std::min<uint64_t>(bytes, INT64_MAX / 4));
}

}  // namespace

DiskCharge& DiskCharge::operator=(DiskCharge&& other) noexcept {
  GiveBack();
  budget_ = std::exchange(other.budget_, nullptr);
  bytes_ = other.bytes_;
  made_room_ = other.made_room_;
  reclaims_ = other.reclaims_;
  return *this;
}

void DiskCharge::Written() {
  if (DiskBudget* budget = std::exchange(budget_, nullptr)) budget->Written(*this);
}

void DiskCharge::GiveBack() {
  if (DiskBudget* budget = std::exchange(budget_, nullptr)) budget->GiveBack(*this);
}

void DiskBudget::Written(const DiskCharge& charge) {
  absl::MutexLock lock(&mutex_);
  under_way_ -= charge.bytes_;
  written_ += charge.bytes_;
}

void DiskBudget::GiveBack(const DiskCharge& charge) {
  absl::MutexLock lock(&mutex_);
  under_way_ -= charge.bytes_;
  if (charge.reclaims_ == reclaims_) dropped_ += charge.made_room_;
}

uint64_t DiskBudget::written() const {
  absl::MutexLock lock(&mutex_);
  return written_;
}

void DiskBudget::Measured(uint64_t file_bytes, uint64_t free_bytes, uint64_t written) {
  absl::MutexLock lock(&mutex_);
  written = std::min(written, written_);
  if (written < measured_) return;  // another measurement that began later is here already
  measured_ = written;
  file_bytes_ = file_bytes;
  free_bytes_ = free_bytes;
  if (Headroom() >= Signed(wanted_)) wanted_ = 0;
}

int64_t DiskBudget::Headroom() const {
  int64_t room = Signed(free_bytes_);
  if (limits_.budget > 0) room = std::min(room, Signed(limits_.budget) - Signed(file_bytes_));
  return room - Signed(limits_.reserve) - Signed(Charged());
}

absl::StatusOr<DiskCharge> DiskBudget::Take(uint64_t bytes, int64_t headroom) {
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
  under_way_ += bytes * kFilesPerByte;
  return DiskCharge(*this, bytes * kFilesPerByte);
}

absl::StatusOr<DiskCharge> DiskBudget::Admit(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  auto taken = Take(bytes, Headroom());
  if (!taken.ok()) wanted_ = std::max(wanted_, bytes * kFilesPerByte);
  return taken;
}

absl::StatusOr<DiskCharge> DiskBudget::AdmitFromReserve(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  return Take(bytes, Headroom() + Signed(limits_.reserve / 2));
}

void DiskBudget::Dropped(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  dropped_ += bytes;
}

void DiskBudget::Reclaimed() {
  absl::MutexLock lock(&mutex_);
  dropped_ = 0;
  ++reclaims_;
}

uint64_t DiskBudget::MustDrop(uint64_t bytes) const {
  absl::MutexLock lock(&mutex_);
  return dropped_ >= bytes * kFilesPerByte ? 0 : bytes * kFilesPerByte;
}

absl::StatusOr<DiskCharge> DiskBudget::AdmitIntoDropped(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  SELVAGE_ASSIGN_OR_RETURN(DiskCharge taken, Take(bytes, Headroom() + Signed(limits_.reserve / 2)));
  taken.made_room_ = std::min(dropped_, bytes * kFilesPerByte);
  taken.reclaims_ = reclaims_;
  dropped_ -= taken.made_room_;
  return taken;
}

bool DiskBudget::FitsReserve(uint64_t bytes) const {
  absl::MutexLock lock(&mutex_);
  return Signed(bytes * kFilesPerByte) <= Headroom() + Signed(limits_.reserve / 2);
}

uint64_t DiskBudget::charged() const {
  absl::MutexLock lock(&mutex_);
  return Charged();
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
