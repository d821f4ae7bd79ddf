#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/listener/listener.h"
#include "fabric/kafka/listener/request_memory.h"
#include "fabric/telemetry/log_limit.h"

namespace selvage::kafka {

/// Bytes. Most requests are smaller; they never wait for room behind the ones that are not, so that
/// heartbeats arrive however much is being produced.
inline constexpr size_t kSmallRequest = 64u << 10;

/// What the connections of a listener share.
struct Shared {
  const Listener::Options& options;
  Context& context;
  RequestMemory& small_memory;  ///< of requests up to kSmallRequest
  RequestMemory& large_memory;
  RequestMemory& parked_memory;  ///< of requests that wait for something to happen
  ResponseMemory& response_memory;
  Counter requests_refused;
  Counter received_bytes;
  Counter sent_bytes;
  LogLimit& refused_log;    ///< for what clients send
  LogLimit& handshake_log;  ///< for TLS that does not come about
};

/// One client. Everything runs on its strand; lives as long as a coroutine of it does.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  /// `tls` may be null. `gone` is called once, when nothing of the connection runs or waits any more.
  Connection(Shared& shared, Socket socket, boost::asio::ssl::context* tls, std::function<void()> gone);

  ~Connection() { gone_(); }

  void Start();
  /// From any thread.
  void Close();
  /// Closes it when it has been idle, or a request has been arriving, for too long.
  void CloseIfStale(absl::Duration now);

 private:
  struct Slot {
    Slot(boost::asio::any_io_executor strand, RequestHeader header, std::string host)
        : call(std::move(strand), std::move(header), std::move(host)) {}
    Slot(const Slot&) = delete;
    ~Slot() { Release(); }
    void Release() {
      if (memory != nullptr) std::exchange(memory, nullptr)->Release(held);
    }
    /// Holds its memory from another pool from here on; false when that has no room.
    bool MoveTo(RequestMemory& other) {
      if (memory == nullptr || memory == &other) return true;
      if (!other.TryHold(held)) return false;
      std::exchange(memory, &other)->Release(held);
      return true;
    }
    Call call;
    const ServedApi* api = nullptr;
    RequestMemory* memory = nullptr;  ///< from which it holds so much
    size_t held = 0;
    bool done = false;
    absl::StatusOr<Reply> reply = Reply();
  };

  Awaitable<void> Read();
  Awaitable<void> Write();
  Awaitable<bool> ReadExactly(char* into, size_t size);
  /// The bytes of a request, and what they hold of `pool`; null when the connection ended before they were
  /// all here.
  Awaitable<std::shared_ptr<char[]>> ReadBody(size_t size, RequestMemory& pool, size_t& held);
  Awaitable<bool> WriteAll(const std::vector<Bytes>& segments);
  /// The next request, begun; nothing when the connection is over.
  Awaitable<std::shared_ptr<Slot>> ReadRequest(Bytes& frame);
  std::shared_ptr<Slot> MakeSlot(const Bytes& frame);
  /// Until the requests before may be followed by this one.
  Awaitable<void> WaitForTurn(const Slot& next);
  Awaitable<void> Handle(std::shared_ptr<Slot> slot, Bytes frame);
  void CloseNow();
  void Refuse(std::string_view why) { Refuse(why, shared_.refused_log); }
  void Refuse(std::string_view why, LogLimit& limit);

  Shared& shared_;
  Socket socket_;
  std::unique_ptr<boost::asio::ssl::stream<Socket&>> tls_;
  const std::function<void()> gone_;
  const boost::asio::any_io_executor strand_;
  std::string host_;  // of the client
  std::deque<std::shared_ptr<Slot>> slots_;
  const std::shared_ptr<Signal> answered_;  // for the writer
  const std::shared_ptr<Signal> written_;   // for the reader
  bool closed_ = false;
  std::atomic<int64_t> active_ns_;                            // when something was read or written last
  std::atomic<bool> arriving_{false};                         // a request has begun
  std::atomic<bool> writing_{false};                          // a response is on its way
  std::atomic<const RequestMemory*> arriving_into_{nullptr};  // null until its size is known
};

}  // namespace selvage::kafka
