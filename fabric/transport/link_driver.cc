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
/// Reading pauses while more than this is read and not stepped.
constexpr size_t kInboxMax = 256 << 10;
constexpr size_t kInboxFramesMax = 1024;
constexpr size_t kSmallFrame = 4 << 10;
/// Tag and length of a payload, at most.
constexpr size_t kPayloadHeader = 8;
constexpr char kLinkTimeout[] = "link_timeout";  // what Session says of a silent peer
constexpr absl::Duration kTick = absl::Seconds(1);
constexpr absl::Duration kTimerStep = absl::Milliseconds(1);

/// At the same instant for all links, so that a thousand idle ones wake a thread once a second and not a
/// thousand times.
absl::Duration NextTick(absl::Duration now) {
  return absl::Floor(now, kTick) + kTick;
}

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
    self->tick_at_ = NextTick(now);
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

void LinkDriver::ReadDone(bool ok) {
  if (ok) {
    auto frame = DecodeFrame(read_buffer_);
    const size_t size = read_buffer_.Length();
    read_buffer_.Clear();
    bool pause;
    {
      absl::MutexLock lock(&mutex_);
      inbox_.push_back(std::move(frame));
      inbox_bytes_ += size;
      pause = read_paused_ = inbox_bytes_ > kInboxMax || inbox_.size() > kInboxFramesMax;
    }
    if (!pause) stream_->StartRead(&read_buffer_);
  } else {
    absl::MutexLock lock(&mutex_);
    reads_over_ = true;
  }
  Wake();
}

void LinkDriver::WriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    write_buffer_.Clear();
    if (!ok) {
      // The stream is dead for writing, but what the peer said before it ended, the reason, may still be
      // read.
      write_failed_ = true;
      queue_.Clear();
    }
    StartWrite();
    if (ok && !(wake_when_written_ && queue_.bytes() < kQueueLow)) return;
  }
  Wake();
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
  std::vector<absl::StatusOr<Message>> inbox;
  bool resume, reads_over, write_failed;
  {
    absl::MutexLock lock(&mutex_);
    durable.swap(durable_);
    inbox.swap(inbox_);
    inbox_bytes_ = 0;
    resume = std::exchange(read_paused_, false);
    reads_over = reads_over_;
    write_failed = write_failed_;
  }
  // Also while closing, when frames are dropped: the peer must not be held up on its way to the end.
  if (resume && stream_ != nullptr) stream_->StartRead(&read_buffer_);
  if (phase_ == Phase::kOpen) {
    for (const Durable& d : durable) session_->Persisted(d.flow, d.credit, d.position);
    for (const absl::StatusOr<Message>& frame : inbox) Step(frame);
    if (write_failed) cut_at_ = std::min(cut_at_, clock_.Monotonic() + options_.close_timeout);
    handler_->Woken(*session_);
    Pump();
  }
  if (reads_over) BeginClose(absl::OkStatus());
  FinishIfDrained();
}

void LinkDriver::Step(const absl::StatusOr<Message>& frame) {
  if (!frame.ok()) return session_->Close(frame.status());
  if (frame->frame.has_close()) {
    end_.closed_by_peer = true;
    end_.redirect = frame->frame.close().redirect();
  }
  session_->Step(*frame, clock_.Monotonic());
}

void LinkDriver::OnTimer() {
  armed_at_ = absl::InfiniteDuration();
  const absl::Duration now = clock_.Monotonic();
  if (now >= cut_at_) {
    cut_at_ = absl::InfiniteDuration();
    if (stream_ != nullptr) stream_->Cancel();
  }
  if (phase_ == Phase::kOpen && now >= tick_at_) {
    tick_at_ = NextTick(now);
    handler_->Tick(*session_);
  }
  if (session_) session_->OnlyTimePassed();  // who appends wakes
  Pump();
}

void LinkDriver::Pump() {
  while (phase_ == Phase::kOpen) {
    bool room;
    {
      absl::MutexLock lock(&mutex_);
      room = !write_failed_ && queue_.bytes() < kQueueLow;
    }
    if (!Obey(session_->TakeReady(clock_.Monotonic(), room ? kDataBudget : 0))) break;
    // What came meanwhile goes first: while writes are fast there is always room for more data.
    if (wake_posted_) break;
  }
  ArmTimer();
}

