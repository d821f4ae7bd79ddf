#pragma once

#include <span>

#include "fabric/kafka/handlers/served_api.h"

namespace selvage::kafka {

/// Every API that is served, by key: the only list of them. ApiVersions advertises it, docs/kafka.md is made
/// of it.
std::span<const ServedApi* const> ServedApis();
/// Null when it is not served.
const ServedApi* FindServed(int16_t key);

// Each with its handler.
extern const ServedApi kServeAlterConfigs;
extern const ServedApi kServeApiVersions;
extern const ServedApi kServeCreatePartitions;
extern const ServedApi kServeCreateTopics;
extern const ServedApi kServeDeleteGroups;
extern const ServedApi kServeDeleteRecords;
extern const ServedApi kServeDeleteTopics;
extern const ServedApi kServeDescribeCluster;
extern const ServedApi kServeDescribeConfigs;
extern const ServedApi kServeDescribeGroups;
extern const ServedApi kServeFetch;
extern const ServedApi kServeFindCoordinator;
extern const ServedApi kServeHeartbeat;
extern const ServedApi kServeIncrementalAlterConfigs;
extern const ServedApi kServeInitProducerId;
extern const ServedApi kServeJoinGroup;
extern const ServedApi kServeLeaveGroup;
extern const ServedApi kServeListGroups;
extern const ServedApi kServeListOffsets;
extern const ServedApi kServeMetadata;
extern const ServedApi kServeOffsetCommit;
extern const ServedApi kServeOffsetDelete;
extern const ServedApi kServeOffsetFetch;
extern const ServedApi kServeOffsetForLeaderEpoch;
extern const ServedApi kServeProduce;
extern const ServedApi kServeSaslAuthenticate;
extern const ServedApi kServeSaslHandshake;
extern const ServedApi kServeSyncGroup;

}  // namespace selvage::kafka
