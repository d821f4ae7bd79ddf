#include "fabric/admin/admin_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/admin/fetch_call.h"
#include "fabric/admin/log_pages.h"
#include "fabric/admin/table_lists.h"
#include "fabric/base/error.h"
#include "fabric/node/node_state.h"
#include "fabric/stream/produce_check.h"
#include "fabric/stream/record_batch.h"

namespace selvage {
namespace {

constexpr size_t kRequestOverhead = 64u << 10;

constexpr CallGate::Call kCreateStream{"CreateStream", Action::kWriteAdmin, true};
constexpr CallGate::Call kListStreams{"ListStreams", Action::kReadAdmin};
constexpr CallGate::Call kDescribeStream{"DescribeStream", Action::kReadAdmin};
constexpr CallGate::Call kSetStream{"SetStream", Action::kWriteAdmin, true};
constexpr CallGate::Call kDeleteStream{"DeleteStream", Action::kWriteAdmin, true};
constexpr CallGate::Call kRenameStream{"RenameStream", Action::kWriteAdmin, true};
constexpr CallGate::Call kProduce{"Produce", Action::kWriteAdmin};
constexpr CallGate::Call kFetch{"Fetch", Action::kReadAdmin};
constexpr CallGate::Call kFindOffset{"FindOffset", Action::kReadAdmin};
constexpr CallGate::Call kReadDigests{"ReadDigests", Action::kReadAdmin};
constexpr CallGate::Call kListEdges{"ListEdges", Action::kReadAdmin};
constexpr CallGate::Call kSetEdge{"SetEdge", Action::kWriteAdmin, true};
constexpr CallGate::Call kRetireEdge{"RetireEdge", Action::kWriteAdmin, true};
constexpr CallGate::Call kListOrigins{"ListOrigins", Action::kReadAdmin};
constexpr CallGate::Call kListLosses{"ListLosses", Action::kReadAdmin};
constexpr CallGate::Call kListAlarms{"ListAlarms", Action::kReadAdmin};
constexpr CallGate::Call kResolveAlarm{"ResolveAlarm", Action::kWriteAdmin, true};
constexpr CallGate::Call kGetStatus{"GetStatus", Action::kReadAdmin};
constexpr CallGate::Call kListGroups{"ListGroups", Action::kReadAdmin};
constexpr CallGate::Call kDescribeGroup{"DescribeGroup", Action::kReadAdmin};
constexpr CallGate::Call kResetGroup{"ResetGroup", Action::kWriteAdmin, true};
constexpr CallGate::Call kImportGroup{"ImportGroup", Action::kWriteAdmin, true};

/// Moves a result into the response.
template <class Message>
absl::Status Put(absl::StatusOr<Message> result, Message& response) {
  if (!result.ok()) return result.status();
  response = *std::move(result);
  return absl::OkStatus();
}

template <class Message, class Field>
absl::Status PutAll(absl::StatusOr<std::vector<Message>> result, Field& field) {
  if (!result.ok()) return result.status();
  for (Message& message : *result) *field.Add() = std::move(message);
  return absl::OkStatus();
}

constexpr int kStatusTablesMax = 1'000;

/// With the nodes that read each of them; only that one, when `edge` names it.
void AddTableStatus(const table::TableStore& tables, const std::string& edge,
                    v1::GetStatusResponse& response) {
  for (const v1::TableDefinition& definition : tables.All()) {
    const auto facts = tables.Facts(definition.name());
    const auto readers = tables.Readers(definition.name());
    if (!facts.ok() || !readers.ok()) continue;  // dropped meanwhile
    if (response.tables_size() >= kStatusTablesMax) break;
    v1::TableStatus& status = *response.add_tables();
    status.set_table(definition.name());
    status.set_direction(definition.direction());
    status.set_rows(facts->counts.rows);
    status.set_tombstones(facts->counts.tombstones);
    status.set_bytes(facts->counts.bytes);
    status.set_quarantined(facts->quarantined);
    for (const auto& [node, reader] : *readers) {
      if (edge.empty() || edge == node) *status.add_readers() = ToMessage(node, reader, facts->end.sequence);
    }
  }
}

}  // namespace

AdminService::Parts AdminService::PartsOf(NodeState& node) {
  return {node.identity(),          node.clock(), node.logs(), node.catalog(), node.budget(),
          node.options().batch_max, node.tables()};
}

AdminService::AdminService(const Options& options)
    : parts_(options.parts),
      calls_(options.calls),
      backend_(options.backend),
      groups_(options.groups),
      started_(parts_.clock.Monotonic()),
      fetches_{.gate = calls_.gate(), .pool = calls_.pool(), .call = kFetch} {}

// --- Streams
// -------------------------------------------------------------------------------------------------------

grpc::ServerUnaryReactor* AdminService::CreateStream(grpc::CallbackServerContext* context,
                                                     const v1::CreateStreamRequest* request,
                                                     v1::StreamDefinition* response) {
  return calls_.Run(context, kCreateStream, request, response,
                    [=, this] { return Put(backend_.CreateStream(request->definition()), *response); });
}

grpc::ServerUnaryReactor* AdminService::ListStreams(grpc::CallbackServerContext* context,
                                                    const v1::ListStreamsRequest* request,
                                                    v1::ListStreamsResponse* response) {
  return calls_.Run(context, kListStreams, request, response, [=, this] {
    return PutAll(absl::StatusOr<std::vector<v1::StreamDefinition>>(parts_.catalog.All()),
                  *response->mutable_streams());
  });
}

absl::Status AdminService::DescribeTo(const std::string& stream, v1::DescribeStreamResponse& response) {
  auto definition = parts_.catalog.Find(stream);
  if (!definition) return UnknownStream(stream);
  *response.mutable_definition() = *std::move(definition);
  return PutAll(absl::StatusOr<std::vector<v1::LogSummary>>(backend_.Logs(stream)), *response.mutable_logs());
}

grpc::ServerUnaryReactor* AdminService::DescribeStream(grpc::CallbackServerContext* context,
                                                       const v1::DescribeStreamRequest* request,
                                                       v1::DescribeStreamResponse* response) {
  return calls_.Run(context, kDescribeStream, request, response,
                    [=, this] { return DescribeTo(request->stream(), *response); });
}

grpc::ServerUnaryReactor* AdminService::SetStream(grpc::CallbackServerContext* context,
                                                  const v1::SetStreamRequest* request,
                                                  v1::StreamDefinition* response) {
  return calls_.Run(context, kSetStream, request, response,
                    [=, this] { return Put(backend_.SetStream(*request), *response); });
}

grpc::ServerUnaryReactor* AdminService::DeleteStream(grpc::CallbackServerContext* context,
                                                     const v1::DeleteStreamRequest* request,
                                                     v1::DeleteStreamResponse* response) {
  return calls_.Run(context, kDeleteStream, request, response, [=, this]() -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(const int logs, backend_.DeleteStream(request->stream()));
    response->set_logs(logs);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminService::RenameStream(grpc::CallbackServerContext* context,
                                                     const v1::RenameStreamRequest* request,
                                                     v1::StreamDefinition* response) {
  return calls_.Run(context, kRenameStream, request, response, [=, this] {
    return Put(backend_.RenameStream(request->stream(), request->to()), *response);
  });
}

// --- Records
// -------------------------------------------------------------------------------------------------------

void AdminService::Append(const v1::ProduceRequest& request, v1::ProduceResponse& response,
                          CallRunner::Done done) {
  auto log = backend_.FindLog(request.address(), LogUse::kWrite);
  if (!log.ok()) return done(log.status());
  const auto definition = parts_.catalog.Find((*log)->origin().stream);
  auto header = CheckProducedBatch(
      request.batch(), definition ? definition->settings() : v1::StreamSettings(), parts_.batch_max);
  if (!header.ok()) return done(header.status());
  const int64_t records = header->last_offset_delta + int64_t{1};
  auto finish = [this, records, &response, done](const absl::StatusOr<Appended>& appended) {
    if (appended.ok()) {
      response.set_base_offset(appended->base.value());
      response.set_next_offset((appended->base + records).value());
    }
    // The committer must not be kept by what gRPC does to answer.
    calls_.pool().Continue([done, outcome = appended.status()] { done(outcome); });
  };
  if (absl::Status queued = (*log)->Append(std::string(request.batch()), std::move(finish)); !queued.ok())
    done(queued);
}

grpc::ServerUnaryReactor* AdminService::Produce(grpc::CallbackServerContext* context,
                                                const v1::ProduceRequest* request,
                                                v1::ProduceResponse* response) {
  return calls_.RunAsync(context, kProduce, request, response, request->batch().size(),
                         [=, this](CallRunner::Done done) { Append(*request, *response, std::move(done)); });
}

grpc::ServerUnaryReactor* AdminService::Fetch(grpc::CallbackServerContext* context,
                                              const v1::FetchRequest* request, v1::FetchResponse* response) {
  if (EdgeAskedFor(*context).empty()) {
    return WaitingCall::Start(std::make_shared<FetchCall>(fetches_, backend_, context, request, response));
  }
  return calls_.RunAsync(context, kFetch, request, response, 0, [](const CallRunner::Done&) {});
}

grpc::ServerUnaryReactor* AdminService::FindOffset(grpc::CallbackServerContext* context,
                                                   const v1::FindOffsetRequest* request,
                                                   v1::FindOffsetResponse* response) {
  return calls_.Run(context, kFindOffset, request, response, [=, this]() -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(const std::shared_ptr<Log> log,
                             backend_.FindLog(request->address(), LogUse::kRead));
    SELVAGE_ASSIGN_OR_RETURN(const auto first, log->FirstRecordAtOrAfter(request->timestamp_ms(), [=] {
      return context->IsCancelled();
    }));
    response->set_offset(first ? first->offset.value() : kOffsetEnd);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminService::ReadDigests(grpc::CallbackServerContext* context,
                                                    const v1::ReadDigestsRequest* request,
                                                    v1::ReadDigestsResponse* response) {
  return calls_.Run(context, kReadDigests, request, response, [=, this]() -> absl::Status {
    SELVAGE_ASSIGN_OR_RETURN(const std::shared_ptr<Log> log,
                             backend_.FindLog(request->address(), LogUse::kRead));
    return DigestPage(*log, *request, *response);
  });
}

// --- The fleet
// -----------------------------------------------------------------------------------------------------

grpc::ServerUnaryReactor* AdminService::ListEdges(grpc::CallbackServerContext* context,
                                                  const v1::ListEdgesRequest* request,
                                                  v1::ListEdgesResponse* response) {
  return calls_.Run(context, kListEdges, request, response,
                    [=, this] { return PutAll(backend_.ListEdges(*request), *response->mutable_edges()); });
}

grpc::ServerUnaryReactor* AdminService::SetEdge(grpc::CallbackServerContext* context,
                                                const v1::SetEdgeRequest* request,
                                                v1::EdgeSummary* response) {
  return calls_.Run(context, kSetEdge, request, response,
                    [=, this] { return Put(backend_.SetEdge(*request), *response); });
}

grpc::ServerUnaryReactor* AdminService::RetireEdge(grpc::CallbackServerContext* context,
                                                   const v1::RetireEdgeRequest* request,
                                                   v1::EdgeSummary* response) {
  return calls_.Run(context, kRetireEdge, request, response,
                    [=, this] { return Put(backend_.RetireEdge(request->edge()), *response); });
}

grpc::ServerUnaryReactor* AdminService::ListOrigins(grpc::CallbackServerContext* context,
                                                    const v1::ListOriginsRequest* request,
                                                    v1::ListOriginsResponse* response) {
  return calls_.Run(context, kListOrigins, request, response, [=, this] {
    return PutAll(backend_.ListOrigins(*request), *response->mutable_origins());
  });
}

// --- What operators look at
// ----------------------------------------------------------------------------------------

absl::Status AdminService::LossesTo(const v1::ListLossesRequest& request, v1::ListLossesResponse& response) {
  SELVAGE_ASSIGN_OR_RETURN(const std::vector<LogStore::LostRange> lost, parts_.logs.Losses());
  for (const LogStore::LostRange& range : lost) {
    if (!request.stream().empty() && range.origin.stream != request.stream()) continue;
    if (!request.edge().empty() && !backend_.IsOfEdge(range.origin, request.edge())) continue;
    v1::Loss& loss = *response.add_losses();
    loss.set_edge(range.origin.edge);
    loss.set_stream(range.origin.stream);
    loss.set_partition(range.origin.partition.value());
    loss.set_from(range.gap.from.value());
    loss.set_to(range.gap.to.value());
    loss.set_reason(std::string(GapReasonName(range.gap.reason)));
    loss.set_recorded_ms(range.gap.recorded_ms);
  }
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* AdminService::ListLosses(grpc::CallbackServerContext* context,
                                                   const v1::ListLossesRequest* request,
                                                   v1::ListLossesResponse* response) {
  return calls_.Run(context, kListLosses, request, response,
                    [=, this] { return LossesTo(*request, *response); });
}

grpc::ServerUnaryReactor* AdminService::ListAlarms(grpc::CallbackServerContext* context,
                                                   const v1::ListAlarmsRequest* request,
                                                   v1::ListAlarmsResponse* response) {
  return calls_.Run(context, kListAlarms, request, response, [=, this] {
    return PutAll(absl::StatusOr<std::vector<v1::AlarmDocument>>(backend_.ListAlarms(request->all())),
                  *response->mutable_alarms());
  });
}

grpc::ServerUnaryReactor* AdminService::ResolveAlarm(grpc::CallbackServerContext* context,
                                                     const v1::ResolveAlarmRequest* request,
                                                     v1::AlarmDocument* response) {
  return calls_.Run(context, kResolveAlarm, request, response, [=, this] {
    return Put(backend_.ResolveAlarm(request->id(), request->action()), *response);
  });
}

absl::Status AdminService::StatusTo(const v1::GetStatusRequest& request, v1::GetStatusResponse& response) {
  SELVAGE_RETURN_IF_ERROR(Put(backend_.Status(request), response));
  response.set_node(parts_.identity.node());
  response.set_role(parts_.identity.is_edge() ? "edge" : "core");
  response.set_uptime_ms(absl::ToInt64Milliseconds(parts_.clock.Monotonic() - started_));
  response.set_store_id(parts_.identity.store_id().bytes());
  response.set_store_bytes(parts_.budget.file_bytes());
  response.set_store_budget(parts_.budget.budget());
  response.set_volume_free(parts_.budget.free_bytes());
  response.set_open_alarms(backend_.OpenAlarms());
  AddTableStatus(parts_.tables, request.edge(), response);
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* AdminService::GetStatus(grpc::CallbackServerContext* context,
                                                  const v1::GetStatusRequest* request,
                                                  v1::GetStatusResponse* response) {
  return calls_.Run(context, kGetStatus, request, response,
                    [=, this] { return StatusTo(*request, *response); });
}

// --- Consumer groups
// -----------------------------------------------------------------------------------------------

grpc::ServerUnaryReactor* AdminService::ListGroups(grpc::CallbackServerContext* context,
                                                   const v1::ListGroupsRequest* request,
                                                   v1::ListGroupsResponse* response) {
  return calls_.Run(context, kListGroups, request, response, [=, this] {
    *response = groups_.List();
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminService::DescribeGroup(grpc::CallbackServerContext* context,
                                                      const v1::DescribeGroupRequest* request,
                                                      v1::DescribeGroupResponse* response) {
  return calls_.Run(context, kDescribeGroup, request, response,
                    [=, this] { return Put(groups_.Describe(request->group()), *response); });
}

grpc::ServerUnaryReactor* AdminService::ResetGroup(grpc::CallbackServerContext* context,
                                                   const v1::ResetGroupRequest* request,
                                                   v1::SetGroupOffsetsResponse* response) {
  return calls_.Run(context, kResetGroup, request, response, [=, this] {
    return Put(groups_.Reset(*request, [=] { return context->IsCancelled(); }), *response);
  });
}

grpc::ServerUnaryReactor* AdminService::ImportGroup(grpc::CallbackServerContext* context,
                                                    const v1::ImportGroupRequest* request,
                                                    v1::SetGroupOffsetsResponse* response) {
  return calls_.Run(context, kImportGroup, request, response,
                    [=, this] { return Put(groups_.Import(*request), *response); });
}

size_t AdminRequestMax(size_t batch_max) {
  return batch_max + kRequestOverhead;
}

}  // namespace selvage
