#include "fabric/node/view_alarms.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "fabric/base/error.h"

namespace selvage {
namespace {

/// Of the logs that an alarm names; `view describe` names all.
constexpr std::ptrdiff_t kDivergedNamed = 5;

bool Stays(const view::BuildFacts& build) {
  if (!build.fed || build.fed->ok()) return false;
  return !IsRetryable(*build.fed) || build.failing >= ViewAlarms::kPassesWithin;
}

/// Why the view is not fed; OK when it is, or may be soon.
absl::Status WhyStopped(const view::ViewFacts& view) {
  if (view.rebuilt && Stays(*view.rebuilt)) return Annotate(*view.rebuilt->fed, "building it anew");
  return Stays(view.serving) ? *view.serving.fed : absl::OkStatus();
}

/// Whether an alarm that is open, perhaps from before the start, has lost its cause.
bool IsFed(const view::ViewFacts& view) {
  const auto fed = [](const view::BuildFacts& build) { return build.fed && build.fed->ok(); };
  return fed(view.serving) && (!view.rebuilt || fed(*view.rebuilt));
}

}  // namespace

void ViewAlarms::ReportStopped(const std::string& view, const absl::Status& why) {
  std::string message = fmt::format("view {} is not fed: {}", view, std::string(why.message()));
  const bool renewed = std::exchange(stopped_[view], message) == message && alarms_.IsOpen(kStopped, view);
  if (renewed) return;
  const std::string hint = ErrorHint(why);
  alarms_.Report(
      {.kind = kStopped,
       .subject = view,
       .message = std::move(message),
       .hint = fmt::format("{}{}it is tried again each second; its rows stay as they are meanwhile", hint,
                           hint.empty() ? "" : "; ")});
}

void ViewAlarms::ReportDiverged(const std::string& view, const view::BuildFacts& facts) {
  if (alarms_.IsOpen(kDiverged, view)) return;
  const auto& logs = facts.diverged;
  const auto named_end = logs.begin() + std::min(kDivergedNamed, std::ssize(logs));
  alarms_.Report(
      {.kind = kDiverged,
       .subject = view,
       .message =
           fmt::format("view {} has still what it read of an end that was lost since, of {}{}", view,
                       fmt::join(logs.begin(), named_end, ", "), named_end == logs.end() ? "" : " and more"),
       .hint = fmt::format("selvagectl view rebuild {} makes it anew from what the logs hold", view)});
}

void ViewAlarms::Report() {
  const std::map<std::string, view::ViewFacts> all = views_.AllFacts();
  for (const auto& [name, view] : all) {
    if (const absl::Status why = WhyStopped(view); !why.ok()) ReportStopped(name, why);
    if (!view.serving.diverged.empty()) ReportDiverged(name, view.serving);
  }
  std::erase_if(stopped_, [&](const auto& reported) { return !all.contains(reported.first); });
  alarms_.ClearExcept(kStopped, [&](const std::string& name) {
    const auto view = all.find(name);
    return view != all.end() && !IsFed(view->second);
  });
  alarms_.ClearExcept(kDiverged, [&](const std::string& name) {
    const auto view = all.find(name);
    return view != all.end() && !view->second.serving.diverged.empty();
  });
}

}  // namespace selvage
