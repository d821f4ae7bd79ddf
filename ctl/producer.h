#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ctl/client.h"
#include "ctl/line_batcher.h"
#include "ctl/line_input.h"
#include "selvage/v1/admin.pb.h"

namespace selvage::ctl {

/// What became of the lines so far.
struct ProduceOutcome {
  int64_t lines = 0;       ///< acknowledged, with those that were skipped: where to resume
  int64_t lines_read = 0;  ///< taken from the input, with those that were skipped
  int64_t records = 0;     ///< acknowledged
  uint64_t bytes = 0;      ///< of their values
  int64_t first_offset = -1;
  int64_t last_offset = -1;
  bool contiguous = true;          ///< no one else's records in between
  int64_t lines_in_doubt = 0;      ///< under way when the answer was lost: stored or not
  int64_t batches_sent_again = 0;  ///< after a lost answer: they may be stored twice
  bool interrupted = false;
};

/// Writes lines to one partition, in their order: one batch is under way while the next one gathers. Not
/// thread-safe.
///
/// A batch is sent only over a connection that stands, so a node that is away is waited for without any
/// doubt; so are the refusals that store nothing and pass ("overloaded", "disk_full", "stopping"). An answer
/// that is lost leaves the batch in doubt: that ends the run, unless the caller accepts duplicates.
class Producer {
 public:
  struct Options {
    v1::LogAddress address;
    LineBatcher::Options batch;
    int64_t skip_lines = 0;
    double lines_per_second = 0;                  ///< 0: as fast as they come
    bool retry_in_doubt = false;                  ///< send a batch again whose answer was lost
    absl::Duration retry_for = absl::Minutes(1);  ///< how long one batch is tried
    std::ostream* acks =
        nullptr;  ///< one line for each acknowledged record: partition, offset, hash of its value
    std::function<void(const std::string&)> notice;       ///< why it waits
    std::function<void(const ProduceOutcome&)> progress;  ///< about five times a second; may be empty
    std::function<bool()> interrupted;                    ///< true: take no more lines
  };

  /// `client` and `input` must outlive the producer.
  Producer(const Client& client, LineInput& input, Options options);
  ~Producer();

  /// Until the end of the input (OK), or until something ends it.
  absl::Status Run();

  const ProduceOutcome& outcome() const { return outcome_; }

 private:
  class Call;

  void TakeLines();
  void EndInput(absl::Status why);
  absl::Status SendIfReady();
  absl::Status HandleAnswer();
  absl::Status Acknowledge(const v1::ProduceResponse& response);
  absl::Status HandleFailure(const absl::Status& error);
  absl::Status SendInParts(const absl::Status& why);
  absl::Status TryAgain(const absl::Status& why);
  absl::Status Wait();
  int TimeoutMs(bool may_take, bool want_input) const;
  absl::Duration NextLineAt() const;
  void ReportProgress();

  const Client& client_;
  LineInput& input_;
  const Options options_;
  LineBatcher batcher_;
  ProduceOutcome outcome_;
  const int answered_;  // eventfd, written when a call has finished

  // The batch under way: waiting to be sent, or sent (call_ is set).
  std::optional<LineBatch> batch_;
  std::unique_ptr<Call> call_;
  std::deque<LineBatch>
      rest_;  // parts of one that was too large, to be sent after it and before what batcher_ holds
  absl::Duration first_try_;
  absl::Duration send_at_;
  absl::Duration backoff_;
  bool in_doubt_ = false;
  bool noticed_ = false;

  absl::Duration now_;  // monotonic, once for each round
  absl::Duration started_;
  absl::Duration progress_at_;
  bool input_is_empty_ = true;  // input_ must read before it has another line
  bool no_more_lines_ = false;
  absl::Status input_error_;  // why, when it is not the end of the input; returned when all before is written
};

}  // namespace selvage::ctl
