#include "tests/unit/ctl/fake_tables.h"

#include <fmt/format.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <chrono>

#include "fabric/admin/call_metadata.h"
#include "fabric/admin/error_metadata.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

constexpr uint32_t kPage = 2;  // rows at most: small, so that tests see several

v1::TableDefinition Pumps() {
  v1::TableDefinition table;
  table.set_name("pumps");
  table.set_direction(v1::TABLE_BOTH);
  table.mutable_settings()->set_prefix("site/${edge}/");
  table.mutable_settings()->set_row_bytes_max(1 << 20);
  table.mutable_settings()->set_priority(5);
  table.mutable_settings()->set_weight(1);
  return table;
}

absl::Status CheckName(const std::string& table) {
  if (table == "pumps") return absl::OkStatus();
  return MakeError(absl::StatusCode::kNotFound, "unknown_table", "there is no table " + table);
}

}  // namespace

FakeTables::FakeTables() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  EXPECT_NE(server_, nullptr);
}

FakeTables::~FakeTables() {
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

std::string FakeTables::address() const {
  return fmt::format("127.0.0.1:{}", port_);
}

void FakeTables::Put(const std::string& key, const std::string& json) {
  absl::MutexLock lock(&mutex_);
  v1::TableRow& row = rows_[key];
  row.set_key(key);
  row.set_json(json);
  row.set_version(std::string(16, '\x5a'));
}

std::map<std::string, v1::TableRow> FakeTables::rows() {
  absl::MutexLock lock(&mutex_);
  return rows_;
}

int FakeTables::writes() {
  absl::MutexLock lock(&mutex_);
  return writes_;
}

grpc::Status FakeTables::CreateTable(Context*, const v1::CreateTableRequest* request,
                                     v1::TableDefinition* response) {
  create_request = *request;
  *response = request->definition();
  return grpc::Status::OK;
}

grpc::Status FakeTables::ListTables(Context*, const v1::ListTablesRequest*,
                                    v1::ListTablesResponse* response) {
  *response->add_tables() = Pumps();
  return grpc::Status::OK;
}

grpc::Status FakeTables::DescribeTable(Context* context, const v1::DescribeTableRequest* request,
                                       v1::DescribeTableResponse* response) {
  if (absl::Status known = CheckName(request->table()); !known.ok()) return ToGrpc(known, *context);
  *response->mutable_definition() = Pumps();
  response->set_rows(12);
  response->set_tombstones(3);
  response->set_bytes(2048);
  response->set_end("feed-7");
  response->set_quarantined(4);
  response->set_conflicts_listed(5);
  response->set_tombstones_held_by("rig-7");
  response->set_tombstones_held_since_ms(1'700'000'000'000);
  v1::TableIndex& index = *response->add_indexes();
  index.set_name("by-bar");
  index.set_path("bar");
  index.set_rows_read(6);
  index.set_rows_unread(1);
  v1::TableReader& reader = *response->add_readers();
  reader.set_node("rig-7");
  reader.set_store(std::string(16, '\x22'));
  reader.set_behind(17);
  v1::TableReadFrom& peer = *response->add_read_from();
  peer.set_store(std::string(16, '\x11'));
  peer.set_node("rig-7");
  peer.set_position("feed-9");
  peer.set_snapshot(true);
  return grpc::Status::OK;
}

grpc::Status FakeTables::SetTable(Context*, const v1::SetTableRequest* request,
                                  v1::TableDefinition* response) {
  set_request = *request;
  *response = Pumps();
  return grpc::Status::OK;
}

grpc::Status FakeTables::ForgetTableReader(Context*, const v1::ForgetTableReaderRequest* request,
                                           v1::ForgetTableReaderResponse*) {
  forget_request = *request;
  return grpc::Status::OK;
}

grpc::Status FakeTables::CaptureTable(Context*, const v1::CaptureTableRequest* request,
                                      v1::CaptureTableResponse* response) {
  capture_request = *request;
  if (!request->off()) response->set_stream("table." + request->table() + ".changes");
  return grpc::Status::OK;
}

grpc::Status FakeTables::DropTable(Context*, const v1::DropTableRequest* request, v1::DropTableResponse*) {
  drop_request = *request;
  return grpc::Status::OK;
}

grpc::Status FakeTables::WriteRows(Context* context, const v1::WriteRowsRequest* request,
                                   v1::WriteRowsResponse* response) {
  absl::MutexLock lock(&mutex_);
  write_request = *request;
  const auto edge = context->client_metadata().find(kEdgeMetadata);
  edges_asked.emplace_back(edge == context->client_metadata().end()
                               ? std::string()
                               : std::string(edge->second.data(), edge->second.size()));
  absl::Status outcome = before_write ? before_write(++writes_, *request) : (++writes_, absl::OkStatus());
  if (!outcome.ok()) return ToGrpc(outcome, *context);
  for (const v1::RowOperation& operation : request->operations()) {
    v1::RowWritten& written = *response->add_written();
    if (operation.has_delete_()) continue;
    written.set_version(std::string(16, '\x11'));
    if (!operation.has_put()) continue;
    v1::TableRow& row = rows_[operation.key()];
    written.set_created(row.key().empty());
    row.set_key(operation.key());
    row.set_json(operation.put().row());
    if (operation.put().has_expires_at_ms()) row.set_expires_at_ms(operation.put().expires_at_ms());
  }
  return grpc::Status::OK;
}

grpc::Status FakeTables::GetRow(Context*, const v1::GetRowRequest* request, v1::GetRowResponse* response) {
  absl::MutexLock lock(&mutex_);
  const auto row = rows_.find(request->key());
  if (row != rows_.end()) *response->mutable_row() = row->second;
  return grpc::Status::OK;
}

grpc::Status FakeTables::QueryRows(Context*, const v1::QueryRowsRequest* request,
                                   v1::QueryRowsResponse* response) {
  if (query_requests.size() < query_pages.size()) *response = query_pages[query_requests.size()];
  query_requests.push_back(*request);
  return grpc::Status::OK;
}

grpc::Status FakeTables::CreateTableIndex(Context*, const v1::CreateTableIndexRequest* request,
                                          v1::CreateTableIndexResponse* response) {
  create_index_request = *request;
  response->mutable_index()->set_name(request->name().empty() ? request->path() : request->name());
  response->mutable_index()->set_path(request->path());
  return grpc::Status::OK;
}

grpc::Status FakeTables::DropTableIndex(Context*, const v1::DropTableIndexRequest* request,
                                        v1::DropTableIndexResponse*) {
  drop_index_request = *request;
  return grpc::Status::OK;
}

grpc::Status FakeTables::ScanRows(Context* context, const v1::ScanRowsRequest* request,
                                  v1::ScanRowsResponse* response) {
  absl::MutexLock lock(&mutex_);
  scan_request = *request;
  ++scans_;
  absl::Status outcome = CheckName(request->table());
  if (outcome.ok() && before_scan) outcome = before_scan(scans_);
  if (!outcome.ok()) return ToGrpc(outcome, *context);
  if (request->past_damaged()) {
    for (const std::string& key : damaged_keys) response->add_damaged(key);
  }
  for (auto row = rows_.lower_bound(request->from()); row != rows_.end(); ++row) {
    if (response->rows_size() == static_cast<int>(std::min(kPage, request->rows_max()))) {
      response->set_next(row->first);
      break;
    }
    *response->add_rows() = row->second;
  }
  return grpc::Status::OK;
}

grpc::Status FakeTables::WatchTable(Context* context, const v1::WatchTableRequest* request,
                                    v1::WatchTableResponse* response) {
  watch_requests.push_back(*request);
  if (watch_requests.size() > watch_pages.size()) {
    return ToGrpc(MakeError(absl::StatusCode::kOutOfRange, "position_expired", "too long ago"), *context);
  }
  *response = watch_pages[watch_requests.size() - 1];
  return grpc::Status::OK;
}

grpc::Status FakeTables::ListConflicts(Context* context, const v1::ListConflictsRequest* request,
                                       v1::ListConflictsResponse* response) {
  conflicts_request = *request;
  if (absl::Status known = CheckName(request->table()); !known.ok()) return ToGrpc(known, *context);
  *response = conflicts;
  return grpc::Status::OK;
}

grpc::Status FakeTables::ListQuarantined(Context* context, const v1::ListQuarantinedRequest* request,
                                         v1::ListQuarantinedResponse* response) {
  if (absl::Status known = CheckName(request->table()); !known.ok()) return ToGrpc(known, *context);
  *response = quarantined;
  return grpc::Status::OK;
}

grpc::Status FakeTables::DiscardQuarantined(Context*, const v1::DiscardQuarantinedRequest* request,
                                            v1::DiscardQuarantinedResponse* response) {
  discard_request = *request;
  response->set_discarded(3);
  return grpc::Status::OK;
}

grpc::Status FakeTables::RestampTables(Context*, const v1::RestampTablesRequest*,
                                       v1::RestampTablesResponse* response) {
  *response = restamped;
  return grpc::Status::OK;
}

}  // namespace selvage::ctl
