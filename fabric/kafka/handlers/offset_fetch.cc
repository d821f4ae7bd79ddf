#include "fabric/kafka/protocol/offset_fetch.h"

#include <string>
#include <unordered_set>

#include "fabric/kafka/group_service/group_service.h"
#include "fabric/kafka/handlers/api_table.h"

namespace selvage::kafka {
namespace {

using AskedTopics = std::optional<std::vector<OffsetFetchRequest::Topic>>;

OffsetFetchResponse::Topic::Partition ToRow(int32_t partition, group::CommittedOffset committed) {
  // Where nothing is committed the metadata is empty, never null: not every client reads a null.
  return {partition, committed.offset, committed.leader_epoch, std::move(committed.metadata),
          ErrorCode::kNone};
}

std::vector<OffsetFetchResponse::Topic> FetchAll(const GroupService& groups, const std::string& group) {
  std::vector<OffsetFetchResponse::Topic> topics;
  for (auto& [at, committed] : groups.FetchAll(group)) {
    if (topics.empty() || topics.back().name != at.topic) topics.push_back({at.topic, {}});
    topics.back().partitions.push_back(ToRow(at.partition, std::move(committed)));
  }
  return topics;
}

std::vector<OffsetFetchResponse::Topic> Fetch(const GroupService& groups, const std::string& group,
                                              const AskedTopics& asked) {
  if (!asked) return FetchAll(groups, group);
  std::vector<group::TopicPartition> wanted;
  for (const OffsetFetchRequest::Topic& topic : *asked) {
    for (const int32_t partition : topic.partition_indexes) wanted.push_back({topic.name, partition});
  }
  std::vector<group::CommittedOffset> committed = groups.Fetch(group, wanted);
  std::vector<OffsetFetchResponse::Topic> topics;
  size_t next = 0;
  for (const OffsetFetchRequest::Topic& topic : *asked) {
    OffsetFetchResponse::Topic& rows = topics.emplace_back();
    rows.name = topic.name;
    for (const int32_t partition : topic.partition_indexes) {
      rows.partitions.push_back(ToRow(partition, std::move(committed[next++])));
    }
  }
  return topics;
}

Awaitable<OffsetFetchResponse> Handle(Context& context, Call& call, OffsetFetchRequest request) {
  OffsetFetchResponse response;
  if (call.version() < 8) {
    response.topics = Fetch(context.groups, request.group_id, request.topics);
    co_return response;
  }
  std::unordered_set<std::string> named;
  for (OffsetFetchRequest::Group& group : request.groups) {
    if (!named.insert(group.group_id).second) continue;
    OffsetFetchResponse::Group& row = response.groups.emplace_back();
    row.topics = Fetch(context.groups, group.group_id, group.topics);
    row.group_id = std::move(group.group_id);
  }
  co_return response;
}

}  // namespace

const ServedApi kServeOffsetFetch = {ApiKey::kOffsetFetch, 1, 9,
                                     &ServeWith<OffsetFetchRequest, OffsetFetchResponse, &Handle>};

}  // namespace selvage::kafka
