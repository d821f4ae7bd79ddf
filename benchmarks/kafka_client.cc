#include "benchmarks/kafka_client.h"

#include <cstdio>

#include "fabric/base/check.h"

namespace selvage::bench {
namespace {

KafkaClient Make(rd_kafka_type_t type, const KafkaSettings& settings, Deliveries* counts) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  char error[512];
  for (const auto& [name, value] : settings) {
    const auto set = rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error, sizeof error);
    if (set != RD_KAFKA_CONF_OK) std::fprintf(stderr, "%s\n", error);
    SELVAGE_CHECK(set == RD_KAFKA_CONF_OK);
  }
  if (counts != nullptr) {
    rd_kafka_conf_set_dr_msg_cb(conf, &CountDelivery);
    rd_kafka_conf_set_opaque(conf, counts);
  }
  KafkaClient client(rd_kafka_new(type, conf, error, sizeof error));
  SELVAGE_CHECK(client != nullptr);
  return client;
}

}  // namespace

void CountDelivery(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
  auto* counts = static_cast<Deliveries*>(opaque);
  ++(message->err == RD_KAFKA_RESP_ERR_NO_ERROR ? counts->good : counts->bad);
}

KafkaClient MakeConsumer(const KafkaSettings& settings) {
  return Make(RD_KAFKA_CONSUMER, settings, nullptr);
}

KafkaClient MakeProducer(const KafkaSettings& settings, Deliveries& counts) {
  return Make(RD_KAFKA_PRODUCER, settings, &counts);
}

}  // namespace selvage::bench
