#include "fabric/admin/views_service.h"

#include <utility>

#include "fabric/base/error.h"

namespace selvage {
namespace {

constexpr CallGate::Call kCreateView{"Views/CreateView", Action::kWriteAdmin, true};
constexpr CallGate::Call kListViews{"Views/ListViews", Action::kReadAdmin};
constexpr CallGate::Call kDescribeView{"Views/DescribeView", Action::kReadAdmin};
constexpr CallGate::Call kRebuildView{"Views/RebuildView", Action::kWriteAdmin, true};
constexpr CallGate::Call kDropView{"Views/DropView", Action::kWriteAdmin, true};

}  // namespace

grpc::ServerUnaryReactor* ViewsService::CreateView(grpc::CallbackServerContext* context,
                                                   const v1::CreateViewRequest* request,
                                                   v1::ViewDefinition* response) {
  return calls_.Run(context, kCreateView, request, response, [=, this]() -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(*response, views_.Create(request->definition()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* ViewsService::ListViews(grpc::CallbackServerContext* context,
                                                  const v1::ListViewsRequest* request,
                                                  v1::ListViewsResponse* response) {
  return calls_.Run(context, kListViews, request, response, [=, this] {
    for (v1::ViewDefinition& view : views_.All()) *response->add_views() = std::move(view);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* ViewsService::DescribeView(grpc::CallbackServerContext* context,
                                                     const v1::DescribeViewRequest* request,
                                                     v1::ViewStatus* response) {
  return calls_.Run(context, kDescribeView, request, response, [=, this]() -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(*response, views_.Describe(request->view()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* ViewsService::RebuildView(grpc::CallbackServerContext* context,
                                                    const v1::RebuildViewRequest* request,
                                                    v1::RebuildViewResponse* response) {
  return calls_.Run(context, kRebuildView, request, response,
                    [=, this] { return views_.Rebuild(request->view()); });
}

grpc::ServerUnaryReactor* ViewsService::DropView(grpc::CallbackServerContext* context,
                                                 const v1::DropViewRequest* request,
                                                 v1::DropViewResponse* response) {
  return calls_.Run(context, kDropView, request, response,
                    [=, this] { return views_.Drop(request->view()); });
}

}  // namespace selvage
