#include <fmt/format.h>

#include "tests/unit/kafka/group/group_world.h"

namespace selvage::kafka::group {
namespace {

constexpr absl::Duration kHeartbeat = absl::Seconds(2);
constexpr absl::Duration kLongestWait =
    absl::Seconds(35);  // a rebalance, and the session of who leads nobody

}  // namespace

void GroupWorld::Act(Client& client, bool faults) {
  client.act_at = now_.monotonic + kHeartbeat;
  if (faults && random_.OneIn(12)) Misbehave(client);
  if (!client.up || client.waiting != 0) return;
  if (client.phase == Phase::kOut) {
    SendJoin(client);
  } else if (client.phase == Phase::kMember) {
    Heartbeat(client);
    if (client.phase == Phase::kMember && random_.OneIn(3)) SendCommit(&client);
  }
}

void GroupWorld::Misbehave(Client& client) {
  switch (random_.Below(5)) {
    case 0:  // crashes, and is back after a while
      client.up = !client.up;
      client.phase = Phase::kOut;
      client.member_id.clear();
      client.waiting = 0;
      break;
    case 1:  // leaves
      if (client.phase == Phase::kMember && client.waiting == 0) SendLeave(client);
      break;
    case 2:  // is silent for longer than its session
      client.act_at = now_.monotonic + absl::Seconds(random_.Below(20));
      break;
    case 3:  // subscribes to something else
      ++client.subscription;
      if (client.phase == Phase::kMember) client.phase = Phase::kOut;
      break;
    default:  // loses its connection, and asks again
      client.waiting = 0;
      client.phase = Phase::kOut;
  }
}

void GroupWorld::SendJoin(Client& client) {
  JoinRequest request;
  request.group = "g";
  request.member_id = client.member_id;
  if (client.is_static) request.instance_id = fmt::format("instance-{}", client.index);
  request.client_id = fmt::format("client-{}", client.index);
  request.session_timeout = client.session_timeout;
  if (client.version > 0) request.rebalance_timeout = client.rebalance_timeout;
  request.protocol_type = "consumer";
  request.protocols = {{"range", fmt::format("{}:{}", client.index, client.subscription)}};
  request.require_member_id = client.version >= 4;
  request.supports_skip_assignment = client.version >= 9;
  client.phase = Phase::kJoining;
  client.waiting = NewRequest({Request::Kind::kJoin, client.index, {}}, kLongestWait);
  coordinator_->Join(client.waiting, std::move(request), now_);
}

void GroupWorld::OnJoined(Client& client, const JoinAnswer& answer) {
  client.phase = Phase::kOut;
  if (answer.error == ErrorCode::kNone) {
    client.member_id = answer.member_id;
    client.generation = answer.generation;
    SendSync(client, answer);
  } else if (answer.error == ErrorCode::kMemberIdRequired) {
    client.member_id = answer.member_id;
    client.act_at = now_.monotonic;
  } else {
    Rejoin(client, answer.error);
  }
}

void GroupWorld::SendSync(Client& client, const JoinAnswer& joined) {
  SyncRequest request;
  request.group = "g";
  request.member_id = client.member_id;
  request.generation = client.generation;
  if (client.is_static) request.instance_id = fmt::format("instance-{}", client.index);
  if (joined.leader == client.member_id && !joined.skip_assignment) {
    ++assignments_;
    for (const JoinedMember& member : joined.members) {
      const std::string index = member.metadata.substr(0, member.metadata.find(':'));
      request.assignments.push_back({member.member_id, fmt::format("{}:{}", assignments_, index)});
    }
  }
  client.phase = Phase::kSyncing;
  client.waiting = NewRequest({Request::Kind::kSync, client.index, {}, client.generation}, kLongestWait);
  coordinator_->Sync(client.waiting, std::move(request), now_);
}

void GroupWorld::OnSynced(Client& client, const SyncAnswer& answer) {
  if (answer.error == ErrorCode::kNone) {
    client.phase = Phase::kMember;
  } else {
    Rejoin(client, answer.error);
  }
}

void GroupWorld::Rejoin(Client& client, ErrorCode error) {
  client.phase = Phase::kOut;
  client.act_at = now_.monotonic + absl::Milliseconds(random_.Below(1000));
  switch (error) {
    case ErrorCode::kUnknownMemberId:
    case ErrorCode::kFencedInstanceId:
      client.member_id.clear();
      break;
    case ErrorCode::kCoordinatorNotAvailable:
    case ErrorCode::kRebalanceInProgress:
    case ErrorCode::kIllegalGeneration:
      break;
    default:
      Fail(fmt::format("a client was told {}", static_cast<int>(error)));
  }
}

void GroupWorld::Heartbeat(Client& client) {
  HeartbeatRequest request{"g", client.member_id, {}, client.generation};
  if (client.is_static) request.instance_id = fmt::format("instance-{}", client.index);
  const ErrorCode error = coordinator_->Heartbeat(request, now_);
  if (error != ErrorCode::kNone) Rejoin(client, error);
}

void GroupWorld::SendLeave(Client& client) {
  const RequestId id = NewRequest({Request::Kind::kLeave, client.index, {}}, absl::ZeroDuration());
  coordinator_->Leave(id, {"g", {{client.member_id, {}}}}, now_);
  client.phase = Phase::kOut;
  client.member_id.clear();
}

void GroupWorld::SendCommit(Client* client) {
  CommitRequest request;
  request.group = "g";
  if (client != nullptr) {
    request.member_id = client->member_id;
    request.generation = client->generation;
    if (client->is_static) request.instance_id = fmt::format("instance-{}", client->index);
  }
  Request sent{Request::Kind::kCommit, client == nullptr ? kOutsider : client->index, {}};
  for (int32_t partition = 0; partition < kPartitions; ++partition) {
    if (random_.OneIn(2)) continue;
    sent_[partition] = ++last_sent_;
    sent.offsets[partition] = last_sent_;
    request.partitions.push_back({{"t", partition}, last_sent_, -1, ""});
  }
  const RequestId id = NewRequest(std::move(sent), absl::ZeroDuration());
  coordinator_->Commit(id, std::move(request), now_);
}

}  // namespace selvage::kafka::group
