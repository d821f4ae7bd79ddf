#include "fabric/admin/call_pool.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace selvage {

CallPool::CallPool(Options options) : options_(options), threads_(options.threads) {}

CallPool::~CallPool() {
  threads_.Join();
}

bool CallPool::TryRun(size_t bytes, std::function<void()> call) {
  const size_t calls = calls_.fetch_add(1);
  const size_t before = bytes_.fetch_add(bytes);
  const bool fits = calls < options_.calls_max && (before == 0 || before + bytes <= options_.bytes_max);
  if (!fits) {
    calls_.fetch_sub(1);
    bytes_.fetch_sub(bytes);
    return false;
  }
  boost::asio::post(threads_.executor(), [this, bytes, call = std::move(call)] {
    call();
    bytes_.fetch_sub(bytes);
    calls_.fetch_sub(1);
  });
  return true;
}

void CallPool::Continue(std::function<void()> rest) {
  boost::asio::post(threads_.executor(), std::move(rest));
}

}  // namespace selvage
