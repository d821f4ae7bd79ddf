#include "fabric/transport/link_driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "fabric/base/error.h"
#include "fabric/transport/codec.h"
#include "tests/unit/transport/memory_log.h"
#include "tests/unit/transport/raw_peer.h"

namespace selvage {
namespace {

using replication::LinkHandler;
using replication::Message;
using replication::Session;
using test::MemoryLog;

/// The peer is the test: it decides when a write completes and what is read.
class FakeStream final : public FrameStream {
 public:
  FakeStream(std::shared_ptr<LinkDriver> driver, boost::asio::any_io_executor executor)
      : driver_(std::move(driver)), strand_(std::move(executor)) {}

  void StartRead(grpc::ByteBuffer* into) override {
    absl::MutexLock lock(&mutex_);
    read_into_ = into;
    if (cancelled_) return FailRead();
    DeliverNext();
  }
  void StartWrite(const grpc::ByteBuffer* frame, bool) override {
    absl::MutexLock lock(&mutex_);
    EXPECT_FALSE(writing_);
    EXPECT_FALSE(finished_);
    written_.push_back(DecodeFrame(*frame).value());
    writing_ = true;
    if (cancelled_) return CompleteWrite(false);
    if (writes_flow_) CompleteWrite(true);
  }
  void Finish(const absl::Status&) override {
    absl::MutexLock lock(&mutex_);
    EXPECT_FALSE(writing_);
    EXPECT_FALSE(finished_);
    finished_ = true;
    if (peer_agrees_ || cancelled_) End();
  }
  void Cancel() override {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    if (writing_) CompleteWrite(false);
    if (read_into_ != nullptr) FailRead();
    if (finished_) End();
  }

  void Send(Message message) { SendRaw(EncodeFrame(message)); }
  void SendRaw(grpc::ByteBuffer bytes) {
    absl::MutexLock lock(&mutex_);
    incoming_.push_back(std::move(bytes));
    DeliverNext();
  }
  void HangUp() {
    absl::MutexLock lock(&mutex_);
    hung_up_ = true;
    DeliverNext();
  }
  /// Writes from here on, and one under way, complete at once, or do not.
  void LetWritesFlow(bool flow) {
    absl::MutexLock lock(&mutex_);
    writes_flow_ = flow;
    if (flow && writing_) CompleteWrite(true);
  }
  void CompleteOneWrite() {
    absl::MutexLock lock(&mutex_);
    CompleteWrite(true);
  }
  void Agree(bool agrees) {
    absl::MutexLock lock(&mutex_);
    peer_agrees_ = agrees;
  }

  /// Waits until a written frame is as wanted; nothing when none comes in time.
  std::optional<Message> WaitFor(const std::function<bool(const Message&)>& wanted) {
    std::optional<Message> found;
    auto look = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      for (const Message& message : written_) {
        if (wanted(message)) found = message;
      }
      return found.has_value();
    };
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&look), absl::Seconds(10));
    return found;
  }
  std::vector<Message> written() {
    absl::MutexLock lock(&mutex_);
    return written_;
  }
  size_t payload_written() {
    absl::MutexLock lock(&mutex_);
    return PayloadWritten();
  }
  bool WaitForPayload(size_t bytes) {
    auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return PayloadWritten() >= bytes; };
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(10));
  }
  /// Returns when the driver has taken all that was sent to it, and asks for more.
  void WaitUntilAllIsRead() {
    auto idle = [&]()
                    ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return read_into_ != nullptr && incoming_.empty(); };
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&idle));
  }
  bool cancelled() {
    absl::MutexLock lock(&mutex_);
    return cancelled_;
  }

 private:
  size_t PayloadWritten() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    size_t bytes = 0;
    for (const Message& message : written_) bytes += message.payload.size();
    return bytes;
  }
  void DeliverNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (read_into_ == nullptr) return;
    if (!incoming_.empty()) {
      *std::exchange(read_into_, nullptr) = incoming_.front();
      incoming_.pop_front();
      boost::asio::post(strand_, [driver = driver_] { driver->ReadDone(true); });
    } else if (hung_up_) {
      FailRead();
    }
  }
  void FailRead() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    read_into_ = nullptr;
    boost::asio::post(strand_, [driver = driver_] { driver->ReadDone(false); });
  }
  void CompleteWrite(bool ok) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    writing_ = false;
    boost::asio::post(strand_, [driver = driver_, ok] { driver->WriteDone(ok); });
  }
  void End() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (std::exchange(ended_, true)) return;
    absl::Status status = cancelled_ ? absl::CancelledError("cancelled") : absl::OkStatus();
    boost::asio::post(strand_, [driver = std::move(driver_), status] { LinkDriver::Ended(driver, status); });
  }

  std::shared_ptr<LinkDriver> driver_;
  boost::asio::strand<boost::asio::any_io_executor> strand_;
  absl::Mutex mutex_;
  grpc::ByteBuffer* read_into_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::deque<grpc::ByteBuffer> incoming_ ABSL_GUARDED_BY(mutex_);
  std::vector<Message> written_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool writes_flow_ ABSL_GUARDED_BY(mutex_) = true;
  bool peer_agrees_ ABSL_GUARDED_BY(mutex_) = true;
  bool hung_up_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

