#pragma once

#include <grpcpp/server.h>
#include <grpcpp/server_context.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "fabric/stream/record_batch.h"
#include "selvage/v1/admin.grpc.pb.h"

namespace selvage::ctl {

/// A node's admin service on a loopback port, with logs in memory. The logs outlive Stop and Start, as on a
/// disk.
class FakeAdmin final : public v1::Admin::Service {
 public:
  struct Log {
    std::string log_id = std::string(16, 'L');
    int64_t start = 0;
    int64_t end = 0;
    std::vector<v1::FetchedEntry> entries;
  };

  FakeAdmin();
  ~FakeAdmin() override;

  void Start(std::shared_ptr<grpc::ServerCredentials> credentials = nullptr);
  /// Cuts every connection.
  void Stop();
  std::string address() const;

  /// A stream with its logs: of this node itself, or of `edges`.
  void AddStream(const std::string& name, v1::Direction direction, int partitions,
                 const std::vector<std::string>& edges = {""});
  /// Appends to a log, as a producer or the source would.
  void AppendValues(const std::string& stream, const std::vector<std::string>& values,
                    const std::string& edge = "", int32_t partition = 0, int64_t timestamp_ms = 1000);
  void AppendGap(const std::string& stream, int64_t to, const std::string& reason,
                 const std::string& edge = "");
  /// Forgets what is before `start`.
  void Trim(const std::string& stream, int64_t start, const std::string& edge = "");
  void Edit(const std::string& stream, const std::string& edge, const std::function<void(Log&)>& change);

  std::vector<Record> Records(const std::string& stream, const std::string& edge = "", int32_t partition = 0);
  std::vector<std::string> Values(const std::string& stream, const std::string& edge = "",
                                  int32_t partition = 0);
  /// Waits until a log holds so many records; false after 20 s.
  bool WaitForRecords(const std::string& stream, size_t count);
  int produce_calls();
  int most_produce_calls_at_once();
  int fetch_calls();

  /// Served beside this one from Start on.
  std::vector<grpc::Service*> others;
  /// Run in every Produce call, before and after its batch is stored. An error is its answer; `bare` ones
  /// carry no trailers, as when the connection breaks.
  std::function<absl::Status(int call)> before_store;
  std::function<absl::Status(int call)> after_store;
  /// Of each batch that is produced, before it is stored.
  std::function<absl::Status(const std::string& batch)> refuse_batch;
  /// This Produce call does not end before its connection does.
  int hanging_call = 0;
  /// Answers ReadDigests with this error.
  absl::Status digest_error;

  // What other calls answer, and what they were asked.
  v1::GetStatusResponse status;
  v1::ListEdgesResponse edges;
  v1::ListAlarmsResponse alarms;
  v1::ListLossesResponse losses;
  v1::DescribeStreamResponse described;  // of any stream, when it has a name
  v1::CreateStreamRequest create_request;
  v1::SetStreamRequest set_request;
  v1::SetEdgeRequest set_edge_request;
  v1::ListEdgesRequest list_edges_request;
  v1::ResolveAlarmRequest resolve_request;
  v1::RenameStreamRequest rename_request;
  v1::ListGroupsResponse groups;
  v1::DescribeGroupResponse group;
  v1::ResetGroupRequest reset_group_request;
  v1::ImportGroupRequest import_group_request;
  v1::SetGroupOffsetsResponse set_offsets;

 private:
  using Key = std::tuple<std::string, std::string, int32_t>;  // edge, stream, partition
  using Context = grpc::ServerContext;

  grpc::Status CreateStream(Context*, const v1::CreateStreamRequest*, v1::StreamDefinition*) override;
  grpc::Status ListStreams(Context*, const v1::ListStreamsRequest*, v1::ListStreamsResponse*) override;
  grpc::Status DescribeStream(Context*, const v1::DescribeStreamRequest*,
                              v1::DescribeStreamResponse*) override;
  grpc::Status SetStream(Context*, const v1::SetStreamRequest*, v1::StreamDefinition*) override;
  grpc::Status Produce(Context*, const v1::ProduceRequest*, v1::ProduceResponse*) override;
  grpc::Status Fetch(Context*, const v1::FetchRequest*, v1::FetchResponse*) override;
  grpc::Status FindOffset(Context*, const v1::FindOffsetRequest*, v1::FindOffsetResponse*) override;
  grpc::Status ReadDigests(Context*, const v1::ReadDigestsRequest*, v1::ReadDigestsResponse*) override;
  grpc::Status ListEdges(Context*, const v1::ListEdgesRequest*, v1::ListEdgesResponse*) override;
  grpc::Status SetEdge(Context*, const v1::SetEdgeRequest*, v1::EdgeSummary*) override;
  grpc::Status ListLosses(Context*, const v1::ListLossesRequest*, v1::ListLossesResponse*) override;
  grpc::Status ListAlarms(Context*, const v1::ListAlarmsRequest*, v1::ListAlarmsResponse*) override;
  grpc::Status RenameStream(Context*, const v1::RenameStreamRequest*, v1::StreamDefinition*) override;
  grpc::Status ResolveAlarm(Context*, const v1::ResolveAlarmRequest*, v1::AlarmDocument*) override;
  grpc::Status GetStatus(Context*, const v1::GetStatusRequest*, v1::GetStatusResponse*) override;
  grpc::Status ListGroups(Context*, const v1::ListGroupsRequest*, v1::ListGroupsResponse*) override;
  grpc::Status DescribeGroup(Context*, const v1::DescribeGroupRequest*, v1::DescribeGroupResponse*) override;
  grpc::Status ResetGroup(Context*, const v1::ResetGroupRequest*, v1::SetGroupOffsetsResponse*) override;
  grpc::Status ImportGroup(Context*, const v1::ImportGroupRequest*, v1::SetGroupOffsetsResponse*) override;

  grpc::Status Fail(const absl::Status& error, Context& context);
  Log* Find(const v1::LogAddress& address) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Log& At(const std::string& stream, const std::string& edge, int32_t partition)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void Append(Log& log, std::string batch);

  absl::Mutex mutex_;
  std::map<std::string, v1::StreamDefinition> streams_ ABSL_GUARDED_BY(mutex_);
  std::map<Key, Log> logs_ ABSL_GUARDED_BY(mutex_);
  int produce_calls_ ABSL_GUARDED_BY(mutex_) = 0;
  int at_once_ ABSL_GUARDED_BY(mutex_) = 0;
  int most_at_once_ ABSL_GUARDED_BY(mutex_) = 0;
  int fetch_calls_ ABSL_GUARDED_BY(mutex_) = 0;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

/// An error without trailers: what gRPC itself makes of a broken connection.
absl::Status BareError(absl::StatusCode code, const std::string& message);

}  // namespace selvage::ctl
