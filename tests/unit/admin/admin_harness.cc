#include "tests/unit/admin/admin_harness.h"

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "fabric/base/error.h"
#include "fabric/replication/message.h"
#include "fabric/security/credentials.h"
#include "fabric/security/pki.h"
#include "tests/support/admit.h"
#include "tests/support/core_parts.h"
#include "tests/unit/security/scratch_folder.h"

namespace selvage::test {
namespace {

template <class Append>
absl::Status Await(const Append& append) {
  absl::Status outcome;
  absl::Notification done;
  const absl::Status queued = append([&](const auto& after) {
    outcome = after.status();
    done.Notify();
  });
  if (!queued.ok()) return queued;
  done.WaitForNotification();
  return outcome;
}

absl::Status AppendReplicaNow(Log& log, std::string batch, const Fence& fence) {
  const Offset from = log.state().end;
  StampBatch(batch.data(), from, LeaderEpoch(0));
  const Offset to = ParseBatchHeader(batch)->next_offset();
  return Await([&](auto done) {
    return log.AppendReplica({EntryKind::kBatch, from, to, Bytes(batch)}, fence, std::move(done));
  });
}

NodeState::Options NodeOptions(const AdminNode::Options& options) {
  NodeState::Options node;
  node.node = options.name;
  node.is_edge = options.is_edge;
  node.disk = options.disk;
  node.batch_max = options.batch_max;
  return node;
}

}  // namespace

const Certificates& Certificates::Get() {
  static const ScratchFolder folder;
  static const Certificates certificates = [] {
    const absl::Time now = absl::Now();
    const std::string ca = folder / "ca";
    EXPECT_TRUE(InitAuthority(ca, kTrustDomain, absl::Hours(48), now).ok());
    const auto issue = [&](Role role, const std::string& id) {
      auto files = Issue(ca, {role, id, absl::Hours(24), {}, {}}, folder / "issued", now);
      EXPECT_TRUE(files.ok()) << files.status();
      return files.value_or(TlsFiles{});
    };
    return Certificates{issue(Role::kCore, "main"), issue(Role::kEdge, "rig-7"),
                        issue(Role::kOperator, "ann")};
  }();
  return certificates;
}

std::string Batch(const std::vector<std::string>& values, int64_t first_timestamp, Codec codec) {
  BatchBuilder builder(codec);
  int64_t timestamp = first_timestamp;
  for (const std::string& value : values) {
    Record record;
    record.timestamp = timestamp++;
    record.value = value;
    builder.Add(record);
  }
  return builder.Build();
}

v1::LogAddress Address(const std::string& stream, int32_t partition, const std::string& edge) {
  v1::LogAddress address;
  address.set_edge(edge);
  address.set_stream(stream);
  address.set_partition(partition);
  return address;
}

v1::StreamDefinition Definition(const std::string& name, v1::Direction direction, int32_t partitions) {
  v1::StreamDefinition definition;
  definition.set_name(name);
  definition.set_direction(direction);
  definition.set_partitions(partitions);
  return definition;
}

AdminNode::AdminNode(Options options)
    : options_(std::move(options)),
      authorizer_(options_.trust_domain),
      node_(std::make_unique<NodeState>(NodeOptions(options_), store_, SystemClock(), SystemRandom())),
      committer_(std::make_unique<CommitterThread>(node_->committer())) {
  EXPECT_TRUE(node_->Open({}).ok());
}

AdminNode::~AdminNode() {
  EXPECT_EQ(server_, nullptr) << "the derived class stops the service before its backend goes";
  committer_->Stop();
}

void AdminNode::Start(AdminBackend& backend, kafka::Topics& topics) {
  groups_ = std::make_unique<kafka::GroupService>(kafka::GroupService::PartsOf(*node_));
  group_admin_ = std::make_unique<kafka::GroupAdmin>(*groups_, topics);
  calls_ = std::make_unique<CallRunner>(CallRunner::Options{
      node_->clock(), SystemRandom(), backend, authorizer_, metrics_, OverLink::kRead, options_.pool});
  service_ = std::make_unique<AdminService>(
      AdminService::Options{AdminService::PartsOf(*node_), *calls_, backend, *group_admin_});
  table_admin_ = std::make_unique<table::StoreTableAdmin>(node_->tables(), SystemRandom());
  tables_service_ = std::make_unique<TablesService>(TablesService::Options{
      *calls_, node_->tables(), *table_admin_, backend, node_->identity(), node_->captures()});
  const TlsFiles& own = options_.is_edge ? Certificates::Get().edge : Certificates::Get().core;
  const size_t request_max = std::max(AdminRequestMax(options_.batch_max), TablesRequestMax());
  auto server = GrpcServer::Start({"127.0.0.1:0", ServerCredentials(own), request_max},
                                  accepting_.get_executor(), {service_.get(), tables_service_.get()});
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  channel_ = ConnectAs(Certificates::Get().operator_);
  stub_ = v1::Admin::NewStub(channel_);
  tables_stub_ = v1::Tables::NewStub(channel_);
}

void AdminNode::Stop() {
  server_->Shutdown(absl::ZeroDuration());
  service_.reset();
  tables_service_.reset();
  calls_.reset();
  server_.reset();
}

std::shared_ptr<grpc::Channel> AdminNode::ConnectAs(const TlsFiles& files) const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(-1);
  const ExpectedPeer peer{.trust_domain = kTrustDomain, .role = std::nullopt, .id = ""};
  return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server_->port()),
                                   ChannelCredentials(files, peer), arguments);
}

