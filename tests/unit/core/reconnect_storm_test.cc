#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/peer_link.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/replication/message.h"
#include "fabric/storage/committer.h"
#include "fabric/stream/record_batch.h"
#include "fabric/telemetry/log.h"
#include "fabric/transport/link_driver.h"
#include "tests/contract/log/log_node.h"
#include "tests/support/eventually.h"
#include "tests/support/held_store.h"
#include "tests/unit/transport/played_stream.h"

/// A thousand edges come back at once, or disks are full, while the disk takes its time: the links that stand
/// go on.
namespace selvage {
namespace {

constexpr int kEdges = 1000;
constexpr int kFlows = 2;      // that each of them offers
constexpr int64_t kHeld = 40;  // entries of a log before the disk is full
constexpr DiskBudget::Limits kDisk = {.budget = 64u << 20, .reserve = 1u << 20};

class ReconnectStormTest : public testing::Test {
 protected:
  ReconnectStormTest() {
    ConfigureLog({.level = LogLevel::kError});
    SELVAGE_CHECK(node_.Open({}).ok());
    SELVAGE_CHECK(fleet_.Open({}).ok());
    v1::StreamDefinition definition;
    definition.set_name("up");
    definition.set_direction(v1::UP);
    definition.set_partitions(kFlows);
    definition.mutable_settings()->set_on_full(v1::DROP_OLDEST);
    definition_ = *fleet_.CreateStream(definition);
  }
  ~ReconnectStormTest() override {
    store_.Hold(false);
    for (auto& driver : drivers_) driver->Abort();
    drivers_.clear();
    link_threads_.join();
    errand_threads_.join();
    committer_thread_.Stop();
  }

  static std::string IdOf(int edge) {
    std::string id = std::to_string(edge);
    return std::string(16 - id.size(), 'i') + id;
  }
  static v1::Hello HelloOf(int edge) {
    v1::Hello hello;
    hello.set_protocol(replication::kLinkProtocol);
    hello.set_edge("edge-" + std::to_string(edge));
    hello.set_store_id(IdOf(edge));
    hello.set_boot_id(IdOf(edge));
    hello.set_empty(true);
    hello.set_wall_ms(absl::ToUnixMillis(SystemClock().Wall()));
    return hello;
  }
  std::shared_ptr<PlayedStream> Connect(int edge) {
    LinkDriver::Options options;
    options.session.is_edge = false;
    options.session.heartbeat = absl::Milliseconds(100);
    options.session.timeout = absl::Minutes(10);
    auto driver = std::make_shared<LinkDriver>(options, link_threads_.get_executor(), SystemClock());
    auto stream = std::make_shared<PlayedStream>(driver, link_threads_.get_executor());
    auto link = std::make_shared<PeerLink>(fleet_, metrics_, "edge-" + std::to_string(edge), driver->Waker(),
                                           [this, said = false](std::function<void()> work) mutable {
                                             const bool hello = !std::exchange(said, true);
                                             boost::asio::post(errand_threads_,
                                                               [this, hello, work = std::move(work)] {
                                                                 work();
                                                                 if (hello) ++hellos_;
                                                               });
                                           });
    driver->Start(stream, link, {.ended = [](const LinkEnd&) {}});
    drivers_.push_back(driver);

    v1::Frame frame;
    *frame.mutable_hello() = HelloOf(edge);
    stream->Send(frame);
    return stream;
  }
  void Offer(PlayedStream& stream, int edge) {
    for (int partition = 0; partition < kFlows; ++partition) {
      v1::Frame frame;
      v1::FlowOpen& open = *frame.mutable_flow_open();
      open.set_flow(static_cast<uint32_t>(partition) + 1);
      open.set_kind(v1::STREAM);
      open.mutable_stream()->set_name("up");
      open.mutable_stream()->set_partition(partition);
      open.set_history(IdOf(edge * 10 + partition));
      *open.mutable_stream()->mutable_definition() = definition_;
      stream.Send(frame);
    }
  }
  /// Sends a batch of one record for the first flow.
  static void SendBatch(PlayedStream& stream, int64_t offset) {
    std::string batch = ProducedBatch();
    StampBatch(batch.data(), Offset(offset), LeaderEpoch(0));
    v1::Frame frame;
    v1::Data& data = *frame.mutable_data();
    data.set_flow(1);
    data.set_from(offset);
    data.set_to(offset + 1);
    data.set_kind(static_cast<uint32_t>(EntryKind::kBatch));
    data.set_entry_size(static_cast<uint32_t>(batch.size()));
    data.set_wire_size(static_cast<uint32_t>(batch.size()));
    stream.Send(frame, std::move(batch));
  }
  /// Serves the healthy link for as long as the disk is held.
  void ExpectServed(PlayedStream& healthy, const std::string& when) {
    const int before = healthy.Written(v1::Frame::kHeartbeat);
    EXPECT_TRUE(test::Eventually(absl::Seconds(20), [&] {
      return healthy.Written(v1::Frame::kHeartbeat) >= before + 5;
    })) << when;
  }
  /// Whether the logs of all first flows come to end there.
  bool HaveAll(int64_t end) {
    return test::Eventually(absl::Seconds(60), [&] {
      for (const std::shared_ptr<Log>& log : node_.logs().All()) {
        if (log->origin().partition == PartitionId(0) && log->state().end != Offset(end)) return false;
      }
      return true;
    });
  }
  bool AllHave(const std::vector<std::shared_ptr<PlayedStream>>& streams, v1::Frame::BodyCase kind,
               int count) {
    return test::Eventually(absl::Seconds(60), [&] {
      for (const auto& stream : streams) {
        if (stream->Written(kind) < count) return false;
      }
      return true;
    });
  }

