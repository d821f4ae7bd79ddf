#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fabric/kafka/group/coordinator.h"
#include "tests/support/seeded_random.h"

namespace selvage::kafka::group {

/// A coordinator with a disk that works when `disk_works`, at once unless `hold_writes`, and a clock that the
/// test moves.
class TestNode {
 public:
  explicit TestNode(Settings node_settings = {});

  /// A request of a client that is not a member yet: 10 s session, 60 s rebalance timeout, "range".
  static JoinRequest NewClient(std::string member_id = "");
  static JoinRequest NewStatic(std::string instance_id, std::string member_id = "");

  RequestId Join(JoinRequest request);
  RequestId Sync(const std::string& member_id, int32_t generation,
                 std::vector<SyncRequest::Assignment> assignments = {});
  RequestId Sync(SyncRequest request);
  ErrorCode Heartbeat(const std::string& member_id, int32_t generation,
                      std::optional<std::string> instance_id = std::nullopt);
  RequestId Leave(std::vector<LeaveRequest::Member> members);
  RequestId Commit(CommitRequest request);
  /// Commits one offset of partition 0 of "t" from outside of the group.
  RequestId CommitSimple(int64_t offset, std::string group = "g");
  RequestId DeleteGroups(const std::vector<std::string>& groups);
  RequestId DeleteOffsets(std::vector<TopicPartition> partitions);

  /// Lets time pass, from deadline to deadline, and handles what comes.
  void Pass(absl::Duration time);
  /// Lets time pass while these members heartbeat every 2 s.
  void PassWithHeartbeats(absl::Duration time, const std::vector<std::string>& members, int32_t generation);
  /// Handles what the coordinator wants done.
  void Pump();
  /// Reports the outcome of the oldest write held back.
  void FinishWrite(bool ok = true);
  /// A new coordinator from what the disk holds.
  void Restart();

  /// The answer, which must be there; each can be had once.
  template <class Body>
  Body Take(RequestId id) {
    const auto found = answers.find(id);
    if (found == answers.end()) {
      ADD_FAILURE() << "request " << id << " has no answer";
      return Body{};
    }
    Body body = std::get<Body>(found->second.body);
    answers.erase(found);
    return body;
  }
  bool Answered(RequestId id) const { return answers.contains(id); }
  JoinAnswer TakeJoin(RequestId id) { return Take<JoinAnswer>(id); }
  SyncAnswer TakeSync(RequestId id) { return Take<SyncAnswer>(id); }

  /// A stable group "g" of so many dynamic members, the leader first; each is assigned "for <its id>".
  std::vector<std::string> FormGroup(size_t members);
  /// Answers what `joins` wait for with a synced generation; returns it. All must have been answered.
  int32_t FinishRebalance(const std::vector<RequestId>& joins);
  int64_t Committed(const std::string& topic = "t", int32_t partition = 0, const std::string& group = "g");
  std::string StateOf(const std::string& group = "g") { return coordinator->Describe(group).state; }
  int32_t GenerationOf() { return coordinator->Describe("g").generation; }

  Settings settings;
  test::SeededRandom random{1};
  Instant now{absl::Seconds(1000), 1'700'000'000'000};
  std::unique_ptr<Coordinator> coordinator;
  std::map<std::string, std::string> disk;
  bool hold_writes = false;
  bool disk_works = true;
  std::deque<Persist> held;
  std::map<RequestId, Answer> answers;

 private:
  RequestId last_request_ = 0;
};

}  // namespace selvage::kafka::group
