#include "fabric/kafka/handlers/api_table.h"

#include <array>

namespace selvage::kafka {

std::span<const ServedApi* const> ServedApis() {
  static constexpr std::array kServed = {
      &kServeProduce,                  // 0
      &kServeFetch,                    // 1
      &kServeListOffsets,              // 2
      &kServeMetadata,                 // 3
      &kServeOffsetCommit,             // 8
      &kServeOffsetFetch,              // 9
      &kServeFindCoordinator,          // 10
      &kServeJoinGroup,                // 11
      &kServeHeartbeat,                // 12
      &kServeLeaveGroup,               // 13
      &kServeSyncGroup,                // 14
      &kServeDescribeGroups,           // 15
      &kServeListGroups,               // 16
      &kServeSaslHandshake,            // 17
      &kServeApiVersions,              // 18
      &kServeCreateTopics,             // 19
      &kServeDeleteTopics,             // 20
      &kServeDeleteRecords,            // 21
      &kServeInitProducerId,           // 22
      &kServeOffsetForLeaderEpoch,     // 23
      &kServeDescribeConfigs,          // 32
      &kServeAlterConfigs,             // 33
      &kServeSaslAuthenticate,         // 36
      &kServeCreatePartitions,         // 37
      &kServeDeleteGroups,             // 42
      &kServeIncrementalAlterConfigs,  // 44
      &kServeOffsetDelete,             // 47
      &kServeDescribeCluster,          // 60
  };
  return kServed;
}

const ServedApi* FindServed(int16_t key) {
  for (const ServedApi* served : ServedApis()) {
    if (static_cast<int16_t>(served->key) == key) return served;
  }
  return nullptr;
}

}  // namespace selvage::kafka
