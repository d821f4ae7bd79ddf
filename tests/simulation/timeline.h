#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "absl/time/time.h"

namespace selvage::sim {

/// The one time of a simulated world, what is to happen in it, and what did. Everything that happens is an
/// event here, so a run is a function of its seed alone.
class Timeline {
 public:
  /// With `show` every line of the trace is printed as it is written; else only the count of events is kept.
  explicit Timeline(bool show) : show_(show) {}

  absl::Duration now() const { return now_; }
  uint64_t events() const { return events_; }
  /// A digest of what happened when: equal for two runs of one seed.
  uint64_t digest() const { return digest_; }

  /// Events of one time happen in the order in which they were asked for.
  void At(absl::Duration time, std::function<void()> what) {
    queue_.emplace(std::max(time, now_), std::move(what));
  }
  void After(absl::Duration delay, std::function<void()> what) { At(now_ + delay, std::move(what)); }

  /// The next event, if it is due by `until`; else time moves on to `until` and this is false.
  bool RunNext(absl::Duration until);

  template <class... Args>
  void Trace(fmt::format_string<Args...> format, Args&&... args) {
    if (show_) Print(fmt::format(format, std::forward<Args>(args)...));
  }

  /// A rule was broken: the run ends. Only the first one counts.
  void Violate(std::string what);
  bool violated() const { return !violation_.empty(); }
  const std::string& violation() const { return violation_; }

 private:
  void Print(const std::string& line) const;

  const bool show_;
  absl::Duration now_ = absl::Seconds(1000);
  std::multimap<absl::Duration, std::function<void()>> queue_;
  uint64_t events_ = 0;
  uint64_t digest_ = 0;
  std::string violation_;
};

}  // namespace selvage::sim
