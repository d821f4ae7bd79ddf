#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fabric/api/server.h"
#include "fabric/process/lazy_threads.h"

namespace selvage::api {

template <class T>
using Awaitable = boost::asio::awaitable<T>;

class Connection;

/// Requests by route, counted and timed. For one thread.
class RequestMetrics {
 public:
  explicit RequestMetrics(Metrics& metrics);
  /// `route` may be null, for what no route takes.
  void Count(const Route* route, const Reply& reply);
  void Observe(const Route& route, absl::Duration taken);
  /// A client that was cut since it was too slow: "incomplete_request" or "slow_reader".
  void CountCut(std::string_view reason);

 private:
  Metrics& metrics_;
  std::map<std::pair<const Route*, int>, Counter> requests_;
  std::map<const Route*, Histogram> seconds_;
};

/// What the connections of a server share. Lives as long as anything of them does; used on the server's
/// thread, except where it says otherwise.
class Shared : public std::enable_shared_from_this<Shared> {
 public:
  explicit Shared(Server::Options options);

  /// Runs `work` on the server's thread; drops it when the server is gone. From any thread.
  void Post(std::function<void()> work);
  /// Ends everything that still waits there. The thread must have ended.
  void DropContext();
  boost::asio::io_context& context() { return *context_; }

  void Add(Connection* connection);
  void Remove(Connection* connection);
  /// So many more watches are open.
  void CountWatch(int more);
  /// False when there are connections after so long. From any thread.
  bool AwaitNone(absl::Duration most);
  /// Ends the connection that has been idle longest; false when none is.
  bool CutIdle();
  /// Gives a body that stopped arriving up, if there is one.
  void CutStalled();

  /// More is in memory than may be. From any thread.
  bool full() const { return held > options.memory_max; }

  const Server::Options options;
  Service* service = nullptr;  ///< from Serve on
  std::optional<RequestMetrics> metrics;
  std::optional<Gauge> open;
  std::optional<Gauge> watching;
  std::atomic<size_t> held{0};  ///< bytes of bodies and answers
  size_t watchers = 0;
  bool stopping = false;
  std::set<Connection*> connections;
  LazyThreads workers;

 private:
  absl::Mutex mutex_;
  std::unique_ptr<boost::asio::io_context> context_;  // replaced by nothing under the mutex
  bool context_gone_ ABSL_GUARDED_BY(mutex_) = false;
  size_t count_ ABSL_GUARDED_BY(mutex_) = 0;
};

/// One client. Everything runs on the server's thread; lives as long as a coroutine of it does.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  /// `tls` may be null.
  Connection(std::shared_ptr<Shared> shared, Socket socket, boost::asio::ssl::context* tls);
  ~Connection();

  void Start();
  void Close();
  /// Cuts it when what it waits for is overdue.
  void CheckDeadline(absl::Duration now);
  /// There may be something new to watch.
  void Wake();

  bool idle() const { return phase_ == Phase::kIdle; }
  /// A body is arriving.
  bool arriving() const { return phase_ == Phase::kArriving && held_ > 0; }
  /// When something was read last.
  absl::Duration active() const { return active_; }
  void GiveUpRequest();

 private:
  enum class Phase { kIdle, kArriving, kHandling, kWriting };
  using HeadParser = boost::beast::http::request_parser<boost::beast::http::empty_body>;
  using BodyParser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  void Enter(Phase phase, absl::Duration timeout);
  Awaitable<void> Run();
  /// One request and its answer; true when another may follow.
  Awaitable<bool> ServeOne();
  Awaitable<bool> Handle(Call call, HeadParser& head);
  /// The request's header; false when the connection is over, or was refused.
  Awaitable<bool> ReadHead(HeadParser& head);
  /// The body, into the call; else the error to refuse it with.
  Awaitable<absl::Status> ReadBody(HeadParser& head, Call& call);
  Awaitable<absl::Status> ReadPieces(BodyParser& body, size_t body_max);
  Awaitable<Reply> Ask(Call call);
  Awaitable<bool> Watch(Call call, bool keep_alive);
  Awaitable<absl::StatusOr<std::shared_ptr<EventSource>>> OpenEvents(Call call);
  Awaitable<void> SendEvents(EventSource& events);
  Awaitable<absl::StatusOr<std::string>> NextEvents(EventSource& events);
  /// Until Wake, or for so long.
  Awaitable<void> AwaitWake(absl::Duration most);
  /// Reads until the client ends the connection.
  Awaitable<void> AwaitEnd();
  /// Work on another thread, which hands its outcome over once. It has a name before it is waited for: g++ 12
  /// destroys a lambda within the expression twice.
  template <class T>
  using Work = std::function<void(std::function<void(T)>)>;
  template <class T>
  Awaitable<T> OnWorker(Work<T> work);

  Awaitable<bool> ReadSome(size_t most);
  Awaitable<bool> Send(const Reply& reply, bool head_only, bool keep_alive);
  Awaitable<bool> Write(std::string_view bytes);
  Awaitable<bool> WriteChunk(std::string_view bytes);
  Awaitable<void> Finish();
  void Hold(size_t bytes);
  void ReleaseAll();

  const std::shared_ptr<Shared> shared_;
  Socket socket_;
  std::unique_ptr<boost::asio::ssl::stream<Socket&>> tls_;
  boost::beast::flat_buffer buffer_;
  Phase phase_ = Phase::kArriving;
  absl::Duration deadline_ = absl::InfiniteDuration();
  absl::Duration active_ = absl::ZeroDuration();
  size_t held_ = 0;  // of the shared memory
  bool closed_ = false;
  bool given_up_ = false;  // the request does not go on
  bool chunked_ = false;   // of the answer that never ends
  bool woken_ = false;
  boost::asio::steady_timer wake_;
};

}  // namespace selvage::api
