#pragma once

#include <string>
#include <utility>
#include <vector>

#include "fabric/table/canonical_json.h"
#include "fabric/view/view_definition.h"

/// Short names for what tests of views are made of.
namespace selvage::view::samples {

inline constexpr int64_t kMinuteMs = 60'000;
inline constexpr int64_t kHourMs = 60 * kMinuteMs;

inline v1::ViewDefinition NewestPerKey() {
  v1::ViewDefinition definition;
  definition.set_name("pumps");
  definition.set_stream("readings");
  definition.mutable_newest();
  return definition;
}

/// Without a window; names are left open.
inline v1::ViewDefinition Aggregate(const std::vector<std::string>& group_by,
                                    const std::vector<std::pair<v1::ViewFunction, std::string>>& columns) {
  v1::ViewDefinition definition;
  definition.set_name("totals");
  definition.set_stream("readings");
  for (const std::string& path : group_by) definition.mutable_aggregate()->add_group_by()->set_path(path);
  for (const auto& [function, path] : columns) {
    v1::ViewColumn& column = *definition.mutable_aggregate()->add_columns();
    column.set_function(function);
    column.set_path(path);
  }
  return definition;
}

/// Count and mean of bar, by record key and hour, with ten minutes of lateness.
inline v1::ViewDefinition Hourly() {
  v1::ViewDefinition definition = Aggregate({"$key"}, {{v1::VIEW_COUNT, ""}, {v1::VIEW_MEAN, "bar"}});
  definition.set_name("hourly");
  definition.mutable_aggregate()->set_window_ms(kHourMs);
  definition.mutable_aggregate()->set_lateness_ms(600'000);
  return definition;
}

/// The row as JSON.
inline std::string Json(const table::Fields& fields) {
  std::string json = "{";
  for (const auto& [name, value] : fields) {
    if (json.size() > 1) json.push_back(',');
    table::AppendJsonString(json, name);
    json += ':' + value.text();
  }
  return json + '}';
}

}  // namespace selvage::view::samples
