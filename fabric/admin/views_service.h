#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "fabric/admin/call_runner.h"
#include "fabric/view/view_store.h"
#include "selvage/v1/view.grpc.pb.h"

namespace selvage {

/// The views of a node over gRPC. Stop the server before the service is destroyed.
class ViewsService final : public v1::Views::CallbackService {
 public:
  /// Both must outlive the service.
  ViewsService(CallRunner& calls, view::ViewStore& views) : calls_(calls), views_(views) {}

  grpc::ServerUnaryReactor* CreateView(grpc::CallbackServerContext* context,
                                       const v1::CreateViewRequest* request,
                                       v1::ViewDefinition* response) override;
  grpc::ServerUnaryReactor* ListViews(grpc::CallbackServerContext* context,
                                      const v1::ListViewsRequest* request,
                                      v1::ListViewsResponse* response) override;
  grpc::ServerUnaryReactor* DescribeView(grpc::CallbackServerContext* context,
                                         const v1::DescribeViewRequest* request,
                                         v1::ViewStatus* response) override;
  grpc::ServerUnaryReactor* RebuildView(grpc::CallbackServerContext* context,
                                        const v1::RebuildViewRequest* request,
                                        v1::RebuildViewResponse* response) override;
  grpc::ServerUnaryReactor* DropView(grpc::CallbackServerContext* context, const v1::DropViewRequest* request,
                                     v1::DropViewResponse* response) override;

 private:
  CallRunner& calls_;
  view::ViewStore& views_;
};

}  // namespace selvage
