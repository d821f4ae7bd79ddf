#pragma once

#include <CLI/App.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "selvage/v1/stream.pb.h"

namespace selvage::ctl {

/// The settings of a stream as options: `create` takes them with their defaults, which are those of the
/// daemons' configuration files; `set` only those that are given.
class StreamSettingsOptions {
 public:
  StreamSettingsOptions() = default;
  StreamSettingsOptions(const StreamSettingsOptions&) = delete;
  StreamSettingsOptions& operator=(const StreamSettingsOptions&) = delete;

  /// Once. `this` must outlive `app`.
  void AddTo(CLI::App& app);

  v1::StreamSettings settings() const;
  /// Names of the fields of StreamSettings whose options were given.
  std::vector<std::string> given() const;

 private:
  absl::Duration retention_ = absl::Hours(24 * 7);
  uint64_t retention_bytes_ = 0;
  v1::OnFull on_full_ = v1::REJECT;
  uint32_t priority_ = 5;
  uint32_t weight_ = 1;
  v1::LinkCompression link_compression_ = v1::ZSTD;
  bool keep_after_ack_ = true;
  v1::StartAt start_at_ = v1::EARLIEST;
  v1::CleanupPolicy cleanup_ = v1::CLEANUP_DELETE;
  absl::Duration delete_retention_ = absl::Hours(24);
  uint64_t max_batch_bytes_ = 0;
  bool detached_ = false;
  std::vector<std::pair<std::string, CLI::Option*>> options_;  // each with its field
};

}  // namespace selvage::ctl
