#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "fabric/base/bytes.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/kafka/protocol/message.h"

namespace selvage::test {

/// A request with its header and its size in front.
template <class Request>
std::string KafkaFrame(const Request& request, int16_t version, int32_t correlation_id) {
  const auto frame =
      kafka::EncodeRequest({static_cast<int16_t>(Request::kApi), version, correlation_id, "raw"}, request);
  std::string bytes;
  for (const Bytes& segment : frame.value()) bytes += segment.view();
  return bytes;
}

/// A Kafka client that sends bytes as it is told. Reads give up after a while. For one thread.
class RawKafkaClient {
 public:
  explicit RawKafkaClient(uint16_t port) : socket_(io_) {
    socket_.connect({boost::asio::ip::make_address("127.0.0.1"), port}, error_);
    const timeval timeout{20, 0};
    setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  }

  bool connected() const { return !error_; }
  void Send(std::string_view bytes) {
    boost::system::error_code ignored;  // it may be closed already
    boost::asio::write(socket_, boost::asio::buffer(bytes.data(), bytes.size()), ignored);
  }
  template <class Request>
  void Ask(const Request& request, int16_t version, int32_t correlation_id) {
    Send(KafkaFrame(request, version, correlation_id));
  }
  /// The next response without its size; nothing when the connection ended.
  std::optional<std::string> Receive() {
    char prefix[4];
    if (!ReadInto(prefix, 4)) return std::nullopt;
    std::string body(static_cast<size_t>(LoadBig<int32_t>(prefix)), '\0');
    if (!ReadInto(body.data(), body.size())) return std::nullopt;
    return body;
  }
  int32_t ReceiveId() {
    const auto body = Receive();
    return body ? LoadBig<int32_t>(body->data()) : -1;
  }
  template <class Response>
  Response ReceiveAs(int16_t version) {
    kafka::Reader in(Bytes(Receive().value_or("")));
    (void)kafka::DecodeResponseHeader(Response::kApi, version, in);
    auto response = kafka::Decode<Response>(in, version);
    EXPECT_TRUE(response.ok()) << selvage::Describe(response.status());
    return response.ok() ? *std::move(response) : Response();
  }
  /// Whether the other end closes, and sends nothing before.
  bool IsClosed() {
    char byte;
    return !ReadInto(&byte, 1) && error_ != boost::asio::error::would_block &&
           error_ != boost::asio::error::try_again;
  }
  void Close() { socket_.close(error_); }

 private:
  bool ReadInto(char* into, size_t size) {
    // Plain reads, since only they respect the timeout.
    for (size_t have = 0; have < size;) {
      const ssize_t got = ::recv(socket_.native_handle(), into + have, size - have, 0);
      if (got <= 0) {
        error_ = got == 0 ? boost::asio::error::make_error_code(boost::asio::error::eof)
                          : boost::system::error_code(errno, boost::system::system_category());
        return false;
      }
      have += static_cast<size_t>(got);
    }
    return true;
  }

  boost::asio::io_context io_;
  boost::system::error_code error_;
  boost::asio::ip::tcp::socket socket_;
};

}  // namespace selvage::test
