#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "fabric/admin/admin_backend.h"
#include "fabric/admin/call_gate.h"
#include "fabric/admin/call_pool.h"
#include "fabric/admin/fetch_call.h"
#include "fabric/base/clock.h"
#include "fabric/base/random.h"
#include "fabric/kafka/group_admin/group_admin.h"
#include "fabric/node/node_identity.h"
#include "fabric/security/authorizer.h"
#include "fabric/stream/disk_budget.h"
#include "fabric/stream/embedded_log_store.h"
#include "fabric/stream/stream_catalog.h"
#include "fabric/telemetry/metrics.h"
#include "selvage/v1/admin.grpc.pb.h"

namespace selvage {

class NodeState;

/// What selvagectl talks to, on either kind of node. Every call is authenticated by the caller's certificate,
/// authorised, counted when it fails, and worked on by a small pool, so that none of gRPC's threads waits for
/// a disk. An answer to Produce comes after the sync, and none of the waiting calls occupies a thread.
///
/// Stop the server before the service is destroyed, and destroy the service before the committer stops.
class AdminService final : public v1::Admin::CallbackService {
 public:
  /// Everything must outlive the service.
  /// What it uses of the node.
  struct Parts {
    const NodeIdentity& identity;
    Clock& clock;
    Random& random;
    EmbeddedLogStore& logs;
    const StreamCatalog& catalog;
    const DiskBudget& budget;
    size_t batch_max;  ///< bytes of one record batch
  };
  static Parts PartsOf(NodeState& node);
  struct Options {
    Parts parts;
    AdminBackend& backend;
    const Authorizer& authorizer;
    Metrics& metrics;
    kafka::GroupAdmin& groups;
    OverLink over_link = OverLink::kRead;  ///< what operators may do who call over the link
    CallPool::Options pool = {};
  };
  explicit AdminService(const Options& options);

  /// What LocalCalls show; made anew for each service.
  const std::string& local_secret() const { return local_secret_; }

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
  using Done = std::function<void(const absl::Status& outcome)>;

  using Message = google::protobuf::Message;

  /// Admits the call and has `work` done on the pool. A call that is meant for an edge is passed on instead.
  /// `request` and `response` are the call's.
  grpc::ServerUnaryReactor* Run(grpc::CallbackServerContext* context, const CallGate::Call& call,
                                const Message* request, Message* response,
                                std::function<absl::Status()> work);
  /// Run for work that ends later: it calls Done once, from any thread that may not block. The request holds
  /// so many bytes.
  grpc::ServerUnaryReactor* RunAsync(grpc::CallbackServerContext* context, const CallGate::Call& call,
                                     const Message* request, Message* response, size_t bytes,
                                     std::function<void(Done)> work);
  /// Has the edge make the call, for `caller`.
  void PassOn(const std::string& edge, const grpc::CallbackServerContext& context, const CallGate::Call& call,
              const std::string& caller, const Message& request, Message* response, Done done);

  void Append(const v1::ProduceRequest& request, v1::ProduceResponse& response, Done done);
  absl::Status DescribeTo(const std::string& stream, v1::DescribeStreamResponse& response);
  absl::Status LossesTo(const v1::ListLossesRequest& request, v1::ListLossesResponse& response);
  absl::Status StatusTo(const v1::GetStatusRequest& request, v1::GetStatusResponse& response);

  AdminBackend& backend_;
  const Parts parts_;
  kafka::GroupAdmin& groups_;
  const absl::Duration started_;
  const std::string local_secret_;
  const CallGate gate_;
  CallPool pool_;
  FetchCall::Shared fetches_;
};

/// The largest request that the service takes, for the server's limit on received messages: a batch of
/// `batch_max` bytes and what is around it. Answers are not limited there: they hold at least one whole
/// entry.
size_t AdminRequestMax(size_t batch_max);

}  // namespace selvage
