#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/peer_link.h"
#include "fabric/base/check.h"
#include "fabric/replication/message.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/memory_store.h"
#include "fabric/telemetry/log.h"
#include "fabric/transport/codec.h"
#include "fabric/transport/link_driver.h"
#include "tests/support/eventually.h"

/// A thousand edges come back at once while the disk takes its time: the links that stand go on.
namespace selvage {
namespace {

constexpr int kEdges = 1000;
constexpr int kFlows = 2;  // that each of them offers

/// A disk that writes nothing while it is held.
class HeldStore : public MemoryStore {
 public:
  void Hold(bool held) {
    absl::MutexLock lock(&mutex_);
    held_ = held;
  }
  absl::Status Write(WriteBatch& batch, bool sync) override {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(
          +[](bool* held) { return !*held; }, &held_));
    }
    return MemoryStore::Write(batch, sync);
  }

 private:
  absl::Mutex mutex_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
};

/// The stream of an edge that the test plays: every write completes, and what it wants is read.
class PlayedStream final : public FrameStream {
 public:
  PlayedStream(std::shared_ptr<LinkDriver> driver, boost::asio::any_io_executor executor)
      : driver_(std::move(driver)), strand_(std::move(executor)) {}

  void StartRead(grpc::ByteBuffer* into) override {
    absl::MutexLock lock(&mutex_);
    read_into_ = into;
    Deliver();
  }
  void StartWrite(const grpc::ByteBuffer* frame, bool) override {
    absl::MutexLock lock(&mutex_);
    ++written_[DecodeFrame(*frame).value().frame.body_case()];
    Post([](LinkDriver& driver) { driver.WriteDone(true); });
  }
  void Finish(const absl::Status&) override { End(); }
  void Cancel() override { End(); }

  void Send(v1::Frame frame) {
    absl::MutexLock lock(&mutex_);
    replication::Message message;
    message.frame = std::move(frame);
    incoming_.push_back(EncodeFrame(message));
    Deliver();
  }
  int Written(v1::Frame::BodyCase kind) {
    absl::MutexLock lock(&mutex_);
    return written_[kind];
  }
  bool over() {
    absl::MutexLock lock(&mutex_);
    return over_;
  }

 private:
  void Deliver() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (read_into_ == nullptr || incoming_.empty()) return;
    *std::exchange(read_into_, nullptr) = incoming_.front();
    incoming_.pop_front();
    Post([](LinkDriver& driver) { driver.ReadDone(true); });
  }
  template <class F>
  void Post(F report) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (driver_ != nullptr) boost::asio::post(strand_, [driver = driver_, report] { report(*driver); });
  }
  void End() {
    absl::MutexLock lock(&mutex_);
    over_ = true;
    if (driver_ == nullptr) return;
    boost::asio::post(strand_, [driver = std::exchange(driver_, nullptr)] {
      LinkDriver::Ended(driver, absl::CancelledError("over"));
    });
  }

  absl::Mutex mutex_;
  std::shared_ptr<LinkDriver> driver_ ABSL_GUARDED_BY(mutex_);
  boost::asio::strand<boost::asio::any_io_executor> strand_;
  grpc::ByteBuffer* read_into_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::deque<grpc::ByteBuffer> incoming_ ABSL_GUARDED_BY(mutex_);
  std::map<v1::Frame::BodyCase, int> written_ ABSL_GUARDED_BY(mutex_);
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
};

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
  std::shared_ptr<PlayedStream> Connect(int edge) {
    LinkDriver::Options options;
    options.session.is_edge = false;
    options.session.heartbeat = absl::Milliseconds(100);
    options.session.timeout = absl::Minutes(10);
    auto driver = std::make_shared<LinkDriver>(options, link_threads_.get_executor(), SystemClock());
    auto stream = std::make_shared<PlayedStream>(driver, link_threads_.get_executor());
    auto link = std::make_shared<PeerLink>(
        fleet_, metrics_, "edge-" + std::to_string(edge), driver->Waker(),
        [this](std::function<void()> work) { boost::asio::post(errand_threads_, std::move(work)); });
    driver->Start(stream, link, {.ended = [](const LinkEnd&) {}});
    drivers_.push_back(driver);

    v1::Frame frame;
    v1::Hello& hello = *frame.mutable_hello();
    hello.set_protocol(replication::kLinkProtocol);
    hello.set_edge("edge-" + std::to_string(edge));
    hello.set_store_id(IdOf(edge));
    hello.set_boot_id(IdOf(edge));
    hello.set_empty(true);
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
  /// Serves the healthy link for as long as the disk is held.
  void ExpectServed(PlayedStream& healthy, const std::string& when) {
    const int before = healthy.Written(v1::Frame::kHeartbeat);
    EXPECT_TRUE(test::Eventually(absl::Seconds(20), [&] {
      return healthy.Written(v1::Frame::kHeartbeat) >= before + 5;
    })) << when;
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
    return options;
  }

  HeldStore store_;
  NodeState node_{CoreOptions(), store_, SystemClock(), SystemRandom()};
  CommitterThread committer_thread_{node_.committer()};
  Fleet fleet_{node_, "test"};
  Metrics metrics_{"test"};
  boost::asio::thread_pool link_threads_{2};
  boost::asio::thread_pool errand_threads_{4};
  std::vector<std::shared_ptr<LinkDriver>> drivers_;
  v1::StreamDefinition definition_;
};

TEST_F(ReconnectStormTest, LinksThatStandAreServedWhileAdmissionsAndNewLogsWaitForTheDisk) {
  auto healthy = Connect(0);
  ASSERT_TRUE(AllHave({healthy}, v1::Frame::kWelcome, 1));

  store_.Hold(true);
  std::vector<std::shared_ptr<PlayedStream>> streams;
  for (int edge = 1; edge <= kEdges; ++edge) streams.push_back(Connect(edge));
  ExpectServed(*healthy, "while a thousand edges wait to be admitted");
  store_.Hold(false);
  ASSERT_TRUE(AllHave(streams, v1::Frame::kWelcome, 1));

  store_.Hold(true);
  for (int edge = 1; edge <= kEdges; ++edge) Offer(*streams[static_cast<size_t>(edge) - 1], edge);
  ExpectServed(*healthy, "while their logs are made");
  store_.Hold(false);
  EXPECT_TRUE(AllHave(streams, v1::Frame::kFlowAccept, kFlows));
  EXPECT_FALSE(healthy->over());
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
