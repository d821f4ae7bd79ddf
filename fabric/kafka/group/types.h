#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "fabric/kafka/protocol/error_code.h"

namespace selvage::kafka::group {

/// The moment of an input. Timers follow `monotonic`; `wall_ms` is stored with commits and only ages offsets.
/// Hand in the age clock's time: a wall clock that jumps would expire offsets early.
struct Instant {
  absl::Duration monotonic;
  int64_t wall_ms = 0;
};

/// Chosen by the caller, unique among requests without an answer.
using RequestId = uint64_t;

/// One assignment strategy that a member offers; the bytes are opaque.
struct Protocol {
  std::string name;
  std::string metadata;
  friend bool operator==(const Protocol&, const Protocol&) = default;
};

struct JoinRequest {
  std::string group;
  std::string member_id;  ///< empty: a client that has none yet
  std::optional<std::string> instance_id;
  std::string client_id;
  std::string client_host;
  absl::Duration session_timeout;
  absl::Duration rebalance_timeout;  ///< not positive (version 0 has none): the session timeout
  std::string protocol_type;
  std::vector<Protocol> protocols;
  bool require_member_id = false;  ///< version 4 on: a dynamic client must come back with the id it is given
  bool supports_skip_assignment = false;  ///< version 9 on
};

struct JoinedMember {
  std::string member_id;
  std::optional<std::string> instance_id;
  std::string metadata;
};

struct JoinAnswer {
  ErrorCode error = ErrorCode::kNone;
  int32_t generation = -1;
  std::string protocol_type;
  std::string protocol;
  std::string leader;
  std::string member_id;
  bool skip_assignment = false;
  std::vector<JoinedMember> members;  ///< filled for the leader only
};

struct SyncRequest {
  std::string group;
  std::string member_id;
  std::optional<std::string> instance_id;
  int32_t generation = -1;
  std::optional<std::string> protocol_type;  ///< version 5 on
  std::optional<std::string> protocol;       ///< version 5 on
  struct Assignment {
    std::string member_id;
    std::string bytes;
  };
  std::vector<Assignment> assignments;  ///< from the leader
};

struct SyncAnswer {
  ErrorCode error = ErrorCode::kNone;
  std::string protocol_type;
  std::string protocol;
  std::string assignment;
};

struct HeartbeatRequest {
  std::string group;
  std::string member_id;
  std::optional<std::string> instance_id;
  int32_t generation = -1;
};

struct LeaveRequest {
  std::string group;
  struct Member {
    std::string member_id;  ///< may be empty when the instance is named
    std::optional<std::string> instance_id;
  };
  std::vector<Member> members;
};

struct LeaveAnswer {
  ErrorCode error = ErrorCode::kNone;
  std::vector<ErrorCode> members;  ///< in the order of the request; empty when `error` is set
};

struct TopicPartition {
  std::string topic;
  int32_t partition = 0;
  friend auto operator<=>(const TopicPartition&, const TopicPartition&) = default;
};

struct CommittedOffset {
  int64_t offset = -1;  ///< -1: nothing committed
  int32_t leader_epoch = -1;
  std::string metadata;
  int64_t commit_ms = 0;
  friend bool operator==(const CommittedOffset&, const CommittedOffset&) = default;
};

struct CommitRequest {
  std::string group;
  std::string member_id;
  std::optional<std::string> instance_id;
  int32_t generation = -1;  ///< -1 without member and instance: not from a member of the group
  struct Partition {
    TopicPartition at;
    int64_t offset = -1;
    int32_t leader_epoch = -1;
    std::string metadata;
  };
  std::vector<Partition> partitions;
};

/// One error for each partition, in the order of the request.
struct CommitAnswer {
  std::vector<ErrorCode> partitions;
};

struct DeleteOffsetsRequest {
  std::string group;
  std::vector<TopicPartition> partitions;
};

struct DeleteOffsetsAnswer {
  ErrorCode error = ErrorCode::kNone;
  std::vector<ErrorCode> partitions;  ///< in the order of the request; empty when `error` is set
};

/// One error for each group, in the order of the request.
struct DeleteGroupsAnswer {
  std::vector<ErrorCode> groups;
};

struct Answer {
  RequestId request = 0;
  std::variant<JoinAnswer, SyncAnswer, LeaveAnswer, CommitAnswer, DeleteOffsetsAnswer, DeleteGroupsAnswer>
      body;
};

enum class State { kEmpty, kPreparingRebalance, kCompletingRebalance, kStable };
/// The name clients know, for example "PreparingRebalance".
const char* StateName(State state);

struct MemberDescription {
  std::string member_id;
  std::optional<std::string> instance_id;
  std::string client_id;
  std::string client_host;
  std::string metadata;    ///< for the chosen protocol; empty unless the group is stable
  std::string assignment;  ///< empty unless the group is stable
};

struct GroupDescription {
  std::string group;
  std::string state;  ///< as StateName, or "Dead" for a group that does not exist
  std::string protocol_type;
  std::string protocol;  ///< empty unless the group is stable
  int32_t generation = 0;
  std::vector<MemberDescription> members;
};

struct GroupListing {
  std::string group;
  std::string protocol_type;
  std::string state;
  std::string type;  ///< always "classic"
};

/// Bounds on what peers can make a coordinator hold. Beyond them requests are refused, never queued.
struct Limits {
  size_t groups = 10'000;
  size_t members_per_group = 1'000;  ///< with those that were only given an id
  size_t group_bytes = 16u << 20;    ///< ids, subscriptions and assignments of one group
  size_t offsets_per_group = 200'000;
  size_t total_bytes = 256u << 20;  ///< of all groups and offsets
  size_t offset_metadata_bytes = 4096;
};

struct Settings {
  absl::Duration min_session_timeout = absl::Seconds(6);
  absl::Duration max_session_timeout = absl::Minutes(30);
  /// An empty group waits this long for more members before its first generation; each one that comes extends
  /// it, up to the rebalance timeout.
  absl::Duration initial_rebalance_delay = absl::Seconds(3);
  /// How long a member that was never in a generation may wait for one.
  absl::Duration new_member_timeout = absl::Minutes(5);
  /// Pause before a generation that could not be persisted is tried again.
  absl::Duration persist_retry = absl::Seconds(1);
  /// Offsets are kept this long after their group became empty, or after their commit if that is later.
  absl::Duration offset_retention = absl::Hours(7 * 24);
  /// How often expired offsets and groups are looked for; also how long an empty group without offsets stays.
  absl::Duration sweep_interval = absl::Minutes(10);
  Limits limits;
};

}  // namespace selvage::kafka::group
