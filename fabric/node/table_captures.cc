#include "fabric/node/table_captures.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/base/names.h"

namespace selvage {
namespace {

constexpr char kCaptureStopped[] = "capture_stopped";

}  // namespace

absl::StatusOr<std::string> TableCaptures::Start(const std::string& table) {
  absl::MutexLock lock(&mutex_);
  SELVAGE_RETURN_IF_ERROR(tables_.Facts(table).status());
  const std::string stream = CaptureStreamOf(table);
  v1::StreamDefinition definition;
  if (auto known = catalog_.Find(stream)) {
    definition = *std::move(known);
  } else {
    definition.set_name(stream);
    definition.set_direction(v1::LOCAL);
    definition.set_partitions(1);
    definition.set_captures(table);
    *definition.mutable_settings() = DefaultStreamSettings();
    SELVAGE_ASSIGN_OR_RETURN(definition, CompleteDefinition(std::move(definition)));
    SELVAGE_RETURN_IF_ERROR(catalog_.Put(definition));
  }
  // Those that are there already stay: an earlier call may have ended before it had made them.
  SELVAGE_RETURN_IF_ERROR(streams_.CreateLogs(definition));
  SELVAGE_RETURN_IF_ERROR(tables_.SetCapture(table, true));
  return stream;
}

absl::Status TableCaptures::Stop(const std::string& table) {
  absl::MutexLock lock(&mutex_);
  return tables_.SetCapture(table, false);
}

void TableCaptures::RunOnce() {
  std::set<std::string> stopped;
  for (const auto& [table, facts] : tables_.AllFacts()) {
    if (facts.capture.stopped.empty()) continue;
    stopped.insert(table);
    if (alarms_.IsOpen(kCaptureStopped, table)) continue;
    alarms_.Report(
        {kCaptureStopped, table,
         fmt::format("changes of table {} are not captured any more: {}", table, facts.capture.stopped),
         fmt::format("see the alarms of stream {}; then selvagectl table capture {}, which goes on with "
                     "the changes from then on: readers scan the table once",
                     CaptureStreamOf(table), table),
         false});
  }
  alarms_.ClearExcept(kCaptureStopped, [&](const std::string& table) { return stopped.contains(table); });
}

}  // namespace selvage
