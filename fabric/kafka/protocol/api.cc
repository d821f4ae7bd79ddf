#include "fabric/kafka/protocol/api.h"

#include <algorithm>
#include <array>
#include <limits>

#include "fabric/base/check.h"

namespace selvage::kafka {
namespace {

constexpr int16_t kNever = std::numeric_limits<int16_t>::max();

constexpr auto kApis = std::to_array<Api>({
    {ApiKey::kProduce, "Produce", 3, 11, 9},
    {ApiKey::kFetch, "Fetch", 4, 16, 12},
    {ApiKey::kListOffsets, "ListOffsets", 1, 7, 6},
    {ApiKey::kMetadata, "Metadata", 0, 13, 9},
    {ApiKey::kOffsetCommit, "OffsetCommit", 2, 9, 8},
    {ApiKey::kOffsetFetch, "OffsetFetch", 1, 9, 6},
    {ApiKey::kFindCoordinator, "FindCoordinator", 0, 5, 3},
    {ApiKey::kJoinGroup, "JoinGroup", 0, 9, 6},
    {ApiKey::kHeartbeat, "Heartbeat", 0, 4, 4},
    {ApiKey::kLeaveGroup, "LeaveGroup", 0, 5, 4},
    {ApiKey::kSyncGroup, "SyncGroup", 0, 5, 4},
    {ApiKey::kDescribeGroups, "DescribeGroups", 0, 5, 5},
    {ApiKey::kListGroups, "ListGroups", 0, 5, 3},
    {ApiKey::kSaslHandshake, "SaslHandshake", 0, 1, kNever},
    {ApiKey::kApiVersions, "ApiVersions", 0, 4, 3},
    {ApiKey::kCreateTopics, "CreateTopics", 2, 7, 5},
    {ApiKey::kDeleteTopics, "DeleteTopics", 1, 6, 4},
    {ApiKey::kDeleteRecords, "DeleteRecords", 0, 2, 2},
    {ApiKey::kInitProducerId, "InitProducerId", 0, 4, 2},
    {ApiKey::kOffsetForLeaderEpoch, "OffsetForLeaderEpoch", 2, 4, 4},
    {ApiKey::kDescribeConfigs, "DescribeConfigs", 1, 4, 4},
    {ApiKey::kAlterConfigs, "AlterConfigs", 0, 2, 2},
    {ApiKey::kSaslAuthenticate, "SaslAuthenticate", 0, 2, 2},
    {ApiKey::kCreatePartitions, "CreatePartitions", 0, 3, 2},
    {ApiKey::kDeleteGroups, "DeleteGroups", 0, 2, 2},
    {ApiKey::kIncrementalAlterConfigs, "IncrementalAlterConfigs", 0, 1, 1},
    {ApiKey::kOffsetDelete, "OffsetDelete", 0, 0, kNever},
    {ApiKey::kDescribeCluster, "DescribeCluster", 0, 2, 0},
});

constexpr int16_t KeyOf(const Api& api) {
  return static_cast<int16_t>(api.key);
}
static_assert(std::ranges::is_sorted(kApis, std::ranges::less{}, KeyOf));

}  // namespace

std::span<const Api> Apis() {
  return kApis;
}

const Api* FindApi(int16_t key) {
  const auto it = std::ranges::lower_bound(kApis, key, std::ranges::less{}, KeyOf);
  return it != kApis.end() && KeyOf(*it) == key ? &*it : nullptr;
}

const Api& ApiOf(ApiKey key) {
  const Api* api = FindApi(static_cast<int16_t>(key));
  SELVAGE_CHECK(api != nullptr);
  return *api;
}

}  // namespace selvage::kafka
