#pragma once

#include <CLI/App.hpp>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "selvage/v1/table.pb.h"

namespace selvage::ctl {

/// Which row a command writes, when it expires, and what must hold of it.
class RowOptions {
 public:
  RowOptions() = default;
  RowOptions(const RowOptions&) = delete;
  RowOptions& operator=(const RowOptions&) = delete;

  enum class Expiry { kNotOffered, kOrNever, kOrAsItIs };
  /// Once. `this` must outlive `verb`. kOrNever: a row without the option never expires; kOrAsItIs: it stays.
  void AddTo(CLI::App& verb, Expiry expiry);

  const std::string& table() const { return table_; }
  const std::string& key() const { return key_; }

  /// When the row expires, counted from `now`; nothing: the option is not given.
  std::optional<int64_t> ExpiresAtMs(absl::Time now) const;
  /// What becomes of the expiry of a row that is changed; nothing: it stays.
  std::optional<v1::RowExpiry> NewExpiry(absl::Time now) const;
  /// A write of the row, with the condition; what it does is left open. Error: "bad_value" for a version that
  /// is none.
  absl::StatusOr<v1::WriteRowsRequest> Request() const;

 private:
  std::string table_;
  std::string key_;
  std::optional<int64_t> expires_at_ms_;
  std::optional<absl::Duration> ttl_;
  bool never_ = false;
  bool if_absent_ = false;
  bool if_present_ = false;
  std::string if_version_;
};

}  // namespace selvage::ctl
