#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "fabric/base/error.h"
#include "tests/support/eventually.h"
#include "tests/support/link_proxy.h"
#include "tests/unit/transport/test_link.h"

namespace selvage::test {
namespace {

constexpr absl::Duration kLong = absl::Seconds(60);

class LinkTransferTest : public testing::Test {
 protected:
  static void ExpectSame(const MemoryLog& source, const MemoryLog& replica) {
    ASSERT_EQ(source.entries(), replica.entries());
    EXPECT_TRUE(source.bodies() == replica.bodies()) << source.name();
  }

  Node edge_{true};
  Node core_{false};
  LinkWorld world_;  // last: its threads use the nodes
};

TEST_F(LinkTransferTest, EntriesOfSeveralFlowsGoBothWays) {
  std::vector<std::pair<MemoryLog*, MemoryLog*>> pairs;
  size_t size = 1;
  for (const char* name : {"a", "b", "c", "d"}) {
    pairs.emplace_back(&edge_.AddSource(std::string("up-") + name),
                       &core_.AddReplica(std::string("up-") + name));
    pairs.emplace_back(&core_.AddSource(std::string("down-") + name),
                       &edge_.AddReplica(std::string("down-") + name));
    for (std::string& body : Bodies(40, size, size)) {
      pairs[pairs.size() - 2].first->Append(body);
      pairs[pairs.size() - 1].first->Append(std::move(body));
    }
    size *= 80;
  }
  TestCore core(world_, core_);
  auto edge = world_.Edge(edge_, {core.address()});
  edge->Start();
  for (auto [source, replica] : pairs) {
    EXPECT_TRUE(source->WaitForAcknowledged(40, kLong)) << source->name();
    ExpectSame(*source, *replica);
  }
  LinkState state = edge->state();
  EXPECT_TRUE(state.connected);
  EXPECT_EQ(state.address, core.address());
  EXPECT_EQ(state.attempts, 1u);
  EXPECT_EQ(core.links().links(), 1u);
}

TEST_F(LinkTransferTest, NewEntriesFollowAtOnce) {
  MemoryLog& source = edge_.AddSource("live");
  MemoryLog& replica = core_.AddReplica("live");
  TestCore core(world_, core_);
  auto edge = world_.Edge(edge_, {core.address()});
  edge->Start();
  source.Append("first");
  ASSERT_TRUE(source.WaitForAcknowledged(1, kLong));
  for (int i = 0; i < 200; ++i) {
    source.Append(std::to_string(i));
    ASSERT_TRUE(source.WaitForAcknowledged(i + 2, absl::Seconds(5)));
  }
  ExpectSame(source, replica);
}

TEST_F(LinkTransferTest, AnEntryLargerThanTheWindowPasses) {
  MemoryLog& source = edge_.AddSource("large");
  MemoryLog& replica = core_.AddReplica("large");
  source.Append("small");
  source.Append(Bodies(1, 8 << 20).front());
  source.Append("small");
  TestCore core(world_, core_);
  auto edge = world_.Edge(edge_, {core.address()});
  edge->Start();
  ASSERT_TRUE(source.WaitForAcknowledged(3, kLong));
  ExpectSame(source, replica);
}

TEST_F(LinkTransferTest, ResumesAfterTheCoreWasRestarted) {
  MemoryLog& source = edge_.AddSource("s");
  MemoryLog& replica = core_.AddReplica("s");
  for (std::string& body : Bodies(600, 100'000)) source.Append(std::move(body));
  auto core = std::make_unique<TestCore>(world_, core_);
  const int port = core->port();
  auto edge = world_.Edge(edge_, {core->address()});
  edge->Start();
  for (size_t part : {100u, 200u, 300u}) {
    ASSERT_TRUE(replica.WaitForEntries(part, kLong));
    core.reset();
    EXPECT_LT(replica.entries(), 600u);
    core = std::make_unique<TestCore>(world_, core_, port);
  }
  ASSERT_TRUE(source.WaitForAcknowledged(600, kLong));
  ExpectSame(source, replica);
  EXPECT_GE(edge_.opened(), 4);
}

TEST_F(LinkTransferTest, ResumesAfterTheLinkWasCutAgainAndAgain) {
  MemoryLog& up = edge_.AddSource("up");
  MemoryLog& down = core_.AddSource("down");
  MemoryLog& up_replica = core_.AddReplica("up");
  MemoryLog& down_replica = edge_.AddReplica("down");
  TestCore core(world_, core_);
  auto proxy = LinkProxy::Start({.target_port = static_cast<uint16_t>(core.port())});
  ASSERT_TRUE(proxy.ok());
  auto edge = world_.Edge(edge_, {"127.0.0.1:" + std::to_string((*proxy)->port())});
  edge->Start();
  constexpr int kCuts = 15;
  for (int cut = 0; cut < kCuts; ++cut) {
    for (std::string& body : Bodies(20, 40'000, cut)) {
      down.Append(body);
      up.Append(std::move(body));
    }
    ASSERT_TRUE(up_replica.WaitForEntries(20 * cut + cut, kLong));
    (*proxy)->Cut();
  }
  ASSERT_TRUE(up.WaitForAcknowledged(20 * kCuts, kLong));
  ASSERT_TRUE(down.WaitForAcknowledged(20 * kCuts, kLong));
  ExpectSame(up, up_replica);
  ExpectSame(down, down_replica);
}

TEST_F(LinkTransferTest, AHalfOpenLinkIsNoticedAtBothEnds) {
  MemoryLog& source = edge_.AddSource("s");
  MemoryLog& replica = core_.AddReplica("s");
  LinkServer::Options server_options = TestCore::DefaultOptions();
  server_options.session.heartbeat = absl::Milliseconds(200);
  server_options.session.timeout = absl::Milliseconds(800);
  TestCore core(
      world_,
      [&](const Identity&, std::function<void()> wake) {
        return std::make_shared<NodeHandler>(core_, world_.executor(), std::move(wake));
      },
      server_options);
  auto proxy = LinkProxy::Start({.target_port = static_cast<uint16_t>(core.port())});
  ASSERT_TRUE(proxy.ok());
  LinkClient::Options options = world_.EdgeOptions({"127.0.0.1:" + std::to_string((*proxy)->port())});
  options.session = server_options.session;
  auto edge = world_.Edge(edge_, options);
  edge->Start();
  source.Append("before");
  ASSERT_TRUE(source.WaitForAcknowledged(1, kLong));
  (*proxy)->HalfOpen();
  source.Append("meanwhile");
  EXPECT_TRUE(edge_.WaitForEnd("link_timeout", kLong));
  EXPECT_TRUE(core_.WaitForEnd("link_timeout", kLong));
  EXPECT_TRUE(source.WaitForAcknowledged(2, kLong));
  ExpectSame(source, replica);
}

TEST_F(LinkTransferTest, UrgentEntriesOvertakeBulkOnASlowLink) {
  MemoryLog& bulk = edge_.AddSource("bulk");
  MemoryLog& alarms = edge_.AddSource("alarms", {.priority = 9});
  core_.AddReplica("bulk");
  MemoryLog& alarm_replica = core_.AddReplica("alarms");
  TestCore core(world_, core_);
  auto proxy = LinkProxy::Start({.target_port = static_cast<uint16_t>(core.port())});
  ASSERT_TRUE(proxy.ok());
  auto edge = world_.Edge(edge_, {"127.0.0.1:" + std::to_string((*proxy)->port())});
  edge->Start();
  alarms.Append("the link is up");
  ASSERT_TRUE(alarms.WaitForAcknowledged(1, kLong));
  (*proxy)->Throttle(Direction::kUp, 1'000'000);
  for (std::string& body : Bodies(6, 1 << 20)) bulk.Append(std::move(body));
  // The bulk is under way, and takes most of a minute.
  const uint64_t before = (*proxy)->counters().bytes_up;
  ASSERT_TRUE(Eventually(kLong, [&] { return (*proxy)->counters().bytes_up > before + (32 << 10); }));
  for (size_t i = 2; i <= 5; ++i) {
    alarms.Append("fire");
    EXPECT_TRUE(alarm_replica.WaitForEntries(i, kLong));
  }
  EXPECT_LT(bulk.acknowledged(), 6);
}

}  // namespace
}  // namespace selvage::test
