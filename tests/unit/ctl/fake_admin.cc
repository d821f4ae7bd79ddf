#include "tests/unit/ctl/fake_admin.h"

#include <fmt/format.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>

#include "fabric/admin/error_metadata.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

constexpr char kBare[] = "test/bare";

std::string DigestOf(const v1::FetchedEntry& entry) {
  std::string body = entry.gap() ? entry.gap_reason() : entry.batch();
  XXH128_hash_t hash = XXH3_128bits(body.data(), body.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64).substr(0, 16);
}

absl::Status OutOfRange(int64_t offset, int64_t start, int64_t end) {
  return MakeError(absl::StatusCode::kOutOfRange, "offset_out_of_range",
                   fmt::format("offset {} is not within {}..{}", offset, start, end));
}

}  // namespace

absl::Status BareError(absl::StatusCode code, const std::string& message) {
  absl::Status status(code, message);
  status.SetPayload(kBare, absl::Cord("1"));
  return status;
}

FakeAdmin::FakeAdmin() {
  status.set_node("rig-7");
  status.set_role("edge");
}

FakeAdmin::~FakeAdmin() {
  Stop();
}

void FakeAdmin::Start(std::shared_ptr<grpc::ServerCredentials> credentials) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(fmt::format("127.0.0.1:{}", port_),
                           credentials ? credentials : grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(this);
  for (grpc::Service* other : others) builder.RegisterService(other);
  builder.SetMaxReceiveMessageSize(64 << 20);
  server_ = builder.BuildAndStart();
  ASSERT_NE(server_, nullptr);
  port_ = port;
}

void FakeAdmin::Stop() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_ = nullptr;
}

std::string FakeAdmin::address() const {
  return fmt::format("127.0.0.1:{}", port_);
}

void FakeAdmin::AddStream(const std::string& name, v1::Direction direction, int partitions,
                          const std::vector<std::string>& of_edges) {
  absl::MutexLock lock(&mutex_);
  v1::StreamDefinition& stream = streams_[name];
  stream.set_name(name);
  stream.set_direction(direction);
  stream.set_partitions(partitions);
  stream.set_generation(3);
  for (const std::string& edge : of_edges) {
    for (int p = 0; p < partitions; ++p) logs_[Key(edge, name, p)];
  }
}

FakeAdmin::Log& FakeAdmin::At(const std::string& stream, const std::string& edge, int32_t partition) {
  return logs_[Key(edge, stream, partition)];
}

FakeAdmin::Log* FakeAdmin::Find(const v1::LogAddress& address) {
  auto found = logs_.find(Key(address.edge(), address.stream(), address.partition()));
  return found == logs_.end() ? nullptr : &found->second;
}

void FakeAdmin::Append(Log& log, std::string batch) {
  StampBatch(batch.data(), Offset(log.end), LeaderEpoch(0));
  v1::FetchedEntry& entry = log.entries.emplace_back();
  entry.set_from(log.end);
  log.end = ParseBatchHeader(batch)->next_offset().value();
  entry.set_to(log.end);
  entry.set_batch(std::move(batch));
}

void FakeAdmin::AppendValues(const std::string& stream, const std::vector<std::string>& values,
                             const std::string& edge, int32_t partition, int64_t timestamp_ms) {
  BatchBuilder builder;
  for (const std::string& value : values) {
    Record record;
    record.timestamp = timestamp_ms;
    record.value = value;
    builder.Add(record);
  }
  absl::MutexLock lock(&mutex_);
  Append(At(stream, edge, partition), builder.Build());
}

void FakeAdmin::AppendGap(const std::string& stream, int64_t to, const std::string& reason,
                          const std::string& edge) {
  absl::MutexLock lock(&mutex_);
  Log& log = At(stream, edge, 0);
  v1::FetchedEntry& entry = log.entries.emplace_back();
  entry.set_from(log.end);
  entry.set_to(to);
  entry.set_gap(true);
  entry.set_gap_reason(reason);
  log.end = to;
}

void FakeAdmin::Trim(const std::string& stream, int64_t start, const std::string& edge) {
  Edit(stream, edge, [start](Log& log) {
    std::erase_if(log.entries, [start](const v1::FetchedEntry& entry) { return entry.to() <= start; });
    log.start = start;
  });
}

void FakeAdmin::Edit(const std::string& stream, const std::string& edge,
                     const std::function<void(Log&)>& change) {
  absl::MutexLock lock(&mutex_);
  change(At(stream, edge, 0));
}

