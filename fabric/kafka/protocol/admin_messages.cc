// Administration.
#include "fabric/kafka/protocol/alter_configs.h"
#include "fabric/kafka/protocol/codec.h"
#include "fabric/kafka/protocol/create_partitions.h"
#include "fabric/kafka/protocol/create_topics.h"
#include "fabric/kafka/protocol/delete_topics.h"
#include "fabric/kafka/protocol/describe_cluster.h"
#include "fabric/kafka/protocol/describe_configs.h"
#include "fabric/kafka/protocol/incremental_alter_configs.h"

namespace selvage::kafka {

SELVAGE_KAFKA_MESSAGE(CreateTopicsRequest);
SELVAGE_KAFKA_MESSAGE(CreateTopicsResponse);
SELVAGE_KAFKA_MESSAGE(DeleteTopicsRequest);
SELVAGE_KAFKA_MESSAGE(DeleteTopicsResponse);
SELVAGE_KAFKA_MESSAGE(CreatePartitionsRequest);
SELVAGE_KAFKA_MESSAGE(CreatePartitionsResponse);
SELVAGE_KAFKA_MESSAGE(DescribeConfigsRequest);
SELVAGE_KAFKA_MESSAGE(DescribeConfigsResponse);
SELVAGE_KAFKA_MESSAGE(AlterConfigsRequest);
SELVAGE_KAFKA_MESSAGE(AlterConfigsResponse);
SELVAGE_KAFKA_MESSAGE(IncrementalAlterConfigsRequest);
SELVAGE_KAFKA_MESSAGE(IncrementalAlterConfigsResponse);
SELVAGE_KAFKA_MESSAGE(DescribeClusterRequest);
SELVAGE_KAFKA_MESSAGE(DescribeClusterResponse);

}  // namespace selvage::kafka
