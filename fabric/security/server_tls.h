#pragma once

#include <boost/asio/ssl/context.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "fabric/security/tls_files.h"

namespace selvage {

/// What a listener serves TLS with: the node's certificate, taken anew when its files change. Clients are not
/// asked for one. For one thread.
class ServerTls {
 public:
  /// Reads the files. `clients` names whom they are for in the log, such as "Kafka clients".
  ServerTls(TlsFiles files, std::string clients);

  /// Null while the files carry no connection: then nobody is served. A connection that was made with it does
  /// not need it any more.
  boost::asio::ssl::context* context() { return context_.get(); }
  /// Takes renewed files, for the connections from here on. Waits for the disk; worth calling each second.
  void Follow();

 private:
  using FileTimes = std::pair<std::filesystem::file_time_type, std::filesystem::file_time_type>;
  FileTimes ChangedAt() const;

  const TlsFiles files_;
  const std::string clients_;
  FileTimes changed_at_;
  std::unique_ptr<boost::asio::ssl::context> context_;
};

}  // namespace selvage
