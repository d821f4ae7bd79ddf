#include "tests/unit/kafka/group/test_node.h"

#include <algorithm>

namespace selvage::kafka::group {

TestNode::TestNode(Settings node_settings)
    : settings(node_settings), coordinator(std::make_unique<Coordinator>(settings, random, now.monotonic)) {}

JoinRequest TestNode::NewClient(std::string member_id) {
  JoinRequest request;
  request.group = "g";
  request.member_id = std::move(member_id);
  request.client_id = "client";
  request.client_host = "/127.0.0.1";
  request.session_timeout = absl::Seconds(10);
  request.rebalance_timeout = absl::Seconds(60);
  request.protocol_type = "consumer";
  request.protocols = {{"range", "topics"}};
  return request;
}

JoinRequest TestNode::NewStatic(std::string instance_id, std::string member_id) {
  JoinRequest request = NewClient(std::move(member_id));
  request.instance_id = std::move(instance_id);
  return request;
}

RequestId TestNode::Join(JoinRequest request) {
  const RequestId id = ++last_request_;
  coordinator->Join(id, std::move(request), now);
  Pump();
  return id;
}

RequestId TestNode::Sync(const std::string& member_id, int32_t generation,
                         std::vector<SyncRequest::Assignment> assignments) {
  SyncRequest request;
  request.group = "g";
  request.member_id = member_id;
  request.generation = generation;
  request.assignments = std::move(assignments);
  return Sync(std::move(request));
}

RequestId TestNode::Sync(SyncRequest request) {
  const RequestId id = ++last_request_;
  coordinator->Sync(id, std::move(request), now);
  Pump();
  return id;
}

ErrorCode TestNode::Heartbeat(const std::string& member_id, int32_t generation,
                              std::optional<std::string> instance_id) {
  return coordinator->Heartbeat({"g", member_id, std::move(instance_id), generation}, now);
}

RequestId TestNode::Leave(std::vector<LeaveRequest::Member> members) {
  const RequestId id = ++last_request_;
  coordinator->Leave(id, {"g", std::move(members)}, now);
  Pump();
  return id;
}

RequestId TestNode::Commit(CommitRequest request) {
  const RequestId id = ++last_request_;
  coordinator->Commit(id, std::move(request), now);
  Pump();
  return id;
}

RequestId TestNode::CommitSimple(int64_t offset, std::string group) {
  CommitRequest request;
  request.group = std::move(group);
  request.partitions = {{{"t", 0}, offset, -1, ""}};
  return Commit(std::move(request));
}

RequestId TestNode::DeleteGroups(const std::vector<std::string>& groups) {
  const RequestId id = ++last_request_;
  coordinator->DeleteGroups(id, groups);
  Pump();
  return id;
}

RequestId TestNode::DeleteOffsets(std::vector<TopicPartition> partitions) {
  const RequestId id = ++last_request_;
  coordinator->DeleteOffsets(id, {"g", std::move(partitions)});
  Pump();
  return id;
}

void TestNode::Pass(absl::Duration time) {
  const absl::Duration end = now.monotonic + time;
  for (;;) {
    const absl::Duration next = std::max(now.monotonic, std::min(end, coordinator->NextDeadline()));
    now.wall_ms += absl::ToInt64Milliseconds(next - now.monotonic);
    now.monotonic = next;
    coordinator->Tick(now);
    Pump();
    if (now.monotonic >= end) return;
  }
}

void TestNode::PassWithHeartbeats(absl::Duration time, const std::vector<std::string>& members,
                                  int32_t generation) {
  const absl::Duration end = now.monotonic + time;
  while (now.monotonic < end) {
    for (const std::string& member : members) Heartbeat(member, generation);
    Pass(std::min(absl::Seconds(2), end - now.monotonic));
  }
}

void TestNode::Pump() {
  for (;;) {
    Ready ready = coordinator->TakeReady();
    for (Answer& answer : ready.answers) {
      const RequestId id = answer.request;
      EXPECT_TRUE(answers.emplace(id, std::move(answer)).second) << "request " << id << " is answered twice";
    }
    std::move(ready.persist.begin(), ready.persist.end(), std::back_inserter(held));
    coordinator->CheckInvariants();
    if (hold_writes || held.empty()) return;
    FinishWrite(disk_works);
  }
}

void TestNode::FinishWrite(bool ok) {
  ASSERT_FALSE(held.empty());
  const Persist persist = std::move(held.front());
  held.pop_front();
  if (ok) {
    for (const Write& write : persist.writes) {
      if (write.kind == Write::Kind::kPut) {
        disk[write.key] = write.value;
      } else if (write.kind == Write::Kind::kDelete) {
        disk.erase(write.key);
      } else {
        disk.erase(disk.lower_bound(write.key), disk.lower_bound(write.value));
      }
    }
  }
  coordinator->OnPersisted(persist.id, ok ? absl::OkStatus() : absl::UnavailableError("the disk failed"),
                           now);
  if (hold_writes) Pump();
}

void TestNode::Restart() {
  held.clear();
  coordinator = std::make_unique<Coordinator>(settings, random, now.monotonic);
  for (const auto& [key, value] : disk) EXPECT_TRUE(coordinator->Restore(key, value, now).ok());
  coordinator->CheckInvariants();
}

std::vector<std::string> TestNode::FormGroup(size_t members) {
  std::vector<RequestId> joins;
  for (size_t i = 0; i < members; ++i) joins.push_back(Join(NewClient()));
  Pass(settings.initial_rebalance_delay);
  std::vector<JoinAnswer> answered;
  std::vector<SyncRequest::Assignment> assignments;
  std::vector<std::string> ids;
  for (RequestId join : joins) {
    answered.push_back(TakeJoin(join));
    ids.push_back(answered.back().member_id);
    assignments.push_back({ids.back(), "for " + ids.back()});
  }
  for (const JoinAnswer& answer : answered) {
    const bool leads = answer.leader == answer.member_id;
    Sync(answer.member_id, answer.generation, leads ? assignments : decltype(assignments){});
  }
  answers.clear();
  EXPECT_EQ(StateOf(), "Stable");
  return ids;
}

int32_t TestNode::FinishRebalance(const std::vector<RequestId>& joins) {
  std::vector<JoinAnswer> answered;
  std::vector<SyncRequest::Assignment> assignments;
  for (RequestId join : joins) {
    answered.push_back(TakeJoin(join));
    EXPECT_EQ(answered.back().error, ErrorCode::kNone);
    assignments.push_back({answered.back().member_id, "for " + answered.back().member_id});
  }
  for (const JoinAnswer& answer : answered) {
    const bool leads = answer.leader == answer.member_id;
    const RequestId sync =
        Sync(answer.member_id, answer.generation, leads ? assignments : decltype(assignments){});
    if (Answered(sync)) Take<SyncAnswer>(sync);
  }
  EXPECT_EQ(StateOf(), "Stable");
  return GenerationOf();
}

int64_t TestNode::Committed(const std::string& topic, int32_t partition, const std::string& group) {
  return coordinator->Fetch(group, {{topic, partition}})[0].offset;
}

}  // namespace selvage::kafka::group
