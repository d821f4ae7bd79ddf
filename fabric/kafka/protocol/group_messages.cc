// Consumer groups.
#include "fabric/kafka/protocol/codec.h"
#include "fabric/kafka/protocol/delete_groups.h"
#include "fabric/kafka/protocol/describe_groups.h"
#include "fabric/kafka/protocol/find_coordinator.h"
#include "fabric/kafka/protocol/heartbeat.h"
#include "fabric/kafka/protocol/join_group.h"
#include "fabric/kafka/protocol/leave_group.h"
#include "fabric/kafka/protocol/list_groups.h"
#include "fabric/kafka/protocol/offset_commit.h"
#include "fabric/kafka/protocol/offset_delete.h"
#include "fabric/kafka/protocol/offset_fetch.h"
#include "fabric/kafka/protocol/sync_group.h"

namespace selvage::kafka {

SELVAGE_KAFKA_MESSAGE(FindCoordinatorRequest);
SELVAGE_KAFKA_MESSAGE(FindCoordinatorResponse);
SELVAGE_KAFKA_MESSAGE(JoinGroupRequest);
SELVAGE_KAFKA_MESSAGE(JoinGroupResponse);
SELVAGE_KAFKA_MESSAGE(SyncGroupRequest);
SELVAGE_KAFKA_MESSAGE(SyncGroupResponse);
SELVAGE_KAFKA_MESSAGE(HeartbeatRequest);
SELVAGE_KAFKA_MESSAGE(HeartbeatResponse);
SELVAGE_KAFKA_MESSAGE(LeaveGroupRequest);
SELVAGE_KAFKA_MESSAGE(LeaveGroupResponse);
SELVAGE_KAFKA_MESSAGE(OffsetCommitRequest);
SELVAGE_KAFKA_MESSAGE(OffsetCommitResponse);
SELVAGE_KAFKA_MESSAGE(OffsetFetchRequest);
SELVAGE_KAFKA_MESSAGE(OffsetFetchResponse);
SELVAGE_KAFKA_MESSAGE(OffsetDeleteRequest);
SELVAGE_KAFKA_MESSAGE(OffsetDeleteResponse);
SELVAGE_KAFKA_MESSAGE(DescribeGroupsRequest);
SELVAGE_KAFKA_MESSAGE(DescribeGroupsResponse);
SELVAGE_KAFKA_MESSAGE(ListGroupsRequest);
SELVAGE_KAFKA_MESSAGE(ListGroupsResponse);
SELVAGE_KAFKA_MESSAGE(DeleteGroupsRequest);
SELVAGE_KAFKA_MESSAGE(DeleteGroupsResponse);

}  // namespace selvage::kafka
