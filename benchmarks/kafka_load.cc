/// The load of scripts/bench-compare: one librdkafka client that produces, or waits until a topic holds so
/// many records. Each prints one line of JSON.
///   bench_kafka_load produce --address A --topic T --records N --size S [--rate R] [--content C]
///   bench_kafka_load wait    --address A --topic T --records N [--from N]
/// Content is random, readings (text of a sensor, cut to the size), or json: one whole object of about 100
/// bytes each, of one of so many --keys.
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
  int64_t keys = 100;  ///< of json
  int64_t from = 0;    ///< of wait: measuring begins when the topic holds more than this
};

/// Values that cannot be compressed, or lines as a sensor sends them, which shrink to about a quarter; or
/// objects with keys.
class Values {
 public:
  explicit Values(const Options& options)
      : size_(options.size), content_(options.content), keys_(options.keys), value_(size_ + 8, '\0') {}

  /// Of the last value; empty for none.
  const std::string& key() const { return key_; }

  std::string_view Next() {
    ++count_;
    if (content_ == "json") {
      key_ = fmt::format("pump-{}", Noise() % static_cast<uint64_t>(keys_));
      value_ =
          fmt::format(R"({{"sensor":"{}.pressure","t":{},"bar":{:.3f},"rpm":{},"unit":"bar","ok":true}})",
                      key_, 1'700'000'000'000 + count_ * 20, 180 + static_cast<double>(Noise() % 4000) / 1000,
                      1400 + Noise() % 100);
      return value_;
    }
    if (content_ == "random") {
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
  const std::string content_;
  const int64_t keys_;
  std::string key_;
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
  Values values(options);
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
    const std::string& key = values.key();
    while (rd_kafka_produce(topic.get(), 0, RD_KAFKA_MSG_F_COPY, const_cast<char*>(value.data()),
                            value.size(), key.empty() ? nullptr : key.data(), key.size(), nullptr) != 0) {
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
      ->check(CLI::IsMember({"random", "readings", "json"}));
  produce->add_option("--keys", options.keys, "how many different ones, of json");
  wait->add_option("--from", options.from, "records that were there before");
  CLI11_PARSE(app, argc, argv);
  produce->parsed() ? selvage::bench::Produce(options) : selvage::bench::Wait(options);
  return 0;
}
