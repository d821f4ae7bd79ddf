#include "fabric/transport/link_driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/transport/codec.h"

namespace selvage {

using replication::Message;
using replication::Session;

namespace {

/// Entries are taken from the session while less than this waits to be written, so that the socket never
/// idles and an urgent frame never waits behind much.
constexpr size_t kQueueLow = 256 << 10;
constexpr size_t kDataBudget = 256 << 10;
/// A peer that makes this end answer and does not read the answers is cut off.
constexpr size_t kQueueMax = 16 << 20;
constexpr size_t kSmallFrame = 4 << 10;
constexpr char kLinkTimeout[] = "link_timeout";  // what Session says of a silent peer
constexpr absl::Duration kTick = absl::Seconds(1);
constexpr absl::Duration kTimerStep = absl::Milliseconds(1);

absl::Status Lost(const absl::Status& transport) {
  if (transport.ok()) {
    return MakeError(absl::StatusCode::kUnavailable, "link_lost",
                     "the peer ended the link without saying why", "", Retry::kYes);
  }
  return MakeError(absl::StatusCode::kUnavailable, "link_lost",
                   fmt::format("the link broke: {}", std::string(transport.message())), "", Retry::kYes);
}

}  // namespace

LinkDriver::LinkDriver(Options options, boost::asio::any_io_executor executor, Clock& clock)
    : options_(options), clock_(clock), strand_(std::move(executor)), timer_(strand_) {}

void LinkDriver::Start(std::shared_ptr<FrameStream> stream, std::shared_ptr<replication::LinkHandler> handler,
                       Callbacks callbacks) {
  boost::asio::post(strand_, [self = shared_from_this(), stream = std::move(stream),
                              handler = std::move(handler), callbacks = std::move(callbacks)]() mutable {
    SELVAGE_CHECK(self->phase_ == Phase::kNew);
    const absl::Duration now = self->clock_.Monotonic();
    self->phase_ = Phase::kOpen;
    self->stream_ = std::move(stream);
    self->handler_ = std::move(handler);
    self->callbacks_ = std::move(callbacks);
    self->session_.emplace(self->options_.session, now);
    self->tick_at_ = now + kTick;
    self->handler_->Opened(*self->session_);
    self->stream_->StartRead(&self->read_buffer_);
    self->Pump();
  });
}

void LinkDriver::Wake() {
  if (wake_posted_.exchange(true)) return;
  boost::asio::post(strand_, [self = shared_from_this()] { self->OnWake(); });
}

std::function<void()> LinkDriver::Waker() {
  return [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->Wake();
  };
}

void LinkDriver::Close(const absl::Status& why, absl::Duration retry_after) {
  boost::asio::post(strand_, [self = shared_from_this(), why, retry_after] {
    if (self->phase_ != Phase::kOpen) return;
    self->session_->Close(why, retry_after);
    self->Pump();
  });
}

void LinkDriver::Abort() {
  boost::asio::post(strand_, [self = shared_from_this()] {
    if (self->stream_ != nullptr) self->stream_->Cancel();
  });
}

void LinkDriver::Post(void (LinkDriver::*step)(bool), bool value) {
  boost::asio::post(strand_, [self = shared_from_this(), step, value] { (self.get()->*step)(value); });
}

void LinkDriver::ReadDone(bool ok) {
  Post(&LinkDriver::OnRead, ok);
}

void LinkDriver::WriteDone(bool ok) {
  Post(&LinkDriver::OnWritten, ok);
}

void LinkDriver::Ended(std::shared_ptr<LinkDriver> self, const absl::Status& status,
                       std::shared_ptr<FrameStream> stream) {
  auto strand = self->strand_;
  boost::asio::post(strand,
                    [self = std::move(self), status, stream = std::move(stream)] { self->OnEnded(status); });
}

void LinkDriver::OnWake() {
  wake_posted_ = false;  // before looking, so that what comes from here on is looked at again
  std::vector<Durable> durable;
  {
    absl::MutexLock lock(&mutex_);
    durable.swap(durable_);
  }
  if (phase_ != Phase::kOpen) return;
  for (const Durable& d : durable) session_->Persisted(d.flow, d.bytes, d.position);
  Pump();
}

void LinkDriver::OnRead(bool ok) {
  if (!ok) {
    if (phase_ == Phase::kOpen) BeginClose(absl::OkStatus());
    return;
  }
  if (phase_ == Phase::kOpen) StepFrame();
  read_buffer_.Clear();
  // Also while closing: the peer must not be held up on its way to the end.
  stream_->StartRead(&read_buffer_);
  Pump();
}

void LinkDriver::StepFrame() {
  auto message = DecodeFrame(read_buffer_);
  if (!message.ok()) return session_->Close(message.status());
  if (message->frame.has_close()) {
    end_.closed_by_peer = true;
    end_.redirect = message->frame.close().redirect();
  }
  session_->Step(*message, clock_.Monotonic());
}

void LinkDriver::OnWritten(bool ok) {
  writing_ = false;
  write_buffer_.Clear();
  if (!ok && !write_failed_) {
    // The stream is dead for writing, but what the peer said before it ended, the reason, may still be read.
    write_failed_ = true;
    queue_.Clear();
    cut_at_ = std::min(cut_at_, clock_.Monotonic() + options_.close_timeout);
  }
  if (phase_ == Phase::kOpen) {
    StartWrite();
    Pump();
  } else {
    FinishIfDrained();
  }
}

void LinkDriver::OnTimer() {
  armed_at_ = absl::InfiniteDuration();
  const absl::Duration now = clock_.Monotonic();
  if (now >= cut_at_) {
    cut_at_ = absl::InfiniteDuration();
    if (stream_ != nullptr) stream_->Cancel();
  }
  if (phase_ == Phase::kOpen && now >= tick_at_) {
    tick_at_ = now + kTick;
    handler_->Tick(*session_);
  }
  Pump();
}

void LinkDriver::Pump() {
  while (phase_ == Phase::kOpen) {
    const bool room = !write_failed_ && queue_.bytes() < kQueueLow;
    if (!Obey(session_->TakeReady(clock_.Monotonic(), room ? kDataBudget : 0))) break;
  }
  ArmTimer();
}

/// True when there was something to do, which may have made more ready.
bool LinkDriver::Obey(Session::Ready ready) {
  const bool progress = !ready.events.empty() || !ready.persist.empty() || !ready.messages.empty();
  for (const Session::Event& event : ready.events) {
    if (event.kind == Session::Event::Kind::kPeerClosed) end_.retry_after = event.retry_after;
    handler_->Handle(*session_, event);
  }
  for (Session::Persist& persist : ready.persist) Persist(std::move(persist));
  for (Message& message : ready.messages) Enqueue(std::move(message));
  StartWrite();
  if (session_->established() && !std::exchange(end_.established, true)) callbacks_.established();
  wake_at_ = ready.wake_at;
  if (ready.closed) BeginClose(ready.reason);
  return progress;
}

void LinkDriver::Persist(Session::Persist persist) {
  const replication::FlowNumber flow = persist.flow;
  const size_t bytes = persist.bytes;
  handler_->Persist(std::move(persist),
                    [weak = weak_from_this(), flow, bytes](const absl::StatusOr<LogPosition>& position) {
                      auto self = weak.lock();
                      if (self == nullptr) return;
                      {
                        absl::MutexLock lock(&self->mutex_);
                        self->durable_.push_back({flow, bytes, position});
                      }
                      self->Wake();
                    });
}

void LinkDriver::Enqueue(Message message) {
  if (write_failed_) return;
  queue_.Push(std::move(message));
  if (queue_.bytes() <= kQueueMax || phase_ != Phase::kOpen) return;
  BeginClose(MakeError(absl::StatusCode::kResourceExhausted, "peer_not_reading",
                       fmt::format("the peer left {} bytes of answers unread", queue_.bytes()), "",
                       Retry::kYes));
}

void LinkDriver::StartWrite() {
  if (writing_ || write_failed_ || finished_) return;
  auto message = queue_.Pop();
  if (!message) return;
  write_buffer_ = EncodeFrame(*message);
  const size_t size = write_buffer_.Length();
  if (size > kFrameBytesMax) {
    // The peer would refuse it without saying why.
    write_buffer_.Clear();
    session_->Close(MakeError(absl::StatusCode::kResourceExhausted, "frame_too_large",
                              fmt::format("a frame of {} bytes is larger than {}", size, kFrameBytesMax),
                              "a spec or a status has grown too large"));
    return StartWrite();
  }
  writing_ = true;
  stream_->StartWrite(&write_buffer_, size < kSmallFrame && !queue_.empty());
}

/// With an OK `reason` the transport is to say it, in OnEnded.
void LinkDriver::BeginClose(const absl::Status& reason) {
  if (phase_ != Phase::kOpen) return;
  phase_ = Phase::kClosing;
  end_.reason = reason;
  queue_.DropData();
  cut_at_ = clock_.Monotonic() + options_.close_timeout;
  if (ErrorKind(reason) == kLinkTimeout) stream_->Cancel();  // nobody is there to say goodbye to
  FinishIfDrained();
  ArmTimer();
}

void LinkDriver::FinishIfDrained() {
  if (phase_ != Phase::kClosing || finished_) return;
  StartWrite();
  if (writing_) return;
  finished_ = true;
  stream_->Finish(end_.reason);
}

void LinkDriver::OnEnded(const absl::Status& status) {
  if (phase_ == Phase::kEnded) return;
  phase_ = Phase::kEnded;
  timer_.cancel();
  if (end_.reason.ok()) end_.reason = Lost(status);
  session_.reset();  // it refers to flows that the handler may take down now
  queue_.Clear();
  stream_.reset();
  handler_->Closed(end_.reason, end_.retry_after);
  handler_.reset();
  Callbacks callbacks = std::exchange(callbacks_, {});
  if (callbacks.ended) callbacks.ended(end_);
}

void LinkDriver::ArmTimer() {
  if (phase_ == Phase::kNew || phase_ == Phase::kEnded) return;
  absl::Duration at = cut_at_;
  if (phase_ == Phase::kOpen) at = std::min({at, wake_at_, tick_at_});
  if (at >= armed_at_) return;  // it rings earlier, and looks then
  armed_at_ = at;
  absl::Duration wait = std::max(at - clock_.Monotonic(), kTimerStep);
  timer_.expires_after(absl::ToChronoNanoseconds(wait));
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error) self->OnTimer();
  });
}

}  // namespace selvage
