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

/// Every call of the service, with an empty request; gives the error's kind.
using Metadata = std::map<std::string, std::string>;
using Call = std::function<std::string(Stub&, const Metadata&)>;
using Calls = std::map<std::string, Call>;

template <class Request, class Response>
Call Caller(AdminNode::Method<Request, Response> method) {
  return [method](Stub& stub, const Metadata& metadata) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    for (const auto& [key, value] : metadata) context.AddMetadata(key, value);
    Response response;
    const grpc::Status status = (stub.*method)(&context, Request(), &response);
    return status.ok() ? std::string() : ErrorKind(FromTrailers(status, context));
  };
}

Calls AllCalls() {
  return {{"CreateStream", Caller(&Stub::CreateStream)},
          {"ListStreams", Caller(&Stub::ListStreams)},
          {"DescribeStream", Caller(&Stub::DescribeStream)},
          {"SetStream", Caller(&Stub::SetStream)},
          {"DeleteStream", Caller(&Stub::DeleteStream)},
          {"RenameStream", Caller(&Stub::RenameStream)},
          {"Produce", Caller(&Stub::Produce)},
          {"Fetch", Caller(&Stub::Fetch)},
          {"FindOffset", Caller(&Stub::FindOffset)},
          {"ReadDigests", Caller(&Stub::ReadDigests)},
          {"ListEdges", Caller(&Stub::ListEdges)},
          {"SetEdge", Caller(&Stub::SetEdge)},
          {"RetireEdge", Caller(&Stub::RetireEdge)},
          {"ListOrigins", Caller(&Stub::ListOrigins)},
          {"ListLosses", Caller(&Stub::ListLosses)},
          {"ListAlarms", Caller(&Stub::ListAlarms)},
          {"ResolveAlarm", Caller(&Stub::ResolveAlarm)},
          {"GetStatus", Caller(&Stub::GetStatus)},
          {"ListGroups", Caller(&Stub::ListGroups)},
          {"DescribeGroup", Caller(&Stub::DescribeGroup)},
          {"ResetGroup", Caller(&Stub::ResetGroup)},
          {"ImportGroup", Caller(&Stub::ImportGroup)}};
}

TEST(Access, TheListOfCallsIsWhole) {
  EXPECT_EQ(static_cast<int>(AllCalls().size()), v1::StreamDefinition::descriptor()
                                                     ->file()
                                                     ->pool()
                                                     ->FindServiceByName("selvage.v1.Admin")
                                                     ->method_count());
}

TEST(Access, OnlyOperatorsMayCall) {
  EdgeNode edge;
  CoreNode core;
  int refused = 0;
  for (AdminNode* node : std::initializer_list<AdminNode*>{&edge, &core}) {
    refused = 0;
    const auto as_edge = node->Connect(Certificates::Get().edge);
    const auto as_core = node->Connect(Certificates::Get().core);
    for (const auto& [name, call] : AllCalls()) {
      EXPECT_EQ(call(*as_edge, {}), "permission_denied") << name;
      EXPECT_EQ(call(*as_core, {}), "permission_denied") << name;
      EXPECT_NE(call(node->stub(), {}), "permission_denied") << name;
      refused += 2;
    }
    EXPECT_EQ(node->Errors("permission_denied"), refused);
  }
}

TEST(Access, EveryCallIsPassedOnToTheEdgeThatIsMeant) {
  CoreNode core;
  EdgeNode edge;
  for (const auto& [name, call] : AllCalls()) {
    EXPECT_EQ(call(core.stub(), {{kEdgeMetadata, "rig-9"}}), "unknown_edge") << name;
    EXPECT_EQ(call(edge.stub(), {{kEdgeMetadata, "rig-9"}}), "wrong_node") << name;
  }
  const auto as_edge = core.Connect(Certificates::Get().edge);
  EXPECT_EQ(AllCalls().at("GetStatus")(*as_edge, {{kEdgeMetadata, "rig-9"}}), "permission_denied");
}

// Who knows no secret of the process is who the certificate says.
TEST(Access, MetadataMakeNobodyAnOperator) {
  EdgeNode edge;
  const auto as_edge = edge.Connect(Certificates::Get().edge);
  const Metadata claims = {{kCallerMetadata, "spiffe://plant.example/operator/ann"},
                           {kSecretMetadata, std::string(32, 's')}};
  for (const auto& [name, call] : AllCalls()) EXPECT_EQ(call(*as_edge, claims), "permission_denied") << name;
}

TEST(Access, OperatorsOfAnotherTrustDomainAreStrangers) {
  EdgeNode edge({.disk = {}, .trust_domain = "another"});
  for (const auto& [name, call] : AllCalls()) EXPECT_EQ(call(edge.stub(), {}), "unauthenticated") << name;
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
  for (const auto& [name, call] : AllCalls()) EXPECT_EQ(call(edge.stub(), {}), "overloaded") << name;
  EXPECT_TRUE(IsRetryable(edge.Ask(&Stub::GetStatus, v1::GetStatusRequest()).status()));
}

}  // namespace
}  // namespace selvage::test
