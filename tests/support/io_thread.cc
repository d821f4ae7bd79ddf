#include "tests/support/io_thread.h"

#include <boost/asio/post.hpp>

#include "absl/synchronization/notification.h"

namespace selvage::test {

IoThread::IoThread() : guard_(context_.get_executor()), thread_([this] { context_.run(); }) {}

void IoThread::Join() {
  guard_.reset();
  if (thread_.joinable()) thread_.join();
}

void IoThread::Do(absl::FunctionRef<void()> work) {
  absl::Notification done;
  boost::asio::post(context_, [&] {
    work();
    done.Notify();
  });
  done.WaitForNotification();
}

}  // namespace selvage::test
