#include "fabric/api/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/status.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "fabric/api/problem.h"
#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "fabric/telemetry/log.h"

namespace selvage::api {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

/// Bodies arrive and answers leave in pieces of so many bytes. Each has its own time, so that slow is not the
/// same as stuck.
constexpr size_t kPieceBytes = 64u << 10;
/// Of a header that is read at a time.
constexpr size_t kHeadBytes = 4u << 10;
/// After an answer that leaves part of the request unread: closing at once would reset the connection and
/// could take the answer away before the client reads it. So much and so long is read and dropped first.
constexpr size_t kDropBytesMax = 64u << 10;
constexpr absl::Duration kDropTime = absl::Seconds(1);
/// Between two tries to send events while memory is used up.
constexpr absl::Duration kMemoryPause = absl::Milliseconds(100);

absl::Duration Now() {
  return SystemClock().Monotonic();
}

absl::Status Malformed(std::string_view why) {
  return MakeError(absl::StatusCode::kInvalidArgument, "malformed_request",
                   fmt::format("not an HTTP request: {}", why));
}

absl::Status RequestTimeout() {
  return MakeError(absl::StatusCode::kDeadlineExceeded, "request_timeout",
                   "the request began and does not go on", "", Retry::kYes);
}

absl::Status Overloaded(std::string_view what) {
  return MakeError(absl::StatusCode::kResourceExhausted, "overloaded", what, "come again later", Retry::kYes);
}

absl::Status ParserError(const error_code& error, size_t header_bytes_max, size_t body_max) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return MakeError(absl::StatusCode::kInvalidArgument, "header_too_large",
                     fmt::format("the header is larger than {} bytes", header_bytes_max));
  }
  if (error == http::error::body_limit) return BodyTooLarge(body_max);
  return Malformed(error.message());
}

RequestHead HeadOf(const http::request_header<>& header) {
  RequestHead head{std::string(header.method_string()), std::string(header.target())};
  for (const auto& field : header) {
    std::string& value = head.headers[absl::AsciiStrToLower(
        absl::string_view(field.name_string().data(), field.name_string().size()))];
    if (!value.empty()) value += ", ";
    value.append(field.value());
  }
  return head;
}

bool WantsContinue(const RequestHead& head) {
  const auto expect = head.headers.find("expect");
  return expect != head.headers.end() && absl::EqualsIgnoreCase(expect->second, "100-continue");
}

bool HasBody(const RequestHead& head) {
  const auto length = head.headers.find("content-length");
  return (length != head.headers.end() && length->second != "0") ||
         head.headers.contains("transfer-encoding");
}

std::string StatusLine(int status) {
  const auto reason = http::obsolete_reason(static_cast<http::status>(status));
  return fmt::format("HTTP/1.1 {} {}\r\n", status, std::string_view(reason.data(), reason.size()));
}

}  // namespace

Shared::Shared(Server::Options options_in)
    : options(std::move(options_in)),
      workers(options.threads),
      context_(std::make_unique<asio::io_context>(1)) {}

void Shared::Post(std::function<void()> work) {
  absl::MutexLock lock(&mutex_);
  if (!context_gone_) asio::post(*context_, std::move(work));
}

void Shared::DropContext() {
  std::unique_ptr<asio::io_context> gone;
  {
    absl::MutexLock lock(&mutex_);
    context_gone_ = true;
    gone = std::move(context_);
  }
}

void Shared::Add(Connection* connection) {
  connections.insert(connection);
  open->Set(static_cast<double>(connections.size()));
  absl::MutexLock lock(&mutex_);
  count_ = connections.size();
}

void Shared::Remove(Connection* connection) {
  connections.erase(connection);
  open->Set(static_cast<double>(connections.size()));
  absl::MutexLock lock(&mutex_);
  count_ = connections.size();
}

void Shared::CountWatch(int more) {
  watchers += static_cast<size_t>(more);
  watching->Set(static_cast<double>(watchers));
}

