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
  Counter requests_refused;
  Counter received_bytes;
  Counter sent_bytes;
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
  Awaitable<bool> WriteAll(const std::vector<Bytes>& segments);
  /// The next request, begun; nothing when the connection is over.
  Awaitable<std::shared_ptr<Slot>> ReadRequest(Bytes& frame);
  std::shared_ptr<Slot> MakeSlot(const Bytes& frame);
  /// Until the requests before may be followed by this one.
  Awaitable<void> WaitForTurn(const Slot& next);
  Awaitable<void> Handle(std::shared_ptr<Slot> slot, Bytes frame);
  void CloseNow();
  void Refuse(std::string_view why);

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
  std::atomic<const RequestMemory*> arriving_into_{nullptr};  // null until its size is known
};

}  // namespace selvage::kafka
