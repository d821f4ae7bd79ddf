#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "fabric/table/stamp.h"

namespace selvage::table {

/// Where the openings of a store begin in its change feed. It tells what a position that was read before
/// means now. A store that was restored from a backup goes on from an earlier sequence in a new epoch: what
/// it wrote since has sequences that somebody may have read already, with other changes.
///
///   epochs A from 1, B from 100; restored to where B had come to 150; C from 150
///   position (B, 180), read before the restore → 150: the changes that C put from there on were not read
///   position (X, 180), X an opening that the backup does not hold → unknown: from the beginning
class FeedEpochs {
 public:
  struct Epoch {
    FeedEpoch id;
    uint64_t first = 0;  ///< sequence
  };
  /// Positions of older openings than so many are forgotten.
  static constexpr size_t kKept = 1'000;

  FeedEpochs() = default;
  explicit FeedEpochs(std::vector<Epoch> epochs) : epochs_(std::move(epochs)) {}

  /// Begins an epoch; `first` is not below that of the one before.
  void Begin(FeedEpoch id, uint64_t first);
  const std::vector<Epoch>& epochs() const { return epochs_; }
  FeedEpoch current() const { return epochs_.empty() ? FeedEpoch() : epochs_.back().id; }

  /// The sequence from which whoever read up to `sequence` in `epoch` goes on. Nothing for an epoch that is
  /// not known.
  std::optional<uint64_t> Resume(FeedEpoch epoch, uint64_t sequence) const;

 private:
  std::vector<Epoch> epochs_;  // oldest first
};

}  // namespace selvage::table
