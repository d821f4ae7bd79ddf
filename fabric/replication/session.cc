#include "fabric/replication/session.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/check.h"
#include "fabric/base/error.h"

namespace selvage::replication {
namespace {

constexpr absl::Duration kRetryRefused = absl::Seconds(1);

absl::Status ProtocolError(std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "protocol_error", what,
                   "the peer runs another version or is faulty", Retry::kYes);
}

}  // namespace

Session::Session(Options options, absl::Duration now)
    : options_(options), last_sent_(now), last_heard_(now), now_(now), pacer_(options.max_rate) {}

void Session::SendHello(v1::Hello hello) {
  hello.set_receive_window(options_.receive_window);
  credit_limit_sent_ = options_.receive_window;
  Message message;
  *message.frame.mutable_hello() = std::move(hello);
  Queue(std::move(message));
}

void Session::SendWelcome(v1::Welcome welcome) {
  welcome.set_receive_window(options_.receive_window);
  credit_limit_sent_ = options_.receive_window;
  Message message;
  *message.frame.mutable_welcome() = std::move(welcome);
  Queue(std::move(message));
  established_ = true;
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
  now_ = now;
  last_heard_ = now;
  const v1::Frame& frame = message.frame;
  if (frame.has_close()) {
    Event event{Event::Kind::kPeerClosed};
    event.status = FromProblem(frame.close().problem());
    event.retry_after = absl::Milliseconds(frame.close().retry_after_ms());
    Fail(event.status);
    events_.push_back(std::move(event));
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
    case v1::Frame::kSpec: {
      Event event{Event::Kind::kSpec};
      event.spec = frame.spec().spec();
      events_.push_back(std::move(event));
      break;
    }
    case v1::Frame::kStatus: {
      Event event{Event::Kind::kStatus};
      event.edge_status = frame.status().status();
      events_.push_back(std::move(event));
      break;
    }
    default:
      break;  // a heartbeat, or a frame of a newer version
  }
}

bool Session::StepHandshake(const v1::Frame& frame) {
  if (frame.has_hello()) {
    if (options_.is_edge || hello_seen_) {
      Close(ProtocolError("unexpected hello"));
      return true;
    }
    hello_seen_ = true;
    credit_limit_ = peer_window_ = frame.hello().receive_window();
    Event event{Event::Kind::kHello};
    event.hello = frame.hello();
    events_.push_back(std::move(event));
    return true;
  }
  if (frame.has_welcome()) {
    if (!options_.is_edge || established_) {
      Close(ProtocolError("unexpected welcome"));
      return true;
    }
    established_ = true;
    credit_limit_ = peer_window_ = frame.welcome().receive_window();
    Event event{Event::Kind::kWelcome};
    event.welcome = frame.welcome();
    events_.push_back(std::move(event));
    return true;
  }
  if (!established_) {
    Close(ProtocolError("a frame before the handshake was done"));
    return true;
  }
  return false;
}

Sender* Session::FindSender(uint32_t flow) {
  auto it = senders_.find(FlowNumber(flow));
  return it == senders_.end() ? nullptr : it->second.get();
}

Receiver* Session::FindReceiver(uint32_t flow) {
  auto it = receivers_.find(FlowNumber(flow));
  return it == receivers_.end() ? nullptr : it->second.get();
}

void Session::StepSource(const v1::Frame& frame, absl::Duration now) {
  std::optional<Message> reply;
  Sender* sender = nullptr;
  switch (frame.body_case()) {
    case v1::Frame::kFlowAccept:
      sender = FindSender(frame.flow_accept().flow());
      if (sender != nullptr) reply = sender->OnAccept(FromProto(frame.flow_accept().position()));
      break;
    case v1::Frame::kProbeReply:
      sender = FindSender(frame.probe_reply().flow());
      if (sender != nullptr) reply = sender->OnProbeReply(frame.probe_reply());
      break;
    case v1::Frame::kAck:
      sender = FindSender(frame.ack().flow());
      if (sender != nullptr) sender->OnAck(FromProto(frame.ack().durable()));
      break;
    case v1::Frame::kFlowRefuse: {
      const v1::FlowRefuse& refuse = frame.flow_refuse();
      sender = FindSender(refuse.flow());
      absl::Duration retry_at = refuse.retry_after_ms() > 0 ? now + absl::Milliseconds(refuse.retry_after_ms())
                                                            : absl::InfiniteDuration();
      if (sender != nullptr) sender->Hold(FromProblem(refuse.problem()), retry_at);
      break;
    }
    default:
      break;
  }
  if (reply) Queue(*std::move(reply));
  if (sender != nullptr) ReportSender(*sender);
}

