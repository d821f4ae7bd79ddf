#include <fmt/format.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafkacpp.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"

/// What a Kafka client writes at one end, another reads at the other: up by slot and by origin, down to one
/// edge.
namespace selvage::test {
namespace {

using testing::ElementsAre;

std::unique_ptr<RdKafka::Conf> Configured(const std::map<std::string, std::string>& settings) {
  std::unique_ptr<RdKafka::Conf> conf(RdKafka::Conf::create(RdKafka::Conf::CONF_GLOBAL));
  std::string error;
  for (const auto& [name, value] : settings) {
    EXPECT_EQ(conf->set(name, value, error), RdKafka::Conf::CONF_OK) << error;
  }
  return conf;
}

/// Writes one record and waits for the answer.
class Writer : RdKafka::DeliveryReportCb {
 public:
  struct Answer {
    RdKafka::ErrorCode code = RdKafka::ERR__TIMED_OUT;
    int64_t offset = -1;
  };
  explicit Writer(const std::string& address) {
    auto conf = Configured({{"bootstrap.servers", address}});
    std::string error;
    EXPECT_EQ(conf->set("dr_cb", static_cast<RdKafka::DeliveryReportCb*>(this), error),
              RdKafka::Conf::CONF_OK);
    producer_.reset(RdKafka::Producer::create(conf.get(), error));
    EXPECT_NE(producer_, nullptr) << error;
  }

  Answer Write(const std::string& topic, int32_t partition, const std::string& value) {
    answer_ = {};
    // It copies the value, for all that its type says.
    char* bytes = const_cast<char*>(value.data());
    EXPECT_EQ(producer_->produce(topic, partition, RdKafka::Producer::RK_MSG_COPY, bytes, value.size(),
                                 nullptr, 0, 0, nullptr),
              RdKafka::ERR_NO_ERROR);
    producer_->flush(20'000);
    return answer_;
  }

 private:
  void dr_cb(RdKafka::Message& message) override { answer_ = {message.err(), message.offset()}; }

  std::unique_ptr<RdKafka::Producer> producer_;
  Answer answer_;
};

/// The first `count` records of a partition, each as "offset value"; fewer when they do not come.
std::vector<std::string> Read(const std::string& address, const std::string& topic, int32_t partition,
                              size_t count) {
  std::string error;
  const std::unique_ptr<RdKafka::KafkaConsumer> consumer(RdKafka::KafkaConsumer::create(
      Configured({{"bootstrap.servers", address}, {"group.id", "reader"}, {"enable.auto.commit", "false"}})
          .get(),
      error));
  EXPECT_NE(consumer, nullptr) << error;
  std::vector<RdKafka::TopicPartition*> from = {
      RdKafka::TopicPartition::create(topic, partition, RdKafka::Topic::OFFSET_BEGINNING)};
  EXPECT_EQ(consumer->assign(from), RdKafka::ERR_NO_ERROR);
  RdKafka::TopicPartition::destroy(from);
  std::vector<std::string> records;
  Eventually(absl::Seconds(30), [&] {
    const std::unique_ptr<RdKafka::Message> message(consumer->consume(100));
    if (message->err() == RdKafka::ERR_NO_ERROR) {
      records.push_back(
          fmt::format("{} {}", message->offset(),
                      std::string_view(static_cast<const char*>(message->payload()), message->len())));
    }
    return records.size() >= count;
  });
  consumer->close();
  return records;
}

TEST(KafkaRoutes, WhatIsWrittenAtOneEndIsReadAtTheOther) {
  Cluster cluster({.edges = 2, .core = {}, .edge = {}});
  ASSERT_THAT(cluster.Prepare(), IsOk());
  ASSERT_THAT(cluster.core().Start(), IsOk());
  ASSERT_THAT(CreateStream(cluster.core(), Definition("readings", v1::UP)), IsOk());
  ASSERT_THAT(CreateStream(cluster.core(), Definition("commands", v1::DOWN)), IsOk());
  const std::string core = cluster.core().kafka_address();
  for (int i = 0; i < 2; ++i) {
    ASSERT_THAT(cluster.edge(i).Start(), IsOk());
    ASSERT_THAT(AwaitLinked(cluster.core(), Cluster::EdgeName(i)), IsOk());
    ASSERT_THAT(AwaitEnd(cluster.edge(i), At("readings"), Offset(0)), IsOk());
  }

  for (int i = 0; i < 2; ++i) {
    const std::string edge = Cluster::EdgeName(i);
    Writer writer(cluster.edge(i).kafka_address());
    for (int n = 0; n < 3; ++n) {
      const auto answer = writer.Write("readings", 0, fmt::format("{}-{}", edge, n));
      ASSERT_EQ(answer.code, RdKafka::ERR_NO_ERROR) << RdKafka::err2str(answer.code);
      EXPECT_EQ(answer.offset, n);
    }
    const auto all = ElementsAre("0 " + edge + "-0", "1 " + edge + "-1", "2 " + edge + "-2");
    const auto slot = static_cast<int32_t>(Summary(cluster.core(), edge)->slot());
    EXPECT_THAT(Read(core, "readings", slot, 3), all);
    EXPECT_THAT(Read(core, edge + ".readings", 0, 3), all);

    Writer commander(core);
    EXPECT_EQ(commander.Write("readings", slot, "not from here").code, RdKafka::ERR_POLICY_VIOLATION);
    EXPECT_EQ(commander.Write(edge + ".readings", 0, "nor so").code, RdKafka::ERR_POLICY_VIOLATION);
    EXPECT_EQ(commander.Write(edge + ".commands", 0, "open valve at " + edge).code, RdKafka::ERR_NO_ERROR);
    EXPECT_THAT(Read(cluster.edge(i).kafka_address(), "commands", 0, 1),
                ElementsAre("0 open valve at " + edge));
    EXPECT_EQ(writer.Write("commands", 0, "not at the edge").code, RdKafka::ERR_POLICY_VIOLATION);
  }
}

}  // namespace
}  // namespace selvage::test