bool Shared::AwaitNone(absl::Duration most) {
  absl::MutexLock lock(&mutex_);
  auto none = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return count_ == 0; };
  return mutex_.AwaitWithTimeout(absl::Condition(&none), most);
}

bool Shared::CutIdle() {
  Connection* longest = nullptr;
  for (Connection* connection : connections) {
    if (!connection->idle()) continue;
    if (longest == nullptr || connection->active() < longest->active()) longest = connection;
  }
  if (longest != nullptr) longest->Close();
  return longest != nullptr;
}

void Shared::CutStalled() {
  for (Connection* connection : connections) {
    if (connection->arriving() && Now() - connection->active() > options.contended_timeout) {
      return connection->GiveUpRequest();
    }
  }
}

Connection::Connection(std::shared_ptr<Shared> shared, Socket socket, asio::ssl::context* tls)
    : shared_(std::move(shared)), socket_(std::move(socket)), wake_(shared_->context()) {
  if (tls != nullptr) tls_ = std::make_unique<asio::ssl::stream<Socket&>>(socket_, *tls);
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  shared_->Add(this);
}

Connection::~Connection() {
  ReleaseAll();
  shared_->Remove(this);
}

void Connection::Start() {
  asio::co_spawn(
      shared_->context(), [self = shared_from_this()] { return self->Run(); }, asio::detached);
}

void Connection::Close() {
  if (std::exchange(closed_, true)) return;
  error_code ignored;
  socket_.shutdown(Socket::shutdown_both, ignored);
  socket_.close(ignored);
  Wake();
}

void Connection::Enter(Phase phase, absl::Duration timeout) {
  phase_ = phase;
  active_ = Now();
  deadline_ = active_ + timeout;
}

void Connection::CheckDeadline(absl::Duration now) {
  if (now < deadline_) return;
  switch (phase_) {
    case Phase::kArriving:
      return GiveUpRequest();
    case Phase::kWriting:
      shared_->metrics->CountCut("slow_reader");
      return Close();
    default:
      return Close();
  }
}

void Connection::GiveUpRequest() {
  if (std::exchange(given_up_, true)) return Close();
  shared_->metrics->CountCut("incomplete_request");
  Enter(Phase::kArriving, kDropTime);
  // What reads sees the end, and answers.
  error_code ignored;
  socket_.cancel(ignored);
}

void Connection::Wake() {
  woken_ = true;
  wake_.cancel();
}

void Connection::Hold(size_t bytes) {
  held_ += bytes;
  shared_->held += bytes;
}

void Connection::ReleaseAll() {
  shared_->held -= std::exchange(held_, 0);
}

Awaitable<void> Connection::Run() {
  const auto self = shared_from_this();
  if (tls_) {
    error_code error;
    Enter(Phase::kArriving, shared_->options.header_timeout);
    co_await tls_->async_handshake(asio::ssl::stream_base::server,
                                   asio::redirect_error(asio::use_awaitable, error));
    if (error) Close();
  }
  while (!closed_ && co_await ServeOne()) {
  }
  if (!closed_) co_await Finish();
  Close();
}

Awaitable<void> Connection::Finish() {
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  Enter(Phase::kIdle, kDropTime);
  if (tls_) {
    co_await tls_->async_shutdown(token);
    co_return;
  }
  socket_.shutdown(Socket::shutdown_send, error);
  char dropped[kHeadBytes];
  for (size_t total = 0; total < kDropBytesMax && !error && !closed_;) {
    total += co_await socket_.async_read_some(asio::buffer(dropped), token);
  }
}

Awaitable<bool> Connection::ReadSome(size_t most) {
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  const auto space = buffer_.prepare(most);
  size_t arrived;
  if (tls_) {
    arrived = co_await tls_->async_read_some(space, token);
  } else {
    arrived = co_await socket_.async_read_some(space, token);
  }
  buffer_.commit(arrived);
  active_ = Now();
  co_return !error && !closed_ && !given_up_;
}

