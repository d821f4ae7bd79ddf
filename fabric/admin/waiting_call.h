#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/admin/call_gate.h"
#include "fabric/admin/call_pool.h"

namespace selvage {

/// The longest that such a call waits.
inline constexpr absl::Duration kCallWaitMax = absl::Seconds(30);

/// A call that answers at once if there is something to answer with, else when something comes, the wait is
/// over or the caller is gone. While it waits it occupies no thread. Keeps itself alive until gRPC is done
/// with it.
class WaitingCall : public grpc::ServerUnaryReactor, public std::enable_shared_from_this<WaitingCall> {
 public:
  /// What the calls of one method share; outlives them.
  struct Shared {
    const CallGate& gate;
    CallPool& pool;
    const CallGate::Call call;
    std::atomic<int> waiting{0};
  };

  static grpc::ServerUnaryReactor* Start(const std::shared_ptr<WaitingCall>& call);

  void OnCancel() final { Wake(); }
  void OnDone() final { self_.reset(); }

 protected:
  /// `context` is gRPC's, valid until OnDone.
  WaitingCall(Shared& shared, grpc::CallbackServerContext* context);

  // What derived calls do, one of these at a time.

  /// Fills the response, anew each time. False: there is nothing that is worth an answer now.
  virtual absl::StatusOr<bool> Read() = 0;
  virtual void ClearResponse() = 0;
  /// How long to wait when the first read finds nothing; kCallWaitMax at most.
  virtual absl::Duration wait() const = 0;
  /// Has `wake` called, on any thread, when there may be something to read. After a first Read.
  virtual void Watch(std::function<void()> wake) = 0;
  virtual void Unwatch() = 0;
  /// How long the call sleeps, unwatched, once it was woken for nothing.
  virtual absl::Duration pause() const { return absl::ZeroDuration(); }

 private:
  // On the strand.
  void Begin();
  void Woken();
  void ReadAgain();
  void StartWatch();
  void Pause();
  void ArmTimer();
  void OnTimer();
  void Conclude(const absl::Status& outcome);

  /// From any thread, never blocks: has the call look again.
  void Wake();
  void Refuse(const absl::Status& why);

  Shared& shared_;
  grpc::CallbackServerContext* const context_;
  boost::asio::strand<boost::asio::thread_pool::executor_type> strand_;
  boost::asio::steady_timer timer_;
  std::string caller_;
  std::shared_ptr<WaitingCall> self_;
  std::atomic<bool> woken_{false};  // and the strand has not looked yet

  // The strand's.
  bool waits_ = false;
  bool watched_ = false;
  boost::asio::steady_timer::time_point until_;  // the wait is over
  bool concluded_ = false;
};

}  // namespace selvage
