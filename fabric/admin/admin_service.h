#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "fabric/admin/admin_backend.h"
#include "fabric/admin/call_runner.h"
#include "fabric/admin/waiting_call.h"
#include "fabric/base/clock.h"
#include "fabric/kafka/group_admin/group_admin.h"
#include "fabric/node/node_identity.h"
#include "fabric/stream/disk_budget.h"
#include "fabric/stream/log_store.h"
#include "fabric/stream/stream_catalog.h"
#include "fabric/table/table_store.h"
#include "selvage/v1/admin.grpc.pb.h"

namespace selvage {

class NodeState;

/// What selvagectl talks to, on either kind of node, for all but the rows of tables. An answer to Produce
/// comes after the sync, and none of the waiting calls occupies a thread.
///
/// Stop the server before the service is destroyed.
class AdminService final : public v1::Admin::CallbackService {
 public:
  /// Everything must outlive the service.
  /// What it uses of the node.
  struct Parts {
    const NodeIdentity& identity;
    Clock& clock;
    LogStore& logs;
    const StreamCatalog& catalog;
    const DiskBudget& budget;
    size_t batch_max;  ///< bytes of one record batch
    const table::TableStore& tables;
  };
  static Parts PartsOf(NodeState& node);
  struct Options {
    Parts parts;
    CallRunner& calls;
    AdminBackend& backend;
    kafka::GroupAdmin& groups;
  };
  explicit AdminService(const Options& options);

  grpc::ServerUnaryReactor* CreateStream(grpc::CallbackServerContext* context,
                                         const v1::CreateStreamRequest* request,
                                         v1::StreamDefinition* response) override;
  grpc::ServerUnaryReactor* ListStreams(grpc::CallbackServerContext* context,
                                        const v1::ListStreamsRequest* request,
                                        v1::ListStreamsResponse* response) override;
  grpc::ServerUnaryReactor* DescribeStream(grpc::CallbackServerContext* context,
                                           const v1::DescribeStreamRequest* request,
                                           v1::DescribeStreamResponse* response) override;
  grpc::ServerUnaryReactor* SetStream(grpc::CallbackServerContext* context,
                                      const v1::SetStreamRequest* request,
                                      v1::StreamDefinition* response) override;
  grpc::ServerUnaryReactor* DeleteStream(grpc::CallbackServerContext* context,
                                         const v1::DeleteStreamRequest* request,
                                         v1::DeleteStreamResponse* response) override;
  grpc::ServerUnaryReactor* RenameStream(grpc::CallbackServerContext* context,
                                         const v1::RenameStreamRequest* request,
                                         v1::StreamDefinition* response) override;
  grpc::ServerUnaryReactor* Produce(grpc::CallbackServerContext* context, const v1::ProduceRequest* request,
                                    v1::ProduceResponse* response) override;
  grpc::ServerUnaryReactor* Fetch(grpc::CallbackServerContext* context, const v1::FetchRequest* request,
                                  v1::FetchResponse* response) override;
  grpc::ServerUnaryReactor* FindOffset(grpc::CallbackServerContext* context,
                                       const v1::FindOffsetRequest* request,
                                       v1::FindOffsetResponse* response) override;
  grpc::ServerUnaryReactor* ReadDigests(grpc::CallbackServerContext* context,
                                        const v1::ReadDigestsRequest* request,
                                        v1::ReadDigestsResponse* response) override;
  grpc::ServerUnaryReactor* ListEdges(grpc::CallbackServerContext* context,
                                      const v1::ListEdgesRequest* request,
                                      v1::ListEdgesResponse* response) override;
  grpc::ServerUnaryReactor* SetEdge(grpc::CallbackServerContext* context, const v1::SetEdgeRequest* request,
                                    v1::EdgeSummary* response) override;
  grpc::ServerUnaryReactor* RetireEdge(grpc::CallbackServerContext* context,
                                       const v1::RetireEdgeRequest* request,
                                       v1::EdgeSummary* response) override;
  grpc::ServerUnaryReactor* ListOrigins(grpc::CallbackServerContext* context,
                                        const v1::ListOriginsRequest* request,
                                        v1::ListOriginsResponse* response) override;
  grpc::ServerUnaryReactor* ListLosses(grpc::CallbackServerContext* context,
                                       const v1::ListLossesRequest* request,
                                       v1::ListLossesResponse* response) override;
  grpc::ServerUnaryReactor* ListAlarms(grpc::CallbackServerContext* context,
                                       const v1::ListAlarmsRequest* request,
                                       v1::ListAlarmsResponse* response) override;
  grpc::ServerUnaryReactor* ResolveAlarm(grpc::CallbackServerContext* context,
                                         const v1::ResolveAlarmRequest* request,
                                         v1::AlarmDocument* response) override;
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* request,
                                      v1::GetStatusResponse* response) override;
  grpc::ServerUnaryReactor* ListGroups(grpc::CallbackServerContext* context,
                                       const v1::ListGroupsRequest* request,
                                       v1::ListGroupsResponse* response) override;
  grpc::ServerUnaryReactor* DescribeGroup(grpc::CallbackServerContext* context,
                                          const v1::DescribeGroupRequest* request,
                                          v1::DescribeGroupResponse* response) override;
  grpc::ServerUnaryReactor* ResetGroup(grpc::CallbackServerContext* context,
                                       const v1::ResetGroupRequest* request,
                                       v1::SetGroupOffsetsResponse* response) override;
  grpc::ServerUnaryReactor* ImportGroup(grpc::CallbackServerContext* context,
                                        const v1::ImportGroupRequest* request,
                                        v1::SetGroupOffsetsResponse* response) override;

 private:
  void Append(const v1::ProduceRequest& request, v1::ProduceResponse& response, CallRunner::Done done);
  absl::Status DescribeTo(const std::string& stream, v1::DescribeStreamResponse& response);
  absl::Status LossesTo(const v1::ListLossesRequest& request, v1::ListLossesResponse& response);
  absl::Status StatusTo(const v1::GetStatusRequest& request, v1::GetStatusResponse& response);

  const Parts parts_;
  CallRunner& calls_;
  AdminBackend& backend_;
  kafka::GroupAdmin& groups_;
  const absl::Duration started_;
  WaitingCall::Shared fetches_;
};

/// The largest request that the service takes, for the server's limit on received messages: a batch of
/// `batch_max` bytes and what is around it. Answers are not limited there: they hold at least one whole
/// entry.
size_t AdminRequestMax(size_t batch_max);

}  // namespace selvage
