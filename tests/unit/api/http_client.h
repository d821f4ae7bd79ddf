#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <boost/asio.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace selvage::api {

/// A blocking HTTP client on one connection.
class HttpClient {
 public:
  using Response = boost::beast::http::response<boost::beast::http::string_body>;
  using Headers = std::map<std::string, std::string>;

  /// With a small `receive_buffer`, the server soon notices that nothing is read.
  explicit HttpClient(uint16_t port, int receive_buffer = 0) {
    socket_.open(boost::asio::ip::tcp::v4());
    if (receive_buffer > 0) {
      socket_.set_option(boost::asio::socket_base::receive_buffer_size(receive_buffer));
    }
    socket_.connect({boost::asio::ip::address_v4::loopback(), port});
    // A test that would wait for ever fails instead.
    timeval timeout{20, 0};
    setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  }

  /// False when the connection is over.
  bool Send(std::string_view text) {
    boost::system::error_code error;
    boost::asio::write(socket_, boost::asio::buffer(text), error);
    return !error;
  }

  /// Nothing when the connection ended instead.
  std::optional<Response> Receive(bool of_head = false) {
    boost::beast::http::response_parser<boost::beast::http::string_body> parser;
    parser.body_limit(boost::none);
    parser.skip(of_head);
    boost::system::error_code error;
    boost::beast::http::read(socket_, buffer_, parser, error);
    if (error) return std::nullopt;
    return parser.release();
  }

  static std::string Request(const std::string& method, const std::string& target,
                             const Headers& headers = {}, const std::string& body = "") {
    std::string text = method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n";
    for (const auto& [name, value] : headers) text += name + ": " + value + "\r\n";
    if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return text + "\r\n" + body;
  }

  Response Ask(const std::string& method, const std::string& target, const Headers& headers = {},
               const std::string& body = "") {
    Send(Request(method, target, headers, body));
    auto response = Receive(method == "HEAD");
    if (!response) {
      ADD_FAILURE() << "no answer to " << method << " " << target;
      return {};
    }
    return *std::move(response);
  }

  /// What arrives up to and with `end`; less when the connection ends before.
  std::string ReadUntil(const std::string& end) {
    boost::system::error_code error;
    const size_t size = boost::asio::read_until(socket_, boost::asio::dynamic_buffer(text_), end, error);
    if (error) return std::exchange(text_, "");
    std::string read = text_.substr(0, size);
    text_.erase(0, size);
    return read;
  }

  /// True when the server closed; it must do so within the client's timeout.
  bool SeesEnd() {
    char bytes[4096];
    boost::system::error_code error;
    while (!error) socket_.read_some(boost::asio::buffer(bytes), error);
    return error == boost::asio::error::eof || error == boost::asio::error::connection_reset;
  }

  void Close() { socket_.close(); }

 private:
  boost::asio::io_context context_;
  boost::asio::ip::tcp::socket socket_{context_};
  boost::beast::flat_buffer buffer_;
  std::string text_;
};

}  // namespace selvage::api
