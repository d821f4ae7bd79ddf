#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/support/link_proxy.h"

namespace selvage::test {

/// An edge that Kafka clients reach over a link that can be cut; they are told no other address. For one
/// thread.
class Broker {
 public:
  /// Running.
  static absl::StatusOr<std::unique_ptr<Broker>> Start();
  ~Broker();

  /// host:port for clients.
  std::string address() const;
  LinkProxy& link();
  /// SIGKILL.
  void Kill();
  /// Starts it again after Kill, with its data and on its port.
  absl::Status Resume();

 private:
  class Impl;
  explicit Broker(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace selvage::test
