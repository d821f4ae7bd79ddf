#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ctl/line_input.h"
#include "ctl/row_line.h"
#include "selvage/v1/table.pb.h"

namespace selvage::ctl {

struct ImportOutcome {
  int64_t lines = 0;  ///< from the first on, that are in or were skipped: where to resume
  int64_t rows = 0;   ///< acknowledged by this run
  uint64_t bytes = 0;
  bool interrupted = false;
};

/// Puts rows that come as lines of JSON, some at a time, in their order. Not thread-safe.
class RowImporter {
 public:
  struct Options {
    std::string table;
    int64_t skip = 0;  ///< lines at the start that are left out
    size_t batch_rows = 500;
    size_t batch_bytes = 256 << 10;  ///< of keys and rows; one larger row goes alone
    /// Writes rows, and tries again what a retry mends: a row that is put twice is the same row.
    std::function<absl::StatusOr<v1::WriteRowsResponse>(const v1::WriteRowsRequest&)> write;
    std::function<void(const ImportOutcome&)> progress;  ///< after each batch
    std::function<bool()> interrupted;
  };
  explicit RowImporter(Options options);

  /// Until the input ends, an interruption or an error, which names its line. What came before the line is
  /// in, when the error is of the line itself.
  absl::Status Run(LineInput& input);
  const ImportOutcome& outcome() const { return outcome_; }

 private:
  absl::Status Take(std::string_view line);
  /// Sends the batch; if the node refuses it, row by row, so that the error is of one line.
  absl::Status Flush();
  absl::Status Send(const v1::WriteRowsRequest& request);
  v1::WriteRowsRequest EmptyRequest() const;

  const Options options_;
  int64_t line_ = 0;  ///< the last that was taken, counted from 1
  v1::WriteRowsRequest batch_;
  std::vector<int64_t> batch_lines_;  ///< of each row of it
  size_t batch_bytes_ = 0;
  ImportOutcome outcome_;
};

}  // namespace selvage::ctl
