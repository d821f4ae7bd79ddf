#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <thread>

#include "absl/functional/function_ref.h"

namespace selvage::test {

/// One thread that runs an io_context. Everything that lives on it needs no locks.
class IoThread {
 public:
  IoThread();
  ~IoThread() { Join(); }
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  boost::asio::io_context& context() { return context_; }

  /// Runs `work` on the thread and returns when it is done. From any thread but this one.
  void Do(absl::FunctionRef<void()> work);

  /// Waits until all that was started has ended and stops the thread: close what is open first. Owners call
  /// it before they destroy what their handlers use.
  void Join();

 private:
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  std::thread thread_;
};

}  // namespace selvage::test
