#include "fabric/kafka/protocol/offset_commit.h"

#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/group_call.h"

namespace selvage::kafka {
namespace {

/// The part of the request that names partitions which exist; `rows` are their rows in the response, and the
/// others already say what is wrong.
group::CommitRequest ToCommit(Context& context, OffsetCommitRequest request, OffsetCommitResponse& response,
                              std::vector<std::pair<size_t, size_t>>& rows) {
  group::CommitRequest commit;
  commit.group = std::move(request.group_id);
  commit.member_id = std::move(request.member_id);
  commit.instance_id = std::move(request.group_instance_id);
  commit.generation = request.generation_id_or_member_epoch;
  for (OffsetCommitRequest::Topic& topic : request.topics) {
    const auto known = context.topics.Find(topic.name);
    const int32_t partitions = known.ok() ? known->partitions : 0;
    OffsetCommitResponse::Topic& rows_of_topic = response.topics.emplace_back();
    rows_of_topic.name = topic.name;
    for (OffsetCommitRequest::Topic::Partition& partition : topic.partitions) {
      OffsetCommitResponse::Topic::Partition& row = rows_of_topic.partitions.emplace_back();
      row.partition_index = partition.partition_index;
      if (partition.partition_index < 0 || partition.partition_index >= partitions) {
        row.error_code = ErrorCode::kUnknownTopicOrPartition;
        continue;
      }
      rows.emplace_back(response.topics.size() - 1, rows_of_topic.partitions.size() - 1);
      commit.partitions.push_back({{topic.name, partition.partition_index},
                                   partition.committed_offset,
                                   partition.committed_leader_epoch,
                                   std::move(partition.committed_metadata).value_or("")});
    }
  }
  return commit;
}

Awaitable<OffsetCommitResponse> Handle(Context& context, Call& call, OffsetCommitRequest request) {
  OffsetCommitResponse response;
  std::vector<std::pair<size_t, size_t>> rows;
  group::CommitRequest commit = ToCommit(context, std::move(request), response, rows);
  auto ask = [&](GroupService::Done<group::CommitAnswer> done) {
    return context.groups.Commit(std::move(commit), std::move(done));
  };
  auto answer = co_await AwaitAnswer<group::CommitAnswer>(context, call, ask);
  if (!answer) co_return response;
  for (size_t i = 0; i < rows.size(); ++i) {
    response.topics[rows[i].first].partitions[rows[i].second].error_code = answer->partitions[i];
  }
  co_return response;
}

}  // namespace

const ServedApi kServeOffsetCommit = {ApiKey::kOffsetCommit, 2, 9,
                                      &ServeWith<OffsetCommitRequest, OffsetCommitResponse, &Handle>};

}  // namespace selvage::kafka
