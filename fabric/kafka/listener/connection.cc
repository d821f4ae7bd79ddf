#include "fabric/kafka/listener/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <cstring>

#include "fabric/base/clock.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/kafka/protocol/api_versions.h"
#include "fabric/telemetry/log.h"

namespace selvage::kafka {
namespace {

/// A request is read in pieces of so many bytes. Each has its own time to arrive, so that slow is not the
/// same as stuck.
constexpr size_t kPiece = 64u << 10;
/// Of the time that a piece of a request has while others wait for memory, a piece of a response has so much.
constexpr int kUnreadShare = 5;
/// Memory for a large request at its beginning. It grows with what arrives.
constexpr size_t kFirstMemory = 256u << 10;

/// Whether answers may be large, so that they wait for memory. A fetch does so by itself.
bool AnswersAtLength(ApiKey key) {
  switch (key) {
    case ApiKey::kMetadata:
    case ApiKey::kListOffsets:
    case ApiKey::kOffsetFetch:
    case ApiKey::kDescribeGroups:
    case ApiKey::kListGroups:
    case ApiKey::kDescribeConfigs:
      return true;
    default:
      return false;
  }
}

int64_t NowNs() {
  return absl::ToInt64Nanoseconds(SystemClock().Monotonic());
}

}  // namespace

Connection::Connection(Shared& shared, Socket socket, boost::asio::ssl::context* tls,
                       std::function<void()> gone)
    : shared_(shared),
      socket_(std::move(socket)),
      gone_(std::move(gone)),
      strand_(socket_.get_executor()),
      answered_(std::make_shared<Signal>(strand_)),
      written_(std::make_shared<Signal>(strand_)),
      active_ns_(NowNs()) {
  if (tls != nullptr) tls_ = std::make_unique<boost::asio::ssl::stream<Socket&>>(socket_, *tls);
  boost::system::error_code ignored;
  socket_.set_option(boost::asio::ip::tcp::no_delay(true), ignored);
  host_ = "/" + socket_.remote_endpoint(ignored).address().to_string();
}

void Connection::Start() {
  boost::asio::co_spawn(
      strand_, [self = shared_from_this()] { return self->Read(); }, boost::asio::detached);
  boost::asio::co_spawn(
      strand_, [self = shared_from_this()] { return self->Write(); }, boost::asio::detached);
}

void Connection::Close() {
  boost::asio::post(strand_, [self = shared_from_this()] { self->CloseNow(); });
}

void Connection::CloseIfStale(absl::Duration now) {
  const int64_t active_ns = active_ns_;
  const absl::Duration quiet = now - absl::Nanoseconds(active_ns);
  if (writing_ && shared_.response_memory.contended() &&
      quiet > kUnreadShare * shared_.options.contended_timeout) {
    boost::asio::post(strand_, [self = shared_from_this(), active_ns] {
      if (!self->closed_ && self->writing_ && self->active_ns_ == active_ns) {
        self->Refuse("it does not take its responses, and others need their memory");
      }
    });
    return;
  }
  if (!arriving_) {
    if (quiet > shared_.options.idle_timeout) Close();
    return;
  }
  const RequestMemory* memory = arriving_into_;
  const bool others_wait = memory != nullptr && memory->contended();
  if (quiet > (others_wait ? shared_.options.contended_timeout : shared_.options.request_timeout)) {
    boost::asio::post(strand_, [self = shared_from_this(), active_ns] {
      if (!self->closed_ && self->arriving_ && self->active_ns_ == active_ns) {
        self->Refuse("its request began and does not go on");
      }
    });
  }
}

void Connection::CloseNow() {
  if (std::exchange(closed_, true)) return;
  boost::system::error_code ignored;
  socket_.shutdown(Socket::shutdown_both, ignored);
  socket_.close(ignored);
  for (const auto& slot : slots_) slot->call.Close();
  answered_->Raise();
  written_->Raise();
}

void Connection::Refuse(std::string_view why, LogLimit& limit) {
  shared_.requests_refused.Add();
  if (const auto line = limit.Admit(SystemClock().Monotonic())) {
    line->Write(LogLevel::kWarning, "a Kafka client's connection is closed",
                {{"client", host_}, {"reason", why}});
  }
  CloseNow();
}

Awaitable<bool> Connection::ReadExactly(char* into, size_t size) {
  boost::system::error_code error;
  auto token = boost::asio::redirect_error(boost::asio::use_awaitable, error);
  for (size_t have = 0; have < size; have += std::min(size - have, kPiece)) {
    const auto buffer = boost::asio::buffer(into + have, std::min(size - have, kPiece));
    size_t arrived;
    if (tls_) {
      arrived = co_await boost::asio::async_read(*tls_, buffer, token);
    } else {
      arrived = co_await boost::asio::async_read(socket_, buffer, token);
    }
    active_ns_ = NowNs();
    shared_.received_bytes.Add(static_cast<double>(arrived));
    if (error || closed_) co_return false;
  }
  co_return true;
}

Awaitable<bool> Connection::WriteAll(const std::vector<Bytes>& segments) {
  boost::system::error_code error;
  auto token = boost::asio::redirect_error(boost::asio::use_awaitable, error);
  std::vector<boost::asio::const_buffer> piece;
  size_t size = 0;
  writing_ = true;
  const auto write = [&]() -> Awaitable<void> {
    if (tls_) {
      co_await boost::asio::async_write(*tls_, piece, token);
    } else {
      co_await boost::asio::async_write(socket_, piece, token);
    }
    active_ns_ = NowNs();
    shared_.sent_bytes.Add(static_cast<double>(std::exchange(size, 0)));
    piece.clear();
  };
  for (const Bytes& segment : segments) {
    for (size_t at = 0; at < segment.size() && !error && !closed_;) {
      const size_t part = std::min(segment.size() - at, kPiece - size);
      piece.emplace_back(segment.data() + at, part);
      size += part;
      at += part;
      if (size == kPiece) co_await write();
    }
  }
  if (size > 0 && !error && !closed_) co_await write();
  writing_ = false;
  co_return !error && !closed_;
}

std::shared_ptr<Connection::Slot> Connection::MakeSlot(const Bytes& frame) {
  Reader reader(frame);
  auto header = DecodeRequestHeader(reader);
  if (!header.ok()) {
    Refuse(Describe(header.status()));
    return nullptr;
  }
  const ServedApi* served = FindServed(header->api_key);
  const bool serves = served != nullptr && header->api_version >= served->min &&
                      header->api_version <= served->max && IsKnown(*header);
  auto slot = std::make_shared<Slot>(strand_, *header, host_);
  if (serves) {
    slot->api = served;
    return slot;
  }
  if (header->api_key == static_cast<int16_t>(ApiKey::kApiVersions)) {
    // KIP-511: the client asks again with a version that it finds in here.
    slot->reply = EncodeResponse(0, header->correlation_id,
                                 UnservedApiVersions(kServeApiVersions.min, kServeApiVersions.max));
    slot->done = true;
    return slot;
  }
  Refuse(fmt::format("API {} version {} is not served", header->api_key, header->api_version));
  return nullptr;
}

Awaitable<std::shared_ptr<Connection::Slot>> Connection::ReadRequest(Bytes& frame) {
  arriving_ = false;
  char prefix[4];
  if (!co_await ReadExactly(prefix, 1)) co_return nullptr;
  arriving_ = true;
  if (!co_await ReadExactly(prefix + 1, 3)) co_return nullptr;
  const auto size = LoadBig<int32_t>(prefix);
  if (size < 8 || static_cast<size_t>(size) > shared_.options.request_max) {
    Refuse(fmt::format("a request of {} bytes; allowed are {}", size, shared_.options.request_max));
    co_return nullptr;
  }
  RequestMemory& pool =
      static_cast<size_t>(size) <= kSmallRequest ? shared_.small_memory : shared_.large_memory;
  size_t held = 0;
  std::shared_ptr<Slot> slot;
  if (auto memory = co_await ReadBody(static_cast<size_t>(size), pool, held)) {
    const std::string_view view(memory.get(), static_cast<size_t>(size));
    frame = Bytes(std::move(memory), view);
    slot = MakeSlot(frame);
  }
  arriving_ = false;
  arriving_into_ = nullptr;
  if (slot == nullptr) {
    pool.Release(held);
    co_return nullptr;
  }
  slot->memory = &pool;
  slot->held = held;
  slot->call.set_responses(shared_.response_memory);
  slot->call.set_park([slot = slot.get(), &parked = shared_.parked_memory] { return slot->MoveTo(parked); });
  co_return slot;
}

Awaitable<std::shared_ptr<char[]>> Connection::ReadBody(size_t size, RequestMemory& pool, size_t& held) {
  size_t capacity = std::min(size, kFirstMemory);
  std::shared_ptr<char[]> memory = std::make_shared_for_overwrite<char[]>(capacity);
  const RequestMemory::Ticket ticket = pool.Begin();
  for (size_t have = 0; memory != nullptr && have < size;) {
    const size_t piece = std::min(size - have, kPiece);
    arriving_ = false;  // while it waits for room, that is not the client's doing
    held += co_await pool.Take(strand_, ticket, piece);
    if (have + piece > capacity) {
      capacity = std::min(size, 4 * capacity);
      auto larger = std::make_shared_for_overwrite<char[]>(capacity);
      std::memcpy(larger.get(), memory.get(), have);
      memory = std::move(larger);
    }
    active_ns_ = NowNs();
    arriving_into_ = &pool;
    arriving_ = !closed_;
    if (closed_ || !co_await ReadExactly(memory.get() + have, piece)) memory = nullptr;
    have += piece;
  }
  pool.End(ticket);
  co_return memory;
}

Awaitable<void> Connection::WaitForTurn(const Slot& next) {
  const bool produces = next.api != nullptr && next.api->key == ApiKey::kProduce;
  while (!closed_) {
    // Answers that a client does not read are held in memory: only those of Produce, which are small, pile
    // up.
    const bool waits = std::any_of(slots_.begin(), slots_.end(), [&](const auto& slot) {
      return !produces || (!slot->done && !slot->call.next_may_begin());
    });
    if (!waits && slots_.size() < shared_.options.responses_max) co_return;
    // The newest request may say so before it is answered.
    if (produces && !slots_.empty() && !slots_.back()->done && !slots_.back()->call.next_may_begin()) {
      const std::shared_ptr<Slot> newest = slots_.back();  // the writer may be done with it meanwhile
      co_await newest->call.ordered().Wait();
    } else {
      co_await written_->Wait();
    }
  }
}

Awaitable<void> Connection::Read() {
  if (tls_) {
    boost::system::error_code error;
    arriving_ = true;
    co_await tls_->async_handshake(boost::asio::ssl::stream_base::server,
                                   boost::asio::redirect_error(boost::asio::use_awaitable, error));
    if (error) Refuse("TLS: " + error.message(), shared_.handshake_log);
  }
  while (!closed_) {
    Bytes frame;
    std::shared_ptr<Slot> slot = co_await ReadRequest(frame);
    if (slot == nullptr) break;
    co_await WaitForTurn(*slot);
    slots_.push_back(slot);
    if (closed_) break;
    if (slot->done) {
      answered_->Raise();
    } else {
      boost::asio::co_spawn(
          strand_,
          [self = shared_from_this(), slot, frame = std::move(frame)]() mutable {
            return self->Handle(std::move(slot), std::move(frame));
          },
          boost::asio::detached);
    }
  }
  CloseNow();
}

Awaitable<void> Connection::Handle(std::shared_ptr<Slot> slot, Bytes frame) {
  {
    Reader reader(std::move(frame));
    (void)DecodeRequestHeader(reader);
    if (AnswersAtLength(slot->api->key)) co_await slot->call.AwaitResponseRoom();
    slot->reply = co_await slot->api->serve(shared_.context, slot->call, reader);
  }
  // What was under way may be stored or not, and no error says so to every client: most give the records up.
  // A connection that ends does, and they come again when the node is back.
  if (shared_.context.committer.failed()) {
    slot->reply = MakeError(absl::StatusCode::kUnavailable, "store_failed",
                            "the store failed and the node stops", "", Retry::kYes);
  }
  if (slot->reply.ok() && *slot->reply) {
    size_t size = 0;
    for (const Bytes& segment : **slot->reply) size += segment.size();
    slot->call.HoldResponse(size);
  }
  slot->done = true;
  slot->Release();
  slot->call.NextMayBegin();
  answered_->Raise();
  written_->Raise();
}

Awaitable<void> Connection::Write() {
  while (!closed_) {
    if (slots_.empty() || !slots_.front()->done) {
      co_await answered_->Wait();
      continue;
    }
    const std::shared_ptr<Slot> slot = slots_.front();
    if (!slot->reply.ok()) {
      Refuse(Describe(slot->reply.status()));
      break;
    }
    if (*slot->reply && !co_await WriteAll(**slot->reply)) break;
    if (slots_.empty()) break;
    slots_.pop_front();
    written_->Raise();
  }
  CloseNow();
}

}  // namespace selvage::kafka