/// A core's handler with one flow each way; holds back what it is to persist.
class Handler final : public LinkHandler {
 public:
  void Opened(Session&) override { ++opened; }
  void Handle(Session& session, const Session::Event& event) override {
    if (std::holds_alternative<Session::PeerHello>(event)) {
      session.SendWelcome(v1::Welcome());
      session.Offer(bulk);
    } else if (const auto* offered = std::get_if<Session::FlowOffered>(&event)) {
      session.Accept(offered->flow, sink);
    }
  }
  void Tick(Session&) override { ++ticks; }
  void Closed(const absl::Status&, absl::Duration) override { ++closed; }

  bool WaitForHeld(size_t count) {
    auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex) { return held.size() >= count; };
    absl::MutexLock lock(&mutex);
    return mutex.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(10));
  }
  std::vector<std::function<void()>> TakeHeld() {
    absl::MutexLock lock(&mutex);
    return std::move(held);
  }

  MemoryLog bulk{"bulk"};
  MemoryLog replica{"replica"};
  test::ElsewhereSink sink{replica, [this](std::function<void()> work) {
                             absl::MutexLock lock(&mutex);
                             held.push_back(std::move(work));
                           }};
  std::atomic<int> opened = 0, ticks = 0, closed = 0;
  absl::Mutex mutex;
  std::vector<std::function<void()>> held ABSL_GUARDED_BY(mutex);
};

class LinkDriverTest : public testing::Test {
 protected:
  LinkDriverTest() {
    LinkDriver::Options options;
    options.session.is_edge = false;
    options.close_timeout = absl::Milliseconds(300);
    driver_ = std::make_shared<LinkDriver>(options, pool_.get_executor(), SystemClock());
    stream_ = std::make_shared<FakeStream>(driver_, pool_.get_executor());
  }
  ~LinkDriverTest() override {
    if (started_) {
      driver_->Abort();
      EXPECT_TRUE(ended_.WaitForNotificationWithTimeout(absl::Seconds(10)));
      EXPECT_EQ(handler_->closed, 1);
    }
    pool_.join();
  }

  void Start() {
    LinkDriver::Callbacks callbacks;
    callbacks.ended = [this](const LinkEnd& end) {
      end_ = end;
      ended_.Notify();
    };
    driver_->Start(stream_, handler_, std::move(callbacks));
    started_ = true;
  }
  void Establish(uint64_t window = 64 << 20) {
    Message hello;
    hello.frame.mutable_hello()->set_receive_window(window);
    stream_->Send(hello);
    ASSERT_TRUE(stream_->WaitFor([](const Message& m) { return m.frame.has_welcome(); }));
  }
  void OfferToDriver() {
    Message open;
    *open.frame.mutable_flow_open() = handler_->replica.Describe();
    open.frame.mutable_flow_open()->set_flow(1);
    stream_->Send(open);
    ASSERT_TRUE(stream_->WaitFor([](const Message& m) { return m.frame.has_flow_accept(); }));
  }
  void SendEntry(int64_t offset, size_t bytes = 100) {
    Message message;
    v1::Data& data = *message.frame.mutable_data();
    data.set_flow(1);
    data.set_from(offset);
    data.set_to(offset + 1);
    data.set_kind(static_cast<uint32_t>(EntryKind::kBatch));
    data.set_entry_size(static_cast<uint32_t>(bytes));
    data.set_wire_size(static_cast<uint32_t>(bytes));
    message.payload = Bytes(std::string(bytes, 'x'));
    stream_->Send(message);
  }
  void AcceptBulk() {
    auto open = stream_->WaitFor([](const Message& m) { return m.frame.has_flow_open(); });
    ASSERT_TRUE(open);
    Message accept;
    accept.frame.mutable_flow_accept()->set_flow(open->frame.flow_open().flow());
    *accept.frame.mutable_flow_accept()->mutable_position() =
        replication::ToProto({std::string(16, 'L'), Offset(0), ChainHash(0), {}});
    stream_->Send(accept);
  }
  LinkEnd WaitForEnd(absl::Duration deadline = absl::Seconds(10)) {
    EXPECT_TRUE(ended_.WaitForNotificationWithTimeout(deadline));
    return ended_.HasBeenNotified() ? end_ : LinkEnd();
  }

