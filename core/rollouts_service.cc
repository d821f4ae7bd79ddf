#include "core/rollouts_service.h"

#include <utility>

#include "fabric/base/error.h"

namespace selvage {
namespace {

constexpr CallGate::Call kStartRollout{"Rollouts/StartRollout", Action::kWriteAdmin, true};
constexpr CallGate::Call kListRollouts{"Rollouts/ListRollouts", Action::kReadAdmin};
constexpr CallGate::Call kGetRollout{"Rollouts/GetRollout", Action::kReadAdmin};
constexpr CallGate::Call kChangeRollout{"Rollouts/ChangeRollout", Action::kWriteAdmin, true};
constexpr CallGate::Call kRemoveModel{"Rollouts/RemoveModel", Action::kWriteAdmin, true};

}  // namespace

grpc::ServerUnaryReactor* RolloutsService::StartRollout(grpc::CallbackServerContext* context,
                                                        const v1::StartRolloutRequest* request,
                                                        v1::ModelRollout* response) {
  return calls_.Run(context, kStartRollout, request, response, [=, this]() -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(*response, rollouts_.Start(*request));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* RolloutsService::ListRollouts(grpc::CallbackServerContext* context,
                                                        const v1::ListRolloutsRequest* request,
                                                        v1::ListRolloutsResponse* response) {
  return calls_.Run(context, kListRollouts, request, response, [=, this] {
    for (v1::ModelRollout& rollout : rollouts_.List(request->model())) {
      *response->add_rollouts() = std::move(rollout);
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* RolloutsService::GetRollout(grpc::CallbackServerContext* context,
                                                      const v1::GetRolloutRequest* request,
                                                      v1::ModelRollout* response) {
  return calls_.Run(context, kGetRollout, request, response, [=, this]() -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(*response, rollouts_.Get(request->id()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* RolloutsService::ChangeRollout(grpc::CallbackServerContext* context,
                                                         const v1::ChangeRolloutRequest* request,
                                                         v1::ModelRollout* response) {
  return calls_.Run(context, kChangeRollout, request, response, [=, this]() -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(*response, rollouts_.Change(*request));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* RolloutsService::RemoveModel(grpc::CallbackServerContext* context,
                                                       const v1::RemoveModelRequest* request,
                                                       v1::RemoveModelResponse* response) {
  return calls_.Run(context, kRemoveModel, request, response, [=, this]() -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(const uint32_t edges, rollouts_.Remove(*request));
    response->set_edges(edges);
    return absl::OkStatus();
  });
}

}  // namespace selvage
