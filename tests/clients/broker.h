#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/e2e/daemon.h"
#include "tests/support/link_proxy.h"

namespace selvage::test {

/// A node that Kafka clients reach over a link that can be cut; they are told no other address. For one
/// thread.
class Broker {
 public:
  enum class Node {
    kEdge,  ///< alone, without its core; clients make local topics
    kCore,  ///< with one edge, which is linked
  };
  /// Running.
  static absl::StatusOr<std::unique_ptr<Broker>> Start(Node node);
  ~Broker();

  /// host:port for clients.
  std::string address() const;
  LinkProxy& link();
  /// Those behind it; the core runs only as Node::kCore.
  Daemon& core();
  Daemon& edge();
  /// SIGKILL.
  void Kill();
  /// Starts it again after Kill, with its data and on its port.
  absl::Status Resume();

 private:
  class Impl;
  Daemon& daemon();
  explicit Broker(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace selvage::test
