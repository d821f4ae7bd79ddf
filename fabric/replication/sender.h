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

/// One outgoing flow. It offers the flow, resumes where the replica stands, and sends entry by entry in
/// fragments. When the source has a History and the replica holds another one, it sends no entry: it asks the
/// replica for hashes (Probe) until it knows the last common boundary, and the flow ends as forked. Pure;
/// driven by Session.
class Sender {
 public:
  enum class State {
    kOpening,    ///< the flow was offered, and the replica has not answered
    kProbing,    ///< the sender compares the two histories
    kStreaming,  ///< the sender sends entries as the source gets them
    kHeld,    ///< the flow was refused or failed; it is offered again at retry_at(), unless that is infinite
    kForked,  ///< the histories differ behind fork(); the owner decides what follows
  };

  /// `source` must outlive the sender. An entry larger than `entry_max` bytes holds the flow: the peer would
  /// end the link over it.
  Sender(FlowSource& source, size_t entry_max);

  /// The number of the flow on the link. Each offer gives it another one.
  FlowNumber number() const { return number_; }
  FlowSource& source() { return source_; }
  /// v1::FlowKind, as the flow was offered last.
  uint32_t kind() const { return kind_; }
  State state() const { return state_; }
  const absl::Status& problem() const { return problem_; }
  absl::Duration retry_at() const { return retry_at_; }
  const std::optional<FlowPosition>& fork() const { return fork_; }
  /// The replica's durable end, once it has told it.
  const std::optional<FlowPosition>& acknowledged() const { return acknowledged_; }

  /// The source's settings as of the last RefreshSettings.
  const FlowSettings& settings() const { return settings_; }
  void RefreshSettings() { settings_ = source_.settings(); }

  /// Offers the flow, for the first time or again. `number` was never used before, so that messages which are
  /// still under way for the former number cannot be taken for messages of this offer.
  Message Offer(FlowNumber number);
  /// The replica accepted the flow and stands at `replica`. Returns a probe to be sent, if one is needed.
  std::optional<Message> OnAccept(const FlowPosition& replica, absl::Duration now);
  std::optional<Message> OnProbeReply(const v1::ProbeReply& reply, absl::Duration now);
  /// An acknowledgement that contradicts what was sent holds the flow.
  void OnAck(const FlowPosition& durable, absl::Duration now);
  /// Holds the flow, to be offered again `retry_after` from now, or never if that is infinite. Until
  /// something is acknowledged each pause is twice as long as the one before, up to a minute.
  void Hold(absl::Status why, absl::Duration retry_after, absl::Duration now);

  /// True when the replica has acknowledged every entry that was sent whole.
  bool AllAcknowledged() const;
  /// True when an entry, or the rest of one, waits to be sent.
  bool HasWork();
  /// True when the next fragment begins a new entry, which needs credit for EntryBytes().
  bool AtEntryStart() const { return sent_of_entry_ == 0; }
  /// Size of the next entry. Loads it, and the entries behind it up to `read_ahead` bytes in all. Nothing
  /// when there is none; an error of the source has then held the flow.
  std::optional<size_t> EntryBytes(size_t read_ahead, absl::Duration now);
  /// Bytes of the next entry that are left to send, at most: it may still be compressed. Call EntryBytes
  /// before; it must have returned a size.
  size_t EntryRest() const;
  /// The next fragment, of at most `max_bytes` of payload. Call EntryBytes before; it must have returned a
  /// size. An entry that begins with the fragment is compressed on `terms` where that seems worth it.
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
  uint32_t kind_ = 0;
  std::string offered_;  // the history that the last offer named
  FlowSettings settings_;
  State state_ = State::kOpening;
  absl::Status problem_;
  absl::Duration retry_at_ = absl::InfiniteDuration();
  int held_in_vain_ = 0;  // how often the flow was held since the last acknowledgement

  Offset next_;                   // first offset that is not loaded
  Offset sent_;                   // end of the last entry sent whole; before the first one, the replica's end
  std::deque<FlowEntry> loaded_;  // the entries [sent_, next_); the front one is being sent
  Bytes encoded_;                 // the front entry as it travels, once its first fragment was sent
  v1::Encoding encoding_ = v1::RAW;
  CompressionHabit compression_;
  size_t sent_of_entry_ = 0;  // bytes of encoded_
  // The ends of the entries that were sent whole and are not acknowledged, in order. It holds the newest ones
  // only, from forgotten_ on.
  std::deque<std::pair<Offset, ChainHash>> in_flight_;
  Offset forgotten_;
  std::optional<FlowPosition> acknowledged_;

  FlowPosition replica_;  // where the replica stood when it accepted
  std::optional<ForkFinder> finder_;
  std::optional<FlowPosition> fork_;
};

}  // namespace selvage::replication
