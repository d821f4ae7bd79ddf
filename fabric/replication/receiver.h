#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/replication/flow.h"
#include "fabric/replication/message.h"
#include "fabric/replication/send_credit.h"

namespace selvage::replication {

/// One incoming flow: where resume is decided. Puts fragments together, recognises what it already has,
/// refuses what does not follow, and acknowledges only what is durable. Pure; driven by Session.
class Receiver {
 public:
  explicit Receiver(FlowNumber number) : number_(number) {}

  FlowNumber number() const { return number_; }
  bool open() const { return sink_ != nullptr; }
  FlowSink* sink() { return sink_; }
  bool refused() const { return refused_; }
  /// Offered and not answered yet.
  bool waiting() const { return sink_ == nullptr && !refused_; }
  /// What the entry that is being put together holds of the credit.
  size_t partial_bytes() const { return assembling_ ? CreditOf(current_.entry_size()) : 0; }
  /// What the entry that would begin with this fragment takes of the credit; 0 when it continues one.
  size_t StartedBy(const v1::Data& data) const { return assembling_ ? 0 : CreditOf(data.entry_size()); }

  /// Starts at the sink's durable end. `sink` must outlive the receiver or be taken back with Refuse.
  Message Accept(FlowSink& sink);
  Message Refuse(const absl::Status& why, absl::Duration retry_after);

  /// What came of a fragment.
  struct Outcome {
    size_t released = 0;  ///< credit of entries that need no memory any more (repeated or given up)
    std::optional<FlowEntry> complete;
    absl::Status refuse;  ///< the flow must be refused for this
    absl::Status fatal;   ///< the peer broke the protocol: the link must close
  };
  /// Only for a flow that is not refused, and only when there is credit for an entry that begins.
  Outcome OnData(const v1::Data& data, std::string_view payload, size_t entry_max);
  /// The entry that ends at `durable` is on stable storage. True when this makes an acknowledgement due.
  bool OnPersisted(const FlowPosition& durable);
  /// An acknowledgement for what became durable since the last call.
  std::optional<Message> TakeAck();
  Message OnProbe(Offset offset);
  /// Names the first broken rule of this state, between two calls; for tests (fabric/base/invariant.h).
  absl::Status CheckInvariants() const;

 private:
  absl::Status StartEntry(const v1::Data& data, size_t entry_max);
  absl::Status CheckStart(const v1::Data& data) const;
  absl::StatusOr<FlowEntry> FinishEntry();
  void DropPartial() {
    assembling_ = false;
    buffer_ = std::string();
  }

  const FlowNumber number_;
  FlowSink* sink_ = nullptr;
  bool refused_ = false;
  Offset expected_;  // end of what was handed on to be persisted

  bool assembling_ = false;
  bool skipping_ = false;  // the entry under way is a repeat
  v1::Data current_;       // its first fragment's fields
  std::string buffer_;     // bytes of it so far, as they travelled
  size_t received_ = 0;

  std::optional<FlowPosition> unacknowledged_;
};

}  // namespace selvage::replication
