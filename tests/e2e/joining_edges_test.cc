#include <fmt/format.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafkacpp.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"

/// Edges that join a fleet while a consumer at the core is running already.
namespace selvage::test {
namespace {

constexpr int kEdges = 10;
constexpr int kRecords = 5;

/// A librdkafka consumer that holds every partition the topic shows, from its end on.
class Consumer {
 public:
  Consumer(const std::string& address, const std::string& topic) : topic_(topic) {
    std::unique_ptr<RdKafka::Conf> conf(RdKafka::Conf::create(RdKafka::Conf::CONF_GLOBAL));
    std::string error;
    for (const auto& [name, value] : std::map<std::string, std::string>{{"bootstrap.servers", address},
                                                                        {"group.id", "test"},
                                                                        {"enable.auto.commit", "false"},
                                                                        {"enable.partition.eof", "true"}}) {
      EXPECT_EQ(conf->set(name, value, error), RdKafka::Conf::CONF_OK) << error;
    }
    consumer_.reset(RdKafka::KafkaConsumer::create(conf.get(), error));
    EXPECT_NE(consumer_, nullptr) << error;
  }
  ~Consumer() { consumer_->close(); }

  int Partitions() {
    std::unique_ptr<RdKafka::Topic> topic(RdKafka::Topic::create(consumer_.get(), topic_, nullptr, error_));
    RdKafka::Metadata* raw = nullptr;
    if (consumer_->metadata(false, topic.get(), &raw, 10'000) != RdKafka::ERR_NO_ERROR) return -1;
    const std::unique_ptr<RdKafka::Metadata> metadata(raw);
    return static_cast<int>(metadata->topics()->front()->partitions()->size());
  }

  /// Holds them all; returns when it stands at the end of each.
  bool AssignAtEnd(int partitions) {
    std::vector<RdKafka::TopicPartition*> all;
    for (int p = 0; p < partitions; ++p) {
      all.push_back(RdKafka::TopicPartition::create(topic_, p, RdKafka::Topic::OFFSET_END));
    }
    const bool assigned = consumer_->assign(all) == RdKafka::ERR_NO_ERROR;
    RdKafka::TopicPartition::destroy(all);
    return assigned && Eventually(absl::Seconds(30), [&] {
             return Poll() && at_end_.size() == static_cast<size_t>(partitions);
           });
  }

  /// Takes what comes within a moment. False for an error.
  bool Poll() {
    const std::unique_ptr<RdKafka::Message> message(consumer_->consume(100));
    if (message->err() == RdKafka::ERR__PARTITION_EOF) at_end_.insert(message->partition());
    if (message->err() == RdKafka::ERR_NO_ERROR) {
      values_[message->partition()].emplace_back(static_cast<const char*>(message->payload()),
                                                 message->len());
    }
    return message->err() == RdKafka::ERR_NO_ERROR || message->err() == RdKafka::ERR__PARTITION_EOF ||
           message->err() == RdKafka::ERR__TIMED_OUT;
  }

  const std::map<int, std::vector<std::string>>& values() const { return values_; }
  size_t count() const {
    size_t all = 0;
    for (const auto& [partition, values] : values_) all += values.size();
    return all;
  }

 private:
  const std::string topic_;
  std::string error_;
  std::unique_ptr<RdKafka::KafkaConsumer> consumer_;
  std::set<int> at_end_;
  std::map<int, std::vector<std::string>> values_;
};

TEST(JoiningEdges, ARunningConsumerAtTheEndMissesNothing) {
  Cluster cluster({.edges = kEdges, .core = {}, .edge = {{"storage.commit_queue_max", "8MiB"}}});
  ASSERT_THAT(cluster.Prepare(), IsOk());
  ASSERT_THAT(cluster.core().Start(), IsOk());
  ASSERT_THAT(CreateStream(cluster.core(), Definition("readings", v1::UP)), IsOk());
  Consumer consumer(cluster.core().kafka_address(), "readings");
  const int partitions = consumer.Partitions();
  ASSERT_GE(partitions, kEdges + 8) << "free slots ahead";
  ASSERT_TRUE(consumer.AssignAtEnd(partitions));

  std::map<int, std::vector<std::string>> expected;
  for (int edge = 0; edge < kEdges; ++edge) {
    ASSERT_THAT(cluster.edge(edge).Start(), IsOk());
    ASSERT_THAT(AwaitLinked(cluster.core(), Cluster::EdgeName(edge)), IsOk());
    const int slot = static_cast<int>(Summary(cluster.core(), Cluster::EdgeName(edge))->slot());
    for (int i = 0; i < kRecords; ++i) {
      expected[slot].push_back(fmt::format("{} {}", edge, i));
      ASSERT_THAT(ProduceSoon(cluster.edge(edge), At("readings"), BatchOf({expected[slot].back()})), IsOk());
    }
    ASSERT_TRUE(consumer.Poll());
  }
  EXPECT_TRUE(Eventually(absl::Seconds(60),
                         [&] { return consumer.Poll() && consumer.count() >= kEdges * kRecords; }));
  EXPECT_EQ(consumer.values(), expected);
  EXPECT_EQ(consumer.Partitions(), partitions) << "a change would have been a rebalance";
}

}  // namespace
}  // namespace selvage::test
