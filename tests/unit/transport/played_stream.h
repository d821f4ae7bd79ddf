#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fabric/transport/codec.h"
#include "fabric/transport/link_driver.h"

namespace selvage {

/// The stream of a link whose other end the test plays: every write completes, and what the test sends is
/// read.
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

  void Send(v1::Frame frame, std::string payload = "") {
    absl::MutexLock lock(&mutex_);
    replication::Message message;
    message.frame = std::move(frame);
    message.payload = Bytes(std::move(payload));
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

}  // namespace selvage
