#include "fabric/security/identity.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "fabric/base/error.h"

namespace selvage {
namespace {

TEST(IdentityTest, ReadsEachRoleAndWritesItBack) {
  struct Case {
    std::string uri;
    Identity identity;
  };
  const std::vector<Case> cases = {
      {"spiffe://fleet.example/edge/rig-7", {"fleet.example", Role::kEdge, "rig-7"}},
      {"spiffe://fleet.example/core/main", {"fleet.example", Role::kCore, "main"}},
      {"spiffe://local/operator/alice", {"local", Role::kOperator, "alice"}},
  };
  for (const Case& c : cases) {
    auto identity = ParseSpiffeUri(c.uri);
    ASSERT_TRUE(identity.ok()) << Describe(identity.status());
    EXPECT_EQ(*identity, c.identity);
    EXPECT_EQ(SpiffeUri(*identity), c.uri);
  }
}

TEST(IdentityTest, RefusesEverythingElse) {
  const std::vector<std::string> bad = {
      "",
      "spiffe://",
      "spiffe:///edge/a",
      "spiffe://td",
      "spiffe://td/",
      "spiffe://td/edge",
      "spiffe://td/edge/",
      "spiffe://td//a",
      "spiffe://td/edge/a/",
      "spiffe://td/edge/a/b",
      "spiffe://td/edge//a",
      "spiffe://td/Edge/a",
      "spiffe://td/edges/a",
      "spiffe://td/node/a",
      "spiffe://td/edge/A",
      "spiffe://td/edge/a.b",
      "spiffe://td/edge/-a",
      "spiffe://td/edge/%61",
      "spiffe://td/edge/a?x=1",
      "spiffe://td/edge/a#x",
      "spiffe://td:443/edge/a",
      "spiffe://user@td/edge/a",
      "spiffe://TD/edge/a",
      "SPIFFE://td/edge/a",
      "https://td/edge/a",
      " spiffe://td/edge/a",
      "spiffe://td/edge/a ",
      std::string("spiffe://td/edge/a\0", 19),
      std::string("spiffe://td/edge/a\0b", 20),
      "spiffe://td/edge/" + std::string(64, 'a'),
      "spiffe://" + std::string(254, 'a') + "/edge/a",
  };
  for (const std::string& uri : bad) {
    auto identity = ParseSpiffeUri(uri);
    ASSERT_FALSE(identity.ok()) << uri;
    EXPECT_EQ(ErrorKind(identity.status()), "unauthenticated");
    EXPECT_NE(ErrorHint(identity.status()), "");
  }
}

TEST(IdentityTest, QuotesWhatAPeerSentSafelyAndBriefly) {
  auto identity = ParseSpiffeUri("spiffe://td/edge/\n\x1b[2J" + std::string(100'000, 'z'));
  std::string message(identity.status().message());
  EXPECT_LT(message.size(), 400u);
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace selvage
