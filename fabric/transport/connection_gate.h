#pragma once

#include <sys/types.h>

#include <cstddef>
#include <vector>

namespace selvage {

/// How many of the connections that were handed to gRPC are still open. gRPC does not tell when it closes
/// one; a descriptor that is closed, or names another socket meanwhile, is one that went. Not thread-safe.
class ConnectionGate {
 public:
  explicit ConnectionGate(size_t max) : max_(max) {}

  /// Counts the socket, unless there are as many as may be.
  bool Admit(int descriptor);
  /// Those that are open.
  size_t Count();

 private:
  struct Connection {
    int descriptor;
    ino_t socket;
  };
  const size_t max_;
  std::vector<Connection> open_;
};

}  // namespace selvage
