/// The load of scripts/bench-peers: clients that each put and then get rows one at a time, over HTTP at a
/// node of Selvage or over Redis' protocol, on connections that stay open. Every client waits for each
/// answer. Prints one line of JSON.
///   bench_row_load --protocol http|redis --port P --clients C --operations N [--bytes B] [--batch M]
/// With --batch puts come so many at a time (POST of a batch, MSET).
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "fabric/base/check.h"

namespace selvage::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string protocol;
  uint16_t port = 0;
  int clients = 1;
  int operations = 10'000;  ///< of each kind, of all clients together; rows of batches count one by one
  size_t bytes = 100;
  int batch = 1;
};

/// A connection that is asked and answers in turn.
class Connection {
 public:
  explicit Connection(uint16_t port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SELVAGE_CHECK(connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    const int on = 1;
    SELVAGE_CHECK(setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
  }
  ~Connection() { close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      SELVAGE_CHECK(sent > 0);
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  /// What comes up to the end of `mark`, with it.
  std::string ReadTo(std::string_view mark) {
    size_t end = received_.find(mark);
    for (; end == std::string::npos; end = received_.find(mark)) Receive();
    return Take(end + mark.size());
  }
  std::string Read(size_t bytes) {
    while (received_.size() < bytes) Receive();
    return Take(bytes);
  }

 private:
  void Receive() {
    char piece[16384];
    const ssize_t got = recv(socket_, piece, sizeof(piece), 0);
    SELVAGE_CHECK(got > 0);
    received_.append(piece, static_cast<size_t>(got));
  }
  std::string Take(size_t bytes) {
    std::string taken = received_.substr(0, bytes);
    received_.erase(0, bytes);
    return taken;
  }

  const int socket_;
  std::string received_;
};

/// One client of a store of rows.
class Client {
 public:
  virtual ~Client() = default;
  virtual void Put(const std::vector<std::string>& keys, const std::string& row) = 0;
  virtual void Get(const std::string& key) = 0;
};

class HttpClient : public Client {
 public:
  explicit HttpClient(uint16_t port) : connection_(port) {}

  void Put(const std::vector<std::string>& keys, const std::string& row) override {
    if (keys.size() == 1) {
      Ask("PUT", "rows/" + keys.front(), row);
      return;
    }
    std::string body = R"({"operations":[)";
    for (const std::string& key : keys) {
      if (body.back() == '}') body.push_back(',');
      body += fmt::format(R"({{"op":"put","key":"{}","row":{}}})", key, row);
    }
    Ask("POST", "batch", body + "]}");
  }
  void Get(const std::string& key) override { Ask("GET", "rows/" + key, {}); }

 private:
  void Ask(std::string_view method, std::string_view path, const std::string& body) {
    std::string request = fmt::format("{} /v1/tables/bench/{} HTTP/1.1\r\nHost: bench\r\n", method, path);
    if (!body.empty()) {
      request += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
    }
    connection_.Send(request + "\r\n" + body);
    const std::string head = connection_.ReadTo("\r\n\r\n");
    SELVAGE_CHECK(head.starts_with("HTTP/1.1 2"));
    constexpr std::string_view kLength = "Content-Length: ";
    const size_t length = head.find(kLength);
    if (length != std::string::npos) connection_.Read(std::stoul(head.substr(length + kLength.size())));
  }

  Connection connection_;
};

class RedisClient : public Client {
 public:
  explicit RedisClient(uint16_t port) : connection_(port) {}

  void Put(const std::vector<std::string>& keys, const std::string& row) override {
    std::string request = fmt::format("*{}\r\n$4\r\nMSET\r\n", 1 + 2 * keys.size());
    for (const std::string& key : keys) request += Part(key) + Part(row);
    connection_.Send(request);
    SELVAGE_CHECK(connection_.ReadTo("\r\n") == "+OK\r\n");
  }
  void Get(const std::string& key) override {
    connection_.Send("*2\r\n$3\r\nGET\r\n" + Part(key));
    const std::string length = connection_.ReadTo("\r\n");
    SELVAGE_CHECK(length.starts_with('$') && length[1] != '-');
    connection_.Read(std::stoul(length.substr(1)) + 2);
  }

 private:
  static std::string Part(const std::string& text) { return fmt::format("${}\r\n{}\r\n", text.size(), text); }

  Connection connection_;
};

std::unique_ptr<Client> Connect(const Options& options) {
  if (options.protocol == "redis") return std::make_unique<RedisClient>(options.port);
  return std::make_unique<HttpClient>(options.port);
}

std::string KeyOf(uint64_t number) {
  return fmt::format("sensor-{}", number);
}

/// JSON of so many bytes, or of a few more where that are few.
std::string RowOf(size_t bytes, uint64_t number) {
  std::string row = fmt::format(R"({{"bar":{},"unit":"bar","note":")", number % 1000);
  while (row.size() + 2 < bytes) row.push_back(static_cast<char>('a' + row.size() % 26));
  return row + "\"}";
}

struct Measured {
  double per_second;
  double median_ms;
  double p99_ms;
};

/// `each(client, first)` for every operation, by all clients at once; `step` rows at a time.
Measured ForAll(const Options& options, int step, const std::function<void(Client&, int)>& each) {
  std::vector<std::vector<double>> delays(static_cast<size_t>(options.clients));
  std::vector<std::unique_ptr<Client>> clients;
  for (int c = 0; c < options.clients; ++c) clients.push_back(Connect(options));
  std::vector<std::thread> threads;
  const auto begin = Clock::now();
  for (int c = 0; c < options.clients; ++c) {
    threads.emplace_back([&, c] {
      for (int i = c * step; i + step <= options.operations; i += options.clients * step) {
        const auto asked = Clock::now();
        each(*clients[static_cast<size_t>(c)], i);
        delays[static_cast<size_t>(c)].push_back(
            std::chrono::duration<double, std::milli>(Clock::now() - asked).count());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  std::vector<double> all;
  for (const auto& some : delays) all.insert(all.end(), some.begin(), some.end());
  std::sort(all.begin(), all.end());
  return {static_cast<double>(all.size()) * step / seconds, all[all.size() / 2], all[all.size() * 99 / 100]};
}

void Run(const Options& options) {
  const Measured puts = ForAll(options, options.batch, [&](Client& client, int first) {
    std::vector<std::string> keys;
    for (int i = first; i < first + options.batch; ++i) keys.push_back(KeyOf(static_cast<uint64_t>(i)));
    client.Put(keys, RowOf(options.bytes, static_cast<uint64_t>(first)));
  });
  const int stored = options.operations / options.batch * options.batch;
  const Measured gets = ForAll(options, 1, [&](Client& client, int i) {
    std::minstd_rand scatter(static_cast<unsigned>(i) + 1);
    client.Get(KeyOf(scatter() % static_cast<unsigned>(stored)));
  });
  fmt::print(
      R"({{"puts":{:.1f},"put_ms":{:.3f},"put_p99_ms":{:.3f},"gets":{:.1f},"get_ms":{:.3f},"get_p99_ms":{:.3f}}})",
      puts.per_second, puts.median_ms, puts.p99_ms, gets.per_second, gets.median_ms, gets.p99_ms);
  fmt::print("\n");
}

}  // namespace
}  // namespace selvage::bench

int main(int argc, char** argv) {
  selvage::bench::Options options;
  CLI::App app{"Puts and gets of rows"};
  app.add_option("--protocol", options.protocol)->required()->check(CLI::IsMember({"http", "redis"}));
  app.add_option("--port", options.port)->required();
  app.add_option("--clients", options.clients)->check(CLI::PositiveNumber);
  app.add_option("--operations", options.operations)->check(CLI::PositiveNumber);
  app.add_option("--bytes", options.bytes);
  app.add_option("--batch", options.batch)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  selvage::bench::Run(options);
  return 0;
}