Awaitable<bool> Connection::Write(std::string_view bytes) {
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  while (!bytes.empty() && !error && !closed_) {
    const auto piece = asio::buffer(bytes.data(), std::min(bytes.size(), kPieceBytes));
    Enter(Phase::kWriting, shared_->options.write_timeout);
    if (tls_) {
      co_await asio::async_write(*tls_, piece, token);
    } else {
      co_await asio::async_write(socket_, piece, token);
    }
    bytes.remove_prefix(piece.size());
  }
  Enter(Phase::kHandling, absl::InfiniteDuration());
  co_return !error && !closed_;
}

Awaitable<bool> Connection::WriteChunk(std::string_view bytes) {
  if (!chunked_) co_return co_await Write(bytes);
  std::string chunk = fmt::format("{:x}\r\n", bytes.size());
  chunk += bytes;
  chunk += "\r\n";
  co_return co_await Write(chunk);
}

Awaitable<bool> Connection::Send(const Reply& reply, bool head_only, bool keep_alive) {
  std::string message = StatusLine(reply.status);
  for (const auto& [name, value] : reply.headers) message += fmt::format("{}: {}\r\n", name, value);
  if (reply.status != 204 && reply.status != 304) {
    message += fmt::format("Content-Length: {}\r\n", reply.body.size());
  }
  message += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  if (!head_only) message += reply.body;
  Hold(message.size());
  const bool sent = co_await Write(message);
  ReleaseAll();
  co_return sent&& keep_alive;
}

Awaitable<bool> Connection::ReadHead(HeadParser& head) {
  head.header_limit(static_cast<uint32_t>(shared_->options.header_bytes_max));
  head.body_limit(boost::none);  // the route's, which is not known yet
  Enter(Phase::kIdle, shared_->options.idle_timeout);
  if (buffer_.size() == 0 && !co_await ReadSome(kHeadBytes)) co_return false;
  Enter(Phase::kArriving, shared_->options.header_timeout);
  for (;;) {
    error_code error;
    buffer_.consume(head.put(buffer_.data(), error));
    if (head.is_header_done()) co_return true;
    if (error && error != http::error::need_more) {
      const Reply refusal = Refuse(ParserError(error, shared_->options.header_bytes_max, 0));
      shared_->metrics->Count(nullptr, refusal);
      co_await Send(refusal, false, false);
      co_return false;
    }
    if (!co_await ReadSome(kHeadBytes)) break;
  }
  if (given_up_) {
    const Reply refusal = Refuse(RequestTimeout());
    shared_->metrics->Count(nullptr, refusal);
    co_await Send(refusal, false, false);
  }
  co_return false;
}

Awaitable<bool> Connection::ServeOne() {
  HeadParser head;
  if (!co_await ReadHead(head)) co_return false;
  const RequestHead request = HeadOf(head.get());
  std::variant<Call, Reply> begun = BeginCall(request);
  const bool malformed = head.get().version() == 11 && !request.headers.contains("host");
  if (malformed) begun = Refuse(Malformed("it names no Host"));
  if (auto* call = std::get_if<Call>(&begun)) {
    if (WantsContinue(request) && buffer_.size() == 0 && !co_await Write("HTTP/1.1 100 Continue\r\n\r\n")) {
      co_return false;
    }
    co_return co_await Handle(std::move(*call), head);
  }
  const Reply& refusal = std::get<Reply>(begun);
  shared_->metrics->Count(nullptr, refusal);
  const bool keep_alive = head.get().keep_alive() && !HasBody(request) && !malformed;
  co_return co_await Send(refusal, request.method == "HEAD", keep_alive);
}

