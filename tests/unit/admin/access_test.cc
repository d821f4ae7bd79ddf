#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>

#include "fabric/admin/call_metadata.h"
#include "fabric/admin/error_metadata.h"
#include "fabric/base/error.h"
#include "tests/unit/admin/admin_harness.h"

namespace selvage::test {
namespace {

/// Every call of the services, with an empty request; gives the error's kind.
using Metadata = std::map<std::string, std::string>;
using Connection = std::shared_ptr<grpc::Channel>;
using Call = std::function<std::string(const Connection&, const Metadata&)>;
using Calls = std::map<std::string, Call>;

template <class Service, class Request, class Response>
Call Caller(AdminNode::Method<typename Service::StubInterface, Request, Response> method) {
  return [method](const Connection& connection, const Metadata& metadata) {
    const auto stub = Service::NewStub(connection);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    for (const auto& [key, value] : metadata) context.AddMetadata(key, value);
    Response response;
    const grpc::Status status = ((*stub).*method)(&context, Request(), &response);
    return status.ok() ? std::string() : ErrorKind(FromTrailers(status, context));
  };
}

Calls AllCalls() {
  return {{"CreateStream", Caller<v1::Admin>(&Stub::CreateStream)},
          {"ListStreams", Caller<v1::Admin>(&Stub::ListStreams)},
          {"DescribeStream", Caller<v1::Admin>(&Stub::DescribeStream)},
          {"SetStream", Caller<v1::Admin>(&Stub::SetStream)},
          {"DeleteStream", Caller<v1::Admin>(&Stub::DeleteStream)},
          {"RenameStream", Caller<v1::Admin>(&Stub::RenameStream)},
          {"Produce", Caller<v1::Admin>(&Stub::Produce)},
          {"Fetch", Caller<v1::Admin>(&Stub::Fetch)},
          {"FindOffset", Caller<v1::Admin>(&Stub::FindOffset)},
          {"ReadDigests", Caller<v1::Admin>(&Stub::ReadDigests)},
          {"ListEdges", Caller<v1::Admin>(&Stub::ListEdges)},
          {"SetEdge", Caller<v1::Admin>(&Stub::SetEdge)},
          {"RetireEdge", Caller<v1::Admin>(&Stub::RetireEdge)},
          {"ListOrigins", Caller<v1::Admin>(&Stub::ListOrigins)},
          {"ListLosses", Caller<v1::Admin>(&Stub::ListLosses)},
          {"ListAlarms", Caller<v1::Admin>(&Stub::ListAlarms)},
          {"ResolveAlarm", Caller<v1::Admin>(&Stub::ResolveAlarm)},
          {"GetStatus", Caller<v1::Admin>(&Stub::GetStatus)},
          {"ListGroups", Caller<v1::Admin>(&Stub::ListGroups)},
          {"DescribeGroup", Caller<v1::Admin>(&Stub::DescribeGroup)},
          {"ResetGroup", Caller<v1::Admin>(&Stub::ResetGroup)},
          {"ImportGroup", Caller<v1::Admin>(&Stub::ImportGroup)},
          {"CreateTable", Caller<v1::Tables>(&TablesStub::CreateTable)},
          {"ListTables", Caller<v1::Tables>(&TablesStub::ListTables)},
          {"DescribeTable", Caller<v1::Tables>(&TablesStub::DescribeTable)},
          {"SetTable", Caller<v1::Tables>(&TablesStub::SetTable)},
          {"DropTable", Caller<v1::Tables>(&TablesStub::DropTable)},
          {"ForgetTableReader", Caller<v1::Tables>(&TablesStub::ForgetTableReader)},
          {"CaptureTable", Caller<v1::Tables>(&TablesStub::CaptureTable)},
          {"QueryRows", Caller<v1::Tables>(&TablesStub::QueryRows)},
          {"CreateTableIndex", Caller<v1::Tables>(&TablesStub::CreateTableIndex)},
          {"DropTableIndex", Caller<v1::Tables>(&TablesStub::DropTableIndex)},
          {"WriteRows", Caller<v1::Tables>(&TablesStub::WriteRows)},
          {"GetRow", Caller<v1::Tables>(&TablesStub::GetRow)},
          {"ScanRows", Caller<v1::Tables>(&TablesStub::ScanRows)},
          {"WatchTable", Caller<v1::Tables>(&TablesStub::WatchTable)},
          {"ListConflicts", Caller<v1::Tables>(&TablesStub::ListConflicts)},
          {"ListQuarantined", Caller<v1::Tables>(&TablesStub::ListQuarantined)},
          {"DiscardQuarantined", Caller<v1::Tables>(&TablesStub::DiscardQuarantined)},
          {"RestampTables", Caller<v1::Tables>(&TablesStub::RestampTables)},
          {"DigestRows", Caller<v1::Tables>(&TablesStub::DigestRows)}};
}

TEST(Access, TheListOfCallsIsWhole) {
  int methods = 0;
  const auto* pool = v1::StreamDefinition::descriptor()->file()->pool();
  for (const char* service : {"selvage.v1.Admin", "selvage.v1.Tables"}) {
    methods += pool->FindServiceByName(service)->method_count();
  }
  EXPECT_EQ(static_cast<int>(AllCalls().size()), methods);
}

TEST(Access, OnlyOperatorsMayCall) {
  EdgeNode edge;
  CoreNode core;
  int refused = 0;
  for (AdminNode* node : std::initializer_list<AdminNode*>{&edge, &core}) {
    refused = 0;
    const auto as_edge = node->ConnectAs(Certificates::Get().edge);
    const auto as_core = node->ConnectAs(Certificates::Get().core);
    for (const auto& [name, call] : AllCalls()) {
      EXPECT_EQ(call(as_edge, {}), "permission_denied") << name;
      EXPECT_EQ(call(as_core, {}), "permission_denied") << name;
      EXPECT_NE(call(node->channel(), {}), "permission_denied") << name;
      refused += 2;
    }
    EXPECT_EQ(node->Errors("permission_denied"), refused);
  }
}

TEST(Access, EveryCallIsPassedOnToTheEdgeThatIsMeant) {
  CoreNode core;
  EdgeNode edge;
  for (const auto& [name, call] : AllCalls()) {
    EXPECT_EQ(call(core.channel(), {{kEdgeMetadata, "rig-9"}}), "unknown_edge") << name;
    EXPECT_EQ(call(edge.channel(), {{kEdgeMetadata, "rig-9"}}), "wrong_node") << name;
  }
  const auto as_edge = core.ConnectAs(Certificates::Get().edge);
  EXPECT_EQ(AllCalls().at("GetStatus")(as_edge, {{kEdgeMetadata, "rig-9"}}), "permission_denied");
}

// Who knows no secret of the process is who the certificate says.
TEST(Access, MetadataMakeNobodyAnOperator) {
  EdgeNode edge;
  const auto as_edge = edge.ConnectAs(Certificates::Get().edge);
  const Metadata claims = {{kCallerMetadata, "spiffe://plant.example/operator/ann"},
                           {kSecretMetadata, std::string(32, 's')}};
  for (const auto& [name, call] : AllCalls()) EXPECT_EQ(call(as_edge, claims), "permission_denied") << name;
}

TEST(Access, OperatorsOfAnotherTrustDomainAreStrangers) {
  EdgeNode edge({.disk = {}, .trust_domain = "another"});
  for (const auto& [name, call] : AllCalls()) EXPECT_EQ(call(edge.channel(), {}), "unauthenticated") << name;
  EXPECT_EQ(edge.Errors("unauthenticated"), static_cast<int>(AllCalls().size()));
}

TEST(Access, AnErrorCarriesKindHintAndRetry) {
  EdgeNode edge;
  const auto refused = edge.Ask(&Stub::ListEdges, v1::ListEdgesRequest());
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(KindOf(refused), "wrong_node");
  EXPECT_THAT(ErrorHint(refused.status()), testing::HasSubstr("core"));
  EXPECT_FALSE(IsRetryable(refused.status()));
  EXPECT_EQ(edge.Errors("wrong_node"), 1);
}

TEST(Access, TooManyCallsAreRefusedAndARetryHelps) {
  EdgeNode edge({.disk = {}, .pool = {.threads = 1, .calls_max = 0, .bytes_max = 0}});
  for (const auto& [name, call] : AllCalls()) EXPECT_EQ(call(edge.channel(), {}), "overloaded") << name;
  EXPECT_TRUE(IsRetryable(edge.Ask(&Stub::GetStatus, v1::GetStatusRequest()).status()));
}

}  // namespace
}  // namespace selvage::test
