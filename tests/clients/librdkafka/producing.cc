#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "tests/clients/librdkafka/client.h"

namespace selvage::test::rdkafka {
namespace {

constexpr int kDeadlineMs = 60'000;
constexpr int64_t kUnackedMax = 100;
constexpr std::chrono::milliseconds kBetweenRecords(1);

class Acks : public RdKafka::DeliveryReportCb {
 public:
  void dr_cb(RdKafka::Message& message) override {
    Check(message.err(), "delivery");
    ++count_;
    Emit(fmt::format(R"({{"event":"acked","id":{},"partition":{},"offset":{}}})",
                     reinterpret_cast<intptr_t>(message.msg_opaque()), message.partition(),
                     message.offset()));
  }
  int64_t count() const { return count_; }

 private:
  int64_t count_ = 0;
};

std::unique_ptr<RdKafka::Producer> MakeProducer(const Arguments& arguments, Acks& acks,
                                                const std::map<std::string, std::string>& settings) {
  auto conf = Configuration(arguments, settings);
  std::string why;
  if (conf->set("dr_cb", &acks, why) != RdKafka::Conf::CONF_OK) Fail(why);
  std::unique_ptr<RdKafka::Producer> producer(RdKafka::Producer::create(conf.get(), why));
  if (producer == nullptr) Fail(why);
  return producer;
}

void Send(RdKafka::Producer& producer, const std::string& topic, int partition, intptr_t id,
          const Record& record) {
  auto* headers = RdKafka::Headers::create();
  for (const auto& [name, value] : record.headers) {
    Check(headers->add(name, value ? value->data() : nullptr, value ? value->size() : 0), "header");
  }
  // An empty value that is not null needs an address.
  auto data = [](const std::optional<std::string>& bytes) {
    return bytes ? const_cast<char*>(bytes->c_str()) : nullptr;
  };
  Check(producer.produce(topic, partition, RdKafka::Producer::RK_MSG_COPY, data(record.value),
                         record.value ? record.value->size() : 0, data(record.key),
                         record.key ? record.key->size() : 0, record.timestamp_ms, headers,
                         reinterpret_cast<void*>(id)),
        "produce");
}

}  // namespace

void Produce(const Arguments& arguments) {
  Acks acks;
  auto producer =
      MakeProducer(arguments, acks, {{"compression.codec", Get(arguments, "codec")}, {"linger.ms", "20"}});
  const auto records = ReadRecords(arguments);
  for (size_t i = 0; i < records.size(); ++i) {
    Send(*producer, Get(arguments, "topic"), static_cast<int>(GetNumber(arguments, "partition")),
         static_cast<intptr_t>(i), records[i]);
  }
  Check(producer->flush(kDeadlineMs), "flush");
}

void Flood(const Arguments& arguments) {
  Acks acks;
  auto producer = MakeProducer(
      arguments, acks, {{"enable.idempotence", "true"}, {"linger.ms", "5"}, {"retry.backoff.ms", "50"}});
  const int64_t partitions = GetNumber(arguments, "partitions");
  const int64_t first = GetNumber(arguments, "first");
  for (int64_t id = 0; !Told(); ++id) {
    while (id - acks.count() >= kUnackedMax) producer->poll(100);
    Send(*producer, Get(arguments, "topic"), static_cast<int>(id % partitions), id,
         {.value = fmt::format("{:0>{}}", id, id < partitions ? first : 0)});
    producer->poll(0);
    std::this_thread::sleep_for(kBetweenRecords);
  }
  Check(producer->flush(kDeadlineMs), "flush");
  Emit(R"({"event":"closed"})");
}

}  // namespace selvage::test::rdkafka