Awaitable<bool> Connection::Handle(Call call, HeadParser& head) {
  const Route& route = *call.route;
  const bool keep_alive = head.get().keep_alive();
  chunked_ = head.get().version() == 11;
  const absl::Status read = co_await ReadBody(head, call);
  if (!read.ok()) {
    const Reply refusal = Refuse(read);
    shared_->metrics->Count(&route, refusal);
    co_await Send(refusal, false, false);
    co_return false;
  }
  if (closed_) co_return false;
  if (route.action == Action::kWatch) co_return co_await Watch(std::move(call), keep_alive);
  const bool head_only = call.head;
  const absl::Duration began = Now();
  const Reply reply = co_await Ask(std::move(call));
  ReleaseAll();
  shared_->metrics->Count(&route, reply);
  shared_->metrics->Observe(route, Now() - began);
  co_return co_await Send(reply, head_only, keep_alive && !shared_->stopping);
}

Awaitable<absl::Status> Connection::ReadBody(HeadParser& head, Call& call) {
  BodyParser body(std::move(head));
  body.body_limit(call.route->body_max);
  const absl::Status read = co_await ReadPieces(body, call.route->body_max);
  if (read.ok()) call.body = std::move(body.get().body());
  Enter(Phase::kHandling, absl::InfiniteDuration());
  co_return read;
}

Awaitable<absl::Status> Connection::ReadPieces(BodyParser& body, size_t body_max) {
  Enter(Phase::kArriving, shared_->options.piece_timeout);
  const absl::Duration began = Now();
  size_t arrived = 0;
  while (!body.is_done()) {
    error_code error;
    const size_t taken = buffer_.size() == 0 ? 0 : body.put(buffer_.data(), error);
    buffer_.consume(taken);
    if (error && error != http::error::need_more) {
      co_return ParserError(error, shared_->options.header_bytes_max, body_max);
    }
    if (taken > 0 && !error) continue;
    const size_t before = buffer_.size();
    if (shared_->full()) {
      shared_->CutStalled();
      co_return Overloaded("the bodies of other requests use up the memory");
    }
    const bool more = co_await ReadSome(kPieceBytes);
    if (given_up_) co_return RequestTimeout();
    if (!more) {
      Close();
      co_return absl::OkStatus();
    }
    Hold(buffer_.size() - before);
    arrived += buffer_.size() - before;
    // A client that sends a byte now and then has no more time for a piece than one that sends nothing.
    deadline_ = began + shared_->options.piece_timeout * static_cast<int64_t>(1 + arrived / kPieceBytes);
  }
  co_return absl::OkStatus();
}

