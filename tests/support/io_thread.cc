#include "tests/support/io_thread.h"

#include <boost/asio/post.hpp>
#include <semaphore>

namespace selvage::test {

IoThread::IoThread() : guard_(context_.get_executor()), thread_([this] { context_.run(); }) {}

void IoThread::Join() {
  guard_.reset();
  if (thread_.joinable()) thread_.join();
}

void IoThread::Do(absl::FunctionRef<void()> work) {
  // Not absl::Notification: the thread sanitizer sees what is compiled with it, and Abseil comes compiled.
  std::binary_semaphore done(0);
  boost::asio::post(context_, [&] {
    work();
    done.release();
  });
  done.acquire();
}

}  // namespace selvage::test
