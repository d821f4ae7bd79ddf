#include "fabric/admin/local_calls.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

namespace selvage {
namespace {

// What a peer says of who calls is checked before gRPC sees it, which would end the process.
TEST(LocalCalls, ACallerThatIsNobodyIsRefused) {
  LocalCalls calls(grpc::CreateChannel("127.0.0.1:1", grpc::InsecureChannelCredentials()), "secret");
  for (const std::string caller : {"", "x\n", "caf\xc3\xa9", "spiffe://plant.example/operator/a\nb"}) {
    absl::Status outcome;
    calls.Call({.method = "GetStatus", .request = "", .caller = caller, .timeout = absl::Seconds(1)},
               [&](const auto& response) { outcome = response.status(); });
    EXPECT_FALSE(outcome.ok()) << caller;
  }
}

}  // namespace
}  // namespace selvage
