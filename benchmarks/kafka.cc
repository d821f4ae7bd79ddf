/// Kafka clients against a running daemon, on the same machine: what librdkafka gets acknowledged as durable
/// and reads again, beside a file that is written and synced with the same bytes in the same run; what idle
/// connections cost; what a poll of thousands of quiet partitions costs. scripts/bench-kafka starts the
/// daemon.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "benchmarks/kafka_client.h"
#include "fabric/base/check.h"
#include "fabric/base/endian.h"
#include "fabric/kafka/protocol/create_topics.h"
#include "fabric/kafka/protocol/fetch.h"
#include "fabric/kafka/protocol/message.h"
#include "fabric/kafka/protocol/metadata.h"
#include "fabric/kafka/protocol/produce.h"
#include "fabric/stream/record_batch.h"

namespace selvage::bench {
namespace {

using Time = std::chrono::steady_clock::time_point;
double Seconds(Time since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

struct Target {
  std::string host = "127.0.0.1";
  uint16_t port = 9092;
  int pid = 0;
  std::string address() const { return fmt::format("{}:{}", host, port); }
};

/// Processor time of the daemon's threads so far, in seconds; to the nanosecond, unlike /proc/<pid>/stat.
double CpuSeconds(int pid) {
  double nanoseconds = 0;
  for (const auto& thread : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid))) {
    std::ifstream file(thread.path() / "schedstat");
    double on_processor = 0;
    file >> on_processor;
    nanoseconds += on_processor;
  }
  return nanoseconds / 1e9;
}

/// Resident memory of the daemon, in bytes.
double ResidentBytes(int pid) {
  std::ifstream file(fmt::format("/proc/{}/statm", pid));
  double total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

// --- librdkafka
// ------------------------------------------------------------------------------------------------

void Produce(const Target& target, const std::string& topic, int64_t records, size_t size,
             const std::string& codec) {
  Deliveries counts;
  const KafkaClient client = MakeProducer({{"bootstrap.servers", target.address()},
                                           {"linger.ms", "5"},
                                           {"acks", "all"},
                                           {"compression.codec", codec},
                                           {"queue.buffering.max.messages", "1000000"}},
                                          counts);
  rd_kafka_t* producer = client.get();
  const KafkaTopic topic_handle(rd_kafka_topic_new(producer, topic.c_str(), nullptr));
  rd_kafka_topic_t* handle = topic_handle.get();
  // Half of each record cannot be compressed.
  std::string value(size, 'x');
  uint64_t noise = 1;
  const double cpu = CpuSeconds(target.pid);
  const Time start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < records; ++i) {
    for (size_t at = 0; at + 8 <= size / 2; at += 8) {
      noise = noise * 6364136223846793005u + 1442695040888963407u;
      StoreBig<uint64_t>(value.data() + at, noise);
    }
    while (rd_kafka_produce(handle, 0, RD_KAFKA_MSG_F_COPY, value.data(), size, nullptr, 0, nullptr) != 0) {
      rd_kafka_poll(producer, 1);
    }
    if (i % 1024 == 0) rd_kafka_poll(producer, 0);
  }
  SELVAGE_CHECK(rd_kafka_flush(producer, 120'000) == RD_KAFKA_RESP_ERR_NO_ERROR);
  const double seconds = Seconds(start);
  const double used = CpuSeconds(target.pid) - cpu;
  SELVAGE_CHECK(counts.good == records && counts.bad == 0);
  fmt::print(
      "produce  {:>9.0f} records/s  {:>6.1f} MB/s  daemon {:.2f} s of processor time per million records\n",
      static_cast<double>(records) / seconds,
      static_cast<double>(records) * static_cast<double>(size) / seconds / 1e6,
      used / (static_cast<double>(records) / 1e6));
}

void Fetch(const Target& target, const std::string& topic, int64_t records, size_t size) {
  const KafkaClient consumer = MakeConsumer({{"bootstrap.servers", target.address()},
                                             {"queued.min.messages", "1000000"},
                                             {"fetch.message.max.bytes", "4194304"}});
  const KafkaTopic topic_handle(rd_kafka_topic_new(consumer.get(), topic.c_str(), nullptr));
  rd_kafka_topic_t* handle = topic_handle.get();
  const double cpu = CpuSeconds(target.pid);
  const Time start = std::chrono::steady_clock::now();
  SELVAGE_CHECK(rd_kafka_consume_start(handle, 0, RD_KAFKA_OFFSET_BEGINNING) == 0);
  std::vector<rd_kafka_message_t*> messages(10'000);
  int64_t got = 0;
  while (got < records && Seconds(start) < 120) {
    const ssize_t count = rd_kafka_consume_batch(handle, 0, 1000, messages.data(), messages.size());
    for (ssize_t i = 0; i < count; ++i) {
      if (messages[static_cast<size_t>(i)]->err == RD_KAFKA_RESP_ERR_NO_ERROR) ++got;
      rd_kafka_message_destroy(messages[static_cast<size_t>(i)]);
    }
  }
  const double seconds = Seconds(start);
  const double used = CpuSeconds(target.pid) - cpu;
  SELVAGE_CHECK(got == records);
  fmt::print(
      "fetch    {:>9.0f} records/s  {:>6.1f} MB/s  daemon {:.2f} s of processor time per million records\n",
      static_cast<double>(records) / seconds,
      static_cast<double>(records) * static_cast<double>(size) / seconds / 1e6,
      used / (static_cast<double>(records) / 1e6));
  rd_kafka_consume_stop(handle, 0);
}

/// The raw limit: the same bytes in a file, synced after each piece.
void WriteFile(const std::string& path, double bytes, size_t piece) {
  const int file = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  SELVAGE_CHECK(file >= 0);
  std::string data(piece, '\0');
  for (size_t i = 0; i < piece; ++i) data[i] = static_cast<char>(i * 2654435761u >> 13);
  const Time start = std::chrono::steady_clock::now();
  double written = 0;
  for (; written < bytes; written += static_cast<double>(piece)) {
    SELVAGE_CHECK(write(file, data.data(), piece) == static_cast<ssize_t>(piece));
    SELVAGE_CHECK(fdatasync(file) == 0);
  }
  fmt::print("file     {:>9.1f} MB/s written and synced in pieces of {} KiB\n",
             written / Seconds(start) / 1e6, piece >> 10);
  close(file);
  unlink(path.c_str());
}

// --- Connections of our own
// ------------------------------------------------------------------------------------

class Connection {
 public:
  explicit Connection(const Target& target) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(target.port);
    inet_pton(AF_INET, target.host.c_str(), &address.sin_addr);
    SELVAGE_CHECK(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    const int on = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ~Connection() { close(socket_); }

  template <class Response, class Request>
  Response Call(int16_t version, const Request& request) {
    auto frame = kafka::EncodeRequest(
        {static_cast<int16_t>(Request::kApi), version, ++correlation_, std::string("bench")}, request);
    SELVAGE_CHECK(frame.ok());
    for (const Bytes& part : *frame) {
      Send(part.view());
      sent += part.size();
    }
    std::string size = Receive(4);
    const std::string body = Receive(LoadBig<uint32_t>(size.data()));
    received += 4 + body.size();
    kafka::Reader reader{Bytes(body)};
    SELVAGE_CHECK(kafka::DecodeResponseHeader(Response::kApi, version, reader).ok());
    auto response = kafka::Decode<Response>(reader, version);
    SELVAGE_CHECK(response.ok());
    return *std::move(response);
  }

  size_t sent = 0;
  size_t received = 0;

 private:
  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      SELVAGE_CHECK(n > 0);
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  std::string Receive(size_t size) {
    std::string bytes(size, '\0');
    for (size_t got = 0; got < size;) {
      const ssize_t n = recv(socket_, bytes.data() + got, size - got, 0);
      SELVAGE_CHECK(n > 0);
      got += static_cast<size_t>(n);
    }
    return bytes;
  }
  const int socket_;
  int32_t correlation_ = 0;
};

void Idle(const Target& target, int count) {
  std::vector<std::unique_ptr<Connection>> connections;
  const auto ask = [&] {
    kafka::MetadataRequest request;
    request.topics.emplace();
    connections.emplace_back(std::make_unique<Connection>(target))->Call<kafka::MetadataResponse>(9, request);
  };
  for (int i = 0; i < 50; ++i) ask();
  const double before = ResidentBytes(target.pid);
  for (int i = 0; i < count; ++i) ask();
  const double each = (ResidentBytes(target.pid) - before) / count;
  fmt::print("idle     {} connections: {:.1f} KiB of resident memory each, the kernel's buffers apart\n",
             count, each / 1024);
}

struct PollTopic {
  std::string name;
  int32_t partitions;
};

int32_t CountPartitions(const std::vector<PollTopic>& topics) {
  int32_t count = 0;
  for (const PollTopic& topic : topics) count += topic.partitions;
  return count;
}

kafka::FetchRequest FetchAll(const std::vector<PollTopic>& topics) {
  kafka::FetchRequest request;
  request.max_wait_ms = 0;
  request.min_bytes = 1;
  request.max_bytes = 1 << 20;
  for (const PollTopic& poll : topics) {
    auto& topic = request.topics.emplace_back();
    topic.topic = poll.name;
    for (int32_t p = 0; p < poll.partitions; ++p) {
      auto& partition = topic.partitions.emplace_back();
      partition.partition = p;
      partition.partition_max_bytes = 1 << 20;
    }
  }
  return request;
}

/// Four topics of 1,000 partitions.
std::vector<PollTopic> MakePollTopics(const Target& target) {
  std::vector<PollTopic> topics;
  for (int t = 0; t < 4; ++t) topics.push_back({fmt::format("bench-poll-{}", t), 1000});
  Connection connection(target);
  for (const PollTopic& poll : topics) {
    kafka::CreateTopicsRequest request;
    auto& topic = request.topics.emplace_back();
    topic.name = poll.name;
    topic.num_partitions = poll.partitions;
    topic.replication_factor = -1;
    request.timeout_ms = 60'000;
    const auto response = connection.Call<kafka::CreateTopicsResponse>(5, request);
    const kafka::ErrorCode error = response.topics.front().error_code;
    SELVAGE_CHECK(error == kafka::ErrorCode::kNone || error == kafka::ErrorCode::kTopicAlreadyExists);
  }
  return topics;
}

void ProduceOne(Connection& connection, const std::string& topic) {
  BatchBuilder builder;
  builder.Add({Offset(0), 0, std::nullopt, std::string(100, 'x'), {}});
  kafka::ProduceRequest request;
  request.acks = -1;
  request.timeout_ms = 10'000;
  auto& in = request.topic_data.emplace_back();
  in.name = topic;
  in.partition_data.push_back({0, Bytes(builder.Build())});
  const auto response = connection.Call<kafka::ProduceResponse>(8, request);
  SELVAGE_CHECK(response.responses.front().partition_responses.front().error_code == kafka::ErrorCode::kNone);
}

/// Polls that each find one record in one of all partitions: the first of the first topic.
void Poll(const Target& target, const std::vector<PollTopic>& topics, std::string_view what, bool session) {
  constexpr int kPolls = 200;
  Connection producer(target), consumer(target);
  kafka::FetchRequest request = FetchAll(topics);
  request.session_epoch = session ? 0 : -1;
  ProduceOne(producer, topics.front().name);
  auto response = consumer.Call<kafka::FetchResponse>(12, request);
  const auto next_offset = [&] { return response.responses.front().partitions.front().high_watermark; };
  int64_t offset = next_offset();
  double cpu = 0;
  consumer.sent = consumer.received = 0;
  for (int i = 0; i < kPolls; ++i) {
    ProduceOne(producer, topics.front().name);
    if (session) {
      request.session_id = response.session_id;
      ++request.session_epoch;
      request.topics.resize(1);
      request.topics[0].partitions.resize(1);
    }
    request.topics[0].partitions[0].fetch_offset = offset;
    const double before = CpuSeconds(target.pid);
    response = consumer.Call<kafka::FetchResponse>(12, request);
    cpu += CpuSeconds(target.pid) - before;
    SELVAGE_CHECK(response.error_code == kafka::ErrorCode::kNone);
    SELVAGE_CHECK(!response.responses.front().partitions.front().records.empty());
    offset = next_offset();
  }
  fmt::print(
      "poll     {} partitions {}, {} session: {} bytes asked and {} answered, {:.2f} ms of the daemon's "
      "processor time each\n",
      CountPartitions(topics), what, session ? "with a" : "without",
      consumer.sent / static_cast<size_t>(kPolls), consumer.received / static_cast<size_t>(kPolls),
      cpu * 1000 / kPolls);
}

/// What it costs the daemon that a client waits for a record that does not come, with a session.
void Wait(const Target& target, const std::vector<PollTopic>& topics, std::string_view what) {
  Connection consumer(target);
  kafka::FetchRequest request = FetchAll(topics);
  request.session_epoch = 0;
  auto response = consumer.Call<kafka::FetchResponse>(12, request);
  // From the end of what Poll left there.
  request.session_id = response.session_id;
  ++request.session_epoch;
  request.topics.resize(1);
  request.topics[0].partitions.resize(1);
  request.topics[0].partitions[0].fetch_offset = response.responses.front().partitions.front().high_watermark;
  response = consumer.Call<kafka::FetchResponse>(12, request);
  request.topics.clear();
  request.max_wait_ms = 500;
  constexpr int kSeconds = 10;
  double before = CpuSeconds(target.pid);
  std::this_thread::sleep_for(std::chrono::seconds(kSeconds));
  const double alone = (CpuSeconds(target.pid) - before) / kSeconds;
  before = CpuSeconds(target.pid);
  const Time start = std::chrono::steady_clock::now();
  while (Seconds(start) < kSeconds) {
    ++request.session_epoch;
    response = consumer.Call<kafka::FetchResponse>(12, request);
    SELVAGE_CHECK(response.error_code == kafka::ErrorCode::kNone);
  }
  fmt::print(
      "wait     {} partitions {}, with a session: {:.2f} % of a processor, {:.2f} % when nobody waits\n",
      CountPartitions(topics), what, (CpuSeconds(target.pid) - before) / Seconds(start) * 100, alone * 100);
}

}  // namespace
}  // namespace selvage::bench

int main(int argc, char** argv) {
  using namespace selvage::bench;
  Target target;
  int64_t records = 3'000'000;
  size_t size = 100;
  int rounds = 3;
  std::string ahead;
  std::string scratch = "/tmp/selvage-bench-kafka.raw";
  CLI::App app("Measures a running daemon with Kafka clients on this machine.");
  app.add_option("--port", target.port, "where it serves Kafka clients, on 127.0.0.1")->required();
  app.add_option("--pid", target.pid, "its process")->required();
  app.add_option("--records", records, "of each round");
  app.add_option("--size", size, "bytes of a record's value");
  app.add_option("--rounds", rounds, "of producing and reading");
  app.add_option("--scratch", scratch, "a file on the daemon's disk, for the raw limit");
  app.add_option("--ahead", ahead,
                 "at a core: a topic of 3,968 partitions that are advertised ahead; only polls are measured");
  CLI11_PARSE(app, argc, argv);
  if (!ahead.empty()) rounds = 0;
  for (int round = 0; round < rounds; ++round) {
    const std::string topic = fmt::format("bench-{}-{}", getpid(), round);
    WriteFile(scratch, static_cast<double>(records) * static_cast<double>(size), 1 << 20);
    Produce(target, topic, records, size, "none");
    Fetch(target, topic, records, size);
  }
  if (ahead.empty()) Idle(target, 1000);
  const std::vector<PollTopic> topics = MakePollTopics(target);
  for (bool session : {false, true}) Poll(target, topics, "with logs", session);
  if (ahead.empty()) return 0;
  const std::vector<PollTopic> mostly_ahead = {{topics.front().name, 32}, {ahead, 3968}};
  for (bool session : {false, true}) Poll(target, mostly_ahead, "of which 3968 are ahead", session);
  Wait(target, mostly_ahead, "of which 3968 are ahead");
  return 0;
}
