#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/clients/librdkafka/client.h"

namespace selvage::test::rdkafka {
namespace {

using Clock = std::chrono::steady_clock;
using Partitions = std::vector<RdKafka::TopicPartition*>;

constexpr std::chrono::seconds kDeadline(60);
constexpr int kPollMs = 100;

std::string HexOrNull(const void* data, size_t size) {
  if (data == nullptr) return "null";
  return fmt::format("\"{}\"", ToHex({static_cast<const char*>(data), size}));
}

void EmitRecord(RdKafka::Message& message) {
  std::string headers;
  if (message.headers() != nullptr) {
    for (const auto& header : message.headers()->get_all()) {
      headers += fmt::format("{}[\"{}\",{}]", headers.empty() ? "" : ",", header.key(),
                             HexOrNull(header.value(), header.value_size()));
    }
  }
  Emit(fmt::format(
      R"({{"event":"record","partition":{},"offset":{},"timestamp":{},"key":{},"value":{},"headers":[{}]}})",
      message.partition(), message.offset(), message.timestamp().timestamp,
      HexOrNull(message.key_pointer(), message.key_len()), HexOrNull(message.payload(), message.len()),
      headers));
}

std::unique_ptr<RdKafka::KafkaConsumer> MakeConsumer(RdKafka::Conf& conf) {
  std::string why;
  std::unique_ptr<RdKafka::KafkaConsumer> consumer(RdKafka::KafkaConsumer::create(&conf, why));
  if (consumer == nullptr) Fail(why);
  return consumer;
}

std::unique_ptr<RdKafka::TopicPartition> PartitionAt(const Arguments& arguments, int64_t offset) {
  return std::unique_ptr<RdKafka::TopicPartition>(RdKafka::TopicPartition::create(
      Get(arguments, "topic"), static_cast<int>(GetNumber(arguments, "partition")), offset));
}

/// Nothing when no record came in time; ends the program on an error that does not pass by itself.
std::unique_ptr<RdKafka::Message> Poll(RdKafka::KafkaConsumer& consumer) {
  std::unique_ptr<RdKafka::Message> message(consumer.consume(kPollMs));
  switch (message->err()) {
    case RdKafka::ERR_NO_ERROR:
      return message;
    case RdKafka::ERR__TIMED_OUT:
    case RdKafka::ERR__TRANSPORT:
    case RdKafka::ERR__ALL_BROKERS_DOWN:
      return nullptr;
    default:
      Fail(message->errstr());
  }
}

class Rebalances : public RdKafka::RebalanceCb {
 public:
  void rebalance_cb(RdKafka::KafkaConsumer* consumer, RdKafka::ErrorCode code,
                    Partitions& partitions) override {
    if (code == RdKafka::ERR__ASSIGN_PARTITIONS) {
      Check(consumer->assign(partitions), "assign");
    } else {
      partitions.clear();
      Check(consumer->unassign(), "unassign");
    }
    std::vector<int> numbers;
    for (const auto* partition : partitions) numbers.push_back(partition->partition());
    std::sort(numbers.begin(), numbers.end());
    Emit(fmt::format(R"({{"event":"assigned","partitions":[{}]}})", absl::StrJoin(numbers, ",")));
  }
};

}  // namespace

void Consume(const Arguments& arguments) {
  auto conf = Configuration(arguments, {{"group.id", "none"},
                                        {"auto.offset.reset", "error"},
                                        {"enable.auto.commit", "false"},
                                        {"check.crcs", "true"}});
  auto consumer = MakeConsumer(*conf);
  auto partition = PartitionAt(arguments, GetNumber(arguments, "offset"));
  Check(consumer->assign({partition.get()}), "assign");
  const auto deadline = Clock::now() + kDeadline;
  for (int64_t left = GetNumber(arguments, "count"); left > 0;) {
    if (Clock::now() > deadline) Fail(fmt::format("{} records are missing", left));
    if (auto message = Poll(*consumer)) {
      EmitRecord(*message);
      --left;
    }
  }
  consumer->close();
}

void Seek(const Arguments& arguments) {
  auto conf = Configuration(arguments, {{"group.id", "none"}});
  auto consumer = MakeConsumer(*conf);
  for (const std::string& time : std::vector<std::string>(absl::StrSplit(Get(arguments, "times"), ','))) {
    auto partition = PartitionAt(arguments, std::stoll(time));
    Partitions partitions = {partition.get()};
    Check(consumer->offsetsForTimes(partitions, kTimeoutMs), "offsetsForTimes");
    // Where no record is as new, the library says the end instead of an offset.
    const int64_t offset = partition->offset() == RdKafka::Topic::OFFSET_END ? -1 : partition->offset();
    Emit(fmt::format(R"({{"event":"offset","offset":{}}})", offset));
  }
  consumer->close();
}

void Member(const Arguments& arguments) {
  std::map<std::string, std::string> settings = {{"group.id", Get(arguments, "group")},
                                                 {"auto.offset.reset", "earliest"},
                                                 {"enable.auto.commit", "false"},
                                                 {"session.timeout.ms", Get(arguments, "session-timeout")},
                                                 {"heartbeat.interval.ms", "300"}};
  if (arguments.count("instance") != 0) settings["group.instance.id"] = Get(arguments, "instance");
  const int64_t count = arguments.count("count") != 0 ? GetNumber(arguments, "count") : INT64_MAX;
  auto conf = Configuration(arguments, settings);
  Rebalances rebalances;
  std::string why;
  if (conf->set("rebalance_cb", &rebalances, why) != RdKafka::Conf::CONF_OK) Fail(why);
  auto consumer = MakeConsumer(*conf);
  Check(consumer->subscribe({Get(arguments, "topic")}), "subscribe");
  int64_t seen = 0;
  bool uncommitted = false;
  auto commit = [&] {
    const RdKafka::ErrorCode code = consumer->commitSync();
    // A member that lost its partitions meanwhile leaves the records to who has them now.
    const bool lost = code == RdKafka::ERR_REBALANCE_IN_PROGRESS || code == RdKafka::ERR_ILLEGAL_GENERATION ||
                      code == RdKafka::ERR__NO_OFFSET;
    if (!lost) Check(code, "commit");
    uncommitted = false;
  };
  while (seen < count && !Told()) {
    auto message = Poll(*consumer);
    if (message != nullptr) {
      EmitRecord(*message);
      ++seen;
      uncommitted = true;
    }
    if (uncommitted && (message == nullptr || seen % 50 == 0 || seen == count)) commit();
  }
  if (uncommitted) commit();
  Check(consumer->close(), "close");
  Emit(R"({"event":"closed"})");
}

}  // namespace selvage::test::rdkafka
