#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "fabric/api/call.h"
#include "fabric/api/message.h"

namespace selvage::api {

/// The events of one watch. Used by one thread at a time.
class EventSource {
 public:
  virtual ~EventSource() = default;
  /// Events since the call before, as text/event-stream has them; empty when there is nothing new. May wait
  /// for the disk. With an error the watch is over.
  virtual absl::StatusOr<std::string> Next() = 0;
  /// Whether Next has more to give now.
  virtual bool more() const = 0;
  /// Tells a client, to whom nothing else is sent for a while, how far it is.
  virtual std::string Progress() const = 0;
  /// How the watch ends after an error of Next.
  virtual std::string Farewell(const absl::Status& error) const = 0;
};

/// What the server serves. Safe to use from several threads.
class Service {
 public:
  virtual ~Service() = default;
  /// Answers any call but a watch. May wait for the disk. `done` is called once, here or later, on any
  /// thread, where it does not block.
  virtual void Answer(const Call& call, std::function<void(Reply)> done) = 0;
  /// Begins a watch. May wait for the disk.
  virtual absl::StatusOr<std::unique_ptr<EventSource>> Watch(const Call& call) = 0;
  /// `wake` is called, on any thread, when a watch may have something new; it does not block. An empty one
  /// ends that, and no call is under way when this returns.
  virtual void OnChange(std::function<void()> wake) = 0;
};

}  // namespace selvage::api
