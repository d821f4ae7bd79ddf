#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include <array>
#include <cstring>
#include <functional>

#include "tests/clients/librdkafka/client.h"

namespace selvage::test::rdkafka {
namespace {

constexpr char kOldRetention[] = "3600000";
constexpr char kNewRetention[] = "7200000";

/// `result` is JSON.
void Step(std::string_view step, std::string_view result) {
  Emit(fmt::format(R"({{"event":"step","step":"{}","result":{}}})", step, result));
}

/// The administrative calls of the C interface; the one in C++ has none.
class Administrator {
 public:
  explicit Administrator(const Arguments& arguments)
      : arguments_(arguments), topic_(Get(arguments, "topic")), conf_(Configuration(arguments, {})) {
    std::string why;
    producer_.reset(RdKafka::Producer::create(conf_.get(), why));
    if (producer_ == nullptr) Fail(why);
    client_ = producer_->c_ptr();
    queue_ = rd_kafka_queue_new(client_);
  }
  ~Administrator() { rd_kafka_queue_destroy(queue_); }

  /// The error of the one topic.
  rd_kafka_resp_err_t CreateTopic(int partitions, const std::map<std::string, std::string>& settings);
  void GrowTo(size_t partitions);
  std::string Retention();
  void SetRetention(const std::string& value);
  /// -1 when there is no such topic.
  int PartitionsOfTopic();
  void Produce(int count);
  void CommitOffset(const std::string& group, int64_t offset);
  int64_t CommittedOffset(const std::string& group);
  void DeleteRecordsBefore(int64_t offset);
  int64_t LowWatermark();
  bool GroupListed(const std::string& group);
  std::string GroupState(const std::string& group);
  void DeleteGroup(const std::string& group);
  void DeleteTopic();

 private:
  /// Waits for the event that answers what was just asked and hands it over.
  void Await(const std::function<void(rd_kafka_event_t*)>& use) {
    rd_kafka_event_t* event = rd_kafka_queue_poll(queue_, kTimeoutMs);
    if (event == nullptr) Fail("no answer");
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) Fail(rd_kafka_event_error_string(event));
    use(event);
    rd_kafka_event_destroy(event);
  }
  rd_kafka_topic_partition_list_t* OnePartition(int64_t offset) const {
    auto* list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic_.c_str(), 0)->offset = offset;
    return list;
  }

  const Arguments& arguments_;
  const std::string topic_;
  std::unique_ptr<RdKafka::Conf> conf_;
  std::unique_ptr<RdKafka::Producer> producer_;
  rd_kafka_t* client_ = nullptr;
  rd_kafka_queue_t* queue_ = nullptr;
};

rd_kafka_resp_err_t Administrator::CreateTopic(int partitions,
                                               const std::map<std::string, std::string>& settings) {
  std::array<char, 512> why{};
  rd_kafka_NewTopic_t* topic = rd_kafka_NewTopic_new(topic_.c_str(), partitions, 1, why.data(), why.size());
  if (topic == nullptr) Fail(why.data());
  for (const auto& [name, value] : settings) {
    Check(rd_kafka_NewTopic_set_config(topic, name.c_str(), value.c_str()), "NewTopic");
  }
  rd_kafka_CreateTopics(client_, &topic, 1, nullptr, queue_);
  rd_kafka_NewTopic_destroy(topic);
  rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_UNKNOWN;
  Await([&](rd_kafka_event_t* event) {
    size_t count = 0;
    auto* results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    if (count == 1) code = rd_kafka_topic_result_error(results[0]);
  });
  return code;
}

void Administrator::GrowTo(size_t partitions) {
  std::array<char, 512> why{};
  rd_kafka_NewPartitions_t* more =
      rd_kafka_NewPartitions_new(topic_.c_str(), partitions, why.data(), why.size());
  if (more == nullptr) Fail(why.data());
  rd_kafka_CreatePartitions(client_, &more, 1, nullptr, queue_);
  rd_kafka_NewPartitions_destroy(more);
  Await([](rd_kafka_event_t* event) {
    size_t count = 0;
    auto* results =
        rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event), &count);
    if (count != 1) Fail("CreatePartitions answered nothing");
    Check(rd_kafka_topic_result_error(results[0]), "CreatePartitions");
  });
}

