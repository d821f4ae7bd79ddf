#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fabric/base/clock.h"
#include "fabric/replication/link_handler.h"
#include "fabric/replication/session.h"
#include "fabric/transport/frame_stream.h"
#include "fabric/transport/write_queue.h"

namespace selvage {

/// How a link ended.
struct LinkEnd {
  absl::Status reason;                                ///< never OK
  absl::Duration retry_after = absl::ZeroDuration();  ///< what the peer asked for, or 0
  std::string redirect;                               ///< another address to dial, from the peer; or empty
  bool established = false;                           ///< the handshake was done
  bool closed_by_peer = false;  ///< it said so; otherwise the link broke or this end closed it
};

/// Runs one replication session between a FrameStream and a LinkHandler: the one place that obeys persist →
/// acknowledge → send. The session, and every call of the handler, is on one strand of the executor. What
/// arrives and what is written passes through queues, so that a batch of frames costs one visit to the
/// strand: acknowledgements and credits come once for each, and the stream's own threads keep the socket busy
/// meanwhile. Public methods may be called from any thread. It keeps itself alive until the stream has ended.
class LinkDriver : public std::enable_shared_from_this<LinkDriver> {
 public:
  struct Options {
    replication::Session::Options session;
    /// A closing link gets this long to send what it must, then it is cut.
    absl::Duration close_timeout = absl::Seconds(3);
  };
  struct Callbacks {
    std::function<void()> established = [] {};       ///< once at most, on the strand
    std::function<void(const LinkEnd&)> ended = {};  ///< exactly once, on the strand, after handler.Closed
  };

  /// `clock` must outlive it.
  LinkDriver(Options options, boost::asio::any_io_executor executor, Clock& clock);

  /// Begins the session over a stream that is up. Once.
  void Start(std::shared_ptr<FrameStream> stream, std::shared_ptr<replication::LinkHandler> handler,
             Callbacks callbacks);
  /// Has the session looked at: there may be something to send. Cheap; calls that come close together are
  /// one.
  void Wake();
  /// A function that calls Wake while this exists.
  std::function<void()> Waker();
  /// Tells the peer and ends the link, within about close_timeout.
  void Close(const absl::Status& why, absl::Duration retry_after);
  /// Ends the link without a word.
  void Abort();

  // What the stream reports.
  void ReadDone(bool ok);
  void WriteDone(bool ok);
  /// The stream is over, its last report; it gives up its references to the driver
  /// and to itself, which are dropped on the strand. `status`: how the transport saw it; OK
  /// when it ended in order.
  static void Ended(std::shared_ptr<LinkDriver> self, const absl::Status& status,
                    std::shared_ptr<FrameStream> stream = nullptr);

 private:
  enum class Phase { kNew, kOpen, kClosing, kEnded };
  struct Durable {
    replication::FlowNumber flow;
    size_t credit;
    absl::StatusOr<replication::FlowPosition> position;
  };

  void OnWake();
  void OnTimer();
  void OnEnded(const absl::Status& status);

  void Pump();
  bool Obey(replication::Session::Ready ready);
  void Persist(replication::Session::Persist persist);
  void Step(const absl::StatusOr<replication::Message>& frame);
  void Send(std::vector<replication::Message> messages);
  void StartWrite() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BeginClose(const absl::Status& reason);
  void FinishIfDrained();
  void ArmTimer();

  const Options options_;
  Clock& clock_;
  boost::asio::strand<boost::asio::any_io_executor> strand_;

  std::atomic<bool> wake_posted_ = false;
  grpc::ByteBuffer read_buffer_;  // of the read under way

  absl::Mutex mutex_;  // never held while the session or the handler is called
  std::vector<Durable> durable_
      ABSL_GUARDED_BY(mutex_);  // results of Persist that the session has not heard of
  std::vector<absl::StatusOr<replication::Message>> inbox_ ABSL_GUARDED_BY(mutex_);  // read and not stepped
  size_t inbox_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool read_paused_ ABSL_GUARDED_BY(mutex_) = false;  // no read is under way, until the inbox is emptied
  bool reads_over_ ABSL_GUARDED_BY(mutex_) = false;
  WriteQueue queue_ ABSL_GUARDED_BY(mutex_);
  grpc::ByteBuffer write_buffer_ ABSL_GUARDED_BY(mutex_);  // of the write under way
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool write_failed_ ABSL_GUARDED_BY(mutex_) = false;
  bool wake_when_written_ ABSL_GUARDED_BY(mutex_) = false;  // the strand waits for room in the queue

  // The rest belongs to the strand; stream_ is set before the first read or write and reset after the last.
  Phase phase_ = Phase::kNew;
  std::shared_ptr<FrameStream> stream_;
  std::shared_ptr<replication::LinkHandler> handler_;  // before the session, which refers to its flows
  Callbacks callbacks_;
  std::optional<replication::Session> session_;
  LinkEnd end_;
  bool finished_ = false;  // stream_->Finish was called

  boost::asio::steady_timer timer_;
  absl::Duration armed_at_ = absl::InfiniteDuration();
  absl::Duration wake_at_ = absl::InfiniteDuration();
  absl::Duration tick_at_ = absl::ZeroDuration();
  absl::Duration cut_at_ = absl::InfiniteDuration();
};

}  // namespace selvage
