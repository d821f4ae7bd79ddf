#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/replication/flow.h"
#include "fabric/replication/link_compression.h"
#include "fabric/replication/message.h"
#include "fabric/replication/pacer.h"
#include "fabric/replication/receiver.h"
#include "fabric/replication/scheduler.h"
#include "fabric/replication/send_credit.h"
#include "fabric/replication/sender.h"

namespace selvage::replication {

/// One end of a link session: handshake, flows in both directions, credit, heartbeats. A pure state machine.
/// Its driver calls a method for each thing that happened and then TakeReady, and does what the Ready says:
/// it persists the entries, reports each of them with Persisted, and sends the messages in their order. A
/// Ready holds an acknowledgement only after Persisted. Times are readings of one monotonic clock. Not
/// thread-safe.
class Session {
 public:
  struct Options {
    bool is_edge = true;
    absl::Duration heartbeat = absl::Seconds(10);  ///< the session sends something at least this often
    absl::Duration timeout = absl::Seconds(30);    ///< a peer that is silent for longer ends the link
    uint64_t receive_window = 4 << 20;             ///< bytes of entries that the peer may have under way here
    size_t entry_max = 17 << 20;                   ///< bytes; a peer that sends a larger entry ends the link
    uint64_t max_rate = 0;                         ///< bytes per second of payload; 0: unlimited
    size_t read_ahead = 256 << 10;  ///< bytes a flow reads at once; less when many have something to send
  };

  /// An entry that `sink` is to persist. The entries of a flow come in order. Call Persisted afterwards.
  struct Persist {
    FlowNumber flow;
    FlowSink* sink = nullptr;
    FlowEntry entry;
    size_t credit = 0;  ///< the peer's credit that the entry holds until Persisted
  };

  /// At the core: answer with SendWelcome or Close.
  struct PeerHello {
    v1::Hello hello;
  };
  /// At the edge: offer flows from here on.
  struct PeerWelcome {
    v1::Welcome welcome;
  };
  /// Answer with Accept or Refuse.
  struct FlowOffered {
    FlowNumber flow;
    v1::FlowOpen open;
  };
  /// The source of an outgoing flow and its replica hold different histories from `common` on.
  struct FlowForked {
    FlowNumber flow;
    uint32_t kind = 0;  ///< v1::FlowKind, as it was offered
    FlowPosition common;
  };
  /// An outgoing flow was refused, or failed.
  struct FlowHeld {
    FlowNumber flow;
    uint32_t kind = 0;  ///< v1::FlowKind, as it was offered
    absl::Status why;
  };
  /// The peer ended an incoming flow (`why` is OK), or this end refused it by itself. No Persist of the flow
  /// follows: within one Ready the entries come before the events.
  struct FlowEnded {
    FlowNumber flow;
    uint32_t kind = 0;  ///< v1::FlowKind, as it was offered
    absl::Status why;
  };
  /// The peer asks for something. Answer with a flow that names the request, or with SendRefusal.
  struct Requested {
    v1::FlowRequest request;
  };
  /// The peer refuses a request of this end.
  struct RequestRefused {
    uint32_t request = 0;
    absl::Status why;
  };
  /// The peer closed the link, and said why.
  struct PeerClosed {
    absl::Status why;
    absl::Duration retry_after;
  };
  /// What the peer's wall clock shows, in milliseconds since 1970.
  struct PeerTime {
    int64_t wall_ms = 0;
  };
  /// What the owner decides or wants to know.
  using Event = std::variant<PeerHello, PeerWelcome, FlowOffered, FlowForked, FlowHeld, FlowEnded, Requested,
                             RequestRefused, PeerClosed, PeerTime>;

  /// What the driver is to do, in the order of the fields. The entries belong to flows that were accepted
  /// before. An event may end such a flow, or offer its log again; the new flow begins behind the entries.
  struct Ready {
    std::vector<Persist> persist;
    std::vector<Event> events;
    std::vector<Message> messages;
    absl::Duration wake_at = absl::InfiniteDuration();  ///< call TakeReady again at this time at the latest
    bool more = false;    ///< the budget left data unsent: call again when `messages` are written
    bool closed = false;  ///< end the link after sending `messages`; `reason` says why
    absl::Status reason;
  };

  Session(Options options, absl::Duration now);

  // Handshake.
  void SendHello(v1::Hello hello);
  void SendWelcome(v1::Welcome welcome);

  // What the driver reports.
  void Step(const Message& message, absl::Duration now);
  /// The outcome of a Persist, with the credit that it named. Call it in order within a flow.
  void Persisted(FlowNumber flow, size_t credit, const absl::StatusOr<FlowPosition>& durable);

  // Flows out.
  /// Only when established. `source` must outlive the session, or Withdraw must be called before it goes.
  /// Returns the number by which events and senders() name the flow; it stays when the flow is offered again
  /// after a refusal, although the number on the link is then another one. The session reads the source's
  /// settings here and then about once a second.
  FlowNumber Offer(FlowSource& source);
  void Withdraw(FlowNumber flow);

  // Flows in.
  /// The answer to FlowOffered; it has no effect when the flow has ended meanwhile. `sink` must live until
  /// the session ends, Refuse is called, or the flow's FlowEnded comes.
  void Accept(FlowNumber flow, FlowSink& sink);
  /// The other answer to FlowOffered. It also ends a flow that was accepted: no Persist of it follows.
  void Refuse(FlowNumber flow, const absl::Status& why, absl::Duration retry_after);

