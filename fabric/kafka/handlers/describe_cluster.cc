#include "fabric/kafka/protocol/describe_cluster.h"

#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/authorized_operations.h"

namespace selvage::kafka {
namespace {

constexpr int8_t kBrokers = 1;

Awaitable<DescribeClusterResponse> Handle(Context& context, Call&, DescribeClusterRequest request) {
  DescribeClusterResponse response;
  response.cluster_id = context.settings.cluster_id;
  if (request.endpoint_type != kBrokers) {
    response.error_code = ErrorCode::kInvalidRequest;
    response.error_message = "only brokers are described: endpoint type 1";
    co_return response;
  }
  response.controller_id = kNodeId;
  response.brokers.push_back({kNodeId, context.settings.host, context.settings.port, std::nullopt, false});
  if (request.include_cluster_authorized_operations) {
    response.cluster_authorized_operations = kClusterOperations;
  }
  co_return response;
}

}  // namespace

const ServedApi kServeDescribeCluster = {
    ApiKey::kDescribeCluster, 0, 2, &ServeWith<DescribeClusterRequest, DescribeClusterResponse, &Handle>};

}  // namespace selvage::kafka
