#include "fabric/stream/disk_budget.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"

namespace selvage {
namespace {

// A write lies in the write-ahead log and, for a while, in a blob file too.
constexpr uint64_t kFilesPerByte = 2;

}  // namespace

void DiskBudget::Measured(uint64_t file_bytes, uint64_t free_bytes) {
  file_bytes_ = file_bytes;
  free_bytes_ = free_bytes;
  charged_ = 0;
}

int64_t DiskBudget::Headroom() const {
  auto charged = static_cast<int64_t>(charged_.load());
  auto reserve = static_cast<int64_t>(limits_.reserve);
  int64_t headroom = static_cast<int64_t>(std::min<uint64_t>(free_bytes_.load(), INT64_MAX / 2)) - reserve - charged;
  if (limits_.budget > 0) {
    int64_t in_budget = static_cast<int64_t>(limits_.budget) - static_cast<int64_t>(file_bytes_.load()) - reserve - charged;
    headroom = std::min(headroom, in_budget);
  }
  return headroom;
}

absl::Status DiskBudget::Take(uint64_t bytes, int64_t headroom) {
  if (static_cast<int64_t>(bytes) > headroom) {
    return MakeError(absl::StatusCode::kResourceExhausted, "disk_full",
                     fmt::format("no room for {} bytes: the store's files hold {} bytes{}, {} bytes are free on the volume, "
                                 "{} are kept in reserve",
                                 bytes, file_bytes_.load(),
                                 limits_.budget > 0 ? fmt::format(" of a budget of {}", limits_.budget) : "",
                                 free_bytes_.load(), limits_.reserve),
                     "writes resume by themselves when data are acknowledged and trimmed; else raise storage.budget, "
                     "shorten the retention or let the stream drop_oldest",
                     Retry::kYes);
  }
  charged_ += bytes * kFilesPerByte;
  return absl::OkStatus();
}

absl::Status DiskBudget::Admit(uint64_t bytes) { return Take(bytes, Headroom()); }

absl::Status DiskBudget::AdmitFromReserve(uint64_t bytes) {
  return Take(bytes, Headroom() + static_cast<int64_t>(limits_.reserve / 2));
}

bool DiskBudget::has_room() const { return Headroom() > 0; }

}  // namespace selvage
