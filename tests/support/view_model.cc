#include "tests/support/view_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/time/time.h"

namespace selvage::test {
namespace {

std::string WhenWindowBegins(int64_t start_ms) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMillis(start_ms), absl::UTCTimeZone());
}

}  // namespace

void ViewBuildModel::Read(const v1::ViewDefinition& definition, Place& place, const At& at,
                          const ViewRecord& record) {
  if (definition.has_newest()) {
    ReadNewest(at, record);
  } else {
    ReadIntoGroup(definition.aggregate(), place, record);
  }
}

void ViewBuildModel::ReadNewest(const At& at, const ViewRecord& record) {
  if (!record.key || (record.value && !record.is_object)) return;
  touched_.insert(*record.key);
  Newest& newest = newest_[*record.key];
  if (newest.record == nullptr || at >= newest.at) {
    newest = {at, &record, {}};
  } else if (!newest.record->value) {
    newest.older.emplace_back(at, &record);
  }
}

void ViewBuildModel::ReadIntoGroup(const v1::ViewAggregate& aggregate, Place& place,
                                   const ViewRecord& record) {
  std::string window;
  if (aggregate.window_ms() > 0) {
    const int64_t start_ms = record.timestamp_ms - record.timestamp_ms % aggregate.window_ms();
    const int64_t closes_ms = start_ms + aggregate.window_ms() + aggregate.lateness_ms();
    const bool late = place.watermark_ms && *place.watermark_ms >= closes_ms;
    place.watermark_ms = std::max(place.watermark_ms.value_or(0), record.timestamp_ms);
    if (late) return;
    window = WhenWindowBegins(start_ms);
  }
  if (!record.key || !record.is_object) return;
  std::string key = '"' + *record.key + '"';
  if (!window.empty()) key += ",\"" + window + '"';
  touched_.insert(key);
  Group& group = groups_[key];
  group.key = *record.key;
  group.window = window;
  ++group.count;
  if (record.text) group.distinct.insert('"' + *record.text + '"');
  if (!record.number) return;
  const int64_t number = *record.number;
  group.distinct.insert(std::to_string(number));
  group.sum = group.sum.value_or(0) + number;
  group.min = std::min(group.min.value_or(number), number);
  group.max = std::max(group.max.value_or(number), number);
}

std::optional<std::string> ViewBuildModel::Row(const std::string& key) const {
  if (const auto newest = newest_.find(key); newest != newest_.end()) return newest->second.record->value;
  const auto found = groups_.find(key);
  if (found == groups_.end()) return std::nullopt;
  const Group& group = found->second;
  std::string row = fmt::format("{{\"count\":{},\"distinct_v\":{},\"key\":\"{}\"", group.count,
                                group.distinct.size(), group.key);
  if (group.max) row += fmt::format(",\"max_v\":{}", *group.max);
  if (group.min) row += fmt::format(",\"min_v\":{}", *group.min);
  if (group.sum) row += fmt::format(",\"sum_v\":{}", *group.sum);
  if (!group.window.empty()) row += fmt::format(",\"window\":\"{}\"", group.window);
  return row + '}';
}

std::set<std::string> ViewBuildModel::Keys() const {
  std::set<std::string> keys;
  for (const auto& [key, group] : groups_) keys.insert(key);
  for (const auto& [key, newest] : newest_) keys.insert(key);
  return keys;
}

bool ViewBuildModel::TakeInstead(const std::string& key, const std::optional<std::string>& row) {
  const auto found = newest_.find(key);
  if (found == newest_.end()) return false;
  const auto older = found->second.older;
  for (const auto& [at, record] : older) {
    if (record->value != row) continue;
    found->second = {at, record, {}};
    return true;
  }
  return false;
}

}  // namespace selvage::test
