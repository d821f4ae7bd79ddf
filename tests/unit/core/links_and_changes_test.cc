#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "core/peer_link.h"
#include "edge/uplink.h"
#include "fabric/base/error.h"
#include "fabric/stream/record_batch.h"
#include "fabric/telemetry/log.h"
#include "tests/support/eventually.h"
#include "tests/unit/core/threaded_node.h"
#include "tests/unit/transport/test_link.h"

namespace selvage::test {
namespace {

constexpr absl::Duration kLong = absl::Seconds(60);

/// A core and two edges with their real links on loopback, without a disk.
class LinksAndChangesTest : public ::testing::Test {
 protected:
  static constexpr int kEdges = 2;

  LinksAndChangesTest() {
    ConfigureLog({.level = LogLevel::kError});
    core_link_ = std::make_unique<TestCore>(
        world_,
        [this](const Identity& edge, std::function<void()> wake) {
          return std::make_shared<PeerLink>(
              *core_.fleet, metrics_, edge.id, std::move(wake),
              [this](std::function<void()> work) { boost::asio::post(errand_threads_, std::move(work)); });
        },
        TestCore::DefaultOptions());
    for (int i = 0; i < kEdges; ++i) {
      const std::string name = fmt::format("rig-{}", i);
      edges_.push_back(std::make_unique<ThreadedNode>(name, true));
      LinkClient::Options options = world_.EdgeOptions({core_link_->address()});
      options.tls = world_.Certificate(Role::kEdge, name);
      const auto errands = boost::asio::make_strand(errand_threads_);
      links_.push_back(std::make_unique<LinkClient>(
          options, world_.executor(), SystemClock(), SystemRandom(),
          [edge = edges_.back().get(), errands](std::function<void()> wake) {
            return std::make_shared<Uplink>(
                *edge->edge, 0, std::move(wake),
                [errands](std::function<void()> work) { boost::asio::post(errands, std::move(work)); });
          }));
      links_.back()->Start();
    }
  }
  ~LinksAndChangesTest() override {
    for (auto& link : links_) link->Stop();
    core_link_.reset();
  }

