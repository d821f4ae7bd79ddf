#include "tests/unit/kafka/group_service/group_node.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "fabric/base/error.h"

namespace selvage::kafka::test {

absl::Status FailingStore::Write(WriteBatch& batch, bool sync) {
  if (fails) return MakeError(absl::StatusCode::kInternal, "io_error", "the disk fails");
  return MemoryStore::Write(batch, sync);
}

std::vector<Topic> FixedTopics::List() {
  std::vector<Topic> all;
  for (const auto& [name, count] : partitions) all.push_back({name, count, {}});
  return all;
}

absl::StatusOr<Topic> FixedTopics::Find(const std::string& name) {
  auto found = partitions.find(name);
  if (found == partitions.end())
    return MakeError(absl::StatusCode::kNotFound, "unknown_stream", "no such stream");
  return Topic{name, found->second, {}};
}

absl::StatusOr<std::shared_ptr<Log>> FixedTopics::FindForReading(const std::string&, int32_t) {
  return nullptr;
}

absl::StatusOr<std::shared_ptr<Log>> FixedTopics::FindForWriting(const std::string&, int32_t) {
  return absl::UnimplementedError("not needed");
}
absl::StatusOr<Topic> FixedTopics::Create(v1::StreamDefinition, bool) {
  return absl::UnimplementedError("not needed");
}
absl::StatusOr<Topic> FixedTopics::Set(const v1::SetStreamRequest&) {
  return absl::UnimplementedError("not needed");
}
absl::Status FixedTopics::AddPartitions(const std::string&, int32_t, bool) {
  return absl::UnimplementedError("not needed");
}
absl::Status FixedTopics::Delete(const std::string&) {
  return absl::UnimplementedError("not needed");
}

GroupNode::GroupNode(group::Settings with) : settings(with) {
  Restart();
}

void GroupNode::Restart() {
  context.reset();
  service.reset();
  Pump();
  state.reset();
  NodeState::Options options;
  options.node = "rig";
  options.commit.on_failure = [this](const absl::Status&) { disk_failed = true; };
  state = std::make_unique<NodeState>(options, store, clock, random);
  SELVAGE_CHECK(state->Open({}).ok());
  service = std::make_unique<GroupService>(GroupService::PartsOf(*state), settings);
  SELVAGE_CHECK(service->Open().ok());
  producer_ids = std::make_unique<ProducerIds>(state->store(), state->committer(), state->random());
  context.reset(new Context{{.host = "127.0.0.1", .port = 9092, .cluster_id = "c"},
                            topics,
                            state->streams(),
                            state->committer(),
                            state->budget(),
                            metrics,
                            sessions,
                            *service,
                            *producer_ids,
                            refused_batches,
                            blocking});
}

void GroupNode::Begin(std::string frame, std::function<void(std::string)> done, std::unique_ptr<Call>& call) {
  auto reader = std::make_shared<Reader>(Bytes(std::move(frame)));
  const RequestHeader header = *DecodeRequestHeader(*reader);
  const ServedApi* api = FindServed(header.api_key);
  ASSERT_NE(api, nullptr);
  ASSERT_TRUE(header.api_version >= api->min && header.api_version <= api->max);
  call = std::make_unique<Call>(io.get_executor(), header, "/127.0.0.1");
  boost::asio::co_spawn(io, api->serve(*context, *call, *reader),
                        [reader, done](std::exception_ptr error, absl::StatusOr<Reply> reply) {
                          ASSERT_EQ(error, nullptr);
                          std::string bytes;
                          if (reply.ok() && *reply) {
                            for (const Bytes& segment : **reply) bytes += segment.view();
                          }
                          done(bytes.size() < 4 ? "" : bytes.substr(4));
                        });
}

void GroupNode::Pump() {
  bool more = true;
  while (more) {
    io.restart();
    more = io.poll() > 0;
    if (state && commits) more = state->committer().CommitOnce() || more;
  }
}

void GroupNode::Pass(absl::Duration time) {
  const absl::Duration until = clock.Monotonic() + time;
  while (true) {
    const absl::Duration next = std::min(until, service->NextDeadline());
    if (next > clock.Monotonic()) clock.Advance(next - clock.Monotonic());
    service->Tick();
    Pump();
    if (next >= until) return;
  }
}

JoinGroupRequest GroupNode::Joining(const std::string& member_id) {
  JoinGroupRequest request;
  request.group_id = "g";
  request.session_timeout_ms = 10'000;
  request.rebalance_timeout_ms = 60'000;
  request.member_id = member_id;
  request.protocol_type = "consumer";
  request.protocols = {{"range", "topics"}};
  return request;
}

std::vector<std::string> GroupNode::FormGroup(size_t members) {
  std::vector<std::shared_ptr<Sent<JoinGroupResponse>>> joins;
  for (size_t i = 0; i < members; ++i) joins.push_back(Send<JoinGroupResponse>(Joining(), 3));
  Pass(absl::Seconds(4));
  std::vector<std::string> ids;
  SyncGroupRequest sync;
  for (auto& join : joins) {
    EXPECT_TRUE(join->response && join->response->error_code == ErrorCode::kNone);
    if (!join->response) return {};
    const std::string& id = join->response->member_id;
    ids.insert(id == join->response->leader ? ids.begin() : ids.end(), id);
    sync.assignments.push_back({id, "for " + id});
    sync.generation_id = join->response->generation_id;
  }
  sync.group_id = "g";
  for (const std::string& id : ids) {
    sync.member_id = id;
    EXPECT_EQ(Ask<SyncGroupResponse>(sync, 3).assignment, "for " + id);
    sync.assignments.clear();
  }
  return ids;
}

OffsetCommitRequest GroupNode::Committing(int64_t offset, int32_t partition) {
  OffsetCommitRequest request;
  request.group_id = "g";
  request.topics = {{"t", {{partition, offset, 3, "note"}}}};
  return request;
}

ErrorCode GroupNode::Commit(int64_t offset, int32_t partition) {
  const auto response = Ask<OffsetCommitResponse>(Committing(offset, partition), 8);
  return response.topics.empty() ? ErrorCode::kUnknownServerError
                                 : response.topics[0].partitions[0].error_code;
}

int64_t GroupNode::Committed(int32_t partition) {
  OffsetFetchRequest request;
  request.group_id = "g";
  request.topics = {{"t", {partition}}};
  return Ask<OffsetFetchResponse>(request, 5).topics[0].partitions[0].committed_offset;
}

}  // namespace selvage::kafka::test
