#include "fabric/storage/rocksdb_internal.h"

#include <fmt/format.h>

#include "fabric/base/error.h"

namespace selvage::internal {

absl::Status ToError(const rocksdb::Status& status, std::string_view what) {
  if (status.ok()) return absl::OkStatus();
  const std::string message = fmt::format("{}: {}", what, status.ToString());
  if (status.IsCorruption()) {
    return MakeError(absl::StatusCode::kDataLoss, "data_damaged", message,
                     "the disk returned other bytes than were written: check it");
  }
  if (status.IsNoSpace()) {
    return MakeError(absl::StatusCode::kResourceExhausted, "disk_full", message,
                     "free space on the volume, then start again");
  }
  if (status.IsManualCompactionPaused() || status.IsShutdownInProgress()) {
    return MakeError(absl::StatusCode::kCancelled, "cancelled", message, "", Retry::kYes);
  }
  return MakeError(absl::StatusCode::kInternal, "io_error", message, "check the volume and the rights on it");
}

absl::Status FailStop::status() const {
  if (!failed_.load(std::memory_order_acquire)) return absl::OkStatus();
  absl::MutexLock lock(&mutex_);
  return failure_;
}

absl::Status FailStop::Fail(const absl::Status& error) {
  {
    absl::MutexLock lock(&mutex_);
    if (!failure_.ok()) return failure_;
    failure_ = error;
    failed_.store(true, std::memory_order_release);
  }
  if (on_failure_) on_failure_(error);
  return error;
}

absl::Status FailStop::table_damage() const {
  if (!table_damaged_.load(std::memory_order_acquire)) return absl::OkStatus();
  absl::MutexLock lock(&mutex_);
  return table_damage_;
}

std::map<std::string, std::set<uint64_t>> FailStop::suspects() const {
  absl::MutexLock lock(&mutex_);
  return suspects_;
}

void FailStop::ForgetTableDamage() {
  absl::MutexLock lock(&mutex_);
  table_damage_ = absl::OkStatus();
  suspects_.clear();
  table_damaged_.store(false, std::memory_order_release);
}

void FailStop::OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo& job) {
  if (!job.status.IsCorruption() || copying_values_) return;
  absl::MutexLock lock(&mutex_);
  for (const rocksdb::CompactionFileInfo& file : job.input_file_infos) {
    suspects_[job.cf_name].insert(file.file_number);
  }
}

void FailStop::OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* error) {
  if (reason == rocksdb::BackgroundErrorReason::kCompaction && error->IsCorruption()) {
    if (!copying_values_) {
      absl::MutexLock lock(&mutex_);
      table_damage_.Update(ToError(*error, "compacting"));
      table_damaged_.store(true, std::memory_order_release);
    }
    *error = rocksdb::Status::OK();
    return;
  }
  (void)Fail(ToError(*error, "the storage engine stopped"));
}

}  // namespace selvage::internal
