#include "fabric/transport/dial_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fabric/base/error.h"

namespace selvage {
namespace {

using testing::HasSubstr;

absl::Status Explain(absl::StatusCode code, const char* said, const std::string& proxy = "") {
  return ExplainDialError(absl::Status(code, said), {"core:7443", proxy, {"cert.pem", "key.pem", "ca.pem"}},
                          absl::UnixEpoch());
}

// That the words are what gRPC really says is tested in link_dial_test; here is what cannot be had on
// loopback.
TEST(DialError, NamesWhatCannotBeReached) {
  absl::Status status =
      Explain(absl::StatusCode::kUnavailable,
              "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.9.9.9:7443: Failed "
              "to connect to remote host: No route to host");
  EXPECT_EQ(ErrorKind(status), "unreachable");
  EXPECT_THAT(std::string(status.message()), HasSubstr("core:7443"));
  EXPECT_TRUE(IsRetryable(status));
}

TEST(DialError, NamesTheProxyWhenItIsTheProxy) {
  absl::Status status = Explain(absl::StatusCode::kUnavailable,
                                "DNS resolution failed for proxy:3128: not found", "proxy:3128");
  EXPECT_EQ(ErrorKind(status), "name_unresolved");
  EXPECT_THAT(std::string(status.message()), HasSubstr("proxy:3128"));
}

TEST(DialError, OwnFilesComeFirst) {
  absl::Status status = Explain(absl::StatusCode::kUnavailable, "Ssl handshake failed");
  EXPECT_EQ(ErrorKind(status), "certificate_missing");
  EXPECT_THAT(std::string(status.message()), HasSubstr("cert.pem"));
}

TEST(DialError, PassesOnWhatTheCoreSays) {
  absl::Status status = Explain(absl::StatusCode::kUnimplemented, "no such service");
  EXPECT_EQ(ErrorKind(status), "link_refused");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no such service"));
}

}  // namespace
}  // namespace selvage
