#include "tests/support/connect_proxy.h"

#include <fmt/format.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <charconv>
#include <optional>
#include <set>
#include <utility>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "tests/support/io_thread.h"
#include "tests/support/reserved_port.h"
#include "tests/support/tunnel.h"

namespace selvage::test {
namespace {

namespace http = boost::beast::http;
using boost::asio::ip::tcp;
using boost::system::error_code;

constexpr uint32_t kHeaderBytesMax = 8 << 10;
constexpr char kEstablished[] = "HTTP/1.1 200 Connection established\r\n\r\n";

// The port of "host:port"; nothing unless both are there.
std::optional<uint16_t> PortOf(std::string_view authority) {
  const size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  uint16_t port = 0;
  const char* end = authority.data() + authority.size();
  const auto [stop, error] = std::from_chars(authority.data() + colon + 1, end, port);
  if (error != std::errc() || stop != end || port == 0) return std::nullopt;
  return port;
}

// What is known of a client until its tunnel stands.
struct Session {
  explicit Session(tcp::socket socket) : client(std::move(socket)), target(client.get_executor()) {
    parser.header_limit(kHeaderBytesMax);
  }

  tcp::socket client;
  tcp::socket target;
  boost::beast::flat_buffer buffer;
  http::request_parser<http::empty_body> parser;
  std::string answer;
};

}  // namespace

class ConnectProxy::Impl {
 public:
  explicit Impl(ReservedPort reserved);
  ~Impl();

  uint16_t port() const { return reserved_.port(); }
  std::vector<std::string> Requests();
  uint64_t CountTunnels();

 private:
  using SessionRef = std::shared_ptr<Session>;

  void Accept();
  void Connect(const SessionRef& session, error_code error);
  void Fail(const SessionRef& session, std::string_view status);
  void StartTunnel(const SessionRef& session);
  void Close();

  IoThread thread_;
  const ReservedPort reserved_;
  LinkFaults faults_{thread_.context()};  // none are ever set
  tcp::acceptor acceptor_{thread_.context()};
  std::vector<std::string> requests_;
  std::set<SessionRef> sessions_;
  std::set<std::shared_ptr<Tunnel>> tunnels_;
};

ConnectProxy::Impl::Impl(ReservedPort reserved) : reserved_(std::move(reserved)) {
  thread_.Do([&] {
    error_code error;
    acceptor_.open(tcp::v4(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind({boost::asio::ip::address_v4::loopback(), port()}, error);
    if (!error) acceptor_.listen(tcp::acceptor::max_listen_connections, error);
    SELVAGE_CHECK(!error);  // the port is reserved for this proxy
    Accept();
  });
}

ConnectProxy::Impl::~Impl() {
  thread_.Do([&] { Close(); });
  thread_.Join();
}

void ConnectProxy::Impl::Close() {
  error_code ignored;
  acceptor_.close(ignored);
  for (const auto& session : std::exchange(sessions_, {})) {
    ResetSocket(session->client);
    ResetSocket(session->target);
  }
  const std::vector<std::shared_ptr<Tunnel>> tunnels(tunnels_.begin(), tunnels_.end());
  for (const auto& tunnel : tunnels) tunnel->Abort();
}

std::vector<std::string> ConnectProxy::Impl::Requests() {
  std::vector<std::string> requests;
  thread_.Do([&] { requests = requests_; });
  return requests;
}

uint64_t ConnectProxy::Impl::CountTunnels() {
  uint64_t count = 0;
  thread_.Do([&] { count = tunnels_.size(); });
  return count;
}

void ConnectProxy::Impl::Accept() {
  acceptor_.async_accept([this](error_code error, tcp::socket client) {
    if (!acceptor_.is_open()) return;
    SELVAGE_CHECK(!error);
    auto session = std::make_shared<Session>(std::move(client));
    sessions_.insert(session);
    http::async_read_header(session->client, session->buffer, session->parser,
                            [this, session](error_code failed, size_t) { Connect(session, failed); });
    Accept();
  });
}

void ConnectProxy::Impl::Connect(const SessionRef& session, error_code error) {
  if (!sessions_.contains(session)) return;  // closed meanwhile
  const auto& request = session->parser.get();
  if (error) return Fail(session, "400 Bad Request");
  if (request.method() != http::verb::connect) return Fail(session, "405 Method Not Allowed");
  const std::string authority(request.target().data(), request.target().size());
  const std::optional<uint16_t> port = PortOf(authority);
  if (!port) return Fail(session, "400 Bad Request");
  requests_.push_back(authority);
  session->target.async_connect(
      {boost::asio::ip::address_v4::loopback(), *port}, [this, session](error_code failed) {
        if (!sessions_.contains(session)) return;
        if (failed) return Fail(session, "502 Bad Gateway");
        session->answer = kEstablished;
        boost::asio::async_write(session->client, boost::asio::buffer(session->answer),
                                 [this, session](error_code, size_t) { StartTunnel(session); });
      });
}

void ConnectProxy::Impl::Fail(const SessionRef& session, std::string_view status) {
  session->answer = fmt::format("HTTP/1.1 {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
  boost::asio::async_write(session->client, boost::asio::buffer(session->answer),
                           [this, session](error_code, size_t) { sessions_.erase(session); });
}

void ConnectProxy::Impl::StartTunnel(const SessionRef& session) {
  if (sessions_.erase(session) == 0) return;
  auto tunnel =
      std::make_shared<Tunnel>(std::move(session->client), std::move(session->target), faults_,
                               [this](const std::shared_ptr<Tunnel>& closed) { tunnels_.erase(closed); });
  tunnels_.insert(tunnel);
  // A client may send on without waiting for the answer.
  const auto early = session->buffer.data();
  tunnel->Start(std::string(static_cast<const char*>(early.data()), early.size()));
}

absl::StatusOr<std::unique_ptr<ConnectProxy>> ConnectProxy::Start() {
  SELVAGE_ASSIGN_OR_RETURN(ReservedPort reserved, ReservePort());
  return std::unique_ptr<ConnectProxy>(new ConnectProxy(std::make_unique<Impl>(std::move(reserved))));
}

ConnectProxy::ConnectProxy(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ConnectProxy::~ConnectProxy() = default;

uint16_t ConnectProxy::port() const {
  return impl_->port();
}
std::vector<std::string> ConnectProxy::requests() const {
  return impl_->Requests();
}
uint64_t ConnectProxy::open_tunnels() const {
  return impl_->CountTunnels();
}

}  // namespace selvage::test