absl::StatusOr<v1::ProduceResponse> AdminNode::Produce(const v1::LogAddress& address,
                                                       const std::string& batch) {
  v1::ProduceRequest request;
  *request.mutable_address() = address;
  request.set_batch(batch);
  return Ask(&Stub::Produce, request);
}

absl::StatusOr<v1::FetchResponse> AdminNode::Fetch(const v1::LogAddress& address, int64_t offset,
                                                   uint32_t max_wait_ms, uint32_t max_bytes) {
  v1::FetchRequest request;
  *request.mutable_address() = address;
  request.set_offset(offset);
  request.set_max_wait_ms(max_wait_ms);
  request.set_max_bytes(max_bytes);
  return Ask(&Stub::Fetch, request);
}

int AdminNode::Errors(const std::string& kind) const {
  const std::string text = metrics_.Text();
  const std::string series = "selvage_errors_total{kind=\"" + kind + "\"} ";
  const size_t at = text.find(series);
  return at == std::string::npos ? 0 : std::stoi(text.substr(at + series.size()));
}

EdgeNode::EdgeNode(Options options)
    : AdminNode(std::move(options)),
      state_(EdgeState::PartsOf(node()), "1.2.3"),
      admin_(EdgeAdmin::PartsOf(node(), state_), [this] { return link; }),
      topics_(node().catalog(), node().logs(), admin_, v1::UP) {
  EXPECT_TRUE(state_.Open({}).ok());
  Start(admin_, topics_);
}

void EdgeNode::TakeFromCore(const v1::StreamDefinition& definition, const std::vector<std::string>& batches) {
  v1::StreamDefinition known = *CompleteDefinition(definition);
  known.set_generation(5);
  ASSERT_TRUE(node().catalog().Put(known).ok());
  auto log =
      node().logs().Create({.origin = {std::string(kCoreOrigin), Slot(0), definition.name(), PartitionId(0)},
                            .id = LogId::Mint(SystemRandom()),
                            .base = Offset(0),
                            .base_hash = ChainHash(0),
                            .leader_epoch = LeaderEpoch(0)});
  ASSERT_TRUE(log.ok());
  const Fence fence{std::string(kCoreOrigin), SessionEpoch(1)};
  ASSERT_TRUE(RaiseFences(node().committer(), node().fences(), {fence}).ok());
  for (const std::string& batch : batches) ASSERT_TRUE(AppendReplicaNow(**log, batch, fence).ok());
}

CoreNode::CoreNode()
    : AdminNode({.name = "main", .is_edge = false, .disk = {}}),
      fleet_(node(), "1.2.3"),
      admin_(AdminParts(fleet_), "1.2.3"),
      topics_(TopicParts(fleet_, admin_), 8) {
  EXPECT_TRUE(fleet_.Open({}).ok());
  Start(admin_, topics_);
}

Admission CoreNode::Join(const std::string& edge) {
  v1::Hello hello;
  hello.set_protocol(replication::kLinkProtocol);
  hello.set_edge(edge);
  hello.set_store_id(StoreId::Mint(SystemRandom()).bytes());
  hello.set_boot_id(BootId::Mint(SystemRandom()).bytes());
  hello.set_empty(true);
  auto admission = Admit(fleet_, hello);
  EXPECT_TRUE(admission.ok()) << admission.status();
  return admission.ok() ? *admission : Admission{};
}

std::shared_ptr<Log> CoreNode::Replicate(const Admission& edge, const v1::StreamDefinition& definition,
                                         int32_t p, const std::vector<std::string>& batches) {
  v1::FlowOpen open;
  open.set_kind(v1::STREAM);
  open.mutable_stream()->set_name(definition.name());
  open.mutable_stream()->set_partition(p);
  open.set_history(LogId::Mint(SystemRandom()).bytes());
  *open.mutable_stream()->mutable_definition() = definition;
  auto log = fleet_.logs.ForOffer(edge.fence.peer, edge.slot, open);
  EXPECT_TRUE(log.ok()) << log.status();
  if (!log.ok()) return nullptr;
  for (const std::string& batch : batches) EXPECT_TRUE(AppendReplicaNow(**log, batch, edge.fence).ok());
  return *log;
}

absl::Status AppendNow(Log& log, const std::string& batch) {
  return Await([&](auto done) { return log.Append(std::string(batch), std::move(done)); });
}

absl::Status AppendGapNow(Log& log, Offset to, GapReason reason) {
  return Await([&](auto done) { return log.AppendGap(to, reason, std::move(done)); });
}

}  // namespace selvage::test
