#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace selvage::test {

/// What a read on a socket ended with.
enum class Outcome { kData, kEnd, kReset, kTimeout };

/// A blocking TCP client with deadlines, close to what the kernel says.
class Client {
 public:
  /// Connects to 127.0.0.1; connected() tells whether it worked.
  explicit Client(uint16_t port);
  Client(Client&& other) noexcept;
  ~Client();

  bool connected() const { return descriptor_ >= 0; }
  /// Of the failed connect.
  int error() const { return error_; }

  /// True when all was taken by the kernel in time.
  bool Send(std::string_view data, absl::Duration deadline = absl::Seconds(60));
  /// Sends until the kernel takes no more for `quiet`, at most 32 MiB; returns how much it took.
  size_t SendUntilBlocked(absl::Duration quiet);
  /// Reads exactly `size` bytes, or what came before the end, a reset or the deadline.
  Outcome Receive(size_t size, std::string& data, absl::Duration deadline = absl::Seconds(60));
  /// Reads what there is, as soon as there is something.
  Outcome ReceiveSome(std::string& data, absl::Duration deadline = absl::Seconds(60));
  /// Reads until something other than data comes.
  Outcome ReceiveEnd(absl::Duration deadline = absl::Seconds(60));
  /// Ends the sending side.
  void ShutdownSend();
  void Close();

 private:
  friend class Server;
  struct Adopted {
    int descriptor;
  };
  explicit Client(Adopted adopted) : descriptor_(adopted.descriptor) {}

  /// One read of at most `most` bytes, behind what `data` holds.
  Outcome Append(size_t most, std::string& data, absl::Duration deadline);

  int descriptor_ = -1;
  int error_ = 0;
};

/// A real server on 127.0.0.1: it hands out each accepted connection, for the test to play the other end.
class Server {
 public:
  Server();
  ~Server();

  uint16_t port() const { return port_; }
  /// The next connection; not connected() when none came in time.
  Client Accept(absl::Duration deadline = absl::Seconds(60));

 private:
  int descriptor_;
  uint16_t port_ = 0;
};

/// A server that sends back what it gets, each connection on its own thread, until its end.
class EchoServer {
 public:
  EchoServer();
  ~EchoServer();

  uint16_t port() const { return server_.port(); }

 private:
  void Serve();

  Server server_;
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> connections_;
  std::thread acceptor_;
};

}  // namespace selvage::test
