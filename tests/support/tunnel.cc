#include "tests/support/tunnel.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <utility>

#include "fabric/base/check.h"

namespace selvage::test {
namespace {

using SteadyClock = std::chrono::steady_clock;
using boost::system::error_code;

constexpr int kSocketBufferBytes = 4096;
constexpr int kSegmentBytes = 1400;

// A queued chunk costs this much beside its bytes; counted, so that many tiny chunks are bounded too.
constexpr size_t kChunkOverhead = 96;
constexpr size_t kQueueBytes = 256 << 10;
// With a delay the queue holds what is in flight: 64 MiB are 300 ms of 1.7 Gbit/s.
constexpr size_t kDelayedQueueBytes = 64 << 20;
constexpr size_t kThrottledQueueBytes = 4 << 10;

size_t QueueLimit(const LaneFaults& faults) {
  if (!faults.gate.limited()) return faults.delay.count() > 0 ? kDelayedQueueBytes : kQueueBytes;
  const double in_flight = std::chrono::duration<double>(faults.delay).count() *
                           static_cast<double>(faults.gate.bytes_per_second());
  const double quantum = static_cast<double>(faults.gate.Quantum());
  const double overhead = 1 + kChunkOverhead / quantum;
  return kThrottledQueueBytes + static_cast<size_t>(std::min((in_flight + 2 * quantum) * overhead,
                                                             static_cast<double>(kDelayedQueueBytes)));
}

}  // namespace

void NarrowBuffers(int descriptor) {
  SELVAGE_CHECK(setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &kSocketBufferBytes, sizeof(int)) == 0);
  SELVAGE_CHECK(setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &kSocketBufferBytes, sizeof(int)) == 0);
  SELVAGE_CHECK(setsockopt(descriptor, IPPROTO_TCP, TCP_MAXSEG, &kSegmentBytes, sizeof(int)) == 0);
}

void ResetSocket(Tunnel::Socket& socket) {
  error_code ignored;
  socket.set_option(boost::asio::socket_base::linger(true, 0), ignored);
  socket.close(ignored);
}

Tunnel::Lane::Lane(Socket& from_socket, Socket& to_socket, LaneFaults& lane_faults)
    : from(from_socket), to(to_socket), faults(lane_faults), due(from_socket.get_executor()) {}

Tunnel::Tunnel(Socket client, Socket target, LinkFaults& faults, OnClosed on_closed)
    : client_(std::move(client)),
      target_(std::move(target)),
      up_(client_, target_, faults.up),
      down_(target_, client_, faults.down),
      on_closed_(std::move(on_closed)) {}

void Tunnel::Start(std::string early) {
  for (Socket* socket : {&client_, &target_}) {
    error_code ignored;  // a side that is broken already shows it at the first read
    socket->non_blocking(true, ignored);
    socket->set_option(boost::asio::ip::tcp::no_delay(true), ignored);
  }
  if (!early.empty()) Put(up_, Kind::kData, std::move(early));
  Poke();
}

void Tunnel::Poke() {
  for (Lane* lane : {&up_, &down_}) {
    if (closed_) return;
    if (lane->armed) lane->due.cancel();
    Read(*lane);
    Write(*lane);
  }
}

void Tunnel::HalfOpen() {
  half_open_ = true;
  for (Lane* lane : {&up_, &down_}) {
    lane->queue.clear();
    lane->queued = 0;
    lane->written = 0;
  }
  Poke();
}

void Tunnel::Abort() {
  if (closed_) return;
  ResetSocket(client_);
  ResetSocket(target_);
  Close();
}

void Tunnel::Close() {
  if (closed_) return;
  closed_ = true;
  for (Lane* lane : {&up_, &down_}) {
    error_code ignored;
    lane->from.close(ignored);
    lane->due.cancel();
  }
  on_closed_(shared_from_this());
}

