#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "fabric/base/ids.h"
#include "fabric/stream/record_batch.h"

/// Duplicate detection for idempotent producers, as Kafka's clients expect it: a producer numbers the records
/// it sends to a log, and may send its last few batches again when it did not hear of them. It sends further
/// batches before it has heard of the ones before, so a batch may come here while an earlier one was refused
/// and has yet to come again.
namespace selvage {

/// A producer that wrote nothing for so long is forgotten, and has to begin anew. Longer than most machines
/// stand still.
inline constexpr absl::Duration kProducerIdleMax = absl::Hours(24 * 7);
/// Producers remembered for each log; beyond this the one that was idle for longest is forgotten.
inline constexpr size_t kProducersMax = 1000;

/// What a batch says of its producer.
struct ProducerSequence {
  int64_t producer = -1;
  int16_t epoch = -1;
  int32_t first = -1;
  int32_t last = -1;  ///< of the last record; after 2^31 - 1 comes 0

  /// False for a producer that is not idempotent.
  bool numbered() const { return producer >= 0; }
};
ProducerSequence SequenceOf(const BatchHeader& header);

/// What one log remembers of one producer: its epoch and its last batches.
class ProducerWindow {
 public:
  static constexpr size_t kBatches = 5;  ///< as many as clients have under way
  struct Batch {
    int32_t first = 0;
    int32_t last = 0;
    Offset base;
    friend bool operator==(const Batch&, const Batch&) = default;
  };
  enum class Verdict {
    kAppend,
    kDuplicate,   ///< the log has it, at `base`
    kOutOfOrder,  ///< batches before it are missing, or it is too old to tell
    kStaleEpoch,  ///< a newer instance of the producer has begun
    kUnknown,     ///< not the first of a producer of whom nothing is known: those before it may be missing
  };
  struct Judgement {
    Verdict verdict;
    Offset base;
  };

  Judgement Judge(const ProducerSequence& sequence) const;
  /// Remembers a batch that was judged kAppend, and when.
  void Add(const ProducerSequence& sequence, Offset base, int64_t now_ms);

  /// Negative before the first Add. A producer of whom nothing is known begins with sequence 0, in any epoch:
  /// what came before any other was refused, or was written and forgotten since, and nobody here can tell
  /// which.
  int16_t epoch() const { return epoch_; }
  int64_t last_ms() const { return last_ms_; }
  const std::vector<Batch>& batches() const { return batches_; }  ///< oldest first, at most kBatches

  static ProducerWindow Restored(int16_t epoch, int64_t last_ms, std::vector<Batch> batches);

 private:
  int16_t epoch_ = -1;
  int64_t last_ms_ = 0;
  std::vector<Batch> batches_;
};

}  // namespace selvage