std::string Administrator::Retention() {
  auto* resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic_.c_str());
  rd_kafka_DescribeConfigs(client_, &resource, 1, nullptr, queue_);
  rd_kafka_ConfigResource_destroy(resource);
  std::string value;
  Await([&](rd_kafka_event_t* event) {
    size_t count = 0;
    auto* resources =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count);
    if (count != 1) Fail("DescribeConfigs answered nothing");
    Check(rd_kafka_ConfigResource_error(resources[0]), "DescribeConfigs");
    auto* entries = rd_kafka_ConfigResource_configs(resources[0], &count);
    for (size_t i = 0; i < count; ++i) {
      if (std::strcmp(rd_kafka_ConfigEntry_name(entries[i]), "retention.ms") == 0) {
        value = rd_kafka_ConfigEntry_value(entries[i]);
      }
    }
  });
  return value;
}

void Administrator::SetRetention(const std::string& value) {
  auto* resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic_.c_str());
  Check(rd_kafka_ConfigResource_set_config(resource, "retention.ms", value.c_str()), "ConfigResource");
  rd_kafka_AlterConfigs(client_, &resource, 1, nullptr, queue_);
  rd_kafka_ConfigResource_destroy(resource);
  Await([](rd_kafka_event_t* event) {
    size_t count = 0;
    auto* resources =
        rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event), &count);
    if (count != 1) Fail("AlterConfigs answered nothing");
    Check(rd_kafka_ConfigResource_error(resources[0]), "AlterConfigs");
  });
}

int Administrator::PartitionsOfTopic() {
  RdKafka::Metadata* metadata = nullptr;
  Check(producer_->metadata(true, nullptr, &metadata, kTimeoutMs), "metadata");
  std::unique_ptr<RdKafka::Metadata> owned(metadata);
  for (const auto* topic : *metadata->topics()) {
    if (topic->topic() == topic_) return static_cast<int>(topic->partitions()->size());
  }
  return -1;
}

void Administrator::Produce(int count) {
  for (int i = 0; i < count; ++i) {
    std::string value = std::to_string(i);
    Check(producer_->produce(topic_, 0, RdKafka::Producer::RK_MSG_COPY, value.data(), value.size(), nullptr,
                             0, 0, nullptr),
          "produce");
  }
  Check(producer_->flush(kTimeoutMs), "flush");
}

void Administrator::CommitOffset(const std::string& group, int64_t offset) {
  auto* list = OnePartition(offset);
  auto* request = rd_kafka_AlterConsumerGroupOffsets_new(group.c_str(), list);
  rd_kafka_AlterConsumerGroupOffsets(client_, &request, 1, nullptr, queue_);
  rd_kafka_AlterConsumerGroupOffsets_destroy(request);
  rd_kafka_topic_partition_list_destroy(list);
  Await([](rd_kafka_event_t* event) {
    size_t count = 0;
    auto* groups = rd_kafka_AlterConsumerGroupOffsets_result_groups(
        rd_kafka_event_AlterConsumerGroupOffsets_result(event), &count);
    if (count != 1) Fail("AlterConsumerGroupOffsets answered nothing");
    Check(rd_kafka_group_result_partitions(groups[0])->elems[0].err, "AlterConsumerGroupOffsets");
  });
}

int64_t Administrator::CommittedOffset(const std::string& group) {
  auto* list = OnePartition(RD_KAFKA_OFFSET_INVALID);
  auto* request = rd_kafka_ListConsumerGroupOffsets_new(group.c_str(), list);
  rd_kafka_ListConsumerGroupOffsets(client_, &request, 1, nullptr, queue_);
  rd_kafka_ListConsumerGroupOffsets_destroy(request);
  rd_kafka_topic_partition_list_destroy(list);
  int64_t offset = -1;
  Await([&](rd_kafka_event_t* event) {
    size_t count = 0;
    auto* groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(event), &count);
    if (count != 1) Fail("ListConsumerGroupOffsets answered nothing");
    offset = rd_kafka_group_result_partitions(groups[0])->elems[0].offset;
  });
  return offset;
}

void Administrator::DeleteRecordsBefore(int64_t offset) {
  auto* list = OnePartition(offset);
  auto* request = rd_kafka_DeleteRecords_new(list);
  rd_kafka_DeleteRecords(client_, &request, 1, nullptr, queue_);
  rd_kafka_DeleteRecords_destroy(request);
  rd_kafka_topic_partition_list_destroy(list);
  Await([](rd_kafka_event_t* event) {
    auto* done = rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
    Check(done->elems[0].err, "DeleteRecords");
  });
}

