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

constexpr int kJoiningEdges = 10;
constexpr int kRecords = 5;

/// A member of a consumer group that reads a topic from its end on, with librdkafka.
class Member : RdKafka::RebalanceCb {
 public:
  Member(const std::string& address, const std::string& topic) : topic_(topic) {
    std::unique_ptr<RdKafka::Conf> conf(RdKafka::Conf::create(RdKafka::Conf::CONF_GLOBAL));
    std::string error;
    for (const auto& [name, value] : std::map<std::string, std::string>{
             {"bootstrap.servers", address},
             {"group.id", "readers"},
             {"auto.offset.reset", "latest"},
             {"topic.metadata.refresh.interval.ms", "1000"},  // it would see a change of the partitions soon
             {"enable.partition.eof", "true"}}) {
      EXPECT_EQ(conf->set(name, value, error), RdKafka::Conf::CONF_OK) << error;
    }
    EXPECT_EQ(conf->set("rebalance_cb", static_cast<RdKafka::RebalanceCb*>(this), error),
              RdKafka::Conf::CONF_OK)
        << error;
    consumer_.reset(RdKafka::KafkaConsumer::create(conf.get(), error));
    EXPECT_NE(consumer_, nullptr) << error;
    EXPECT_EQ(consumer_->subscribe({topic}), RdKafka::ERR_NO_ERROR);
  }
  ~Member() override { consumer_->close(); }

  /// Takes what comes within a moment. False for an error.
  bool Poll() {
    const std::unique_ptr<RdKafka::Message> message(consumer_->consume(50));
    if (message->err() == RdKafka::ERR__PARTITION_EOF) at_end_.insert(message->partition());
    if (message->err() == RdKafka::ERR_NO_ERROR) {
      values_[message->partition()].emplace_back(static_cast<const char*>(message->payload()),
                                                 message->len());
    }
    return message->err() == RdKafka::ERR_NO_ERROR || message->err() == RdKafka::ERR__PARTITION_EOF ||
           message->err() == RdKafka::ERR__TIMED_OUT;
  }

  int Partitions() {
    std::string error;
    std::unique_ptr<RdKafka::Topic> topic(RdKafka::Topic::create(consumer_.get(), topic_, nullptr, error));
    RdKafka::Metadata* raw = nullptr;
    if (consumer_->metadata(false, topic.get(), &raw, 10'000) != RdKafka::ERR_NO_ERROR) return -1;
    const std::unique_ptr<RdKafka::Metadata> metadata(raw);
    return static_cast<int>(metadata->topics()->front()->partitions()->size());
  }

  /// How often it was given partitions or lost them.
  int rebalances() const { return rebalances_; }
  size_t assigned() const { return assigned_; }
  /// Stands at the end of all that it was given.
  bool at_end() const { return at_end_.size() == assigned_; }
  const std::map<int, std::vector<std::string>>& values() const { return values_; }

 private:
  void rebalance_cb(RdKafka::KafkaConsumer* consumer, RdKafka::ErrorCode code,
                    std::vector<RdKafka::TopicPartition*>& partitions) override {
    ++rebalances_;
    at_end_.clear();
    assigned_ = code == RdKafka::ERR__ASSIGN_PARTITIONS ? partitions.size() : 0;
    if (assigned_ > 0) {
      consumer->assign(partitions);
    } else {
      consumer->unassign();
    }
  }

  const std::string topic_;
  std::unique_ptr<RdKafka::KafkaConsumer> consumer_;
  int rebalances_ = 0;
  size_t assigned_ = 0;
  std::set<int> at_end_;
  std::map<int, std::vector<std::string>> values_;
};

TEST(JoiningEdges, ARunningGroupMissesNothingAndDoesNotRebalance) {
  Cluster cluster({.edges = kJoiningEdges, .core = {}, .edge = {{"storage.commit_queue_max", "8MiB"}}});
  ASSERT_THAT(cluster.Prepare(), IsOk());
  ASSERT_THAT(cluster.core().Start(), IsOk());
  ASSERT_THAT(CreateStream(cluster.core(), Definition("readings", v1::UP)), IsOk());
  Member first(cluster.core().kafka_address(), "readings");
  Member second(cluster.core().kafka_address(), "readings");
  const int partitions = first.Partitions();
  ASSERT_GE(partitions, kJoiningEdges + 8) << "free slots ahead";
  const auto poll = [&] { return first.Poll() && second.Poll(); };
  ASSERT_TRUE(Eventually(absl::Seconds(60), [&] {
    return poll() && first.assigned() > 0 && second.assigned() > 0 &&
           first.assigned() + second.assigned() == static_cast<size_t>(partitions) && first.at_end() &&
           second.at_end();
  }));
  const int rebalances = first.rebalances() + second.rebalances();

  std::map<int, std::vector<std::string>> expected;
  for (int edge = 0; edge < kJoiningEdges; ++edge) {
    ASSERT_THAT(cluster.edge(edge).Start(), IsOk());
    ASSERT_THAT(AwaitLinked(cluster.core(), Cluster::EdgeName(edge)), IsOk());
    const int slot = static_cast<int>(Summary(cluster.core(), Cluster::EdgeName(edge))->slot());
    for (int i = 0; i < kRecords; ++i) {
      expected[slot].push_back(fmt::format("{} {}", edge, i));
      ASSERT_THAT(ProduceSoon(cluster.edge(edge), At("readings"), BatchOf({expected[slot].back()})), IsOk());
    }
    ASSERT_TRUE(poll());
  }
  std::map<int, std::vector<std::string>> values;
  EXPECT_TRUE(Eventually(absl::Seconds(60), [&] {
    const bool polled = poll();
    values = first.values();
    values.insert(second.values().begin(), second.values().end());
    return polled && values == expected;
  })) << testing::PrintToString(values);
  EXPECT_EQ(first.rebalances() + second.rebalances(), rebalances);
  EXPECT_EQ(first.Partitions(), partitions);
}

}  // namespace
}  // namespace selvage::test
