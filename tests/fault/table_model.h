#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "fabric/table/table_store.h"

namespace selvage::test {

/// What one table must hold: all that was acknowledged, and what was asked for after that only in its order,
/// each request whole. What follows its changes, over crashes as well, must come to the same rows.
class TableModel {
 public:
  struct Row {
    std::optional<int64_t> n = {};         ///< a counter
    std::optional<std::string> text = {};  ///< of letters that JSON needs no escapes for
  };
  struct State {
    std::map<std::string, Row> rows = {};  ///< by key
    uint64_t read = 0;                     ///< how far the table of the peer was read
  };

  explicit TableModel(StoreId peer) : peer_(std::move(peer)) {}

  const StoreId& peer() const { return peer_; }
  static std::string Json(const Row& row);

  /// The table was made.
  void Made() { made_ = true; }
  /// The state when everything that was asked for is done.
  const State& newest() const { return states_.back(); }
  /// The next request leads to this state.
  void Submit(State after) { states_.push_back(std::move(after)); }
  /// The oldest request that was not answered was done.
  void Acknowledged() { states_.pop_front(); }

  /// Compares the table as it was opened; then what it holds is sure.
  absl::Status CheckRecovered(const table::TableStore& tables, const std::string& name);
  /// Reads changes from where the last call ended: all of them, or one page. At the end of them all rows are
  /// known, when no request is under way.
  absl::Status Follow(const table::TableStore& tables, const std::string& name, size_t page_rows, bool all);

 private:
  using Rows = std::map<std::string, std::string>;  // JSON by key

  static Rows Shown(const State& state);

  const StoreId peer_;
  bool made_ = false;
  std::deque<State> states_ = {State()};  // the first one is sure
  table::FeedPosition followed_to_;
  Rows followed_;
};

}  // namespace selvage::test
