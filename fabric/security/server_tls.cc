#include "fabric/security/server_tls.h"

#include "fabric/telemetry/log.h"

namespace selvage {
namespace {

namespace ssl = boost::asio::ssl;

/// Null with an error when the files carry no connection, such as a certificate without its key.
std::unique_ptr<ssl::context> LoadServerTls(const TlsFiles& files, boost::system::error_code& error) {
  auto context = std::make_unique<ssl::context>(ssl::context::tls_server);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  context->use_certificate_chain_file(files.cert, error);
  if (!error) context->use_private_key_file(files.key, ssl::context::pem, error);
  if (error) return nullptr;
  return context;
}

}  // namespace

ServerTls::ServerTls(TlsFiles files, std::string clients)
    : files_(std::move(files)), clients_(std::move(clients)), changed_at_(ChangedAt()) {
  boost::system::error_code error;
  context_ = LoadServerTls(files_, error);
  if (!context_) {
    LogWarning(clients_ + " cannot be served until the TLS files are good",
               {{"cert", files_.cert}, {"error", error.message()}});
  }
}

ServerTls::FileTimes ServerTls::ChangedAt() const {
  std::error_code missing;
  return {std::filesystem::last_write_time(files_.cert, missing),
          std::filesystem::last_write_time(files_.key, missing)};
}

void ServerTls::Follow() {
  const FileTimes now = ChangedAt();
  const bool changed = std::exchange(changed_at_, now) != now;
  // While there are none that carry a connection, a permission may be what changes.
  if (!changed && context_) return;
  boost::system::error_code error;
  auto renewed = LoadServerTls(files_, error);
  if (!renewed) {
    // Key and certificate come one after the other.
    if (changed) {
      LogWarning("the new TLS files are not taken", {{"cert", files_.cert}, {"error", error.message()}});
    }
    return;
  }
  context_ = std::move(renewed);
  LogInfo(clients_ + " get a new certificate", {{"cert", files_.cert}});
}

}  // namespace selvage
