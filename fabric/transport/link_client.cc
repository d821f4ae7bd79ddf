#include "fabric/transport/link_client.h"

#include <grpcpp/create_channel.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/telemetry/log.h"
#include "fabric/telemetry/log_limit.h"
#include "fabric/transport/client_stream.h"
#include "fabric/transport/codec.h"
#include "fabric/transport/dial_error.h"
#include "fabric/transport/link_driver.h"

namespace selvage {
namespace {

/// A core that is told wrong must not keep edges away for good.
constexpr absl::Duration kRetryAfterMax = absl::Hours(1);
constexpr int kRedirectsMax = 3;  // in a row, before backing off

grpc::ChannelArguments ChannelArgs(const std::string& http_proxy) {
  grpc::ChannelArguments args;
  // Below what NAT gateways forget, and answered within what an operator would wait.
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  args.SetMaxReceiveMessageSize(kFrameBytesMax);
  args.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // Each attempt has a connection of its own: backing off is decided here alone.
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, http_proxy.empty() ? 0 : 1);
  if (!http_proxy.empty()) args.SetString(GRPC_ARG_HTTP_PROXY, "http://" + http_proxy);
  return args;
}

}  // namespace

/// Everything but the state for others belongs to its strand.
class LinkClient::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(Options options, boost::asio::any_io_executor executor, Clock& clock, Random& random,
       HandlerFactory factory)
      : options_(std::move(options)),
        clock_(clock),
        random_(random),
        factory_(std::move(factory)),
        executor_(executor),
        strand_(std::move(executor)),
        timer_(strand_) {
    options_.session.is_edge = true;
    state_.since = clock_.Wall();
  }

  void Start() {
    {
      absl::MutexLock lock(&mutex_);
      SELVAGE_CHECK(!running_);
      running_ = true;
    }
    boost::asio::post(strand_, [self = shared_from_this()] { self->Dial(); });
  }

  void Stop() {
    {
      absl::MutexLock lock(&mutex_);
      if (!running_) return;
    }
    boost::asio::post(strand_, [self = shared_from_this()] { self->BeginStop(); });
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](Impl* impl) ABSL_EXCLUSIVE_LOCKS_REQUIRED(impl->mutex_) { return !impl->running_; }, this));
  }

  LinkState state() const {
    absl::MutexLock lock(&mutex_);
    return state_;
  }

 private:
  void Dial();
  absl::Status MakeCredentials();
  void OnUp(const std::shared_ptr<ClientStream>& stream);
  void OnDialFailed(const absl::Status& status);
  void OnEstablished();
  void OnEnded(const LinkEnd& end);
  absl::Status Explained(const LinkEnd& end) const;
  void OnTimer();
  void BeginStop();
  void Stopped();

  void Note(const absl::Status& error);
  absl::Duration Jittered();
  void Arm(absl::Duration wait);
  void Disarm();

  Options options_;
  Clock& clock_;
  Random& random_;
  const HandlerFactory factory_;
  const boost::asio::any_io_executor executor_;
  boost::asio::strand<boost::asio::any_io_executor> strand_;
  boost::asio::steady_timer timer_;  // while dialling until when; otherwise when to dial again
  uint64_t timer_round_ = 0;
  std::shared_ptr<grpc::ChannelCredentials>
      credentials_;  // for a core of options_.core; made at the first dial

  bool stopping_ = false;
  LogLimit dial_log_;
  bool gave_up_ = false;  // on the address being dialled
  size_t next_address_ = 0;
  int failed_rounds_ = 0;
  std::string redirect_;  // to dial next
  int redirects_ = 0;
  std::string dialled_;
  std::shared_ptr<ClientStream> dialling_;
  std::shared_ptr<LinkDriver> driver_;

  mutable absl::Mutex mutex_;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  LinkState state_ ABSL_GUARDED_BY(mutex_);
};

void LinkClient::Impl::Dial() {
  if (stopping_) return Stopped();
  if (redirect_.empty()) {
    dialled_ = options_.addresses[next_address_];
    next_address_ = (next_address_ + 1) % options_.addresses.size();
  } else {
    dialled_ = std::exchange(redirect_, {});
  }
  {
    absl::MutexLock lock(&mutex_);
    ++state_.attempts;
    state_.address = dialled_;
  }
  if (absl::Status ready = MakeCredentials(); !ready.ok()) {
    Note(ready);
    next_address_ = 0;
    const absl::Duration wait = Jittered();
    ++failed_rounds_;
    return Arm(wait);
  }
  gave_up_ = false;
  dialling_ = std::make_shared<ClientStream>(
      grpc::CreateCustomChannel("dns:///" + dialled_, credentials_, ChannelArgs(options_.http_proxy)));
  auto up = [self = shared_from_this(), stream = dialling_] {
    boost::asio::post(self->strand_, [self, stream] { self->OnUp(stream); });
  };
  auto failed = [self = shared_from_this()](std::shared_ptr<ClientStream> stream,
                                            const absl::Status& status) mutable {
    auto strand = self->strand_;
    boost::asio::post(
        strand, [self = std::move(self), status, stream = std::move(stream)] { self->OnDialFailed(status); });
  };
  dialling_->Connect(std::move(up), std::move(failed));
  Arm(options_.connect_timeout);
}

/// A certificate that comes late, or is of another trust domain than the one before it, is dialled with like
/// one that was there at the start.
absl::Status LinkClient::Impl::MakeCredentials() {
  std::string trust_domain = options_.core.trust_domain;
  if (options_.trust_domain) {
    SELVAGE_ASSIGN_OR_RETURN(trust_domain, options_.trust_domain());
  }
  if (credentials_ != nullptr && trust_domain == options_.core.trust_domain) return absl::OkStatus();
  options_.core.trust_domain = std::move(trust_domain);
  credentials_ = ChannelCredentials(options_.tls, options_.core);
  return absl::OkStatus();
}