  static NodeState::Options CoreOptions() {
    NodeState::Options options;
    options.node = "core";
    options.is_edge = false;
    options.disk = kDisk;
    return options;
  }

  HeldStore store_;
  NodeState node_{CoreOptions(), store_, SystemClock(), SystemRandom()};
  CommitterThread committer_thread_{node_.committer()};
  Fleet fleet_{node_, "test"};
  Metrics metrics_{"test"};
  boost::asio::thread_pool link_threads_{2};
  boost::asio::thread_pool errand_threads_{4};
  std::atomic<int> hellos_{0};  // that the fleet has
  std::vector<std::shared_ptr<LinkDriver>> drivers_;
  v1::StreamDefinition definition_;
};

TEST_F(ReconnectStormTest, LinksThatStandAreServedWhileAdmissionsAndNewLogsWaitForTheDisk) {
  auto healthy = Connect(0);
  ASSERT_TRUE(AllHave({healthy}, v1::Frame::kWelcome, 1));

  store_.Hold(true);
  const int syncs = store_.syncs();
  std::vector<std::shared_ptr<PlayedStream>> streams;
  for (int edge = 1; edge <= kEdges; ++edge) streams.push_back(Connect(edge));
  // One thread waits for the disk with the first of them, and will take the others along; the healthy one's
  // was the first.
  EXPECT_TRUE(test::Eventually(absl::Seconds(60), [&] { return hellos_ == kEdges; }));
  ExpectServed(*healthy, "while a thousand edges wait to be admitted");
  store_.Hold(false);
  ASSERT_TRUE(AllHave(streams, v1::Frame::kWelcome, 1));
  EXPECT_LE(store_.syncs() - syncs, 1 + (kEdges + 255) / 256) << "they share the syncs";

  store_.Hold(true);
  for (int edge = 1; edge <= kEdges; ++edge) Offer(*streams[static_cast<size_t>(edge) - 1], edge);
  ExpectServed(*healthy, "while their logs are made");
  store_.Hold(false);
  EXPECT_TRUE(AllHave(streams, v1::Frame::kFlowAccept, kFlows));
  EXPECT_FALSE(healthy->over());
}

TEST_F(ReconnectStormTest, LinksThatStandAreServedWhileOthersWaitForOldEntriesToMakeRoom) {
  auto healthy = Connect(0);
  std::vector<std::shared_ptr<PlayedStream>> streams;
  for (int edge = 1; edge <= 8; ++edge) {
    streams.push_back(Connect(edge));
    ASSERT_TRUE(AllHave({streams.back()}, v1::Frame::kWelcome, 1));
    Offer(*streams.back(), edge);
    ASSERT_TRUE(AllHave({streams.back()}, v1::Frame::kFlowAccept, kFlows));
    for (int64_t offset = 0; offset < kHeld; ++offset) SendBatch(*streams.back(), offset);
  }
  ASSERT_TRUE(HaveAll(kHeld));
  ASSERT_TRUE(AllHave({healthy}, v1::Frame::kWelcome, 1));
  node_.budget().Measured(kDisk.budget - kDisk.reserve, UINT64_MAX / 4);

  store_.Hold(true);
  for (auto& stream : streams) {
    SendBatch(*stream, kHeld);
    SendBatch(*stream, kHeld + 1);
  }
  ExpectServed(*healthy, "while the others wait for room");
  store_.Hold(false);
  EXPECT_TRUE(HaveAll(kHeld + 2));
  int trimmed = 0;
  for (const std::shared_ptr<Log>& log : node_.logs().All())
    trimmed += log->state().start > Offset(0) ? 1 : 0;
  EXPECT_GT(trimmed, 0);
}

TEST_F(ReconnectStormTest, OfMachinesThatAreOneEdgeNoneIsLetInWhenTheyComeTogether) {
  store_.Hold(true);
  std::thread first([&] { fleet_.Admit(HelloOf(0), [](const auto&) {}); });
  EXPECT_TRUE(test::Eventually(absl::Seconds(20), [&] { return store_.waited_for(); }));
  // Taken along by it: the third new store of an edge within a day is one too many.
  std::vector<std::string> outcomes;
  for (int store = 1; store <= 3; ++store) {
    v1::Hello hello = HelloOf(1);
    hello.set_store_id(IdOf(store));
    hello.set_boot_id(IdOf(store));
    hello.set_empty(false);
    fleet_.Admit(hello, [&](const auto& admission) { outcomes.push_back(ErrorKind(admission.status())); });
  }
  store_.Hold(false);
  first.join();
  EXPECT_THAT(outcomes, testing::ElementsAre("second_new_store", "second_new_store", "second_new_store"));
  EXPECT_TRUE(node_.alarms().IsOpen("second_new_store", "edge-1"));
  EXPECT_TRUE(fleet_.Summary("edge-1")->held());
}

TEST_F(ReconnectStormTest, WhatALinkWaitedForIsDroppedWithIt) {
  auto healthy = Connect(0);
  ASSERT_TRUE(AllHave({healthy}, v1::Frame::kWelcome, 1));
  store_.Hold(true);
  std::vector<std::shared_ptr<PlayedStream>> streams;
  for (int edge = 1; edge <= 50; ++edge) streams.push_back(Connect(edge));
  for (auto& stream : streams) stream->Cancel();
  ExpectServed(*healthy, "while links end that wait to be admitted");
  store_.Hold(false);
  auto again = Connect(1);
  EXPECT_TRUE(AllHave({again}, v1::Frame::kWelcome, 1));
  EXPECT_TRUE(test::Eventually(absl::Seconds(20), [&] { return fleet_.links() == 2; }));
}

}  // namespace
}  // namespace selvage