std::vector<Record> FakeAdmin::Records(const std::string& stream, const std::string& edge,
                                       int32_t partition) {
  absl::MutexLock lock(&mutex_);
  std::vector<Record> all;
  for (const v1::FetchedEntry& entry : At(stream, edge, partition).entries) {
    absl::StatusOr<std::vector<Record>> records = DecodeRecords(entry.batch());
    EXPECT_TRUE(records.ok()) << records.status();
    for (Record& record : *records) all.push_back(std::move(record));
  }
  return all;
}

std::vector<std::string> FakeAdmin::Values(const std::string& stream, const std::string& edge,
                                           int32_t partition) {
  std::vector<std::string> values;
  for (const Record& record : Records(stream, edge, partition))
    values.push_back(record.value.value_or("(null)"));
  return values;
}

bool FakeAdmin::WaitForRecords(const std::string& stream, size_t count) {
  auto there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return At(stream, "", 0).end >= static_cast<int64_t>(count);
  };
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&there), absl::Seconds(20));
}

int FakeAdmin::produce_calls() {
  absl::MutexLock lock(&mutex_);
  return produce_calls_;
}

int FakeAdmin::most_produce_calls_at_once() {
  absl::MutexLock lock(&mutex_);
  return most_at_once_;
}

int FakeAdmin::fetch_calls() {
  absl::MutexLock lock(&mutex_);
  return fetch_calls_;
}

grpc::Status FakeAdmin::Fail(const absl::Status& error, Context& context) {
  if (error.GetPayload(kBare)) {
    return grpc::Status(static_cast<grpc::StatusCode>(error.code()), std::string(error.message()));
  }
  return ToGrpc(error, context);
}