void Session::ReportSender(Sender& sender) {
  if (sender.state() == Sender::State::kHeld) {
    Event event{Event::Kind::kFlowHeld, sender.number()};
    event.status = sender.problem();
    events_.push_back(std::move(event));
  } else if (sender.state() == Sender::State::kForked) {
    Event event{Event::Kind::kFlowForked, sender.number()};
    event.status = sender.problem();
    event.position = *sender.fork();
    events_.push_back(std::move(event));
  }
}

void Session::StepSink(const Message& message) {
  const v1::Frame& frame = message.frame;
  if (frame.has_flow_open()) {
    uint32_t flow = frame.flow_open().flow();
    if (flow <= highest_peer_flow_) {
      Close(ProtocolError("a flow number was used again"));
      return;
    }
    highest_peer_flow_ = flow;
    receivers_.emplace(FlowNumber(flow), std::make_unique<Receiver>(FlowNumber(flow)));
    Event event{Event::Kind::kFlowOffered, FlowNumber(flow)};
    event.open = frame.flow_open();
    events_.push_back(std::move(event));
  } else if (frame.has_flow_close()) {
    if (Receiver* receiver = FindReceiver(frame.flow_close().flow()); receiver != nullptr) {
      events_.push_back({Event::Kind::kFlowEnded, receiver->number()});
      released_in_ += receiver->partial_bytes();
      receivers_.erase(receiver->number());
    }
  } else if (Receiver* receiver = FindReceiver(frame.probe().flow()); receiver != nullptr) {
    Queue(receiver->OnProbe(Offset(frame.probe().offset())));
  }
}

void Session::OnData(const Message& message) {
  const v1::Data& data = message.frame.data();
  received_in_ += message.payload.size();
  Receiver* receiver = FindReceiver(data.flow());
  if (receiver == nullptr || receiver->refused()) {
    // What was under way when the flow ended here: it takes no memory.
    if (data.flow() > highest_peer_flow_) return Close(ProtocolError("data of a flow that was never offered"));
    if (data.position() == 0) {
      started_in_ += data.entry_size();
      released_in_ += data.entry_size();
    }
    return;
  }
  Receiver::Outcome outcome = receiver->OnData(data, message.payload.view(), options_.entry_max);
  if (!outcome.fatal.ok()) return Close(outcome.fatal);
  started_in_ += outcome.entry_started;
  released_in_ += outcome.released;
  uint64_t held = started_in_ - released_in_;
  if (held > options_.receive_window && held != outcome.entry_started) {
    return Close(ProtocolError("the peer sent more than its credit"));
  }
  if (!outcome.refuse.ok()) RefuseReceiver(*receiver, outcome.refuse);
  if (outcome.complete) {
    size_t bytes = outcome.complete->body.size();
    persist_.push_back({receiver->number(), *std::move(outcome.complete), bytes});
  }
}

void Session::RefuseReceiver(Receiver& receiver, const absl::Status& why) {
  released_in_ += receiver.partial_bytes();
  Queue(receiver.Refuse(why, IsRetryable(why) ? kRetryRefused : absl::InfiniteDuration()));
  Event event{Event::Kind::kFlowEnded, receiver.number()};
  event.status = why;
  events_.push_back(std::move(event));
}

void Session::Persisted(FlowNumber flow, size_t bytes, const absl::StatusOr<LogPosition>& durable) {
  released_in_ += bytes;
  Receiver* receiver = FindReceiver(flow.value());
  if (receiver == nullptr || !receiver->open()) return;
  if (durable.ok()) {
    receiver->OnPersisted(*durable);
  } else {
    RefuseReceiver(*receiver, durable.status());
  }
}

void Session::OnCredit(const v1::Credit& credit, absl::Duration now) {
  if (!pacer_.Received(credit.received(), now)) return Close(ProtocolError("credit for bytes that were never sent"));
  credit_limit_ = std::max(credit_limit_, credit.limit());
}

FlowNumber Session::Offer(FlowSource& source) {
  FlowNumber number(next_flow_++);
  auto sender = std::make_unique<Sender>(number, source);
  Queue(sender->Offer());
  senders_.emplace(number, std::move(sender));
  return number;
}

void Session::Withdraw(FlowNumber flow) {
  if (senders_.erase(flow) == 0) return;
  scheduler_.Forget(flow);
  Message message;
  message.frame.mutable_flow_close()->set_flow(flow.value());
  Queue(std::move(message));
}

void Session::Accept(FlowNumber flow, FlowSink& sink) {
  if (Receiver* receiver = FindReceiver(flow.value()); receiver != nullptr) Queue(receiver->Accept(sink));
}

void Session::Refuse(FlowNumber flow, const absl::Status& why, absl::Duration retry_after) {
  Receiver* receiver = FindReceiver(flow.value());
  if (receiver == nullptr) return;
  released_in_ += receiver->partial_bytes();
  Queue(receiver->Refuse(why, retry_after));
}

