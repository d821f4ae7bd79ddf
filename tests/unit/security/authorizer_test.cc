#include "fabric/security/authorizer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "fabric/base/error.h"

namespace selvage {
namespace {

const Identity kEdgeA{"fleet", Role::kEdge, "a"};
const Identity kCoreA{"fleet", Role::kCore, "a"};
const Identity kOperatorA{"fleet", Role::kOperator, "a"};

TEST(AuthorizerTest, Matrix) {
  struct Case {
    Identity who;
    Action action;
    std::string edge;
    bool allowed;
  };
  const std::vector<Case> cases = {
      {kEdgeA, Action::kOpenLink, "a", true},       {kEdgeA, Action::kOpenLink, "b", false},
      {kEdgeA, Action::kOpenLink, "", false},       {kEdgeA, Action::kOpenLink, "A", false},
      {kEdgeA, Action::kReadAdmin, "a", false},     {kEdgeA, Action::kWriteAdmin, "a", false},
      {kEdgeA, Action::kReadMetrics, "a", false},

      {kCoreA, Action::kOpenLink, "a", false},      {kCoreA, Action::kReadAdmin, "a", false},
      {kCoreA, Action::kWriteAdmin, "a", false},    {kCoreA, Action::kReadMetrics, "", true},

      {kOperatorA, Action::kOpenLink, "a", false},  {kOperatorA, Action::kReadAdmin, "", true},
      {kOperatorA, Action::kReadAdmin, "b", true},  {kOperatorA, Action::kWriteAdmin, "b", true},
      {kOperatorA, Action::kReadMetrics, "", true},
  };
  const Authorizer authorizer("fleet");
  for (const Case& c : cases) {
    absl::Status status = authorizer.Authorize(c.who, c.action, c.edge);
    EXPECT_EQ(status.ok(), c.allowed)
        << SpiffeUri(c.who) << " " << static_cast<int>(c.action) << " " << c.edge;
    if (!c.allowed) {
      EXPECT_EQ(ErrorKind(status), "permission_denied");
      EXPECT_NE(ErrorHint(status), "");
      EXPECT_FALSE(IsRetryable(status));
    }
  }
}

TEST(AuthorizerTest, AnotherTrustDomainMayDoNothing) {
  const Authorizer authorizer("fleet");
  for (Role role : {Role::kEdge, Role::kCore, Role::kOperator}) {
    for (Action action : {Action::kOpenLink, Action::kReadAdmin, Action::kWriteAdmin, Action::kReadMetrics}) {
      for (std::string domain : {"other", "", "fleet.other", "flee"}) {
        EXPECT_EQ(ErrorKind(authorizer.Authorize({domain, role, "a"}, action, "a")), "unauthenticated");
      }
    }
  }
}

TEST(AuthorizerTest, SaysWhatWasRefused) {
  absl::Status status = Authorizer("fleet").Authorize(kEdgeA, Action::kOpenLink, "b");
  EXPECT_EQ(std::string(status.message()), "spiffe://fleet/edge/a may not open the link of edge b");
}

TEST(AuthorizerTest, DoesNotRepeatWhatIsNoEdgeId) {
  absl::Status status = Authorizer("fleet").Authorize(kEdgeA, Action::kOpenLink, "b\n\x1b[2J");
  EXPECT_EQ(std::string(status.message()),
            "spiffe://fleet/edge/a may not open the link of edge (not an edge id)");
}

}  // namespace
}  // namespace selvage
