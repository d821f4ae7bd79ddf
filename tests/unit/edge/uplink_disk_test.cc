#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "edge/uplink.h"
#include "fabric/base/check.h"
#include "fabric/node/node_state.h"
#include "fabric/replication/message.h"
#include "fabric/storage/commit.h"
#include "fabric/storage/committer.h"
#include "fabric/telemetry/log.h"
#include "fabric/transport/link_driver.h"
#include "tests/support/eventually.h"
#include "tests/support/held_store.h"
#include "tests/unit/transport/played_stream.h"

namespace selvage {
namespace {

/// An edge's link, whose other end the test plays, while the edge's disk takes its time.
class UplinkDiskTest : public testing::Test {
 protected:
  UplinkDiskTest() {
    ConfigureLog({.level = LogLevel::kError});
    SELVAGE_CHECK(node_.Open({}).ok());
    SELVAGE_CHECK(edge_.Open({}).ok());
    LinkDriver::Options options;
    options.session.is_edge = true;
    options.session.heartbeat = absl::Milliseconds(100);
    options.session.timeout = absl::Minutes(10);
    driver_ = std::make_shared<LinkDriver>(options, threads_.get_executor(), SystemClock());
    core_ = std::make_shared<PlayedStream>(driver_, threads_.get_executor());
    const auto errands = boost::asio::make_strand(threads_);
    uplink_ = std::make_shared<Uplink>(
        Uplink::PartsOf(node_, edge_), 0, driver_->Waker(),
        [errands](std::function<void()> work) { boost::asio::post(errands, std::move(work)); });
  }
  ~UplinkDiskTest() override {
    store_.Hold(false);
    driver_->Abort();
    driver_.reset();
    uplink_.reset();
    threads_.join();
    committer_thread_.Stop();
  }

  void Start() {
    driver_->Start(core_, uplink_, {.ended = [](const LinkEnd&) {}});
  }
  bool Has(v1::Frame::BodyCase kind, int count) {
    return test::Eventually(absl::Seconds(20), [&] { return core_->Written(kind) >= count; });
  }
  void ExpectServed(const std::string& when) {
    EXPECT_TRUE(Has(v1::Frame::kHeartbeat, core_->Written(v1::Frame::kHeartbeat) + 5)) << when;
  }
  static v1::StreamDefinition Down() {
    v1::StreamDefinition definition;
    definition.set_name("down");
    definition.set_direction(v1::DOWN);
    definition.set_partitions(1);
    definition = *CompleteDefinition(definition);
    definition.set_generation(2);
    definition.set_created(2);
    return definition;
  }
  static v1::Frame Welcome() {
    v1::Frame frame;
    v1::Welcome& welcome = *frame.mutable_welcome();
    welcome.set_protocol(replication::kLinkProtocol);
    welcome.set_cluster_id(std::string(16, 'c'));
    welcome.set_lineage_id(std::string(16, 'l'));
    welcome.set_session_epoch(1);
    welcome.set_receive_window(1 << 20);
    welcome.set_core("core");
    welcome.add_capabilities("document");
    return frame;
  }
  /// The core offers its spec, and later sends it.
  static v1::Frame SpecOffer() {
    v1::Frame frame;
    v1::FlowOpen& open = *frame.mutable_flow_open();
    open.set_flow(1);
    open.set_kind(v1::DOCUMENT);
    open.set_history(std::string(16, 'l'));
    open.set_end(2);
    open.mutable_document()->set_name("spec");
    return frame;
  }
  void SendSpec() {
    v1::EdgeSpec spec;
    spec.set_generation(2);
    *spec.add_streams() = Down();
    const std::string body = spec.SerializeAsString();
    v1::Frame frame;
    v1::Data& data = *frame.mutable_data();
    data.set_flow(1);
    data.set_to(2);
    data.set_kind(static_cast<uint32_t>(EntryKind::kDocument));
    data.set_entry_size(static_cast<uint32_t>(body.size()));
    data.set_wire_size(data.entry_size());
    core_->Send(frame, body);
  }
  static v1::Frame Offer() {
    v1::Frame frame;
    v1::FlowOpen& open = *frame.mutable_flow_open();
    open.set_flow(2);
    open.set_kind(v1::STREAM);
    open.set_history(std::string(16, 'd'));
    open.mutable_stream()->set_name("down");
    *open.mutable_stream()->mutable_definition() = Down();
    return frame;
  }