void LinkClient::Impl::OnUp(const std::shared_ptr<ClientStream>& stream) {
  Disarm();
  if (stopping_ || gave_up_) return stream->Abandon();
  dialling_.reset();
  driver_ = std::make_shared<LinkDriver>(LinkDriver::Options{options_.session, options_.close_timeout},
                                         executor_, clock_);
  stream->Attach(driver_);
  LinkDriver::Callbacks callbacks;
  callbacks.established = [self = shared_from_this()] {
    boost::asio::post(self->strand_, [self] { self->OnEstablished(); });
  };
  callbacks.ended = [self = shared_from_this()](const LinkEnd& end) {
    boost::asio::post(self->strand_, [self, end] { self->OnEnded(end); });
  };
  driver_->Start(stream, factory_(driver_->Waker()), std::move(callbacks));
}

void LinkClient::Impl::OnDialFailed(const absl::Status& status) {
  Disarm();
  dialling_.reset();
  if (stopping_) return Stopped();
  DialAttempt attempt{dialled_, options_.http_proxy, options_.tls};
  if (gave_up_) attempt.gave_up_after = options_.connect_timeout;
  Note(ExplainDialError(status, attempt, clock_.Wall()));
  if (next_address_ != 0) return Dial();  // the rest of the round
  const absl::Duration wait = Jittered();
  ++failed_rounds_;
  Arm(wait);
}

void LinkClient::Impl::OnEstablished() {
  LogInfo("link up", {{"address", dialled_}});
  absl::MutexLock lock(&mutex_);
  state_.connected = true;
  state_.since = clock_.Wall();
}

void LinkClient::Impl::OnEnded(const LinkEnd& end) {
  driver_.reset();
  Note(Explained(end));
  if (stopping_) return Stopped();
  next_address_ = 0;
  // A network that breaks links deserves a fresh start, a core that closes them does not.
  if (end.established && !end.closed_by_peer) failed_rounds_ = redirects_ = 0;
  absl::Duration wait = std::clamp(end.retry_after, absl::ZeroDuration(), kRetryAfterMax);
  if (!end.redirect.empty() && redirects_ < kRedirectsMax) {
    ++redirects_;
    redirect_ = end.redirect;
  } else {
    wait += Jittered();
    ++failed_rounds_;
    redirects_ = 0;
  }
  Arm(wait);
}

/// Of a certificate that the core refused: which file it is, if this end sees the fault as well.
absl::Status LinkClient::Impl::Explained(const LinkEnd& end) const {
  if (end.established || !ErrorKind(end.reason).starts_with("certificate_")) return end.reason;
  const absl::Time now = clock_.Wall();
  if (CheckTlsFiles(options_.tls, now).ok()) return end.reason;
  return ExplainDialError(end.reason, {dialled_, options_.http_proxy, options_.tls}, now);
}

/// Remembers an error, and logs it unless it is the one before again: an edge may be without a link for
/// weeks.
void LinkClient::Impl::Note(const absl::Status& error) {
  bool news;
  {
    absl::MutexLock lock(&mutex_);
    news = state_.connected || ErrorKind(state_.last_error) != ErrorKind(error);
    if (state_.connected) state_.since = clock_.Wall();
    state_.connected = false;
    state_.last_error = error;
  }
  if (!news || stopping_) return;
  // Two addresses that fail in different ways are news each time.
  if (const auto line = dial_log_.Admit(clock_.Monotonic())) {
    line->Write(LogLevel::kWarning, "no link", {{"address", dialled_}, {"error", error}});
  }
}

absl::Duration LinkClient::Impl::Jittered() {
  const int doublings = std::min(failed_rounds_, 20);
  return random_.Unit() * std::min(options_.backoff_max, options_.backoff_min * (1 << doublings));
}

void LinkClient::Impl::Arm(absl::Duration wait) {
  timer_.expires_after(absl::ToChronoNanoseconds(wait));
  timer_.async_wait([self = shared_from_this(), round = ++timer_round_](const boost::system::error_code&) {
    if (round == self->timer_round_) self->OnTimer();
  });
}

/// Also undoes a ring that is already on its way.
void LinkClient::Impl::Disarm() {
  ++timer_round_;
  timer_.cancel();
}

void LinkClient::Impl::OnTimer() {
  if (dialling_ == nullptr) return Dial();
  gave_up_ = true;
  dialling_->Cancel();
}

void LinkClient::Impl::BeginStop() {
  if (std::exchange(stopping_, true)) return;
  if (driver_ != nullptr) {
    driver_->Close(
        MakeError(absl::StatusCode::kUnavailable, "edge_stopping", "the edge stops", "", Retry::kYes),
        absl::ZeroDuration());
  } else if (dialling_ != nullptr) {
    dialling_->Cancel();
  } else {
    Disarm();
    Stopped();
  }
}

void LinkClient::Impl::Stopped() {
  absl::MutexLock lock(&mutex_);
  running_ = false;
}

LinkClient::LinkClient(Options options, boost::asio::any_io_executor executor, Clock& clock, Random& random,
                       HandlerFactory factory)
    : impl_(std::make_shared<Impl>(std::move(options), std::move(executor), clock, random,
                                   std::move(factory))) {}

LinkClient::~LinkClient() {
  Stop();
}

void LinkClient::Start() {
  impl_->Start();
}

void LinkClient::Stop() {
  impl_->Stop();
}

LinkState LinkClient::state() const {
  return impl_->state();
}

}  // namespace selvage
