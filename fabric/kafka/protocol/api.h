#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace selvage::kafka {

enum class ApiKey : int16_t {
  kProduce = 0,
  kFetch = 1,
  kListOffsets = 2,
  kMetadata = 3,
  kOffsetCommit = 8,
  kOffsetFetch = 9,
  kFindCoordinator = 10,
  kJoinGroup = 11,
  kHeartbeat = 12,
  kLeaveGroup = 13,
  kSyncGroup = 14,
  kDescribeGroups = 15,
  kListGroups = 16,
  kSaslHandshake = 17,
  kApiVersions = 18,
  kCreateTopics = 19,
  kDeleteTopics = 20,
  kDeleteRecords = 21,
  kInitProducerId = 22,
  kOffsetForLeaderEpoch = 23,
  kDescribeConfigs = 32,
  kAlterConfigs = 33,
  kSaslAuthenticate = 36,
  kCreatePartitions = 37,
  kDeleteGroups = 42,
  kIncrementalAlterConfigs = 44,
  kOffsetDelete = 47,
  kDescribeCluster = 60,
};

/// What the codec knows of an API. Which versions are served is not said here.
struct Api {
  ApiKey key;
  std::string_view name;
  int16_t min;
  int16_t max;
  int16_t
      flexible_from;  ///< the first version with compact lengths and tagged fields; above `max` when none has

  constexpr bool Knows(int16_t version) const { return version >= min && version <= max; }
  constexpr bool Flexible(int16_t version) const { return version >= flexible_from; }
};

/// By key, ascending.
std::span<const Api> Apis();
/// Null for a key that is not in ApiKey.
const Api* FindApi(int16_t key);
const Api& ApiOf(ApiKey key);

}  // namespace selvage::kafka
