#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace selvage {

/// The room in a bounded queue, in bytes: how much is taken, and who waits in line for some. Made by
/// make_shared: a turn may outlast the queue. Safe to use from several threads.
class QueueRoom : public std::enable_shared_from_this<QueueRoom> {
 public:
  /// A place in line. Whoever gives it up leaves the line; the next get what was kept for it.
  class Turn {
   public:
    Turn(Turn&& other) noexcept = default;
    Turn& operator=(Turn&& other) noexcept;
    ~Turn() { GiveUp(); }
    /// There is room, and it is kept from the others in line while this exists; or the queue was closed.
    bool come() const;

   private:
    friend class QueueRoom;
    Turn(std::shared_ptr<QueueRoom> room, uint64_t number) : room_(std::move(room)), number_(number) {}

    void GiveUp();

    std::shared_ptr<QueueRoom> room_;
    uint64_t number_;
  };

  /// So many may wait in line.
  static constexpr size_t kTurnsMax = 10'000;

  explicit QueueRoom(size_t bytes_max) : bytes_max_(bytes_max) {}

  size_t bytes_max() const { return bytes_max_; }
  size_t taken() const;
  /// Those in line whose turn has not come.
  size_t waiting() const;
  /// Whether somebody is in line: then whoever comes now is to get in line as well.
  bool has_line() const;

  /// Takes so many bytes where they fit, whoever is in line. What is larger than the queue fits alone.
  bool TryTake(size_t bytes);
  void Take(size_t bytes);
  /// Calls those whose turn has come.
  void GiveBack(size_t bytes);

  /// Waits for room for so many bytes: `wake` is called once, on any thread, possibly before this returns,
  /// when the turn has come. It must not block, and may still be called when the turn was given up just
  /// before. Turns come in the order in which they were asked for, no more at a time than there is room for.
  /// Nothing when too many are in line.
  std::optional<Turn> GetInLine(size_t bytes, std::function<void()> wake);
  /// There is nothing to wait for any more: every turn has come, and so has each later one.
  void Close();

 private:
  struct Waiter {
    size_t bytes;
    std::function<void()> wake;
  };
  using Wakes = std::vector<std::function<void()>>;

  void Leave(uint64_t number);
  /// Moves those whose turn has come out of the line; what is to be called, without the lock.
  Wakes Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t bytes_max_;
  mutable absl::Mutex mutex_;
  size_t taken_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t kept_ ABSL_GUARDED_BY(mutex_) = 0;  // for turns that have come
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<uint64_t, Waiter> line_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, size_t> come_ ABSL_GUARDED_BY(mutex_);  // turns that have come, and their bytes
};

}  // namespace selvage