  // Requests. The session carries the messages; the owner offers the flow that answers a request.
  /// Returns the number that the session gave the request. The flow that answers it, or its refusal, names
  /// this number.
  uint32_t SendRequest(v1::FlowRequest request);
  void SendRefusal(uint32_t request, const absl::Status& why);

  /// This node's wall clock in milliseconds since 1970, to be told to the peer; renew it about once a second.
  /// From the first call on the session sends a heartbeat with it at least every Options::heartbeat.
  void SetWallTime(int64_t wall_ms) { wall_ms_ = wall_ms; }
  void set_max_rate(uint64_t bytes_per_second);
  /// Sends no entry from here on. The owner can then wait until all that was sent is acknowledged.
  void StopSending() { sending_ = false; }
  /// Tells the peer and ends the link. With `retry_after` 0 the peer decides itself when to try again.
  void Close(const absl::Status& why, absl::Duration retry_after = absl::ZeroDuration());

  /// Everything that is due now, with about `data_budget` bytes of entries at most.
  Ready TakeReady(absl::Duration now, size_t data_budget);
  /// Only time has passed since the last TakeReady, and no source has got more. The next TakeReady then does
  /// not ask the sources.
  void OnlyTimePassed() { only_time_passed_ = true; }
  /// Grows whenever the state of a flow may have changed.
  uint64_t activity() const { return activity_; }

  bool established() const { return established_; }
  uint64_t receive_window() const { return options_.receive_window; }
  /// Outgoing flows, for status. Withdraw and Offer change the map.
  const std::map<FlowNumber, std::unique_ptr<Sender>>& senders() const { return senders_; }
  const Pacer& pacer() const { return pacer_; }
  /// Names the first broken rule of this state or of what it consists of; for tests
  /// (fabric/base/invariant.h). Between a call and the next TakeReady too. Takes time for each flow.
  absl::Status CheckInvariants() const;

 private:
  void Fail(absl::Status why);
  void Queue(Message message);
  bool StepHandshake(const v1::Frame& frame);
  void StepRequest(const v1::Frame& frame);
  void StepSource(const v1::Frame& frame, absl::Duration now);
  void StepSink(const Message& message);
  void OnFlowOpen(const v1::FlowOpen& open);
  void OnData(const Message& message);
  void OnCredit(const v1::Credit& credit, absl::Duration now);
  Receiver* FindReceiver(uint32_t flow);
  Sender* FindSender(uint32_t flow);
  void RefuseReceiver(Receiver& receiver, const absl::Status& why);
  void EndOnLink(FlowNumber flow, const Sender& sender);
  void ReportSender(FlowNumber flow, Sender& sender);
  void OfferOnLink(FlowNumber flow, Sender& sender);
  void RetryHeld(absl::Duration now);
  void QueueCredit();
  void NotePriority(const Sender& sender);
  void RefreshSettings(absl::Duration now);
  void QueueHeartbeat(absl::Duration now);
  void QueueData(absl::Duration now, size_t budget, Ready& ready);
  void NoteActivity();
  enum class DataEnd { kAllSent, kLinkFull };
  DataEnd SendFragments(absl::Duration now, size_t budget, Ready& ready, size_t& queued);
  void CollectCandidates();
  bool SendFragment(const Scheduler::Turn& turn, absl::Duration now, size_t budget, Ready& ready,
                    size_t& queued);
  absl::Status CheckSenders() const;
  absl::Status CheckReceivers() const;

  const Options options_;
  bool established_ = false;
  bool hello_done_ = false;  // sent at the edge, seen at the core
  bool closing_ = false;
  bool sending_ = true;
  bool only_time_passed_ = false;
  bool nothing_to_send_ = false;  // no source had anything to send, and nothing happened since
  uint64_t activity_ = 0;
  absl::Status close_reason_;
  absl::Duration last_sent_;
  absl::Duration last_heard_;
  absl::Duration last_heartbeat_;
  int64_t wall_ms_ = 0;  // 0: not known

  std::vector<Message> outbox_;
  std::vector<Event> events_;
  std::vector<Persist> persist_;

  std::map<FlowNumber, std::unique_ptr<Sender>> senders_;  // by the number the owner knows
  std::map<FlowNumber, FlowNumber> on_link_;               // number on the link -> the owner's
  uint32_t next_flow_ = 1;
  uint32_t next_request_ = 1;
  absl::Duration next_retry_ = absl::InfiniteDuration();
  absl::Duration settings_at_ = -absl::InfiniteDuration();
  uint32_t highest_priority_ = 0;                      // of any flow out
  uint32_t lowest_priority_ = Scheduler::kPriorities;  // of any flow out; frames of a higher one are urgent
  Scheduler scheduler_;
  Pacer pacer_;
  CompressionEffort compression_;
  std::vector<Sender*> candidates_;  // as they were added to the scheduler; kept for its memory
  SendCredit credit_;

  std::map<FlowNumber, std::unique_ptr<Receiver>> receivers_;
  std::vector<FlowNumber> acks_due_;
  uint32_t highest_peer_flow_ = 0;
  uint64_t received_in_ = 0;  // bytes of payload
  uint64_t started_in_ = 0;   // bytes of entries begun
  uint64_t released_in_ = 0;  // bytes of entries that need no memory any more
  uint64_t credit_received_sent_ = 0;
  uint64_t credit_limit_sent_ = 0;
};

}  // namespace selvage::replication