void Tunnel::Read(Lane& lane) {
  if (closed_ || lane.reading || lane.ended) return;
  if (!half_open_ && (lane.faults.stalled || lane.queued >= QueueLimit(lane.faults))) return;
  lane.reading = true;
  lane.from.async_wait(Socket::wait_read, [self = shared_from_this(), &lane](error_code) {
    if (self->half_open_) {
      self->TakeTurn(lane);
    } else if (!self->closed_) {
      lane.faults.gate.Await([self, &lane] { return self->TakeTurn(lane); });
    }
  });
}

size_t Tunnel::TakeTurn(Lane& lane) {
  lane.reading = false;
  if (closed_ || lane.ended || (lane.faults.stalled && !half_open_)) return 0;
  const size_t taken = Take(lane, lane.faults.gate.Quantum());
  Read(lane);
  Write(lane);
  return taken;
}

size_t Tunnel::Take(Lane& lane, size_t size_max) {
  std::array<char, 64 << 10> buffer;
  error_code error;
  const size_t size =
      lane.from.read_some(boost::asio::buffer(buffer.data(), std::min(size_max, buffer.size())), error);
  if (error == boost::asio::error::would_block) return 0;
  lane.ended = static_cast<bool>(error);
  if (half_open_) return 0;
  if (error) {
    // A write that met a reset takes its error away, and the read after it shows a plain end.
    const bool clean = error == boost::asio::error::eof && !Opposite(lane).broken;
    Put(lane, clean ? Kind::kEnd : Kind::kReset, {});
  } else {
    Put(lane, Kind::kData, std::string(buffer.data(), size));
  }
  return size;
}

void Tunnel::Put(Lane& lane, Kind kind, std::string data) {
  lane.queued += data.size() + kChunkOverhead;
  lane.queue.push_back({kind, SteadyClock::now(), std::move(data)});
}

void Tunnel::Pop(Lane& lane) {
  lane.queued -= lane.queue.front().data.size() + kChunkOverhead;
  lane.queue.pop_front();
  lane.written = 0;
}

void Tunnel::Write(Lane& lane) {
  while (!closed_ && !half_open_ && !lane.writing && !lane.queue.empty() && !lane.faults.stalled) {
    // The delay is looked up when the chunk leaves, so that a change also moves what is already on its way.
    const auto leaves = lane.queue.front().arrived + lane.faults.delay;
    if (leaves > SteadyClock::now()) {
      if (lane.armed) return;
      lane.armed = true;
      lane.due.expires_at(leaves);
      lane.due.async_wait([self = shared_from_this(), &lane](error_code) {
        lane.armed = false;
        self->Write(lane);
      });
      return;
    }
    if (!WriteFront(lane)) return;
    Read(lane);
  }
}

// True when the queue moved on.
bool Tunnel::WriteFront(Lane& lane) {
  const Chunk& front = lane.queue.front();
  if (front.kind == Kind::kReset) {
    Abort();
    return false;
  }
  error_code error;
  if (front.kind == Kind::kEnd) {
    Pop(lane);
    lane.to.shutdown(Socket::shutdown_send, error);
    Finish(lane);
    return true;
  }
  const auto rest = boost::asio::buffer(front.data.data() + lane.written, front.data.size() - lane.written);
  const size_t size = lane.to.write_some(rest, error);
  if (error == boost::asio::error::would_block) {
    lane.writing = true;
    lane.to.async_wait(Socket::wait_write, [self = shared_from_this(), &lane](error_code) {
      lane.writing = false;
      self->Write(lane);
    });
    return false;
  }
  if (error) {
    lane.queue.clear();
    lane.queued = 0;
    lane.ended = true;
    lane.broken = true;
    // The other direction finds the break by itself, unless it has ended already.
    Finish(lane);
    return false;
  }
  lane.faults.bytes += size;
  lane.written += size;
  if (lane.written == front.data.size()) Pop(lane);
  return true;
}

void Tunnel::Finish(Lane& lane) {
  lane.finished = true;
  if (Opposite(lane).finished) Close();
}

}  // namespace selvage::test
