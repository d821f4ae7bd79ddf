#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <cstddef>

#include "fabric/admin/admin_backend.h"
#include "fabric/admin/call_runner.h"
#include "fabric/admin/table_lists.h"
#include "fabric/admin/waiting_call.h"
#include "fabric/node/node_identity.h"
#include "fabric/node/table_captures.h"
#include "fabric/table/table_admin.h"
#include "fabric/table/table_store.h"
#include "selvage/v1/table.grpc.pb.h"

namespace selvage {

/// The tables of a node over gRPC. An answer to WriteRows comes after the sync, and no waiting call occupies
/// a thread. Stop the server before the service is destroyed.
class TablesService final : public v1::Tables::CallbackService {
 public:
  /// Everything must outlive the service.
  struct Options {
    CallRunner& calls;
    table::TableStore& tables;
    table::TableAdmin& admin;
    AdminBackend& backend;
    const NodeIdentity& identity;
    TableCaptures& captures;
  };
  explicit TablesService(const Options& options);

  grpc::ServerUnaryReactor* CreateTable(grpc::CallbackServerContext* context,
                                        const v1::CreateTableRequest* request,
                                        v1::TableDefinition* response) override;
  grpc::ServerUnaryReactor* ListTables(grpc::CallbackServerContext* context,
                                       const v1::ListTablesRequest* request,
                                       v1::ListTablesResponse* response) override;
  grpc::ServerUnaryReactor* DescribeTable(grpc::CallbackServerContext* context,
                                          const v1::DescribeTableRequest* request,
                                          v1::DescribeTableResponse* response) override;
  grpc::ServerUnaryReactor* SetTable(grpc::CallbackServerContext* context, const v1::SetTableRequest* request,
                                     v1::TableDefinition* response) override;
  grpc::ServerUnaryReactor* DropTable(grpc::CallbackServerContext* context,
                                      const v1::DropTableRequest* request,
                                      v1::DropTableResponse* response) override;
  grpc::ServerUnaryReactor* ForgetTableReader(grpc::CallbackServerContext* context,
                                              const v1::ForgetTableReaderRequest* request,
                                              v1::ForgetTableReaderResponse* response) override;
  grpc::ServerUnaryReactor* CaptureTable(grpc::CallbackServerContext* context,
                                         const v1::CaptureTableRequest* request,
                                         v1::CaptureTableResponse* response) override;
  grpc::ServerUnaryReactor* WriteRows(grpc::CallbackServerContext* context,
                                      const v1::WriteRowsRequest* request,
                                      v1::WriteRowsResponse* response) override;
  grpc::ServerUnaryReactor* GetRow(grpc::CallbackServerContext* context, const v1::GetRowRequest* request,
                                   v1::GetRowResponse* response) override;
  grpc::ServerUnaryReactor* ScanRows(grpc::CallbackServerContext* context, const v1::ScanRowsRequest* request,
                                     v1::ScanRowsResponse* response) override;
  grpc::ServerUnaryReactor* QueryRows(grpc::CallbackServerContext* context,
                                      const v1::QueryRowsRequest* request,
                                      v1::QueryRowsResponse* response) override;
  grpc::ServerUnaryReactor* CreateTableIndex(grpc::CallbackServerContext* context,
                                             const v1::CreateTableIndexRequest* request,
                                             v1::CreateTableIndexResponse* response) override;
  grpc::ServerUnaryReactor* DropTableIndex(grpc::CallbackServerContext* context,
                                           const v1::DropTableIndexRequest* request,
                                           v1::DropTableIndexResponse* response) override;
  grpc::ServerUnaryReactor* WatchTable(grpc::CallbackServerContext* context,
                                       const v1::WatchTableRequest* request,
                                       v1::WatchTableResponse* response) override;
  grpc::ServerUnaryReactor* ListConflicts(grpc::CallbackServerContext* context,
                                          const v1::ListConflictsRequest* request,
                                          v1::ListConflictsResponse* response) override;
  grpc::ServerUnaryReactor* ListQuarantined(grpc::CallbackServerContext* context,
                                            const v1::ListQuarantinedRequest* request,
                                            v1::ListQuarantinedResponse* response) override;
  grpc::ServerUnaryReactor* DiscardQuarantined(grpc::CallbackServerContext* context,
                                               const v1::DiscardQuarantinedRequest* request,
                                               v1::DiscardQuarantinedResponse* response) override;
  grpc::ServerUnaryReactor* RestampTables(grpc::CallbackServerContext* context,
                                          const v1::RestampTablesRequest* request,
                                          v1::RestampTablesResponse* response) override;
  grpc::ServerUnaryReactor* DigestRows(grpc::CallbackServerContext* context,
                                       const v1::DigestRowsRequest* request,
                                       v1::DigestRowsResponse* response) override;

 private:
  void Write(const v1::WriteRowsRequest& request, v1::WriteRowsResponse& response, CallRunner::Done done);
  absl::Status DescribeTo(const std::string& table, v1::DescribeTableResponse& response);
  absl::Status QueryTo(const v1::QueryRowsRequest& request, v1::QueryRowsResponse& response);
  absl::Status CreateIndex(const v1::CreateTableIndexRequest& request,
                           v1::CreateTableIndexResponse& response);
  absl::Status ListTo(const v1::ListConflictsRequest& request, v1::ListConflictsResponse& response);
  absl::Status ListTo(const v1::ListQuarantinedRequest& request, v1::ListQuarantinedResponse& response);
  absl::Status Restamp(v1::RestampTablesResponse& response);
  absl::Status DigestTo(const v1::DigestRowsRequest& request, v1::DigestRowsResponse& response);
  StoreNames Names() const;

  CallRunner& calls_;
  table::TableStore& tables_;
  table::TableAdmin& admin_;
  AdminBackend& backend_;
  const NodeIdentity& identity_;
  TableCaptures& captures_;
  WaitingCall::Shared watches_;
};

/// The largest request that the service takes, for the server's limit on received messages: a whole batch and
/// what is around it.
size_t TablesRequestMax();

}  // namespace selvage