/// True when there was something to do, which may have made more ready.
bool LinkDriver::Obey(Session::Ready ready) {
  bool progress = !ready.events.empty() || !ready.persist.empty() || !ready.messages.empty();
  for (Session::Persist& persist : ready.persist) Persist(std::move(persist));
  for (const Session::Event& event : ready.events) {
    if (const auto* closed = std::get_if<Session::PeerClosed>(&event)) end_.retry_after = closed->retry_after;
    handler_->Handle(*session_, event);
  }
  if (session_->established() && !std::exchange(end_.established, true)) callbacks_.established();
  wake_at_ = ready.wake_at;
  Send(std::move(ready.messages));
  if (ready.closed) BeginClose(ready.reason);
  if (ready.more && !progress) {
    // It was asked for nothing but what is urgent. Room may have come meanwhile; else WriteDone tells.
    absl::MutexLock lock(&mutex_);
    wake_when_written_ = true;
    progress = !write_failed_ && queue_.bytes() < kQueueLow;
  }
  return progress;
}

void LinkDriver::Persist(Session::Persist persist) {
  persist.sink->Persist(std::move(persist.entry),
                        [weak = weak_from_this(), flow = persist.flow,
                         credit = persist.credit](const absl::StatusOr<replication::FlowPosition>& position) {
                          auto self = weak.lock();
                          if (self == nullptr) return;
                          {
                            absl::MutexLock lock(&self->mutex_);
                            self->durable_.push_back({flow, credit, position});
                          }
                          self->Wake();
                        });
}

void LinkDriver::Send(std::vector<Message> messages) {
  auto too_large = std::find_if(messages.begin(), messages.end(), [](const Message& message) {
    return message.frame.ByteSizeLong() + message.payload.size() > kFrameBytesMax - kPayloadHeader;
  });
  if (too_large != messages.end()) {
    // The peer would refuse it without saying why.
    messages.erase(too_large, messages.end());
    session_->Close(MakeError(absl::StatusCode::kResourceExhausted, "frame_too_large",
                              fmt::format("a frame is larger than {} bytes", kFrameBytesMax),
                              "a spec or a status has grown too large"));
  }
  size_t waiting;
  {
    absl::MutexLock lock(&mutex_);
    wake_when_written_ = false;
    if (write_failed_) return;
    for (Message& message : messages) queue_.Push(std::move(message));
    StartWrite();
    waiting = queue_.bytes();
  }
  if (waiting <= kQueueMax) return;
  BeginClose(MakeError(absl::StatusCode::kResourceExhausted, "peer_not_reading",
                       fmt::format("the peer left {} bytes of answers unread", waiting), "", Retry::kYes));
}

void LinkDriver::StartWrite() {
  if (writing_ || write_failed_) return;
  auto message = queue_.Pop();
  if (!message) return;
  write_buffer_ = EncodeFrame(*message);
  writing_ = true;
  stream_->StartWrite(&write_buffer_, write_buffer_.Length() < kSmallFrame && !queue_.empty());
}

/// With an OK `reason` the transport is to say it, in OnEnded.
void LinkDriver::BeginClose(const absl::Status& reason) {
  if (phase_ != Phase::kOpen) return;
  phase_ = Phase::kClosing;
  end_.reason = reason;
  {
    absl::MutexLock lock(&mutex_);
    queue_.DropData();
    wake_when_written_ = true;
  }
  cut_at_ = clock_.Monotonic() + options_.close_timeout;
  if (ErrorKind(reason) == kLinkTimeout) stream_->Cancel();  // nobody is there to say goodbye to
  FinishIfDrained();
  ArmTimer();
}

void LinkDriver::FinishIfDrained() {
  if (phase_ != Phase::kClosing || finished_) return;
  {
    absl::MutexLock lock(&mutex_);
    if (writing_ || !queue_.empty()) return;  // each write that completes starts the next
  }
  finished_ = true;
  stream_->Finish(end_.reason);
}

void LinkDriver::OnEnded(const absl::Status& status) {
  if (phase_ == Phase::kEnded) return;
  phase_ = Phase::kEnded;
  timer_.cancel();
  if (end_.reason.ok()) end_.reason = Lost(status);
  session_.reset();  // it refers to flows that the handler may take down now
  {
    absl::MutexLock lock(&mutex_);
    queue_.Clear();
    inbox_.clear();
  }
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