grpc::Status FakeAdmin::CreateStream(Context*, const v1::CreateStreamRequest* request,
                                     v1::StreamDefinition* response) {
  create_request = *request;
  *response = request->definition();
  response->set_generation(4);
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::ListStreams(Context*, const v1::ListStreamsRequest*,
                                    v1::ListStreamsResponse* response) {
  absl::MutexLock lock(&mutex_);
  for (const auto& [name, stream] : streams_) *response->add_streams() = stream;
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::DescribeStream(Context* context, const v1::DescribeStreamRequest* request,
                                       v1::DescribeStreamResponse* response) {
  if (!described.definition().name().empty()) {
    *response = described;
    return grpc::Status::OK;
  }
  absl::MutexLock lock(&mutex_);
  auto found = streams_.find(request->stream());
  if (found == streams_.end()) {
    return Fail(MakeError(absl::StatusCode::kNotFound, "unknown_stream",
                          fmt::format("there is no stream {}", request->stream()), "create it first"),
                *context);
  }
  *response->mutable_definition() = found->second;
  for (const auto& [key, log] : logs_) {
    if (std::get<1>(key) != request->stream()) continue;
    v1::LogSummary& summary = *response->add_logs();
    summary.set_edge(std::get<0>(key));
    summary.set_stream(std::get<1>(key));
    summary.set_partition(std::get<2>(key));
    summary.set_start(log.start);
    summary.set_end(log.end);
  }
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::SetStream(Context*, const v1::SetStreamRequest* request,
                                  v1::StreamDefinition* response) {
  set_request = *request;
  response->set_name(request->stream());
  *response->mutable_settings() = request->settings();
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::Produce(Context* context, const v1::ProduceRequest* request,
                                v1::ProduceResponse* response) {
  int call = 0;
  {
    absl::MutexLock lock(&mutex_);
    call = ++produce_calls_;
    most_at_once_ = std::max(most_at_once_, ++at_once_);
  }
  while (call == hanging_call && !context->IsCancelled()) absl::SleepFor(absl::Milliseconds(2));
  absl::Status error = before_store ? before_store(call) : absl::OkStatus();
  if (error.ok() && refuse_batch) error = refuse_batch(request->batch());
  if (error.ok()) error = ValidateProducedBatch(request->batch(), 64 << 20).status();
  {
    absl::MutexLock lock(&mutex_);
    --at_once_;
    if (error.ok()) {
      Log& log = *Find(request->address());
      response->set_base_offset(log.end);
      Append(log, request->batch());
      response->set_next_offset(log.end);
    }
  }
  if (error.ok() && after_store) error = after_store(call);
  return error.ok() ? grpc::Status::OK : Fail(error, *context);
}

grpc::Status FakeAdmin::Fetch(Context* context, const v1::FetchRequest* request,
                              v1::FetchResponse* response) {
  absl::MutexLock lock(&mutex_);
  ++fetch_calls_;
  Log* log = Find(request->address());
  if (log == nullptr)
    return Fail(MakeError(absl::StatusCode::kNotFound, "unknown_partition", "no such log"), *context);
  int64_t offset = request->offset() == -1   ? log->end
                   : request->offset() == -2 ? log->start
                                             : request->offset();
  auto more = [&]() { return log->end > offset || context->IsCancelled(); };
  absl::Time until = absl::Now() + absl::Milliseconds(request->max_wait_ms());
  while (!more() && absl::Now() < until)
    mutex_.AwaitWithTimeout(absl::Condition(&more), absl::Milliseconds(20));
  if (offset < log->start || offset > log->end)
    return Fail(OutOfRange(offset, log->start, log->end), *context);
  response->set_start(log->start);
  response->set_high_watermark(log->end);
  response->set_next_offset(offset);
  size_t bytes = 0;
  for (const v1::FetchedEntry& entry : log->entries) {
    if (entry.to() <= offset || (bytes > 0 && bytes + entry.batch().size() > request->max_bytes())) continue;
    if (entry.from() > response->next_offset()) break;
    *response->add_entries() = entry;
    response->set_next_offset(entry.to());
    bytes += entry.batch().size() + 1;
  }
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::FindOffset(Context*, const v1::FindOffsetRequest* request,
                                   v1::FindOffsetResponse* response) {
  absl::MutexLock lock(&mutex_);
  response->set_offset(-1);
  for (const v1::FetchedEntry& entry : Find(request->address())->entries) {
    if (entry.gap() || ParseBatchHeader(entry.batch())->max_timestamp < request->timestamp_ms()) continue;
    response->set_offset(entry.from());
    break;
  }
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::ReadDigests(Context* context, const v1::ReadDigestsRequest* request,
                                    v1::ReadDigestsResponse* response) {
  if (!digest_error.ok()) return Fail(digest_error, *context);
  absl::MutexLock lock(&mutex_);
  Log* log = Find(request->address());
  if (log == nullptr)
    return Fail(MakeError(absl::StatusCode::kNotFound, "unknown_partition", "no such log"), *context);
  int64_t offset = request->offset() == -2 ? log->start : request->offset();
  if (offset < log->start || offset > log->end)
    return Fail(OutOfRange(offset, log->start, log->end), *context);
  response->set_log_id(log->log_id);
  response->set_start(log->start);
  response->set_end(log->end);
  for (const v1::FetchedEntry& entry : log->entries) {
    if (entry.to() <= offset) continue;
    if (response->entries_size() >= static_cast<int>(request->max_entries())) break;
    v1::EntryDigest& digest = *response->add_entries();
    digest.set_from(entry.from());
    digest.set_to(entry.to());
    digest.set_gap(entry.gap());
    digest.set_digest(DigestOf(entry));
  }
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::ListEdges(Context*, const v1::ListEdgesRequest* request,
                                  v1::ListEdgesResponse* response) {
  list_edges_request = *request;
  *response = edges;
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::SetEdge(Context*, const v1::SetEdgeRequest* request, v1::EdgeSummary* response) {
  set_edge_request = *request;
  response->set_edge(request->edge());
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::ListLosses(Context*, const v1::ListLossesRequest*, v1::ListLossesResponse* response) {
  *response = losses;
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::ListGroups(Context*, const v1::ListGroupsRequest*, v1::ListGroupsResponse* response) {
  *response = groups;
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::DescribeGroup(Context*, const v1::DescribeGroupRequest* request,
                                      v1::DescribeGroupResponse* response) {
  *response = group;
  response->set_group(request->group());
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::ResetGroup(Context*, const v1::ResetGroupRequest* request,
                                   v1::SetGroupOffsetsResponse* response) {
  reset_group_request = *request;
  *response = set_offsets;
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::ImportGroup(Context*, const v1::ImportGroupRequest* request,
                                    v1::SetGroupOffsetsResponse* response) {
  import_group_request = *request;
  *response = set_offsets;
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::ListAlarms(Context*, const v1::ListAlarmsRequest*, v1::ListAlarmsResponse* response) {
  *response = alarms;
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::RenameStream(Context*, const v1::RenameStreamRequest* request,
                                     v1::StreamDefinition* response) {
  rename_request = *request;
  response->set_name(request->to());
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::ResolveAlarm(Context*, const v1::ResolveAlarmRequest* request,
                                     v1::AlarmDocument* response) {
  resolve_request = *request;
  response->set_id(request->id());
  response->set_kind("clone");
  response->set_subject("rig-7");
  response->set_resolved(true);
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::GetStatus(Context*, const v1::GetStatusRequest*, v1::GetStatusResponse* response) {
  *response = status;
  return grpc::Status::OK;
}

}  // namespace selvage::ctl
