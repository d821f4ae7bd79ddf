#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/core_admin.h"
#include "core/core_topics.h"
#include "edge/edge_admin.h"
#include "edge/edge_topics.h"
#include "fabric/admin/admin_service.h"
#include "fabric/admin/error_metadata.h"
#include "fabric/admin/tables_service.h"
#include "fabric/node/node_state.h"
#include "fabric/security/tls_files.h"
#include "fabric/storage/memory_store.h"
#include "fabric/stream/record_batch.h"
#include "fabric/table/store_table_admin.h"
#include "fabric/telemetry/metrics.h"
#include "fabric/transport/grpc_server.h"
#include "selvage/v1/admin.grpc.pb.h"
#include "selvage/v1/table.grpc.pb.h"

namespace selvage::test {

using Stub = v1::Admin::StubInterface;
using TablesStub = v1::Tables::StubInterface;

/// The error kind of a result; empty for OK.
template <class T>
std::string KindOf(const absl::StatusOr<T>& result) {
  return ErrorKind(result.status());
}

/// Certificates of one authority for all tests of this process: a core, an edge and an operator.
struct Certificates {
  TlsFiles core, edge, operator_;
  static const Certificates& Get();
};
inline constexpr char kTrustDomain[] = "fleet";

/// A batch of records with these values, at timestamps 1000, 1001, ... from `first_timestamp` on.
std::string Batch(const std::vector<std::string>& values, int64_t first_timestamp = 1000,
                  Codec codec = Codec::kNone);
v1::LogAddress Address(const std::string& stream, int32_t partition = 0, const std::string& edge = "");
v1::StreamDefinition Definition(const std::string& name, v1::Direction direction, int32_t partitions = 1);

/// A node in memory with its committer, and the services for operators behind mutual TLS on this machine.
class AdminNode {
 public:
  struct Options {
    std::string name = "rig-7";
    bool is_edge = true;
    DiskBudget::Limits disk;
    std::string trust_domain = kTrustDomain;  ///< whose operators the node takes
    CallPool::Options pool = {};
    size_t batch_max = 1'048'588;
  };
  explicit AdminNode(Options options);
  virtual ~AdminNode();

  NodeState& node() { return *node_; }
  MemoryStore& store() { return store_; }
  Metrics& metrics() { return metrics_; }
  kafka::GroupService& groups() { return *groups_; }

  /// A connection of its own with this certificate.
  std::shared_ptr<grpc::Channel> ConnectAs(const TlsFiles& files) const;
  std::unique_ptr<Stub> Connect(const TlsFiles& files) const { return v1::Admin::NewStub(ConnectAs(files)); }
  // The operator's.
  const std::shared_ptr<grpc::Channel>& channel() { return channel_; }
  Stub& stub() { return *stub_; }
  TablesStub& tables_stub() { return *tables_stub_; }

  template <class Service, class Request, class Response>
  using Method = grpc::Status (Service::*)(grpc::ClientContext*, const Request&, Response*);

  template <class Request, class Response>
  absl::StatusOr<Response> Ask(Method<Stub, Request, Response> method, const Request& request) {
    return Ask(*stub_, method, request);
  }
  template <class Request, class Response>
  absl::StatusOr<Response> Ask(Method<TablesStub, Request, Response> method, const Request& request) {
    return Ask(*tables_stub_, method, request);
  }
  absl::StatusOr<v1::ProduceResponse> Produce(const v1::LogAddress& address, const std::string& batch);
  absl::StatusOr<v1::FetchResponse> Fetch(const v1::LogAddress& address, int64_t offset,
                                          uint32_t max_wait_ms = 0, uint32_t max_bytes = 0);

  /// How often errors of this kind were counted.
  int Errors(const std::string& kind) const;

 protected:
  /// Serves; the derived class calls it when its backend is there.
  void Start(AdminBackend& backend, kafka::Topics& topics);
  /// Before the backend goes.
  void Stop();

 private:
  template <class Service, class Request, class Response>
  absl::StatusOr<Response> Ask(Service& stub, Method<Service, Request, Response> method,
                               const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (!status.ok()) return FromTrailers(status, context);
    return response;
  }

  const Options options_;
  MemoryStore store_;
  Metrics metrics_{"test"};
  Authorizer authorizer_;
  std::unique_ptr<NodeState> node_;
  std::unique_ptr<CommitterThread> committer_;
  std::unique_ptr<kafka::GroupService> groups_;
  std::unique_ptr<kafka::GroupAdmin> group_admin_;
  std::unique_ptr<CallRunner> calls_;
  std::unique_ptr<AdminService> service_;
  std::unique_ptr<table::TableAdmin> table_admin_;
  std::unique_ptr<TablesService> tables_service_;
  boost::asio::thread_pool accepting_{1};
  std::unique_ptr<GrpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<Stub> stub_;
  std::unique_ptr<TablesStub> tables_stub_;
};

class EdgeNode : public AdminNode {
 public:
  explicit EdgeNode(Options options = {});
  ~EdgeNode() override { Stop(); }

  EdgeState& state() { return state_; }
  EdgeAdmin& admin() { return admin_; }
  EdgeTopics& topics() { return topics_; }
  LinkView link{false, "dialling core:7443"};
  /// A stream as the core defined it, with what came from there in partition 0.
  void TakeFromCore(const v1::StreamDefinition& definition, const std::vector<std::string>& batches);

 private:
  EdgeState state_;
  EdgeAdmin admin_;
  EdgeTopics topics_;
};

class CoreNode : public AdminNode {
 public:
  CoreNode();
  ~CoreNode() override { Stop(); }

  Fleet& fleet() { return fleet_; }
  CoreAdmin& admin() { return admin_; }

  /// An edge links and is given its slot.
  Fleet::Admission Join(const std::string& edge);
  /// What the edge wrote to partition `p` of an up stream arrives.
  std::shared_ptr<Log> Replicate(const Fleet::Admission& edge, const v1::StreamDefinition& definition,
                                 int32_t p, const std::vector<std::string>& batches);

 private:
  Fleet fleet_;
  CoreAdmin admin_;
  CoreTopics topics_;
};

/// Appends and waits for the sync.
absl::Status AppendNow(Log& log, const std::string& batch);
absl::Status AppendGapNow(Log& log, Offset to, GapReason reason);

}  // namespace selvage::test
