#pragma once

#include <librdkafka/rdkafka.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

/// librdkafka as the benchmarks use it: whatever goes wrong ends the program.
namespace selvage::bench {

struct KafkaClientDeleter {
  void operator()(rd_kafka_t* client) const { rd_kafka_destroy(client); }
};
using KafkaClient = std::unique_ptr<rd_kafka_t, KafkaClientDeleter>;

struct KafkaTopicDeleter {
  void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
};
using KafkaTopic = std::unique_ptr<rd_kafka_topic_t, KafkaTopicDeleter>;

/// What was delivered; the opaque of a producer whose `delivered` is CountDelivery.
struct Deliveries {
  int64_t good = 0;
  int64_t bad = 0;
};
void CountDelivery(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque);

using KafkaSettings = std::vector<std::pair<std::string, std::string>>;
KafkaClient MakeConsumer(const KafkaSettings& settings);
/// `counts` must outlive it; they are changed while it is polled.
KafkaClient MakeProducer(const KafkaSettings& settings, Deliveries& counts);

}  // namespace selvage::bench
