#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "fabric/stream/record_batch.h"

namespace selvage::ctl {

/// Lines of one record batch, ready to be sent.
struct LineBatch {
  std::string bytes;                   ///< record batch v2
  std::vector<uint64_t> value_hashes;  ///< XXH3-64 of each record's value
  size_t value_bytes = 0;

  int64_t records() const { return static_cast<int64_t>(value_hashes.size()); }
};

/// The same records in two batches, the first half first; for a batch of several records that a node finds
/// too large.
std::pair<LineBatch, LineBatch> SplitInTwo(const LineBatch& batch, Codec codec);

/// Gathers lines into record batches: by count, by bytes and by time, whichever is first. Not thread-safe.
class LineBatcher {
 public:
  struct Options {
    int max_records = 1000;
    size_t max_bytes = 256 << 10;  ///< before compression; one larger line still goes alone
    absl::Duration linger = absl::Milliseconds(100);
    Codec codec = Codec::kNone;
    std::string key{};            ///< of every record; empty: none
    std::string key_separator{};  ///< its first occurrence ends the key; empty: no keys in the lines
  };

  explicit LineBatcher(Options options) : options_(std::move(options)), builder_(options_.codec) {}

  /// `wall` becomes the record's timestamp; `now` starts the linger of a batch with its first line.
  /// Error: "no_key" when a separator is set and the line has none.
  absl::Status Add(std::string_view line, absl::Time wall, absl::Duration now);

  bool empty() const { return builder_.empty(); }
  /// No further line should be added before Take.
  bool full() const;
  /// When the batch should go although it is not full; nothing while it is empty.
  std::optional<absl::Duration> due() const;
  LineBatch Take();

 private:
  const Options options_;
  BatchBuilder builder_;
  LineBatch batch_;
  absl::Duration started_;
};

}  // namespace selvage::ctl
