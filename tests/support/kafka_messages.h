#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include "fabric/kafka/protocol/alter_configs.h"
#include "fabric/kafka/protocol/api_versions.h"
#include "fabric/kafka/protocol/create_partitions.h"
#include "fabric/kafka/protocol/create_topics.h"
#include "fabric/kafka/protocol/delete_groups.h"
#include "fabric/kafka/protocol/delete_records.h"
#include "fabric/kafka/protocol/delete_topics.h"
#include "fabric/kafka/protocol/describe_cluster.h"
#include "fabric/kafka/protocol/describe_configs.h"
#include "fabric/kafka/protocol/describe_groups.h"
#include "fabric/kafka/protocol/fetch.h"
#include "fabric/kafka/protocol/find_coordinator.h"
#include "fabric/kafka/protocol/heartbeat.h"
#include "fabric/kafka/protocol/incremental_alter_configs.h"
#include "fabric/kafka/protocol/init_producer_id.h"
#include "fabric/kafka/protocol/join_group.h"
#include "fabric/kafka/protocol/leave_group.h"
#include "fabric/kafka/protocol/list_groups.h"
#include "fabric/kafka/protocol/list_offsets.h"
#include "fabric/kafka/protocol/metadata.h"
#include "fabric/kafka/protocol/offset_commit.h"
#include "fabric/kafka/protocol/offset_delete.h"
#include "fabric/kafka/protocol/offset_fetch.h"
#include "fabric/kafka/protocol/offset_for_leader_epoch.h"
#include "fabric/kafka/protocol/produce.h"
#include "fabric/kafka/protocol/sasl_authenticate.h"
#include "fabric/kafka/protocol/sasl_handshake.h"
#include "fabric/kafka/protocol/sync_group.h"

namespace selvage::kafka::test {

/// Every message of the protocol that the codec has.
using AllRequests =
    std::tuple<ProduceRequest, FetchRequest, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest,
               OffsetFetchRequest, FindCoordinatorRequest, JoinGroupRequest, HeartbeatRequest,
               LeaveGroupRequest, SyncGroupRequest, DescribeGroupsRequest, ListGroupsRequest,
               SaslHandshakeRequest, ApiVersionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
               DeleteRecordsRequest, InitProducerIdRequest, OffsetForLeaderEpochRequest,
               DescribeConfigsRequest, AlterConfigsRequest, SaslAuthenticateRequest, CreatePartitionsRequest,
               DeleteGroupsRequest, IncrementalAlterConfigsRequest, OffsetDeleteRequest,
               DescribeClusterRequest>;
using AllResponses =
    std::tuple<ProduceResponse, FetchResponse, ListOffsetsResponse, MetadataResponse, OffsetCommitResponse,
               OffsetFetchResponse, FindCoordinatorResponse, JoinGroupResponse, HeartbeatResponse,
               LeaveGroupResponse, SyncGroupResponse, DescribeGroupsResponse, ListGroupsResponse,
               SaslHandshakeResponse, ApiVersionsResponse, CreateTopicsResponse, DeleteTopicsResponse,
               DeleteRecordsResponse, InitProducerIdResponse, OffsetForLeaderEpochResponse,
               DescribeConfigsResponse, AlterConfigsResponse, SaslAuthenticateResponse,
               CreatePartitionsResponse, DeleteGroupsResponse, IncrementalAlterConfigsResponse,
               OffsetDeleteResponse, DescribeClusterResponse>;

/// Calls `visit` with a std::type_identity of each.
template <class Messages>
void ForEachMessage(auto visit) {
  [&]<size_t... i>(std::index_sequence<i...>) {
    (visit(std::type_identity<std::tuple_element_t<i, Messages>>()), ...);
  }(std::make_index_sequence<std::tuple_size_v<Messages>>());
}

}  // namespace selvage::kafka::test
