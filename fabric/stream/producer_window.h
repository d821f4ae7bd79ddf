#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "fabric/base/ids.h"
#include "fabric/stream/record_batch.h"

/// Duplicate detection for idempotent producers, as Kafka's clients expect it: a producer numbers the records
/// it sends to a log, and may send its last few batches again when it did not hear of them.
namespace selvage {

/// A producer that wrote nothing for so long is forgotten.
inline constexpr absl::Duration kProducerIdleMax = absl::Hours(24);
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
  };
  struct Judgement {
    Verdict verdict;
    Offset base;
  };

  Judgement Judge(const ProducerSequence& sequence) const;
  /// Remembers a batch that was judged kAppend, and when.
  void Add(const ProducerSequence& sequence, Offset base, int64_t now_ms);

  /// Negative before the first Add: a producer of whom nothing is known may begin with any sequence.
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
