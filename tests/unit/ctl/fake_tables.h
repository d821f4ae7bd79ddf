#pragma once

#include <grpcpp/server.h>
#include <grpcpp/server_context.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "selvage/v1/table.grpc.pb.h"

namespace selvage::ctl {

/// A node's service Tables on a loopback port, with one table, "pumps", whose rows are in memory. Only what
/// puts do is done; of other writes the request is kept.
class FakeTables final : public v1::Tables::Service {
 public:
  FakeTables();
  ~FakeTables() override;
  FakeTables(const FakeTables&) = delete;
  FakeTables& operator=(const FakeTables&) = delete;

  std::string address() const;
  void Put(const std::string& key, const std::string& json);
  std::map<std::string, v1::TableRow> rows();
  int writes();

  /// Asked before each WriteRows and ScanRows is done, with the number of the call; an error is its answer.
  std::function<absl::Status(int call, const v1::WriteRowsRequest& request)> before_write;
  std::function<absl::Status(int call)> before_scan;

  // What was asked last.
  v1::CreateTableRequest create_request;
  v1::SetTableRequest set_request;
  v1::DropTableRequest drop_request;
  v1::ForgetTableReaderRequest forget_request;
  v1::CaptureTableRequest capture_request;
  v1::WriteRowsRequest write_request;
  v1::ScanRowsRequest scan_request;
  std::vector<v1::QueryRowsRequest> query_requests;
  v1::CreateTableIndexRequest create_index_request;
  v1::DropTableIndexRequest drop_index_request;
  std::vector<v1::WatchTableRequest> watch_requests;
  std::vector<std::string> edges_asked;  // the metadata of every WriteRows

  /// What ScanRows leaves out, where it is asked to.
  std::vector<std::string> damaged_keys;

  // What is listed.
  v1::ListConflictsRequest conflicts_request;
  v1::ListConflictsResponse conflicts;
  v1::ListQuarantinedResponse quarantined;
  v1::DiscardQuarantinedRequest discard_request;
  v1::RestampTablesResponse restamped;

  /// What QueryRows answers, one after the other.
  std::vector<v1::QueryRowsResponse> query_pages;
  /// What WatchTable answers, one after the other; then an error that no retry mends.
  std::vector<v1::WatchTableResponse> watch_pages;

 private:
  using Context = grpc::ServerContext;

  grpc::Status CreateTable(Context*, const v1::CreateTableRequest*, v1::TableDefinition*) override;
  grpc::Status ListTables(Context*, const v1::ListTablesRequest*, v1::ListTablesResponse*) override;
  grpc::Status DescribeTable(Context*, const v1::DescribeTableRequest*, v1::DescribeTableResponse*) override;
  grpc::Status SetTable(Context*, const v1::SetTableRequest*, v1::TableDefinition*) override;
  grpc::Status DropTable(Context*, const v1::DropTableRequest*, v1::DropTableResponse*) override;
  grpc::Status ForgetTableReader(Context*, const v1::ForgetTableReaderRequest*,
                                 v1::ForgetTableReaderResponse*) override;
  grpc::Status CaptureTable(Context*, const v1::CaptureTableRequest*, v1::CaptureTableResponse*) override;
  grpc::Status WriteRows(Context*, const v1::WriteRowsRequest*, v1::WriteRowsResponse*) override;
  grpc::Status GetRow(Context*, const v1::GetRowRequest*, v1::GetRowResponse*) override;
  grpc::Status ScanRows(Context*, const v1::ScanRowsRequest*, v1::ScanRowsResponse*) override;
  grpc::Status QueryRows(Context*, const v1::QueryRowsRequest*, v1::QueryRowsResponse*) override;
  grpc::Status CreateTableIndex(Context*, const v1::CreateTableIndexRequest*,
                                v1::CreateTableIndexResponse*) override;
  grpc::Status DropTableIndex(Context*, const v1::DropTableIndexRequest*,
                              v1::DropTableIndexResponse*) override;
  grpc::Status WatchTable(Context*, const v1::WatchTableRequest*, v1::WatchTableResponse*) override;
  grpc::Status ListConflicts(Context*, const v1::ListConflictsRequest*, v1::ListConflictsResponse*) override;
  grpc::Status ListQuarantined(Context*, const v1::ListQuarantinedRequest*,
                               v1::ListQuarantinedResponse*) override;
  grpc::Status DiscardQuarantined(Context*, const v1::DiscardQuarantinedRequest*,
                                  v1::DiscardQuarantinedResponse*) override;
  grpc::Status RestampTables(Context*, const v1::RestampTablesRequest*, v1::RestampTablesResponse*) override;

  absl::Mutex mutex_;
  std::map<std::string, v1::TableRow> rows_ ABSL_GUARDED_BY(mutex_);
  int writes_ ABSL_GUARDED_BY(mutex_) = 0;
  int scans_ ABSL_GUARDED_BY(mutex_) = 0;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace selvage::ctl
