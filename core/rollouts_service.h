#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "core/model_rollouts.h"
#include "fabric/admin/call_runner.h"
#include "selvage/v1/rollout.grpc.pb.h"

namespace selvage {

/// The rollouts of a core over gRPC. Stop the server before the service is destroyed.
class RolloutsService final : public v1::Rollouts::CallbackService {
 public:
  /// Both must outlive the service.
  RolloutsService(CallRunner& calls, ModelRollouts& rollouts) : calls_(calls), rollouts_(rollouts) {}

  grpc::ServerUnaryReactor* StartRollout(grpc::CallbackServerContext* context,
                                         const v1::StartRolloutRequest* request,
                                         v1::ModelRollout* response) override;
  grpc::ServerUnaryReactor* ListRollouts(grpc::CallbackServerContext* context,
                                         const v1::ListRolloutsRequest* request,
                                         v1::ListRolloutsResponse* response) override;
  grpc::ServerUnaryReactor* GetRollout(grpc::CallbackServerContext* context,
                                       const v1::GetRolloutRequest* request,
                                       v1::ModelRollout* response) override;
  grpc::ServerUnaryReactor* ChangeRollout(grpc::CallbackServerContext* context,
                                          const v1::ChangeRolloutRequest* request,
                                          v1::ModelRollout* response) override;
  grpc::ServerUnaryReactor* RemoveModel(grpc::CallbackServerContext* context,
                                        const v1::RemoveModelRequest* request,
                                        v1::RemoveModelResponse* response) override;

 private:
  CallRunner& calls_;
  ModelRollouts& rollouts_;
};

}  // namespace selvage