void Session::SendSpec(const v1::EdgeSpec& spec) {
  Message message;
  *message.frame.mutable_spec()->mutable_spec() = spec;
  Queue(std::move(message));
}

void Session::SendStatus(const v1::EdgeStatus& status) {
  Message message;
  *message.frame.mutable_status()->mutable_status() = status;
  Queue(std::move(message));
}

void Session::set_max_rate(uint64_t bytes_per_second) { pacer_.set_max_rate(bytes_per_second); }

void Session::RetryHeld(absl::Duration now) {
  std::vector<FlowNumber> due;
  for (const auto& [number, sender] : senders_) {
    if (sender->state() == Sender::State::kHeld && sender->retry_at() <= now) due.push_back(number);
  }
  for (FlowNumber number : due) {
    // A new number: what is still under way of the old one cannot be taken for the new one's.
    FlowSource& source = senders_.at(number)->source();
    Withdraw(number);
    Offer(source);
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

bool Session::MayStart(size_t entry_bytes, uint32_t priority, uint32_t highest) const {
  uint64_t outstanding = started_out_ + peer_window_ - credit_limit_;
  if (outstanding == 0) return true;  // one largest entry always fits
  // Lower priorities leave a quarter free, so that a window full of bulk data does not hold up an alarm.
  uint64_t usable = priority < highest ? peer_window_ - peer_window_ / 4 : peer_window_;
  return outstanding + entry_bytes <= usable;
}

void Session::QueueData(absl::Duration now, size_t budget, Ready& ready) {
  size_t queued = 0;
  std::vector<Scheduler::Candidate> candidates;
  for (const auto& [number, sender] : senders_) {
    if (!sender->HasWork()) continue;
    FlowSettings settings = sender->source().settings();
    candidates.push_back({number, settings.priority, settings.weight});
  }
  uint32_t highest = 0;
  for (const auto& [number, sender] : senders_) highest = std::max(highest, sender->source().settings().priority);
  while (!candidates.empty()) {
    size_t allowance = pacer_.Allowance(now);
    if (allowance == 0) {
      ready.wake_at = std::min(ready.wake_at, pacer_.NextAllowanceAt(now));
      break;
    }
    if (queued >= budget) {
      ready.more = true;
      break;
    }
    FlowNumber picked = scheduler_.Pick(candidates);
    auto candidate = std::find_if(candidates.begin(), candidates.end(), [&](const auto& c) { return c.flow == picked; });
    Sender& sender = *senders_.at(picked);
    size_t entry_bytes = sender.EntryBytes(options_.read_ahead);
    if (entry_bytes == 0 || (sender.AtEntryStart() && !MayStart(entry_bytes, candidate->priority, highest))) {
      if (entry_bytes == 0) ReportSender(sender);
      candidates.erase(candidate);
      continue;
    }
    if (sender.AtEntryStart()) started_out_ += entry_bytes;
    size_t frame_bytes = std::min({pacer_.FrameBytes(), std::max<size_t>(allowance, 512), budget});
    Message fragment = sender.NextFragment(frame_bytes);
    size_t sent = fragment.payload.size();
    pacer_.Sent(sent, now);
    scheduler_.Sent(*candidate, sent);
    queued += sent;
    outbox_.push_back(std::move(fragment));
    if (!sender.HasWork()) candidates.erase(candidate);
  }
}

Session::Ready Session::TakeReady(absl::Duration now, size_t data_budget) {
  now_ = now;
  Ready ready;
  if (!closing_ && now - last_heard_ > options_.timeout) {
    Fail(MakeError(absl::StatusCode::kUnavailable, "link_timeout",
                   fmt::format("nothing was heard for {} s", absl::ToInt64Seconds(now - last_heard_)), "",
                   Retry::kYes));
  }
  if (!closing_ && established_) {
    RetryHeld(now);
    for (const auto& [number, receiver] : receivers_) {
      if (auto ack = receiver->TakeAck()) Queue(*std::move(ack));
    }
    QueueCredit();
    QueueData(now, data_budget, ready);
    for (const auto& [number, sender] : senders_) {
      if (sender->state() == Sender::State::kHeld) ready.wake_at = std::min(ready.wake_at, sender->retry_at());
    }
    if (outbox_.empty() && now - last_sent_ >= options_.heartbeat) {
      Message message;
      message.frame.mutable_heartbeat();
      Queue(std::move(message));
    }
  }
  if (!outbox_.empty()) last_sent_ = now;
  ready.messages.swap(outbox_);
  ready.persist.swap(persist_);
  ready.events.swap(events_);
  ready.closed = closing_;
  ready.reason = close_reason_;
  ready.wake_at = std::min({ready.wake_at, last_sent_ + options_.heartbeat, last_heard_ + options_.timeout + absl::Milliseconds(1)});
  return ready;
}

}  // namespace selvage::replication
