#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fabric/kafka/group/coordinator.h"
#include "tests/support/seeded_random.h"

namespace selvage::kafka::group {

/// One group "g" with consumers that crash, leave, stall and change their minds, at a node that crashes and
/// whose disk is slow, fails, or fails and has written all the same. From a seed; the first broken rule is
/// kept in `failure`.
class GroupWorld {
 public:
  explicit GroupWorld(uint64_t seed);
  /// A time with faults, then one without in which all must come together. Empty, or what rule was broken.
  std::string Run();
  int32_t generations() const { return heard_generation_; }
  int restarts() const { return restarts_; }

 private:
  enum class Phase { kOut, kJoining, kSyncing, kMember };
  struct Client {
    size_t index = 0;
    bool is_static = false;
    int version = 0;  // of Join
    absl::Duration session_timeout;
    absl::Duration rebalance_timeout;
    bool up = true;
    int subscription = 0;
    std::string member_id;
    int32_t generation = -1;
    Phase phase = Phase::kOut;
    RequestId waiting = 0;  // 0: for nothing
    absl::Duration act_at;
  };
  struct Request {
    enum class Kind { kJoin, kSync, kLeave, kCommit } kind;
    size_t client;  // kOutsider: none
    absl::Duration deadline;
    int32_t generation = -1;
    std::map<int32_t, int64_t> offsets = {};  // kCommit: by partition
  };
  struct Writing {
    Persist persist;
    absl::Duration done_at;
    bool fails;
    bool durable;
  };
  static constexpr size_t kOutsider = SIZE_MAX;
  static constexpr int32_t kPartitions = 3;

  // group_world.cc: the node, its disk, the rules
  void Step(bool faults);
  void Pump(bool faults);
  void FinishWrites(bool faults);
  void WriteDown(const Persist& persist);
  void Crash();
  void Deliver(const Answer& answer);
  void CheckJoin(const Request& request, const JoinAnswer& answer);
  void CheckSync(const Request& request, const SyncAnswer& answer);
  void CheckCommit(const Request& request, const CommitAnswer& answer);
  void CheckOffsets();
  void CheckTimes();
  void CheckTogether();
  v1::StoredGroup Stored() const;
  void Fail(const std::string& what);
  RequestId NewRequest(Request request, absl::Duration at_most);

  // group_world_clients.cc: the consumers
  void Act(Client& client, bool faults);
  void Misbehave(Client& client);
  void SendJoin(Client& client);
  void SendSync(Client& client, const JoinAnswer& joined);
  void SendLeave(Client& client);
  void SendCommit(Client* client);
  void Heartbeat(Client& client);
  void Rejoin(Client& client, ErrorCode error);
  void OnJoined(Client& client, const JoinAnswer& answer);
  void OnSynced(Client& client, const SyncAnswer& answer);

  test::SeededRandom random_;
  Settings settings_;
  std::unique_ptr<Coordinator> coordinator_;
  Instant now_{absl::Seconds(100), 1'700'000'000'000};
  std::map<std::string, std::string> disk_;
  std::deque<Writing> writing_;
  std::vector<Client> clients_;
  RequestId last_request_ = 0;
  std::map<RequestId, Request> open_;
  double failing_ = 0;  // share of writes that fail

  int restarts_ = 0;
  int32_t heard_generation_ = 0;
  std::map<int32_t, size_t> assigner_;       // of each generation: who was told to assign
  std::map<int32_t, std::string> assigned_;  // of each generation: which assignment was handed out
  int64_t last_sent_ = 0;
  int assignments_ = 0;
  std::map<int32_t, int64_t> acknowledged_;  // by partition
  std::map<int32_t, int64_t> sent_;
  absl::Duration preparing_since_ = absl::InfiniteDuration();
  std::string failure_;
};

}  // namespace selvage::kafka::group
