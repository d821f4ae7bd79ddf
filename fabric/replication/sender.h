#pragma once

#include <deque>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "fabric/replication/flow.h"
#include "fabric/replication/message.h"

namespace selvage::replication {

/// One outgoing flow: offered, resumed where the replica stands, streamed entry by entry in fragments. When the
/// replica's history differs from the source's, nothing is sent: the last common boundary is found by bisecting
/// chain hashes (Probe), and the flow ends there as forked. Pure; driven by Session.
class Sender {
 public:
  enum class State {
    kOpening,    ///< offered; the replica has not answered
    kProbing,    ///< histories differ; looking for the last common boundary
    kStreaming,  ///< sending, or everything is sent
    kHeld,       ///< refused; offered again at retry_at(), if ever
    kForked,     ///< the last common boundary is known; for the owner to decide
  };

  /// `source` must outlive the sender.
  Sender(FlowNumber number, FlowSource& source) : number_(number), source_(source) {}

  FlowNumber number() const { return number_; }
  FlowSource& source() { return source_; }
  State state() const { return state_; }
  const absl::Status& problem() const { return problem_; }
  absl::Duration retry_at() const { return retry_at_; }
  const std::optional<LogPosition>& fork() const { return fork_; }
  /// What the replica holds durably, once it said so.
  const std::optional<LogPosition>& acknowledged() const { return acknowledged_; }

  Message Offer();
  /// A message that may follow at once (a probe).
  std::optional<Message> OnAccept(const LogPosition& replica);
  std::optional<Message> OnProbeReply(const v1::ProbeReply& reply);
  /// False when the acknowledgement contradicts what was sent: the flow is held.
  void OnAck(const LogPosition& durable);
  void Hold(absl::Status why, absl::Duration retry_at);

  /// True when an entry, or the rest of one, waits to be sent.
  bool HasWork();
  /// True when the next fragment begins a new entry, which needs credit for EntryBytes().
  bool AtEntryStart() const { return sent_of_entry_ == 0; }
  /// Size of the entry that is next; loads it. 0 when there is none (the flow may have been held by an error).
  size_t EntryBytes(size_t read_ahead);
  /// The next fragment, at most `max_bytes` of payload. EntryBytes returned more than 0 before.
  Message NextFragment(size_t max_bytes);

 private:
  void Load(size_t read_ahead);
  void Encode();
  std::optional<Message> ProbeNext();
  std::optional<Message> FinishBisect();

  const FlowNumber number_;
  FlowSource& source_;
  State state_ = State::kOpening;
  absl::Status problem_;
  absl::Duration retry_at_ = absl::InfiniteDuration();

  Offset next_;                      // first offset that is not loaded
  std::deque<SourceEntry> loaded_;   // the front one is being sent
  Bytes encoded_;                    // the front one as it travels
  v1::Encoding encoding_ = v1::RAW;
  size_t sent_of_entry_ = 0;         // bytes of encoded_
  std::deque<std::pair<Offset, ChainHash>> in_flight_;  // ends of the entries sent whole and not acknowledged
  std::optional<LogPosition> acknowledged_;

  LogPosition common_;   // bisecting: the largest boundary known to be common
  Offset differs_;       // bisecting: boundaries at or after this one are not common
  LogPosition probed_;
  bool probed_first_ = false;
  std::optional<LogPosition> fork_;
};

}  // namespace selvage::replication
