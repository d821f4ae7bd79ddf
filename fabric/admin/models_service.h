#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <cstddef>

#include "fabric/admin/call_runner.h"
#include "fabric/model/model_registry.h"
#include "selvage/v1/model.grpc.pb.h"

namespace selvage {

/// The models of a core over gRPC. Stop the server before the service is destroyed.
class ModelsService final : public v1::Models::CallbackService {
 public:
  /// Both must outlive the service.
  ModelsService(CallRunner& calls, model::ModelRegistry& models) : calls_(calls), models_(models) {}

  grpc::ServerUnaryReactor* AddModelRoot(grpc::CallbackServerContext* context,
                                         const v1::AddModelRootRequest* request,
                                         v1::AddModelRootResponse* response) override;
  grpc::ServerUnaryReactor* ListModelRoots(grpc::CallbackServerContext* context,
                                           const v1::ListModelRootsRequest* request,
                                           v1::ListModelRootsResponse* response) override;
  grpc::ServerUnaryReactor* BeginPublish(grpc::CallbackServerContext* context,
                                         const v1::BeginPublishRequest* request,
                                         v1::BeginPublishResponse* response) override;
  grpc::ServerUnaryReactor* PutModelChunks(grpc::CallbackServerContext* context,
                                           const v1::PutModelChunksRequest* request,
                                           v1::PutModelChunksResponse* response) override;
  grpc::ServerUnaryReactor* FinishPublish(grpc::CallbackServerContext* context,
                                          const v1::FinishPublishRequest* request,
                                          v1::ModelVersion* response) override;
  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context, const v1::GetModelRequest* request,
                                     v1::GetModelResponse* response) override;
  grpc::ServerUnaryReactor* GetModelChunks(grpc::CallbackServerContext* context,
                                           const v1::GetModelChunksRequest* request,
                                           v1::GetModelChunksResponse* response) override;
  grpc::ServerUnaryReactor* DeleteModel(grpc::CallbackServerContext* context,
                                        const v1::DeleteModelRequest* request,
                                        v1::DeleteModelResponse* response) override;

 private:
  CallRunner& calls_;
  model::ModelRegistry& models_;
};

/// Bytes of the largest request.
size_t ModelsRequestMax();

}  // namespace selvage
