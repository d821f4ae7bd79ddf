/// The load of scripts/bench-compare: one librdkafka client that produces, or waits until a topic holds so
/// many records. Each prints one line of JSON.
///   bench_kafka_load produce --address A --topic T --records N --size S [--rate R] [--content
///   random|readings] bench_kafka_load wait    --address A --topic T --records N [--from N]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include "benchmarks/kafka_client.h"
#include "fabric/base/check.h"

namespace selvage::bench {
namespace {

using Clock = std::chrono::steady_clock;

double Seconds(Clock::time_point since) {
  return std::chrono::duration<double>(Clock::now() - since).count();
}

struct Options {
  std::string address = "127.0.0.1:9092";
  std::string topic;
  int64_t records = 1'000'000;
  size_t size = 100;
  double rate = 0;  ///< records per second; 0: as many as go
  std::string content = "random";
  int64_t from = 0;  ///< of wait: measuring begins when the topic holds more than this
};

/// Values that cannot be compressed, or lines as a sensor sends them, which shrink to about a quarter.
class Values {
 public:
  Values(size_t size, bool random) : size_(size), random_(random), value_(size + 8, '\0') {}

  std::string_view Next() {
    ++count_;
    if (random_) {
      for (size_t at = 0; at < size_; at += 8) {
        const uint64_t word = Noise();
        std::memcpy(value_.data() + at, &word, 8);
      }
    } else {
      value_.clear();
      while (value_.size() < size_) {
        fmt::format_to(
            std::back_inserter(value_),
            R"({{"rig":"north-{}","sensor":"pump.{}.pressure","t":{},"value":{:.3f},"unit":"bar","ok":true}})",
            count_ % 7, Noise() % 40, 1'700'000'000'000 + count_ * 20,
            180 + static_cast<double>(Noise() % 4000) / 1000);
      }
    }
    return {value_.data(), size_};
  }

 private:
  uint64_t Noise() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ * 2685821657736338717u;
  }

  const size_t size_;
  const bool random_;
  std::string value_;
  uint64_t state_ = 88172645463325252u;
  int64_t count_ = 0;
};

void Produce(const Options& options) {
  Deliveries counts;
  KafkaClient producer = MakeProducer({{"bootstrap.servers", options.address},
                                       {"linger.ms", "5"},
                                       {"acks", "all"},
                                       {"compression.codec", "none"},
                                       {"queue.buffering.max.messages", "1000000"}},
                                      counts);
  KafkaTopic topic(rd_kafka_topic_new(producer.get(), options.topic.c_str(), nullptr));
  Values values(options.size, options.content == "random");
  const auto start = Clock::now();
  for (int64_t i = 0; i < options.records; ++i) {
    if (options.rate > 0) {
      const auto due = start + std::chrono::duration_cast<Clock::duration>(
                                   std::chrono::duration<double>(static_cast<double>(i) / options.rate));
      if (due - Clock::now() > std::chrono::milliseconds(1)) {
        rd_kafka_poll(producer.get(), 0);
        std::this_thread::sleep_until(due);
      }
    }
    const std::string_view value = values.Next();
    while (rd_kafka_produce(topic.get(), 0, RD_KAFKA_MSG_F_COPY, const_cast<char*>(value.data()),
                            value.size(), nullptr, 0, nullptr) != 0) {
      rd_kafka_poll(producer.get(), 1);
    }
    if (i % 1024 == 0) rd_kafka_poll(producer.get(), 0);
  }
  SELVAGE_CHECK(rd_kafka_flush(producer.get(), 300'000) == RD_KAFKA_RESP_ERR_NO_ERROR);
  const double seconds = Seconds(start);
  SELVAGE_CHECK(counts.good == options.records && counts.bad == 0);
  fmt::print("{{\"records\": {}, \"seconds\": {:.6f}, \"records_per_second\": {:.1f}}}\n", options.records,
             seconds, static_cast<double>(options.records) / seconds);
}

/// From the first look at which the topic had grown to the one at which it holds all: what came before the
/// first look is not counted, so connecting is no part of it.
void Wait(const Options& options) {
  KafkaClient consumer = MakeConsumer({{"bootstrap.servers", options.address},
                                       {"reconnect.backoff.ms", "20"},
                                       {"reconnect.backoff.max.ms", "100"},
                                       {"topic.metadata.refresh.fast.interval.ms", "20"},
                                       {"log_level", "0"}});
  Clock::time_point began;
  int64_t first = -1, end = 0;
  const auto start = Clock::now();
  while (end < options.records) {
    SELVAGE_CHECK(Seconds(start) < 600);
    int64_t low = 0, high = 0;
    const auto asked =
        rd_kafka_query_watermark_offsets(consumer.get(), options.topic.c_str(), 0, &low, &high, 1000);
    if (asked == RD_KAFKA_RESP_ERR_NO_ERROR) end = high;
    if (end > options.from && first < 0) {
      first = end;
      began = Clock::now();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const double seconds = Seconds(began);
  fmt::print("{{\"records\": {}, \"seconds\": {:.6f}, \"records_per_second\": {:.1f}}}\n", end - first,
             seconds, static_cast<double>(end - first) / seconds);
}

}  // namespace
}  // namespace selvage::bench

int main(int argc, char** argv) {
  selvage::bench::Options options;
  CLI::App app{"Kafka load for comparing builds"};
  app.require_subcommand(1);
  auto* produce = app.add_subcommand("produce", "Produces and waits for the acknowledgements");
  auto* wait = app.add_subcommand("wait", "Waits until a topic holds so many records");
  for (CLI::App* command : {produce, wait}) {
    command->add_option("--address", options.address, "host:port");
    command->add_option("--topic", options.topic, "topic; its partition 0 is used")->required();
    command->add_option("--records", options.records, "how many");
  }
  produce->add_option("--size", options.size, "bytes of a value");
  produce->add_option("--rate", options.rate, "records per second; 0: no limit");
  produce->add_option("--content", options.content, "of the values")
      ->check(CLI::IsMember({"random", "readings"}));
  wait->add_option("--from", options.from, "records that were there before");
  CLI11_PARSE(app, argc, argv);
  produce->parsed() ? selvage::bench::Produce(options) : selvage::bench::Wait(options);
  return 0;
}
