#pragma once

#include <atomic>
#include <cstddef>
#include <functional>

#include "fabric/process/lazy_threads.h"

namespace selvage {

/// A few threads, started with the first call, that do what gRPC's own must not: calls that wait for the
/// disk. What waits for a thread is bounded, by number and by the bytes the calls hold, so that callers who
/// outrun the disk are refused and not buffered. Safe to use from several threads.
class CallPool {
 public:
  struct Options {
    size_t threads = 2;
    size_t calls_max = 256;        ///< that wait or run
    size_t bytes_max = 16u << 20;  ///< of their requests; one larger call fits alone
  };
  explicit CallPool(Options options);
  /// Runs what waits, then joins. Timers on the executor must have been cancelled.
  ~CallPool();
  CallPool(const CallPool&) = delete;
  CallPool& operator=(const CallPool&) = delete;

  /// Runs `call`, whose request holds so many bytes. False, and nothing happens, when too much waits already.
  bool TryRun(size_t bytes, std::function<void()> call);
  /// Runs the rest of a call that was taken before. Never refused and never blocks.
  void Continue(std::function<void()> rest);

  /// For timers and strands of calls that were taken.
  boost::asio::thread_pool::executor_type executor() { return threads_.executor(); }

 private:
  const Options options_;
  std::atomic<size_t> calls_{0};
  std::atomic<size_t> bytes_{0};
  LazyThreads threads_;
};

}  // namespace selvage
