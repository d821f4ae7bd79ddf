#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/replication/flow.h"
#include "fabric/replication/message.h"
#include "fabric/replication/send_credit.h"

namespace selvage::replication {

/// One incoming flow. It says where the flow resumes, puts fragments together, skips entries that the sink
/// already has, refuses entries that do not follow the last one, and acknowledges only what is durable. Pure;
/// driven by Session.
class Receiver {
 public:
  /// `kind`: v1::FlowKind, as the flow was offered.
  explicit Receiver(FlowNumber number, uint32_t kind = 0) : number_(number), kind_(kind) {}

  FlowNumber number() const { return number_; }
  uint32_t kind() const { return kind_; }
  bool open() const { return sink_ != nullptr; }
  FlowSink* sink() { return sink_; }
  bool refused() const { return refused_; }
  /// True while the owner has neither accepted nor refused the flow.
  bool waiting() const { return sink_ == nullptr && !refused_; }
  /// Bytes of credit that the incomplete entry holds.
  size_t partial_bytes() const { return assembling_ ? CreditOf(current_.entry_size()) : 0; }
  /// Bytes of credit that an entry takes which begins with this fragment; 0 when the fragment continues one.
  size_t StartedBy(const v1::Data& data) const { return assembling_ ? 0 : CreditOf(data.entry_size()); }

  /// Begins at the sink's durable end. `sink` must outlive the receiver, or Refuse must be called before it
  /// goes.
  Message Accept(FlowSink& sink);
  Message Refuse(const absl::Status& why, absl::Duration retry_after);

  /// What a fragment led to.
  struct Outcome {
    size_t released = 0;  ///< credit of an entry that was skipped or given up
    std::optional<FlowEntry> complete;
    absl::Status refuse;  ///< the flow must be refused for this
    absl::Status fatal;   ///< the peer broke the protocol: the link must close
  };
  /// Call it only while the flow is not refused, and with an entry's first fragment only if there is credit.
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
  const uint32_t kind_;
  FlowSink* sink_ = nullptr;
  bool refused_ = false;
  Offset expected_;  // the next entry begins here: the end of the last one that was handed on

  bool assembling_ = false;
  bool skipping_ = false;  // the sink has the incomplete entry already
  v1::Data current_;       // the first fragment of the incomplete entry
  std::string buffer_;     // its bytes so far, as they travelled; none of an entry that is skipped
  size_t received_ = 0;    // number of its bytes so far

  std::optional<FlowPosition> unacknowledged_;
};

}  // namespace selvage::replication
