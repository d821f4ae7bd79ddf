#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "fabric/node/alarm_book.h"
#include "fabric/view/view_store.h"

namespace selvage {

/// The alarms of a node's views, of each view one of a kind. What happened to a log that a view goes on over,
/// such as a gap, is no alarm of the view: its description says it.
class ViewAlarms {
 public:
  /// The view, or the table in which it is built anew, is not fed: an error stays. It ends when the view is
  /// fed again, built anew or dropped.
  static constexpr std::string_view kStopped = "view_stopped";
  /// What the view read of a log's end that was lost is still in it. It ends when the view is built anew or
  /// dropped.
  static constexpr std::string_view kDiverged = "view_diverged";
  /// An error that a retry helps passes by itself, mostly; one that stays so long is told.
  static constexpr absl::Duration kPassesWithin = absl::Minutes(1);

  /// Both must outlive it.
  ViewAlarms(const view::ViewStore& views, AlarmBook& alarms) : views_(views), alarms_(alarms) {}

  /// Raises, renews and ends alarms; about once a second, from one thread.
  void Report();

 private:
  void ReportStopped(const std::string& view, const absl::Status& why);
  void ReportDiverged(const std::string& view, const view::BuildFacts& facts);

  const view::ViewStore& views_;
  AlarmBook& alarms_;
  std::map<std::string, std::string> stopped_;  // what was reported, by view
};

}  // namespace selvage