int64_t Administrator::LowWatermark() {
  int64_t low = -1;
  int64_t high = -1;
  Check(producer_->query_watermark_offsets(topic_, 0, &low, &high, kTimeoutMs), "watermarks");
  return low;
}

bool Administrator::GroupListed(const std::string& group) {
  rd_kafka_ListConsumerGroups(client_, nullptr, queue_);
  bool listed = false;
  Await([&](rd_kafka_event_t* event) {
    size_t count = 0;
    auto* groups =
        rd_kafka_ListConsumerGroups_result_valid(rd_kafka_event_ListConsumerGroups_result(event), &count);
    for (size_t i = 0; i < count; ++i) {
      listed = listed || group == rd_kafka_ConsumerGroupListing_group_id(groups[i]);
    }
  });
  return listed;
}

std::string Administrator::GroupState(const std::string& group) {
  const char* name = group.c_str();
  rd_kafka_DescribeConsumerGroups(client_, &name, 1, nullptr, queue_);
  std::string state;
  Await([&](rd_kafka_event_t* event) {
    size_t count = 0;
    auto* groups = rd_kafka_DescribeConsumerGroups_result_groups(
        rd_kafka_event_DescribeConsumerGroups_result(event), &count);
    if (count != 1) Fail("DescribeConsumerGroups answered nothing");
    state = rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(groups[0]));
  });
  return state;
}

void Administrator::DeleteGroup(const std::string& group) {
  rd_kafka_DeleteGroup_t* request = rd_kafka_DeleteGroup_new(group.c_str());
  rd_kafka_DeleteGroups(client_, &request, 1, nullptr, queue_);
  rd_kafka_DeleteGroup_destroy(request);
  Await([](rd_kafka_event_t* event) {
    size_t count = 0;
    auto* groups = rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event), &count);
    if (count != 1) Fail("DeleteGroups answered nothing");
    if (const auto* error = rd_kafka_group_result_error(groups[0])) Fail(rd_kafka_error_string(error));
  });
}

void Administrator::DeleteTopic() {
  rd_kafka_DeleteTopic_t* request = rd_kafka_DeleteTopic_new(topic_.c_str());
  rd_kafka_DeleteTopics(client_, &request, 1, nullptr, queue_);
  rd_kafka_DeleteTopic_destroy(request);
  Await([](rd_kafka_event_t* event) {
    size_t count = 0;
    auto* topics = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
    if (count != 1) Fail("DeleteTopics answered nothing");
    Check(rd_kafka_topic_result_error(topics[0]), "DeleteTopics");
  });
}

std::string_view Json(bool value) {
  return value ? "true" : "false";
}

}  // namespace

void Create(const Arguments& arguments) {
  Check(Administrator(arguments).CreateTopic(static_cast<int>(GetNumber(arguments, "partitions")), {}),
        "CreateTopics");
}

void Admin(const Arguments& arguments) {
  const std::string group = Get(arguments, "group");
  Administrator admin(arguments);
  Check(admin.CreateTopic(3, {{"retention.ms", kOldRetention}}), "CreateTopics");
  Step("create", "true");
  Step("create_again", Json(admin.CreateTopic(3, {}) == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS));
  Step("listed", Json(admin.PartitionsOfTopic() != -1));
  Step("partitions", std::to_string(admin.PartitionsOfTopic()));
  Step("retention", fmt::format("\"{}\"", admin.Retention()));
  admin.SetRetention(kNewRetention);
  Step("new_retention", fmt::format("\"{}\"", admin.Retention()));
  admin.GrowTo(5);
  Step("grown", std::to_string(admin.PartitionsOfTopic()));
  admin.Produce(10);
  admin.DeleteRecordsBefore(4);
  Step("low", std::to_string(admin.LowWatermark()));
  admin.CommitOffset(group, 7);
  Step("committed", std::to_string(admin.CommittedOffset(group)));
  Step("group_listed", Json(admin.GroupListed(group)));
  Step("group_state", fmt::format("\"{}\"", admin.GroupState(group)));
  admin.DeleteGroup(group);
  Step("group_left", Json(admin.GroupListed(group)));
  admin.DeleteTopic();
  Step("topic_left", Json(admin.PartitionsOfTopic() != -1));
}

}  // namespace selvage::test::rdkafka
