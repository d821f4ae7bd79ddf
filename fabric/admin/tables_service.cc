#include "fabric/admin/tables_service.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "fabric/admin/table_messages.h"
#include "fabric/admin/watch_call.h"
#include "fabric/base/error.h"
#include "fabric/base/names.h"

namespace selvage {
namespace {

constexpr CallGate::Call kCreateTable{"Tables/CreateTable", Action::kWriteAdmin, true};
constexpr CallGate::Call kListTables{"Tables/ListTables", Action::kReadAdmin};
constexpr CallGate::Call kDescribeTable{"Tables/DescribeTable", Action::kReadAdmin};
constexpr CallGate::Call kSetTable{"Tables/SetTable", Action::kWriteAdmin, true};
constexpr CallGate::Call kDropTable{"Tables/DropTable", Action::kWriteAdmin, true};
constexpr CallGate::Call kForgetTableReader{"Tables/ForgetTableReader", Action::kWriteAdmin, true};
constexpr CallGate::Call kCaptureTable{"Tables/CaptureTable", Action::kWriteAdmin, true};
constexpr CallGate::Call kWriteRows{"Tables/WriteRows", Action::kWriteAdmin};
constexpr CallGate::Call kGetRow{"Tables/GetRow", Action::kReadAdmin};
constexpr CallGate::Call kScanRows{"Tables/ScanRows", Action::kReadAdmin};
constexpr CallGate::Call kQueryRows{"Tables/QueryRows", Action::kReadAdmin};
constexpr CallGate::Call kCreateTableIndex{"Tables/CreateTableIndex", Action::kWriteAdmin, true};
constexpr CallGate::Call kDropTableIndex{"Tables/DropTableIndex", Action::kWriteAdmin, true};
constexpr CallGate::Call kListConflicts{"Tables/ListConflicts", Action::kReadAdmin};
constexpr CallGate::Call kListQuarantined{"Tables/ListQuarantined", Action::kReadAdmin};
constexpr CallGate::Call kDiscardQuarantined{"Tables/DiscardQuarantined", Action::kWriteAdmin, true};
constexpr CallGate::Call kRestampTables{"Tables/RestampTables", Action::kWriteAdmin, true};
constexpr CallGate::Call kDigestRows{"Tables/DigestRows", Action::kReadAdmin};
constexpr CallGate::Call kWatchTable{"Tables/WatchTable", Action::kReadAdmin};

constexpr std::string_view kClockSkew = "clock_skew";
/// Of the fields around an operation's key and JSON.
constexpr size_t kOperationOverhead = 64;
constexpr uint32_t kListedDefault = 100;
constexpr uint32_t kListedMax = 1000;
/// Of one list, so that it passes over a link; one change always fits.
constexpr size_t kListBytesMax = 4u << 20;

size_t ListedOf(uint32_t asked) {
  return asked == 0 ? kListedDefault : std::min(asked, kListedMax);
}

template <class Message>
absl::Status TakeInto(Message& response, absl::StatusOr<Message> result) {
  if (!result.ok()) return result.status();
  response = *std::move(result);
  return absl::OkStatus();
}

}  // namespace

TablesService::TablesService(const Options& options)
    : calls_(options.calls),
      tables_(options.tables),
      admin_(options.admin),
      backend_(options.backend),
      identity_(options.identity),
      captures_(options.captures),
      watches_{.gate = calls_.gate(), .pool = calls_.pool(), .call = kWatchTable} {}

grpc::ServerUnaryReactor* TablesService::CreateTable(grpc::CallbackServerContext* context,
                                                     const v1::CreateTableRequest* request,
                                                     v1::TableDefinition* response) {
  return calls_.Run(context, kCreateTable, request, response,
                    [=, this] { return TakeInto(*response, admin_.Create(request->definition())); });
}

grpc::ServerUnaryReactor* TablesService::ListTables(grpc::CallbackServerContext* context,
                                                    const v1::ListTablesRequest* request,
                                                    v1::ListTablesResponse* response) {
  return calls_.Run(context, kListTables, request, response, [=, this] {
    for (v1::TableDefinition& table : tables_.All()) *response->add_tables() = std::move(table);
    return absl::OkStatus();
  });
}

absl::Status TablesService::DescribeTo(const std::string& table, v1::DescribeTableResponse& response) {
  SELVAGE_ASSIGN_OR_RETURN(const table::TableFacts facts, tables_.Facts(table));
  if (auto definition = tables_.Find(table)) *response.mutable_definition() = *std::move(definition);
  response.set_rows(facts.counts.rows);
  response.set_tombstones(facts.counts.tombstones);
  response.set_bytes(facts.counts.bytes);
  response.set_end(facts.end.Text());
  response.set_quarantined(facts.quarantined);
  response.set_conflicts_listed(facts.conflicts_listed);
  if (facts.capture.on) response.set_captured_in(CaptureStreamOf(table));
  response.set_capture_stopped(facts.capture.stopped);
  for (const std::string& key : facts.damaged) response.add_damaged(key);
  SELVAGE_ASSIGN_OR_RETURN(const auto cursors, tables_.Cursors(table));
  const StoreNames names = cursors.empty() ? StoreNames() : Names();
  for (const auto& [peer, cursor] : cursors) *response.add_read_from() = ToMessage(peer, cursor, names);
  SELVAGE_ASSIGN_OR_RETURN(const auto readers, tables_.Readers(table));
  for (const auto& [node, reader] : readers) {
    *response.add_readers() = ToMessage(node, reader, facts.end.sequence);
  }
  SELVAGE_ASSIGN_OR_RETURN(const table::TombstoneHold hold, tables_.HoldOf(table));
  response.set_tombstones_held_by(hold.node);
  response.set_tombstones_held_since_ms(hold.since_ms);
  SELVAGE_ASSIGN_OR_RETURN(const auto indexes, tables_.Indexes(table));
  for (const table::IndexFacts& index : indexes) *response.add_indexes() = ToMessage(index);
  return absl::OkStatus();
}

StoreNames TablesService::Names() const {
  StoreNames names = backend_.EdgesOfStores();
  names[identity_.store_id()] = identity_.node();
  return names;
}

grpc::ServerUnaryReactor* TablesService::DescribeTable(grpc::CallbackServerContext* context,
                                                       const v1::DescribeTableRequest* request,
                                                       v1::DescribeTableResponse* response) {
  return calls_.Run(context, kDescribeTable, request, response,
                    [=, this] { return DescribeTo(request->table(), *response); });
}

grpc::ServerUnaryReactor* TablesService::SetTable(grpc::CallbackServerContext* context,
                                                  const v1::SetTableRequest* request,
                                                  v1::TableDefinition* response) {
  return calls_.Run(context, kSetTable, request, response,
                    [=, this] { return TakeInto(*response, admin_.Set(*request)); });
}

grpc::ServerUnaryReactor* TablesService::DropTable(grpc::CallbackServerContext* context,
                                                   const v1::DropTableRequest* request,
                                                   v1::DropTableResponse* response) {
  return calls_.Run(context, kDropTable, request, response,
                    [=, this] { return admin_.Drop(request->table()); });
}

grpc::ServerUnaryReactor* TablesService::ForgetTableReader(grpc::CallbackServerContext* context,
                                                           const v1::ForgetTableReaderRequest* request,
                                                           v1::ForgetTableReaderResponse* response) {
  return calls_.Run(context, kForgetTableReader, request, response,
                    [=, this] { return tables_.ForgetReader(request->table(), request->node()); });
}

grpc::ServerUnaryReactor* TablesService::CaptureTable(grpc::CallbackServerContext* context,
                                                      const v1::CaptureTableRequest* request,
                                                      v1::CaptureTableResponse* response) {
  return calls_.Run(context, kCaptureTable, request, response, [=, this]() -> absl::Status {
    if (request->off()) return captures_.Stop(request->table());
    SELVAGE_ASSIGN_OR_RETURN(*response->mutable_stream(), captures_.Start(request->table()));
    return absl::OkStatus();
  });
}

void TablesService::Write(const v1::WriteRowsRequest& request, v1::WriteRowsResponse& response,
                          CallRunner::Done done) {
  std::vector<table::RowOperation> operations;
  operations.reserve(static_cast<size_t>(request.operations_size()));
  for (const v1::RowOperation& message : request.operations()) {
    auto operation = OperationOf(message);
    if (!operation.ok()) return done(operation.status());
    operations.push_back(*std::move(operation));
  }
  tables_.Write(request.table(), std::move(operations),
                [this, &response,
                 done = std::move(done)](const absl::StatusOr<std::vector<table::RowWritten>>& written) {
                  if (written.ok()) {
                    for (const table::RowWritten& row : *written) *response.add_written() = ToMessage(row);
                  }
                  // The committer must not be kept by what gRPC does to answer.
                  calls_.pool().Continue([done, outcome = written.status()] { done(outcome); });
                });
}

grpc::ServerUnaryReactor* TablesService::WriteRows(grpc::CallbackServerContext* context,
                                                   const v1::WriteRowsRequest* request,
                                                   v1::WriteRowsResponse* response) {
  return calls_.RunAsync(context, kWriteRows, request, response, request->ByteSizeLong(),
                         [=, this](CallRunner::Done done) { Write(*request, *response, std::move(done)); });
}

grpc::ServerUnaryReactor* TablesService::GetRow(grpc::CallbackServerContext* context,
                                                const v1::GetRowRequest* request,
                                                v1::GetRowResponse* response) {
  return calls_.Run(context, kGetRow, request, response, [=, this]() -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(auto row, tables_.Get(request->table(), request->key()));
    if (row) *response->mutable_row() = ToMessage(*std::move(row));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* TablesService::ScanRows(grpc::CallbackServerContext* context,
                                                  const v1::ScanRowsRequest* request,
                                                  v1::ScanRowsResponse* response) {
  return calls_.Run(context, kScanRows, request, response, [=, this]() -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(table::ScanPage page, tables_.Scan(request->table(), ScanOf(*request)));
    *response = ToMessage(std::move(page));
    return absl::OkStatus();
  });
}

absl::Status TablesService::QueryTo(const v1::QueryRowsRequest& request, v1::QueryRowsResponse& response) {
  SELVAGE_ASSIGN_OR_RETURN(const table::QueryRequest query, QueryOf(request));
  if (request.explain()) {
    SELVAGE_ASSIGN_OR_RETURN(*response.mutable_plan(), tables_.Explain(request.table(), query));
    return absl::OkStatus();
  }
  SELVAGE_ASSIGN_OR_RETURN(table::QueryPage page, tables_.Query(request.table(), query));
  response = ToMessage(std::move(page));
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* TablesService::QueryRows(grpc::CallbackServerContext* context,
                                                   const v1::QueryRowsRequest* request,
                                                   v1::QueryRowsResponse* response) {
  return calls_.Run(context, kQueryRows, request, response,
                    [=, this] { return QueryTo(*request, *response); });
}

absl::Status TablesService::CreateIndex(const v1::CreateTableIndexRequest& request,
                                        v1::CreateTableIndexResponse& response) {
  const std::string name = request.name().empty() ? table::IndexNameOf(request.path()) : request.name();
  SELVAGE_RETURN_IF_ERROR(tables_.CreateIndex(request.table(), name, request.path()));
  SELVAGE_ASSIGN_OR_RETURN(const auto indexes, tables_.Indexes(request.table()));
  for (const table::IndexFacts& index : indexes) {
    if (index.name == name) *response.mutable_index() = ToMessage(index);
  }
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* TablesService::CreateTableIndex(grpc::CallbackServerContext* context,
                                                          const v1::CreateTableIndexRequest* request,
                                                          v1::CreateTableIndexResponse* response) {
  return calls_.Run(context, kCreateTableIndex, request, response,
                    [=, this] { return CreateIndex(*request, *response); });
}

grpc::ServerUnaryReactor* TablesService::DropTableIndex(grpc::CallbackServerContext* context,
                                                        const v1::DropTableIndexRequest* request,
                                                        v1::DropTableIndexResponse* response) {
  return calls_.Run(context, kDropTableIndex, request, response,
                    [=, this] { return tables_.DropIndex(request->table(), request->name()); });
}

grpc::ServerUnaryReactor* TablesService::WatchTable(grpc::CallbackServerContext* context,
                                                    const v1::WatchTableRequest* request,
                                                    v1::WatchTableResponse* response) {
  if (EdgeAskedFor(*context).empty()) {
    return WaitingCall::Start(std::make_shared<WatchCall>(watches_, tables_, context, request, response));
  }
  return calls_.RunAsync(context, kWatchTable, request, response, 0, [](const CallRunner::Done&) {});
}

absl::Status TablesService::ListTo(const v1::ListConflictsRequest& request,
                                   v1::ListConflictsResponse& response) {
  SELVAGE_ASSIGN_OR_RETURN(const table::TableFacts facts, tables_.Facts(request.table()));
  SELVAGE_ASSIGN_OR_RETURN(const auto conflicts, tables_.Conflicts(request.table(), ListedOf(request.max())));
  const StoreNames names = Names();
  for (const v1::StoredConflict& conflict : conflicts) *response.add_conflicts() = ToMessage(conflict, names);
  response.set_listed(facts.conflicts_listed);
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* TablesService::ListConflicts(grpc::CallbackServerContext* context,
                                                       const v1::ListConflictsRequest* request,
                                                       v1::ListConflictsResponse* response) {
  return calls_.Run(context, kListConflicts, request, response,
                    [=, this] { return ListTo(*request, *response); });
}

absl::Status TablesService::ListTo(const v1::ListQuarantinedRequest& request,
                                   v1::ListQuarantinedResponse& response) {
  SELVAGE_ASSIGN_OR_RETURN(const table::TableFacts facts, tables_.Facts(request.table()));
  SELVAGE_ASSIGN_OR_RETURN(const auto changes, tables_.Quarantined(request.table(), ListedOf(request.max())));
  const StoreNames names = Names();
  size_t bytes = 0;
  for (const table::QuarantinedChange& change : changes) {
    v1::QuarantinedChange message = ToMessage(change, names);
    bytes += message.ByteSizeLong();
    if (bytes > kListBytesMax) break;
    *response.add_changes() = std::move(message);
  }
  response.set_quarantined(facts.quarantined);
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* TablesService::ListQuarantined(grpc::CallbackServerContext* context,
                                                         const v1::ListQuarantinedRequest* request,
                                                         v1::ListQuarantinedResponse* response) {
  return calls_.Run(context, kListQuarantined, request, response,
                    [=, this] { return ListTo(*request, *response); });
}

grpc::ServerUnaryReactor* TablesService::DiscardQuarantined(grpc::CallbackServerContext* context,
                                                            const v1::DiscardQuarantinedRequest* request,
                                                            v1::DiscardQuarantinedResponse* response) {
  return calls_.Run(context, kDiscardQuarantined, request, response, [=, this]() -> absl::Status {
    const auto key = request->has_key() ? std::optional(request->key()) : std::nullopt;
    SELVAGE_ASSIGN_OR_RETURN(const uint64_t discarded, tables_.DiscardQuarantined(request->table(), key));
    response->set_discarded(discarded);
    return absl::OkStatus();
  });
}

absl::Status TablesService::Restamp(v1::RestampTablesResponse& response) {
  // A clock that is still wrong would stamp wrong again, and take back what others have merged.
  for (const v1::AlarmDocument& alarm : backend_.ListAlarms(/*also_resolved=*/false)) {
    if (alarm.kind() != kClockSkew) continue;
    return MakeError(absl::StatusCode::kFailedPrecondition, std::string(kClockSkew), alarm.message(),
                     "set the clock that is wrong first; the alarm ends by itself");
  }
  SELVAGE_ASSIGN_OR_RETURN(const auto done, tables_.RestampAhead());
  response.set_rows(done.rows);
  response.set_unread_rows(done.unread);
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* TablesService::RestampTables(grpc::CallbackServerContext* context,
                                                       const v1::RestampTablesRequest* request,
                                                       v1::RestampTablesResponse* response) {
  return calls_.Run(context, kRestampTables, request, response, [=, this] { return Restamp(*response); });
}

absl::Status TablesService::DigestTo(const v1::DigestRowsRequest& request, v1::DigestRowsResponse& response) {
  const auto definition = tables_.Find(request.table());
  SELVAGE_ASSIGN_OR_RETURN(table::DigestPage page, tables_.DigestRows(request.table(), DigestOf(request)));
  response = ToMessage(std::move(page));
  if (definition) response.set_incarnation(definition->incarnation());
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* TablesService::DigestRows(grpc::CallbackServerContext* context,
                                                    const v1::DigestRowsRequest* request,
                                                    v1::DigestRowsResponse* response) {
  return calls_.Run(context, kDigestRows, request, response,
                    [=, this] { return DigestTo(*request, *response); });
}

size_t TablesRequestMax() {
  return table::kBatchBytesMax + table::kBatchOperationsMax * kOperationOverhead;
}

}  // namespace selvage
