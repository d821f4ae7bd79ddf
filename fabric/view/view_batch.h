#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "fabric/base/ids.h"
#include "fabric/table/canonical_json.h"
#include "fabric/view/aggregate.h"
#include "fabric/view/skipped_records.h"
#include "selvage/v1/view.pb.h"

namespace selvage::view {

/// A record of a log, as views into the bytes it was read from.
struct InputRecord {
  Offset offset;
  int64_t timestamp_ms = 0;
  std::optional<std::string_view> key = {};
  std::optional<std::string_view> value = {};
};

/// How far a view has come in one log. Stored in the batch that stores what was made of the records before.
struct LogProgress {
  Offset next;  ///< the first record that is not in the view yet
  /// The greatest time of a record so far, also of one that was skipped; nothing of a view without windows.
  std::optional<int64_t> watermark_ms;
  bool operator==(const LogProgress&) const = default;
};

struct PieceLimits {
  size_t rows_max = 10'000;         ///< that the piece may change; at least 1
  size_t bytes_max = 8u << 20;      ///< of keys and of newest values; one record always fits
  size_t row_bytes_max = 1u << 20;  ///< of a newest value
  /// Windows that end up to here are gone from the view, and do not come back as if they were new.
  std::optional<int64_t> windows_gone_ms = {};
};

/// What a piece adds to one row of an aggregate.
struct GroupUpdate {
  /// The row's key: the values that the view groups by, and behind them the start of the window, as a
  /// canonical JSON array without its brackets.
  std::string key;
  std::optional<int64_t> window_end_ms;  ///< of a view with windows
  AggregateState state;                  ///< of the piece's records; to be merged into the stored one
};

/// The newest record of one key in the piece.
struct NewestUpdate {
  std::string key;                   ///< of the record and of the row
  std::optional<table::Fields> row;  ///< nothing: the record has no value, which deletes the row
  Offset offset;
  int64_t timestamp_ms = 0;
};

/// What a view makes of a piece of one log.
struct ViewPiece {
  std::vector<GroupUpdate> groups;   ///< of an aggregate; ascending by key
  std::vector<NewestUpdate> newest;  ///< of a view of newest records; ascending by key
  uint64_t records = 0;              ///< that were looked at, also those skipped
  SkippedRecords skipped;
  LogProgress after;
  bool full = false;  ///< a limit was reached: the record at `after.next` belongs to the next piece
};

/// Folds the records of a log into what they change in a view, piece by piece: the caller stores a piece and
/// its progress together, and goes on from there. Where a log is cut into pieces makes no difference to what
/// they add up to. Records never fail a view: what it cannot use is counted. Not thread-safe.
class ViewFold {
 public:
  /// `definition` is complete (CompleteDefinition).
  explicit ViewFold(v1::ViewDefinition definition);
  ~ViewFold();
  ViewFold(const ViewFold&) = delete;
  ViewFold& operator=(const ViewFold&) = delete;

  /// Begins a piece. What is in the piece before, and was not taken, is dropped.
  void Begin(const LogProgress& from, const PieceLimits& limits);

  static constexpr int64_t kAnyTime = std::numeric_limits<int64_t>::max();
  /// The next record; one before the progress is passed over. False when the piece is full without it. In a
  /// view with windows a record of a time after `timestamp_max_ms` is skipped, and does not make others late:
  /// a wrong clock would otherwise close every window of its log.
  bool Add(const InputRecord& record, int64_t timestamp_max_ms = kAnyTime);
  /// The records of a batch of whatever codec, and then the end of the batch. False when the piece was full
  /// within it: the next piece begins with the same batch. What the producer compressed or encoded wrongly is
  /// skipped as unreadable, up to the batch's end. Error: "corrupt_batch", of bytes that are not what the
  /// producer made; nothing of them was added.
  absl::StatusOr<bool> AddBatch(std::string_view batch, int64_t timestamp_max_ms = kAnyTime);
  /// There is nothing before `to`: a gap, or the end of a compacted batch. A full piece stays where it is.
  void PassTo(Offset to);

  /// Ends the piece.
  ViewPiece Take();

  const v1::ViewDefinition& definition() const;

 private:
  class Piece;
  std::unique_ptr<Piece> piece_;
};

/// The row of an aggregate as readers see it: the group's values, the window, and the columns that have a
/// value. Error: "corrupt_view" (kDataLoss) for a key that is not of a row of this view.
absl::StatusOr<table::Fields> VisibleRow(const v1::ViewAggregate& aggregate, std::string_view key,
                                         const AggregateState& state);

}  // namespace selvage::view