  static v1::StreamDefinition Definition(const std::string& name, v1::Direction direction) {
    v1::StreamDefinition definition;
    definition.set_name(name);
    definition.set_direction(direction);
    return definition;
  }
  static void Append(const std::shared_ptr<Log>& log) {
    if (log == nullptr) return;
    BatchBuilder builder;
    builder.Add({Offset(0), 1, std::nullopt, "value", {}});
    (void)log->Append(builder.Build(), [](const auto&) {});
  }
  /// Changes of every kind at the core, as operators make them.
  void ChangeTheCore(int round) {
    Fleet& fleet = *core_.fleet;
    const std::string name = fmt::format("stream-{}", round % 4);
    (void)fleet.CreateStream(Definition(name, round % 2 == 0 ? v1::UP : v1::DOWN));
    v1::SetStreamRequest set;
    set.set_stream("readings");
    set.add_fields("priority");
    set.mutable_settings()->set_priority(static_cast<uint32_t>(round % 10));
    EXPECT_TRUE(fleet.SetStream(set).ok());
    v1::SetEdgeRequest label;
    label.set_edge("rig-0");
    (*label.mutable_set_labels())["round"] = std::to_string(round);
    (void)fleet.SetEdge(label);
    if (round % 3 == 0) (void)fleet.DeleteStream(name);
    if (round % 5 == 0) fleet.Relink(fmt::format("rig-{}", round % kEdges));
  }
  /// Streams that come and go at an edge, some of them beside the core's of the same name.
  void ChangeAnEdge(ThreadedNode& node, int round) {
    const std::string name = fmt::format("stream-{}", round % 4);
    const std::string own = fmt::format("own-{}-{}", node.state->node(), round);
    (void)node.edge->CreateStream(Definition(name, v1::UP));
    (void)node.edge->CreateStream(Definition(own, v1::LOCAL));
    (void)node.edge->RenameStream(own, own + "-renamed");
    (void)node.edge->DeleteStream(round % 2 == 0 ? own + "-renamed" : name);
  }
  void Look() {
    (void)core_.fleet->Summaries();
    (void)core_.fleet->FlowStatuses("");
    (void)core_.fleet->ReportedAlarms();
    (void)core_.fleet->Flush();
    for (auto& edge : edges_) (void)edge->edge->MakeStatus();
    for (ThreadedNode* node : Nodes()) {
      for (const v1::AlarmDocument& alarm : node->state->alarms().All(false))
        (void)node->state->alarms().Resolve(alarm.id(), "");
      (void)node->state->damage().RunOnce();
      (void)node->state->maintenance().RunOnce();
    }
  }
  std::vector<ThreadedNode*> Nodes() {
    std::vector<ThreadedNode*> nodes = {&core_};
    for (auto& edge : edges_) nodes.push_back(edge.get());
    return nodes;
  }
  /// Empty when everything that an edge holds of "readings" is at the core, and it has the core's
  /// definitions.
  std::string Missing(ThreadedNode& node) {
    const std::string& name = node.state->node();
    const auto slot = core_.fleet->SlotOf(name);
    const std::shared_ptr<Log> log = node.state->logs().Find({"", Slot(0), "readings", PartitionId(0)});
    if (!slot || log == nullptr) return name + " has not linked";
    if (node.edge->spec().generation() != core_.fleet->SpecGeneration(name))
      return name + " has another spec";
    if (node.edge->spec().SerializeAsString() != core_.fleet->SpecFor(name).SerializeAsString()) {
      return name + " has other content under the same generation";
    }
    const std::shared_ptr<Log> replica = core_.state->logs().Find({name, *slot, "readings", PartitionId(0)});
    if (replica == nullptr || replica->state().position() != log->state().position())
      return name + " is not replicated";
    const std::shared_ptr<Log> down = core_.state->logs().Find({name, Slot(0), "setpoints", PartitionId(0)});
    const std::shared_ptr<Log> copy =
        node.state->logs().Find({std::string(kCoreOrigin), Slot(0), "setpoints", PartitionId(0)});
    if (down == nullptr || copy == nullptr || down->state().position() != copy->state().position()) {
      return name + " lacks what the core wrote";
    }
    return "";
  }

  Metrics metrics_{"test"};
  ThreadedNode core_{"core", false};
  std::vector<std::unique_ptr<ThreadedNode>> edges_;
  LinkWorld world_;  // its threads use the nodes
  boost::asio::thread_pool errand_threads_{4};
  std::unique_ptr<TestCore> core_link_;
  std::vector<std::unique_ptr<LinkClient>> links_;
};

TEST_F(LinksAndChangesTest, EverythingComesTogetherAfterChangesOfAllKindsAtOnce) {
  ASSERT_TRUE(core_.fleet->CreateStream(Definition("readings", v1::UP)).ok());
  ASSERT_TRUE(core_.fleet->CreateStream(Definition("setpoints", v1::DOWN)).ok());
  constexpr int kRounds = 60;
  std::atomic<int> working = 1 + kEdges;
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    for (int round = 0; round < kRounds; ++round) {
      ChangeTheCore(round);
      for (int i = 0; i < kEdges; ++i) {
        Append(core_.state->logs().Find({fmt::format("rig-{}", i), Slot(0), "setpoints", PartitionId(0)}));
      }
    }
    --working;
  });
  for (auto& edge : edges_) {
    threads.emplace_back([&, node = edge.get()] {
      for (int round = 0; round < kRounds; ++round) {
        ChangeAnEdge(*node, round);
        Append(node->state->logs().Find({"", Slot(0), "readings", PartitionId(0)}));
      }
      --working;
    });
  }
  threads.emplace_back([&] {
    while (working > 0) Look();
  });
  for (std::thread& thread : threads) thread.join();

  for (auto& edge : edges_) {
    Append(edge->state->logs().Find({"", Slot(0), "readings", PartitionId(0)}));
    EXPECT_TRUE(Eventually(kLong, [&] { return Missing(*edge).empty(); })) << Missing(*edge);
  }
}

}  // namespace
}  // namespace selvage::test
