#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fabric/base/clock.h"
#include "fabric/base/random.h"
#include "fabric/replication/link_handler.h"
#include "fabric/replication/session.h"
#include "fabric/security/credentials.h"
#include "fabric/security/tls_files.h"

namespace selvage {

/// What an edge's link is doing.
struct LinkState {
  bool connected = false;   ///< the handshake is done
  std::string address;      ///< of the core that is linked, or was dialled last
  absl::Time since;         ///< of the last change of `connected`
  absl::Status last_error;  ///< why the last attempt or link ended; OK before the first
  uint64_t attempts = 0;    ///< dials so far
};

/// The edge's end of the link: keeps one link to one of several core addresses, for as long as it runs. Dials
/// them in turn; after each round that failed it waits a random part of a time that doubles from backoff_min
/// to backoff_max. Safe to use from several threads.
class LinkClient {
 public:
  struct Options {
    std::vector<std::string> addresses;  ///< host:port, at least one
    TlsFiles tls;
    ExpectedPeer core;
    /// Asked before each dial, on a thread of the executor: the trust domain of the core, which takes the
    /// place of the one in `core`. An error, such as a certificate that is missing, is why there is no link,
    /// and is asked again later.
    std::function<absl::StatusOr<std::string>()> trust_domain = {};
    /// host:port of a proxy that knows CONNECT; empty: none, whatever the environment says. The environment's
    /// no_proxy still exempts the hosts it names.
    std::string http_proxy;
    replication::Session::Options session;               ///< is_edge is set here
    absl::Duration connect_timeout = absl::Seconds(15);  ///< for an address to answer
    absl::Duration close_timeout = absl::Seconds(3);
    absl::Duration backoff_min = absl::Seconds(1);
    absl::Duration backoff_max = absl::Seconds(60);
  };
  /// Called for each stream that came up, on a thread of the executor. `wake` may be called at any time, from
  /// any thread, when the session may have something to send.
  using HandlerFactory = std::function<std::shared_ptr<replication::LinkHandler>(std::function<void()> wake)>;

  /// `clock`, `random` and the executor's threads must outlive it.
  LinkClient(Options options, boost::asio::any_io_executor executor, Clock& clock, Random& random,
             HandlerFactory factory);
  ~LinkClient();

  /// Begins to dial. Once.
  void Start();
  /// Closes the link politely and returns when nothing runs any more, within about close_timeout. Not from a
  /// thread of the executor.
  void Stop();

  LinkState state() const;

 private:
  class Impl;
  const std::shared_ptr<Impl> impl_;
};

}  // namespace selvage