  static NodeState::Options Options() {
    NodeState::Options options;
    options.node = "rig";
    return options;
  }

  HeldStore store_;
  NodeState node_{Options(), store_, SystemClock(), SystemRandom()};
  CommitterThread committer_thread_{node_.committer()};
  EdgeState edge_{EdgeState::PartsOf(node_), "test"};
  boost::asio::thread_pool threads_{2};  // as the daemon has
  std::shared_ptr<LinkDriver> driver_;
  std::shared_ptr<PlayedStream> core_;
  std::shared_ptr<Uplink> uplink_;
};

TEST_F(UplinkDiskTest, TheLinkIsServedWhileWhatTheCoreWantsWaitsForTheDisk) {
  Start();
  ASSERT_TRUE(Has(v1::Frame::kHello, 1));
  store_.Hold(true);
  core_->Send(Welcome());
  ExpectServed("while the welcome is stored");
  core_->Send(SpecOffer());
  core_->Send(Offer());
  ExpectServed("while a new log waits");
  EXPECT_EQ(core_->Written(v1::Frame::kFlowAccept), 0);
  EXPECT_EQ(core_->Written(v1::Frame::kFlowOpen), 0) << "what is not stored is not spoken of";
  store_.Hold(false);
  EXPECT_TRUE(Has(v1::Frame::kFlowAccept, 2));
  EXPECT_TRUE(Has(v1::Frame::kFlowOpen, 1)) << "the status";
  store_.Hold(true);
  SendSpec();
  ExpectServed("while the spec waits");
  EXPECT_EQ(core_->Written(v1::Frame::kAck), 0);
  store_.Hold(false);
  EXPECT_TRUE(Has(v1::Frame::kAck, 1));
  EXPECT_EQ(edge_.spec().generation(), 2u);
  EXPECT_FALSE(core_->over());
}

TEST_F(UplinkDiskTest, WhatComesBehindARefusedWelcomeIsNotDone) {
  v1::Welcome own = Welcome().welcome();
  own.set_cluster_id(std::string(16, 'x'));
  ASSERT_TRUE(edge_.TakeWelcome(own).ok());
  Start();
  ASSERT_TRUE(Has(v1::Frame::kHello, 1));
  core_->Send(Welcome());  // of a foreign cluster
  core_->Send(SpecOffer());
  core_->Send(Offer());
  EXPECT_TRUE(Has(v1::Frame::kClose, 1));
  EXPECT_EQ(edge_.spec().generation(), 0u);
  EXPECT_TRUE(node_.logs().All().empty());
}

TEST_F(UplinkDiskTest, ALinkThatEndsWhileItWaitsIsForgotten) {
  store_.Hold(true);
  // The hello waits for the committer, which waits for the disk.
  std::thread writer([&] {
    EXPECT_EQ(Commit(node_.committer(),
                     [](WriteBatch& batch) {
                       batch.Put(Family::kMeta, "some/key", {"value"});
                       return absl::OkStatus();
                     }),
              absl::OkStatus());
  });
  ASSERT_TRUE(test::Eventually(absl::Seconds(20), [&] { return store_.waited_for(); }));
  Start();
  core_->Cancel();
  EXPECT_TRUE(test::Eventually(absl::Seconds(20), [&] { return uplink_.use_count() == 1; }));
  uplink_.reset();
  store_.Hold(false);
  writer.join();
  EXPECT_EQ(core_->Written(v1::Frame::kHello), 0);
}

}  // namespace
}  // namespace selvage
