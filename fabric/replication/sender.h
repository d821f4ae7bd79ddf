#pragma once

#include <deque>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "fabric/replication/flow.h"
#include "fabric/replication/fork_finder.h"
#include "fabric/replication/link_compression.h"
#include "fabric/replication/message.h"

namespace selvage::replication {

/// One outgoing flow: offered, resumed where the replica stands, streamed entry by entry in fragments. When
/// the source has a History and the replica's differs from it, nothing is sent: the last common boundary is
/// found by bisecting hashes (Probe), and the flow ends there as forked. Pure; driven by Session.
class Sender {
 public:
  enum class State {
    kOpening,    ///< offered; the replica has not answered
    kProbing,    ///< histories differ; looking for the last common boundary
    kStreaming,  ///< sending, or everything is sent
    kHeld,       ///< refused or failed; offered again at retry_at(), if ever
    kForked,     ///< the last common boundary is known; for the owner to decide
  };

  /// `source` must outlive the sender. `entry_max`: a larger entry holds the flow, since it would end the
  /// link.
  Sender(FlowSource& source, size_t entry_max);

  /// What the flow is called on the link; another one after each offer.
  FlowNumber number() const { return number_; }
  FlowSource& source() { return source_; }
  State state() const { return state_; }
  const absl::Status& problem() const { return problem_; }
  absl::Duration retry_at() const { return retry_at_; }
  const std::optional<FlowPosition>& fork() const { return fork_; }
  /// What the replica holds durably, once it said so.
  const std::optional<FlowPosition>& acknowledged() const { return acknowledged_; }

  /// The source's settings as of the last RefreshSettings.
  const FlowSettings& settings() const { return settings_; }
  void RefreshSettings() { settings_ = source_.settings(); }

  /// Begins, or begins anew, under a number never used before: what is still under way of the old one cannot
  /// be taken for the new one's.
  Message Offer(FlowNumber number);
  /// A message that may follow at once (a probe).
  std::optional<Message> OnAccept(const FlowPosition& replica, absl::Duration now);
  std::optional<Message> OnProbeReply(const v1::ProbeReply& reply, absl::Duration now);
  /// An acknowledgement that contradicts what was sent holds the flow.
  void OnAck(const FlowPosition& durable, absl::Duration now);
  /// To be offered again `retry_after` from now, or never if that is infinite; each time later, up to a
  /// minute, as long as nothing is acknowledged in between.
  void Hold(absl::Status why, absl::Duration retry_after, absl::Duration now);

  /// True when the replica holds no entry that it has not acknowledged: none was sent whole since.
  bool AllAcknowledged() const;
  /// True when an entry, or the rest of one, waits to be sent.
  bool HasWork();
  /// True when the next fragment begins a new entry, which needs credit for EntryBytes().
  bool AtEntryStart() const { return sent_of_entry_ == 0; }
  /// Size of the entry that is next; loads it, and some after it up to `read_ahead` bytes. Nothing when there
  /// is none (the flow may have been held by an error).
  std::optional<size_t> EntryBytes(size_t read_ahead, absl::Duration now);
  /// At most this much remains to be sent of the entry that is next. EntryBytes returned a size before.
  size_t EntryRest() const;
  /// The next fragment, at most `max_bytes` of payload. EntryBytes returned a size before. An entry that
  /// begins with it is compressed on these terms, if that seems worth it.
  Message NextFragment(size_t max_bytes, const CompressionTerms& terms = {});
  /// Names the first broken rule of this state, between two calls; for tests (fabric/base/invariant.h).
  absl::Status CheckInvariants() const;

 private:
  void Fail(absl::Status why, absl::Duration now);
  void Load(size_t read_ahead, absl::Duration now);
  void Encode(const CompressionTerms& terms);
  void Stream(const FlowPosition& replica);
  std::optional<Message> Follow(const absl::StatusOr<ForkFinder::Step>& step, absl::Duration now);
  absl::Status CheckReplica(const FlowPosition& replica);
  absl::Status CheckAck(const FlowPosition& durable);

  FlowSource& source_;
  const size_t entry_max_;
  FlowNumber number_;
  std::string offered_;  // the history that was described last
  FlowSettings settings_;
  State state_ = State::kOpening;
  absl::Status problem_;
  absl::Duration retry_at_ = absl::InfiniteDuration();
  int held_in_vain_ = 0;  // times held since something was acknowledged

  Offset next_;                   // first offset that is not loaded
  Offset sent_;                   // end of the last entry sent whole, or where the replica stood
  std::deque<FlowEntry> loaded_;  // the front one is being sent
  Bytes encoded_;                 // the front one as it travels
  v1::Encoding encoding_ = v1::RAW;
  CompressionHabit compression_;
  size_t sent_of_entry_ = 0;  // bytes of encoded_
  // Ends of the entries sent whole and not acknowledged, in order; those up to forgotten_ are not remembered.
  std::deque<std::pair<Offset, ChainHash>> in_flight_;
  Offset forgotten_;
  std::optional<FlowPosition> acknowledged_;

  FlowPosition replica_;  // as it was accepted
  std::optional<ForkFinder> finder_;
  std::optional<FlowPosition> fork_;
};

}  // namespace selvage::replication
