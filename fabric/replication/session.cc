#include "fabric/replication/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/base/invariant.h"

namespace selvage::replication {
namespace {

constexpr absl::Duration kRetryRefused = absl::Seconds(1);
/// Where a retry alone does not help: until then somebody may have changed what is wrong.
constexpr absl::Duration kRetryHopeless = absl::Minutes(1);
constexpr absl::Duration kSettingsInterval = absl::Seconds(1);
/// Flows that one peer may have open: their state costs memory that credit does not cover.
constexpr size_t kPeerFlowsMax = 16384;
/// Flows with something to send share this many times the read-ahead of one.
constexpr size_t kReadAheadShare = 8;

}  // namespace

Session::Session(Options options, absl::Duration now)
    : options_(options), last_sent_(now), last_heard_(now), last_heartbeat_(now), pacer_(options.max_rate) {}

void Session::SendHello(v1::Hello hello) {
  if (closing_) return;
  SELVAGE_CHECK(options_.is_edge && !hello_done_);
  hello_done_ = true;
  hello.set_receive_window(options_.receive_window);
  credit_limit_sent_ = options_.receive_window;
  Message message;
  *message.frame.mutable_hello() = std::move(hello);
  Queue(std::move(message));
}

void Session::SendWelcome(v1::Welcome welcome) {
  if (closing_) return;
  SELVAGE_CHECK(!options_.is_edge && hello_done_ && !established_);
  welcome.set_receive_window(options_.receive_window);
  credit_limit_sent_ = options_.receive_window;
  Message message;
  *message.frame.mutable_welcome() = std::move(welcome);
  Queue(std::move(message));
  established_ = true;
}

void Session::Queue(Message message) {
  if (!closing_) outbox_.push_back(std::move(message));
}

void Session::Fail(absl::Status why) {
  if (closing_) return;
  closing_ = true;
  close_reason_ = std::move(why);
}

void Session::Close(const absl::Status& why, absl::Duration retry_after) {
  if (closing_) return;
  Message message;
  *message.frame.mutable_close()->mutable_problem() = ToProblem(why);
  message.frame.mutable_close()->set_retry_after_ms(absl::ToInt64Milliseconds(retry_after));
  Queue(std::move(message));
  Fail(why);
}

void Session::Step(const Message& message, absl::Duration now) {
  if (closing_) return;
  NoteActivity();
  last_heard_ = now;
  const v1::Frame& frame = message.frame;
  if (frame.has_close()) {
    PeerClosed closed{FromProblem(frame.close().problem()),
                      absl::Milliseconds(std::max<int64_t>(0, frame.close().retry_after_ms()))};
    Fail(closed.why);
    events_.push_back(std::move(closed));
    return;
  }
  if (StepHandshake(frame)) return;
  switch (frame.body_case()) {
    case v1::Frame::kFlowAccept:
    case v1::Frame::kFlowRefuse:
    case v1::Frame::kAck:
    case v1::Frame::kProbeReply:
      StepSource(frame, now);
      break;
    case v1::Frame::kFlowOpen:
    case v1::Frame::kFlowClose:
    case v1::Frame::kProbe:
      StepSink(message);
      break;
    case v1::Frame::kData:
      OnData(message);
      break;
    case v1::Frame::kCredit:
      OnCredit(frame.credit(), now);
      break;
    case v1::Frame::kFlowRequest:
    case v1::Frame::kRequestRefuse:
      StepRequest(frame);
      break;
    case v1::Frame::kHeartbeat:
      if (frame.heartbeat().wall_ms() != 0) events_.push_back(PeerTime{frame.heartbeat().wall_ms()});
      break;
    default:
      break;  // a frame of a newer version
  }
}

void Session::StepRequest(const v1::Frame& frame) {
  if (frame.has_flow_request()) {
    events_.push_back(Requested{frame.flow_request()});
  } else {
    events_.push_back(
        RequestRefused{frame.request_refuse().request(), FromProblem(frame.request_refuse().problem())});
  }
}

bool Session::StepHandshake(const v1::Frame& frame) {
  if (frame.has_hello()) {
    if (options_.is_edge || hello_done_) {
      Close(ProtocolError("unexpected hello"));
      return true;
    }
    hello_done_ = true;
    credit_.Open(frame.hello().receive_window());
    events_.push_back(PeerHello{frame.hello()});
    return true;
  }
  if (frame.has_welcome()) {
    if (!options_.is_edge || !hello_done_ || established_) {
      Close(ProtocolError("unexpected welcome"));
      return true;
    }
    established_ = true;
    credit_.Open(frame.welcome().receive_window());
    events_.push_back(PeerWelcome{frame.welcome()});
    return true;
  }
  if (!established_) {
    Close(ProtocolError("a frame before the handshake was done"));
    return true;
  }
  return false;
}

Sender* Session::FindSender(uint32_t flow) {
  auto it = on_link_.find(FlowNumber(flow));
  return it == on_link_.end() ? nullptr : senders_.at(it->second).get();
}

Receiver* Session::FindReceiver(uint32_t flow) {
  auto it = receivers_.find(FlowNumber(flow));
  return it == receivers_.end() ? nullptr : it->second.get();
}

void Session::StepSource(const v1::Frame& frame, absl::Duration now) {
  uint32_t number = 0;
  switch (frame.body_case()) {
    case v1::Frame::kFlowAccept:
      number = frame.flow_accept().flow();
      break;
    case v1::Frame::kProbeReply:
      number = frame.probe_reply().flow();
      break;
    case v1::Frame::kAck:
      number = frame.ack().flow();
      break;
    default:
      number = frame.flow_refuse().flow();
      break;
  }
  Sender* sender = FindSender(number);
  if (sender == nullptr) return;  // withdrawn or held meanwhile
  Sender::State before = sender->state();
  std::optional<Message> reply;
  if (frame.has_flow_accept()) {
    reply = sender->OnAccept(FromProto(frame.flow_accept().position()), now);
  } else if (frame.has_probe_reply()) {
    reply = sender->OnProbeReply(frame.probe_reply(), now);
  } else if (frame.has_ack()) {
    sender->OnAck(FromProto(frame.ack().durable()), now);
  } else {
    const v1::FlowRefuse& refuse = frame.flow_refuse();
    absl::Duration retry_after =
        refuse.retry_after_ms() > 0 ? absl::Milliseconds(refuse.retry_after_ms()) : absl::InfiniteDuration();
    sender->Hold(FromProblem(refuse.problem()), retry_after, now);
  }
  if (reply) Queue(*std::move(reply));
  if (sender->state() != before) ReportSender(on_link_.at(FlowNumber(number)), *sender);
}

/// Tells the owner that a flow was held or is forked.
void Session::ReportSender(FlowNumber flow, Sender& sender) {
  if (sender.state() == Sender::State::kHeld) {
    // Ended on the link at once: the peer may hold memory for the rest of an entry that will not come.
    EndOnLink(flow, sender);
    next_retry_ = std::min(next_retry_, sender.retry_at());
    events_.push_back(FlowHeld{flow, sender.kind(), sender.problem()});
  } else if (sender.state() == Sender::State::kForked) {
    events_.push_back(FlowForked{flow, sender.kind(), *sender.fork()});
  }
}

void Session::EndOnLink(FlowNumber flow, const Sender& sender) {
  credit_.Forget(flow);
  if (on_link_.erase(sender.number()) == 0) return;
  Message message;
  message.frame.mutable_flow_close()->set_flow(sender.number().value());
  Queue(std::move(message));
}

void Session::StepSink(const Message& message) {
  const v1::Frame& frame = message.frame;
  if (frame.has_flow_open()) {
    OnFlowOpen(frame.flow_open());
  } else if (frame.has_flow_close()) {
    Receiver* receiver = FindReceiver(frame.flow_close().flow());
    if (receiver == nullptr) return;
    if (!receiver->refused())
      events_.push_back(FlowEnded{receiver->number(), receiver->kind(), absl::OkStatus()});
    released_in_ += receiver->partial_bytes();
    receivers_.erase(receiver->number());
  } else if (Receiver* receiver = FindReceiver(frame.probe().flow()); receiver != nullptr) {
    Queue(receiver->OnProbe(Offset(frame.probe().offset())));
  }
}

void Session::OnFlowOpen(const v1::FlowOpen& open) {
  if (open.flow() <= highest_peer_flow_) return Close(ProtocolError("a flow number was used again"));
  if (receivers_.size() >= kPeerFlowsMax) return Close(ProtocolError("the peer offers too many flows"));
  highest_peer_flow_ = open.flow();
  FlowNumber flow(open.flow());
  receivers_.emplace(flow, std::make_unique<Receiver>(flow, open.kind()));
  events_.push_back(FlowOffered{flow, open});
}

void Session::OnData(const Message& message) {
  const v1::Data& data = message.frame.data();
  received_in_ += message.payload.size();
  Receiver* receiver = FindReceiver(data.flow());
  if (receiver == nullptr || receiver->refused()) {
    // What was under way when the flow ended here: it takes no memory.
    if (data.flow() > highest_peer_flow_)
      return Close(ProtocolError("data of a flow that was never offered"));
    if (data.position() == 0) {
      started_in_ += CreditOf(data.entry_size());
      released_in_ += CreditOf(data.entry_size());
    }
    return;
  }
  size_t started = receiver->StartedBy(data);
  uint64_t held = started_in_ - released_in_;
  if (started > 0 && held > 0 && held + started > options_.receive_window) {
    return Close(ProtocolError("the peer sent more than its credit"));
  }
  Receiver::Outcome outcome = receiver->OnData(data, message.payload.view(), options_.entry_max);
  if (!outcome.fatal.ok()) return Close(outcome.fatal);
  started_in_ += started;
  released_in_ += outcome.released;
  if (!outcome.refuse.ok()) RefuseReceiver(*receiver, outcome.refuse);
  if (outcome.complete) {
    const size_t credit = CreditOf(outcome.complete->body.size());
    persist_.push_back({receiver->number(), receiver->sink(), *std::move(outcome.complete), credit});
  }
}

void Session::RefuseReceiver(Receiver& receiver, const absl::Status& why) {
  released_in_ += receiver.partial_bytes();
  Queue(receiver.Refuse(why, IsRetryable(why) ? kRetryRefused : kRetryHopeless));
  events_.push_back(FlowEnded{receiver.number(), receiver.kind(), why});
}

void Session::Persisted(FlowNumber flow, size_t credit, const absl::StatusOr<FlowPosition>& durable) {
  released_in_ += credit;
  Receiver* receiver = FindReceiver(flow.value());
  if (receiver == nullptr || !receiver->open()) return;
  if (durable.ok()) {
    if (receiver->OnPersisted(*durable)) acks_due_.push_back(flow);
  } else {
    RefuseReceiver(*receiver, durable.status());
  }
}

void Session::OnCredit(const v1::Credit& credit, absl::Duration now) {
  if (!pacer_.Received(credit.received(), now))
    return Close(ProtocolError("credit for bytes that were never sent"));
  if (!credit_.Raise(credit.limit())) Close(ProtocolError("credit for more than was sent"));
}

FlowNumber Session::Offer(FlowSource& source) {
  SELVAGE_CHECK(established_ || closing_);
  FlowNumber flow(next_flow_);
  auto sender = std::make_unique<Sender>(source, options_.entry_max);
  NotePriority(*sender);
  OfferOnLink(flow, *sender);
  senders_.emplace(flow, std::move(sender));
  return flow;
}

void Session::NoteActivity() {
  nothing_to_send_ = false;
  ++activity_;
}

void Session::OfferOnLink(FlowNumber flow, Sender& sender) {
  NoteActivity();
  FlowNumber number(next_flow_++);
  on_link_.emplace(number, flow);
  Queue(sender.Offer(number));
}

void Session::Withdraw(FlowNumber flow) {
  auto it = senders_.find(flow);
  if (it == senders_.end()) return;
  NoteActivity();
  EndOnLink(flow, *it->second);
  scheduler_.Forget(flow);
  senders_.erase(it);
}

void Session::Accept(FlowNumber flow, FlowSink& sink) {
  Receiver* receiver = FindReceiver(flow.value());
  if (receiver != nullptr && receiver->waiting()) Queue(receiver->Accept(sink));
}

void Session::Refuse(FlowNumber flow, const absl::Status& why, absl::Duration retry_after) {
  Receiver* receiver = FindReceiver(flow.value());
  if (receiver == nullptr || receiver->refused()) return;
  released_in_ += receiver->partial_bytes();
  std::erase_if(persist_, [&](const Persist& persist) {
    if (persist.flow != flow) return false;
    released_in_ += persist.credit;
    return true;
  });
  Queue(receiver->Refuse(why, retry_after));
}

uint32_t Session::SendRequest(v1::FlowRequest request) {
  request.set_request(next_request_++);
  Message message;
  *message.frame.mutable_flow_request() = std::move(request);
  Queue(std::move(message));
  return next_request_ - 1;
}

void Session::SendRefusal(uint32_t request, const absl::Status& why) {
  Message message;
  message.frame.mutable_request_refuse()->set_request(request);
  *message.frame.mutable_request_refuse()->mutable_problem() = ToProblem(why);
  Queue(std::move(message));
}

void Session::set_max_rate(uint64_t bytes_per_second) {
  pacer_.set_max_rate(bytes_per_second);
}

void Session::RetryHeld(absl::Duration now) {
  if (now < next_retry_) return;
  next_retry_ = absl::InfiniteDuration();
  for (const auto& [flow, sender] : senders_) {
    if (sender->state() != Sender::State::kHeld) continue;
    if (sender->retry_at() <= now) {
      OfferOnLink(flow, *sender);
    } else {
      next_retry_ = std::min(next_retry_, sender->retry_at());
    }
  }
}

void Session::QueueCredit() {
  uint64_t limit = released_in_ + options_.receive_window;
  if (received_in_ == credit_received_sent_ && limit == credit_limit_sent_) return;
  Message message;
  message.frame.mutable_credit()->set_received(received_in_);
  message.frame.mutable_credit()->set_limit(limit);
  Queue(std::move(message));
  credit_received_sent_ = received_in_;
  credit_limit_sent_ = limit;
}

void Session::NotePriority(const Sender& sender) {
  highest_priority_ = std::max(highest_priority_, sender.settings().priority);
  lowest_priority_ = std::min(lowest_priority_, sender.settings().priority);
}

void Session::RefreshSettings(absl::Duration now) {
  if (nothing_to_send_ || now < settings_at_ + kSettingsInterval) return;
  settings_at_ = now;
  highest_priority_ = 0;
  lowest_priority_ = Scheduler::kPriorities;
  for (const auto& [flow, sender] : senders_) {
    sender->RefreshSettings();
    NotePriority(*sender);
  }
}

void Session::CollectCandidates() {
  scheduler_.Clear();
  candidates_.clear();
  for (const auto& [flow, sender] : senders_) {
    if (!sender->HasWork()) continue;
    scheduler_.Add(flow, sender->settings().priority, sender->settings().weight);
    candidates_.push_back(sender.get());
  }
}

/// False when the link takes no more for now.
bool Session::SendFragment(const Scheduler::Turn& turn, absl::Duration now, size_t budget, Ready& ready,
                           size_t& queued) {
  const SendCredit::Flow flow{turn.candidate.flow, turn.candidate.priority};
  Sender& sender = *candidates_[turn.candidate.index];
  size_t read_ahead =
      std::min(options_.read_ahead, kReadAheadShare * options_.read_ahead / scheduler_.size());
  const std::optional<size_t> entry_bytes = sender.EntryBytes(read_ahead, now);
  if (!entry_bytes) {
    if (sender.state() == Sender::State::kHeld) ReportSender(flow.number, sender);
    scheduler_.Drop();
    return true;
  }
  const size_t credit = CreditOf(*entry_bytes);
  bool begins = sender.AtEntryStart();
  if (begins && !credit_.MayBegin(flow, credit, highest_priority_)) {
    scheduler_.Block();
    credit_.Claim(flow, turn.given_way);
    return true;
  }
  bool urgent = flow.priority > lowest_priority_;
  const size_t rest = std::max<size_t>(sender.EntryRest(), 1);  // an empty entry waits for its turn as well
  size_t size = pacer_.NextFrame(rest, now, urgent);
  if (size == 0) {
    ready.wake_at = std::min(ready.wake_at, pacer_.NextFrameAt(rest, now, urgent));
    return false;
  }
  const bool frees_others = begins && credit_.Begin(flow, credit);
  Message fragment = sender.NextFragment(std::min(size, budget), {compression_.level(), pacer_.rate()});
  size_t sent = fragment.payload.size();
  pacer_.Sent(sent, now);
  scheduler_.Sent(sent, sender.HasWork());
  if (frees_others) scheduler_.Unblock();
  queued += sent;
  Queue(std::move(fragment));
  return true;
}

void Session::QueueData(absl::Duration now, size_t budget, Ready& ready) {
  if (!sending_) return;
  size_t queued = 0;
  const DataEnd end = SendFragments(now, budget, ready, queued);
  // What was sent took its time after `now`; the next look at what there is to send tells how long.
  if (queued > 0) {
    compression_.Working(now);
  } else if (end == DataEnd::kLinkFull) {
    compression_.Waiting(now);
  } else {
    compression_.Idle(now);
  }
}

Session::DataEnd Session::SendFragments(absl::Duration now, size_t budget, Ready& ready, size_t& queued) {
  if (!pacer_.window_open(highest_priority_ > lowest_priority_)) return DataEnd::kLinkFull;
  if (nothing_to_send_) {
    scheduler_.Clear();
  } else {
    CollectCandidates();
  }
  nothing_to_send_ = scheduler_.size() == 0;
  // Who lacks credit claims it, and then others begin no entry before it.
  const auto may_send = [this](const Scheduler::Candidate& candidate) {
    return !candidates_[candidate.index]->AtEntryStart() ||
           credit_.MayOvertake({candidate.flow, candidate.priority}, 1);
  };
  while (auto turn = scheduler_.Pick(may_send)) {
    if (queued >= budget) {
      ready.more = true;
      return DataEnd::kLinkFull;
    }
    if (!SendFragment(*turn, now, budget, ready, queued)) return DataEnd::kLinkFull;
  }
  pacer_.Idle();
  return DataEnd::kAllSent;
}

void Session::QueueHeartbeat(absl::Duration now) {
  const bool silent = outbox_.empty() && now - last_sent_ >= options_.heartbeat;
  const bool time_is_due = wall_ms_ != 0 && now - last_heartbeat_ >= options_.heartbeat;
  if (!silent && !time_is_due) return;
  last_heartbeat_ = now;
  Message message;
  message.frame.mutable_heartbeat()->set_wall_ms(wall_ms_);
  Queue(std::move(message));
}

Session::Ready Session::TakeReady(absl::Duration now, size_t data_budget) {
  Ready ready;
  if (!std::exchange(only_time_passed_, false)) NoteActivity();
  if (!closing_ && now - last_heard_ > options_.timeout) {
    Fail(MakeError(absl::StatusCode::kUnavailable, "link_timeout",
                   fmt::format("nothing was heard for {} s", absl::ToInt64Seconds(now - last_heard_)), "",
                   Retry::kYes));
  }
  if (!closing_ && established_) {
    RetryHeld(now);
    RefreshSettings(now);
    for (FlowNumber flow : acks_due_) {
      Receiver* receiver = FindReceiver(flow.value());
      if (auto ack = receiver == nullptr ? std::nullopt : receiver->TakeAck()) Queue(*std::move(ack));
    }
    acks_due_.clear();
    QueueCredit();
    for (const Message& message : outbox_) pacer_.SentControl(message.frame.ByteSizeLong(), now);
    QueueData(now, data_budget, ready);
    QueueHeartbeat(now);
  }
  if (!outbox_.empty()) last_sent_ = now;
  ready.messages.swap(outbox_);
  ready.persist.swap(persist_);
  ready.events.swap(events_);
  ready.closed = closing_;
  ready.reason = close_reason_;
  if (closing_) {
    ready.wake_at = absl::InfiniteDuration();
    return ready;
  }
  ready.wake_at = std::min(ready.wake_at, last_heard_ + options_.timeout + absl::Milliseconds(1));
  if (established_) ready.wake_at = std::min({ready.wake_at, next_retry_, last_sent_ + options_.heartbeat});
  return ready;
}

absl::Status Session::CheckInvariants() const {
  // A frame that broke the protocol is left half-done, and nothing follows it.
  if (closing_) return FirstBroken({{!close_reason_.ok(), "a session that closes says why"}});
  SELVAGE_RETURN_IF_ERROR(CheckSenders());
  SELVAGE_RETURN_IF_ERROR(CheckReceivers());
  SELVAGE_RETURN_IF_ERROR(credit_.CheckInvariants(options_.entry_max));
  SELVAGE_RETURN_IF_ERROR(scheduler_.CheckInvariants());
  SELVAGE_RETURN_IF_ERROR(pacer_.CheckInvariants());
  return FirstBroken({
      {close_reason_.ok(), "a session that goes on has no reason to close"},
      {hello_done_ || !established_, "the hello comes before the welcome"},
      {established_ || (senders_.empty() && receivers_.empty()), "flows begin after the handshake"},
      {scheduler_.size() <= candidates_.size(), "each candidate has its sender"},
      {!nothing_to_send_ || scheduler_.size() == 0, "nobody waits to send when there is nothing to send"},
  });
}

absl::Status Session::CheckSenders() const {
  const std::optional<FlowNumber> claimant = credit_.claimant();
  bool claim_is_of_a_sender = !claimant.has_value();
  size_t on_link = 0;
  for (const auto& [flow, sender] : senders_) {
    SELVAGE_RETURN_IF_ERROR(sender->CheckInvariants());
    const bool held = sender->state() == Sender::State::kHeld;
    const auto known = on_link_.find(sender->number());
    const uint32_t priority = sender->settings().priority;
    on_link += held ? 0 : 1;
    claim_is_of_a_sender |= claimant == flow && sender->state() == Sender::State::kStreaming;
    SELVAGE_RETURN_IF_ERROR(FirstBroken({
        {sender->number().value() < next_flow_, "a flow's number on the link is not used again"},
        {held == (known == on_link_.end()), "a flow is on the link unless it is held"},
        {held || known->second == flow, "a number on the link leads to its flow"},
        {!held || next_retry_ <= sender->retry_at(), "a held flow is offered again in time"},
        {lowest_priority_ <= priority && priority <= highest_priority_,
         "no priority of a flow goes unnoticed"},
    }));
  }
  return FirstBroken({
      {on_link == on_link_.size(), "no number on the link is left of a flow that ended"},
      {claim_is_of_a_sender, "who claims the credit is a flow that sends"},
      {scheduler_.remembered() <= senders_.size(), "nothing is remembered of flows that were withdrawn"},
  });
}

absl::Status Session::CheckReceivers() const {
  uint64_t holding = 0;  // as far as the session knows: what is being persisted is the owner's
  for (const auto& [flow, receiver] : receivers_) {
    SELVAGE_RETURN_IF_ERROR(receiver->CheckInvariants());
    holding += receiver->partial_bytes();
  }
  for (const Persist& persist : persist_) holding += persist.credit;
  const uint64_t held = started_in_ - released_in_;
  return FirstBroken({
      {receivers_.size() <= kPeerFlowsMax, "the flows of a peer are bounded"},
      {receivers_.empty() || receivers_.rbegin()->first.value() <= highest_peer_flow_,
       "a flow of the peer has a number that it offered"},
      {released_in_ <= started_in_, "no more memory is given back than entries began to take"},
      {holding <= held, "what entries hold here is counted against the peer's credit"},
      {held <= std::max<uint64_t>(options_.receive_window, CreditOf(options_.entry_max)),
       "entries hold no more than the window, or one does alone"},
      {credit_received_sent_ <= received_in_, "no byte is confirmed before it came"},
      {credit_limit_sent_ <= released_in_ + options_.receive_window, "no memory is lent twice"},
  });
}

}  // namespace selvage::replication
