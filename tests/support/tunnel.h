#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "tests/support/rate_gate.h"

namespace selvage::test {

/// What one direction of a link does to all tunnels on it. Lives on one io_context thread; after a change of
/// `stalled` or `delay` the tunnels are poked.
struct LaneFaults {
  explicit LaneFaults(boost::asio::io_context& context) : gate(context) {}

  bool stalled = false;
  std::chrono::nanoseconds delay{0};
  RateGate gate;
  /// Bytes handed to the receiving side so far, over all tunnels.
  uint64_t bytes = 0;
};

/// Both directions: up is from the side that dialled to the side that was dialled.
struct LinkFaults {
  explicit LinkFaults(boost::asio::io_context& context) : up(context), down(context) {}

  LaneFaults up;
  LaneFaults down;
};

/// A pair of connected sockets and the bytes on their way between them, in memory that is bounded per
/// direction. Ends (FIN) and resets travel in their place behind the bytes before them. Lives on one
/// io_context thread.
class Tunnel : public std::enable_shared_from_this<Tunnel> {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  using OnClosed = std::function<void(const std::shared_ptr<Tunnel>&)>;

  /// `faults` outlives the tunnel. `on_closed` is called once, when both sockets are closed.
  Tunnel(Socket client, Socket target, LinkFaults& faults, OnClosed on_closed);

  /// Begins to forward; `early` are bytes that the client sent and that were read before.
  void Start(std::string early = {});
  /// Looks again at the faults.
  void Poke();
  /// From now on swallows all bytes of both sides, drops those on their way, and closes neither side until
  /// Abort.
  void HalfOpen();
  /// Resets (RST) both sides at once.
  void Abort();

 private:
  enum class Kind { kData, kEnd, kReset };
  struct Chunk {
    Kind kind;
    std::chrono::steady_clock::time_point arrived;
    std::string data;
  };
  struct Lane {
    Lane(Socket& from_socket, Socket& to_socket, LaneFaults& lane_faults);

    Socket& from;
    Socket& to;
    LaneFaults& faults;
    boost::asio::steady_timer due;
    std::deque<Chunk> queue;
    /// Bytes of the queue's first chunk that are written already.
    size_t written = 0;
    /// What the queue costs in memory.
    size_t queued = 0;
    bool reading = false;
    bool writing = false;
    bool armed = false;
    /// Nothing more will be read: the sending side ended or broke.
    bool ended = false;
    /// Nothing more will be written: the end was passed on, or the receiving side broke.
    bool finished = false;
    /// The receiving side broke.
    bool broken = false;
  };

  void Read(Lane& lane);
  size_t TakeTurn(Lane& lane);
  size_t Take(Lane& lane, size_t size_max);
  void Put(Lane& lane, Kind kind, std::string data);
  void Write(Lane& lane);
  bool WriteFront(Lane& lane);
  void Pop(Lane& lane);
  void Finish(Lane& lane);
  void Close();
  Lane& Opposite(Lane& lane) { return &lane == &up_ ? down_ : up_; }

  Socket client_;
  Socket target_;
  Lane up_;
  Lane down_;
  OnClosed on_closed_;
  bool half_open_ = false;
  bool closed_ = false;
};

/// Gives a socket that is not yet connected (or a listening one, for those it will accept) small kernel
/// buffers and the segment size of a wide-area link. With loopback's own 64 KiB segments a sender's kernel
/// would swallow megabytes before a slow link pushes back; so it is some 70 KiB.
void NarrowBuffers(int descriptor);

/// Closes a socket so that the peer sees a reset.
void ResetSocket(Tunnel::Socket& socket);

}  // namespace selvage::test