  boost::asio::thread_pool pool_{2};
  std::shared_ptr<LinkDriver> driver_;
  std::shared_ptr<FakeStream> stream_;
  std::shared_ptr<Handler> handler_ = std::make_shared<Handler>();
  bool started_ = false;
  LinkEnd end_;
  absl::Notification ended_;
};

TEST_F(LinkDriverTest, AcknowledgesOnlyWhatIsPersisted) {
  Start();
  Establish();
  OfferToDriver();
  SendEntry(0);
  SendEntry(1);
  ASSERT_TRUE(handler_->WaitForHeld(2));
  for (const Message& message : stream_->written()) EXPECT_FALSE(message.frame.has_ack());
  for (auto& persist : handler_->TakeHeld()) persist();
  EXPECT_TRUE(stream_->WaitFor(
      [](const Message& m) { return m.frame.has_ack() && m.frame.ack().durable().offset() == 2; }));
}

TEST_F(LinkDriverTest, ReadsAndPersistsWhileAWriteIsStuck) {
  Start();
  Establish();
  OfferToDriver();
  stream_->LetWritesFlow(false);
  for (int i = 0; i < 50; ++i) SendEntry(i);
  ASSERT_TRUE(handler_->WaitForHeld(50));
  for (auto& persist : handler_->TakeHeld()) persist();
  ASSERT_TRUE(handler_->replica.WaitForEntries(50, absl::Seconds(10)));
  const size_t stuck = stream_->written().size();
  stream_->LetWritesFlow(true);
  ASSERT_TRUE(stream_->WaitFor(
      [](const Message& m) { return m.frame.has_ack() && m.frame.ack().durable().offset() == 50; }));
  // Fifty credits and acknowledgements became a few.
  EXPECT_LE(stream_->written().size(), stuck + 20);
}

TEST_F(LinkDriverTest, KeepsLittleBeforeAnUrgentFrame) {
  for (int i = 0; i < 1000; ++i) handler_->bulk.Append(std::string(32 << 10, 'b'));
  Start();
  Establish();
  OfferToDriver();
  AcceptBulk();
  // The session's window opens as the peer receives, until much more may be under way than should wait here.
  Message credit;
  credit.frame.mutable_credit()->set_limit(64 << 20);
  for (uint64_t received = 0; received < (8 << 20);) {
    ASSERT_TRUE(stream_->WaitForPayload(received + 1));
    received = stream_->payload_written();
    credit.frame.mutable_credit()->set_received(received);
    stream_->Send(credit);
  }
  stream_->LetWritesFlow(false);
  credit.frame.mutable_credit()->set_received(stream_->payload_written());
  stream_->Send(credit);
  Message probe;
  probe.frame.mutable_probe()->set_flow(1);
  stream_->Send(probe);
  stream_->WaitUntilAllIsRead();
  const size_t before = stream_->payload_written();
  stream_->LetWritesFlow(true);
  ASSERT_TRUE(stream_->WaitFor([](const Message& m) { return m.frame.has_probe_reply(); }));
  size_t until_reply = 0;
  for (const Message& m : stream_->written()) {
    if (m.frame.has_probe_reply()) break;
    until_reply += m.payload.size();
  }
  EXPECT_LE(until_reply - before, 768u << 10);
}

TEST_F(LinkDriverTest, ClosesInOrder) {
  Start();
  Establish();
  driver_->Close(MakeError(absl::StatusCode::kUnavailable, "core_stopping", "the core stops"),
                 absl::Seconds(7));
  LinkEnd end = WaitForEnd();
  EXPECT_EQ(ErrorKind(end.reason), "core_stopping");
  EXPECT_TRUE(end.established);
  EXPECT_FALSE(end.closed_by_peer);
  const Message last = stream_->written().back();
  ASSERT_TRUE(last.frame.has_close());
  EXPECT_EQ(last.frame.close().retry_after_ms(), 7000);
  EXPECT_FALSE(stream_->cancelled());
}