template <class T>
Awaitable<T> Connection::OnWorker(Work<T> work) {
  struct Pending {
    explicit Pending(asio::io_context& context) : arrived(context) {}
    asio::steady_timer arrived;
    std::optional<T> value;
  };
  const auto pending = std::make_shared<Pending>(shared_->context());
  pending->arrived.expires_at(asio::steady_timer::time_point::max());
  asio::post(shared_->workers.executor(),
             [work = std::move(work), shared = shared_, weak = std::weak_ptr<Pending>(pending)] {
               work([shared, weak](T value) {
                 auto held = std::make_shared<T>(std::move(value));
                 shared->Post([weak, held] {
                   const auto waiting = weak.lock();
                   if (waiting == nullptr || waiting->value) return;
                   waiting->value = std::move(*held);
                   waiting->arrived.cancel();
                 });
               });
             });
  while (!pending->value) {
    error_code ignored;
    co_await pending->arrived.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  co_return *std::move(pending->value);
}

Awaitable<Reply> Connection::Ask(Call call) {
  const auto kept = std::make_shared<Call>(std::move(call));
  const Work<Reply> work = [shared = shared_, kept](std::function<void(Reply)> done) {
    if (shared->full())
      return done(Refuse(Overloaded("answers that clients have not read use up the memory")));
    try {
      shared->service->Answer(*kept, done);
    } catch (const std::exception& e) {
      LogError("an HTTP request failed", {{"route", kept->route->id}, {"error", e.what()}});
      done(Refuse(absl::InternalError("the request failed")));
    }
  };
  co_return co_await OnWorker(work);
}

Awaitable<absl::StatusOr<std::shared_ptr<EventSource>>> Connection::OpenEvents(Call call) {
  using Opened = absl::StatusOr<std::shared_ptr<EventSource>>;
  if (shared_->watchers >= shared_->options.watchers_max) {
    co_return Overloaded("as many watches are open as may be");
  }
  shared_->CountWatch(1);
  const auto kept = std::make_shared<Call>(std::move(call));
  const Work<Opened> work = [shared = shared_, kept](std::function<void(Opened)> done) {
    auto events = shared->service->Watch(*kept);
    if (!events.ok()) return done(events.status());
    done(std::shared_ptr<EventSource>(*std::move(events)));
  };
  auto opened = co_await OnWorker(work);
  if (!opened.ok()) shared_->CountWatch(-1);
  co_return opened;
}

Awaitable<bool> Connection::Watch(Call call, bool keep_alive) {
  const Route& route = *call.route;
  const auto events = co_await OpenEvents(std::move(call));
  const Reply reply = events.ok() ? Reply() : Refuse(events.status());
  shared_->metrics->Count(&route, reply);
  if (!events.ok()) co_return co_await Send(reply, false, keep_alive);
  asio::co_spawn(
      shared_->context(), [self = shared_from_this()] { return self->AwaitEnd(); }, asio::detached);
  co_await SendEvents(**events);
  shared_->CountWatch(-1);
  co_return false;
}

Awaitable<void> Connection::SendEvents(EventSource& events) {
  std::string header = StatusLine(200);
  header +=
      fmt::format("Content-Type: {}\r\nCache-Control: no-store\r\nConnection: close\r\n", kEventStreamType);
  if (chunked_) header += "Transfer-Encoding: chunked\r\n";
  header += "\r\n";
  if (!co_await Write(header)) co_return;
  // A client that is cut before the first event knows from where to go on.
  std::string progress = events.Progress();
  if (!co_await WriteChunk(progress)) co_return;
  while (!closed_ && !shared_->stopping) {
    if (shared_->full()) {
      co_await AwaitWake(kMemoryPause);
      continue;
    }
    woken_ = false;
    const auto text = co_await NextEvents(events);
    if (closed_) co_return;
    if (!text.ok()) {
      const std::string farewell = events.Farewell(text.status());
      co_await WriteChunk(farewell);
      break;
    }
    if (!text->empty()) {
      Hold(text->size());
      const bool sent = co_await WriteChunk(*text);
      ReleaseAll();
      if (!sent) co_return;
    }
    if (events.more()) continue;
    if (!woken_) co_await AwaitWake(shared_->options.heartbeat);
    if (woken_ || closed_) continue;
    progress = events.Progress();
    if (!co_await WriteChunk(progress)) co_return;
  }
  if (!closed_) co_await WriteChunk("");
}

Awaitable<absl::StatusOr<std::string>> Connection::NextEvents(EventSource& events) {
  // The coroutine that owns the events waits for this, also when the connection is closed.
  const Work<absl::StatusOr<std::string>> work = [&events](auto done) { done(events.Next()); };
  co_return co_await OnWorker(work);
}

Awaitable<void> Connection::AwaitWake(absl::Duration most) {
  error_code ignored;
  wake_.expires_after(absl::ToChronoMilliseconds(most));
  co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

Awaitable<void> Connection::AwaitEnd() {
  const auto self = shared_from_this();
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  char ignored[256];
  while (!error && !closed_) {
    if (tls_) {
      co_await tls_->async_read_some(asio::buffer(ignored), token);
    } else {
      co_await socket_.async_read_some(asio::buffer(ignored), token);
    }
  }
  Close();
}

}  // namespace selvage::api