TEST_F(LinkDriverTest, APeerThatDoesNotReadIsCutInTime) {
  Start();
  Establish();
  stream_->LetWritesFlow(false);
  driver_->Close(MakeError(absl::StatusCode::kUnavailable, "core_stopping", "the core stops"),
                 absl::ZeroDuration());
  LinkEnd end = WaitForEnd(absl::Seconds(5));
  EXPECT_EQ(ErrorKind(end.reason), "core_stopping");
}

TEST_F(LinkDriverTest, APeerThatDoesNotAgreeToTheEndIsCutInTime) {
  Start();
  Establish();
  stream_->Agree(false);
  driver_->Close(MakeError(absl::StatusCode::kUnavailable, "core_stopping", "the core stops"),
                 absl::ZeroDuration());
  WaitForEnd(absl::Seconds(5));
  EXPECT_TRUE(stream_->cancelled());
}

TEST_F(LinkDriverTest, APeerThatAsksWithoutReadingIsCutOff) {
  Start();
  Establish();
  OfferToDriver();
  stream_->LetWritesFlow(false);
  Message probe;
  probe.frame.mutable_probe()->set_flow(1);
  for (int i = 0; i < 80'000 && !ended_.HasBeenNotified(); ++i) stream_->Send(probe);
  EXPECT_EQ(ErrorKind(WaitForEnd().reason), "peer_not_reading");
}

TEST_F(LinkDriverTest, WhatThePeerSaysOnClosingIsPassedOn) {
  Start();
  Establish();
  Message close;
  *close.frame.mutable_close()->mutable_problem() =
      replication::ToProblem(MakeError(absl::StatusCode::kUnavailable, "moved", "go elsewhere"));
  close.frame.mutable_close()->set_retry_after_ms(1500);
  close.frame.mutable_close()->set_redirect("other:7443");
  stream_->Send(close);
  LinkEnd end = WaitForEnd();
  EXPECT_EQ(ErrorKind(end.reason), "moved");
  EXPECT_EQ(end.retry_after, absl::Milliseconds(1500));
  EXPECT_EQ(end.redirect, "other:7443");
  EXPECT_TRUE(end.closed_by_peer);
}

TEST_F(LinkDriverTest, AStreamThatBreaksIsALostLink) {
  Start();
  Establish();
  stream_->HangUp();
  LinkEnd end = WaitForEnd();
  EXPECT_EQ(ErrorKind(end.reason), "link_lost");
  EXPECT_TRUE(IsRetryable(end.reason));
}

TEST_F(LinkDriverTest, BytesThatAreNoFrameCloseTheLink) {
  Start();
  Establish();
  stream_->SendRaw(test::ToBuffer("\xff\xff\xff"));
  EXPECT_EQ(ErrorKind(WaitForEnd().reason), "malformed_frame");
  EXPECT_TRUE(stream_->written().back().frame.has_close());
}

TEST_F(LinkDriverTest, ResultsOfPersistMayComeAfterTheEnd) {
  Start();
  Establish();
  OfferToDriver();
  SendEntry(0);
  ASSERT_TRUE(handler_->WaitForHeld(1));
  stream_->HangUp();
  WaitForEnd();
  for (auto& persist : handler_->TakeHeld()) persist();
  EXPECT_EQ(handler_->replica.entries(), 1u);
}

TEST_F(LinkDriverTest, WakesFromManyThreadsSendWhatIsNew) {
  Start();
  Establish();
  AcceptBulk();
  handler_->bulk.Watch(driver_->Waker());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 250; ++i) handler_->bulk.Append("x");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(stream_->WaitFor([](const Message& m) { return m.frame.data().to() == 1000; }));
}

TEST_F(LinkDriverTest, WakingAfterTheEndDoesNothing) {
  Start();
  std::function<void()> wake = driver_->Waker();
  driver_->Abort();
  WaitForEnd();
  wake();
}

TEST_F(LinkDriverTest, Ticks) {
  Start();
  for (int i = 0; i < 100 && handler_->ticks == 0; ++i) absl::SleepFor(absl::Milliseconds(50));
  EXPECT_GE(handler_->ticks, 1);
}

}  // namespace
}  // namespace selvage
