#include "fabric/view/view_definition.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "fabric/base/error.h"
#include "fabric/base/names.h"
#include "fabric/base/utf8.h"
#include "fabric/table/canonical_json.h"

namespace selvage::view {
namespace {

constexpr std::array<std::pair<v1::ViewFunction, std::string_view>, 6> kFunctions = {{
    {v1::VIEW_COUNT, "count"},
    {v1::VIEW_SUM, "sum"},
    {v1::VIEW_MEAN, "mean"},
    {v1::VIEW_MIN, "min"},
    {v1::VIEW_MAX, "max"},
    {v1::VIEW_DISTINCT, "distinct"},
}};

/// The name in the rows of what a path leads to, unless the definition has another one.
std::string NameOfPath(std::string_view path) {
  if (path == kRecordKey) return "key";
  std::string name(path);
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

/// What a user wrote, as messages show it.
std::string Shown(std::string_view text) {
  constexpr size_t kMax = 100;
  return DocumentText(text, kMax);
}

/// Checks one definition; every error names it and the part in question.
class DefinitionChecker {
 public:
  absl::StatusOr<v1::ViewDefinition> Check(v1::ViewDefinition definition) {
    if (!IsStreamName(definition.name()) || definition.name().size() > kViewNameMax) {
      return Error(fmt::format("'{}' is not a view name", Shown(definition.name())),
                   fmt::format("use 1 to {} of a-z, A-Z, 0-9, '.', '_' and '-'", kViewNameMax));
    }
    view_ = definition.name();
    if (!IsStreamName(definition.stream())) {
      return Invalid("stream", fmt::format("'{}' is not a stream name", Shown(definition.stream())),
                     kNameHint);
    }
    switch (definition.kind_case()) {
      case v1::ViewDefinition::kNewest:
        return definition;
      case v1::ViewDefinition::kAggregate:
        SELVAGE_RETURN_IF_ERROR(CheckAggregate(*definition.mutable_aggregate()));
        return definition;
      default:
        return Invalid("kind", "it is neither newest nor aggregate",
                       "if a newer version wrote it, upgrade this node");
    }
  }

 private:
  static constexpr std::string_view kNameHint = "use 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'";

  static absl::Status Error(std::string_view message, std::string_view hint) {
    return MakeError(absl::StatusCode::kInvalidArgument, "invalid_view", message, hint);
  }
  absl::Status Invalid(std::string_view place, std::string_view what, std::string_view hint) const {
    return Error(fmt::format("view {}, {}: {}", view_, place, what), hint);
  }

  absl::Status CheckAggregate(v1::ViewAggregate& aggregate) {
    SELVAGE_RETURN_IF_ERROR(CheckTimes(aggregate));
    if (aggregate.group_by_size() > static_cast<int>(kGroupFieldsMax)) {
      return Invalid("group_by", fmt::format("it names {} fields", aggregate.group_by_size()),
                     fmt::format("at most {}", kGroupFieldsMax));
    }
    if (aggregate.group_by().empty() && aggregate.window_ms() == 0) {
      return Invalid("group_by", "it is empty, and there is no window",
                     "group by $key or by fields, or give a window");
    }
    if (aggregate.columns().empty()) {
      return Invalid("columns", "there is none", "name at least one, as in count or mean of a field");
    }
    if (aggregate.columns_size() > static_cast<int>(kColumnsMax)) {
      return Invalid("columns", fmt::format("there are {}", aggregate.columns_size()),
                     fmt::format("at most {}", kColumnsMax));
    }
    if (aggregate.window_ms() > 0) names_.emplace(kWindowField, "window");
    for (int i = 0; i < aggregate.group_by_size(); ++i) {
      v1::ViewGroupField& field = *aggregate.mutable_group_by(i);
      const std::string place = fmt::format("group_by {}", i + 1);
      SELVAGE_RETURN_IF_ERROR(CheckPath(place, field.path()));
      if (field.name().empty()) field.set_name(NameOfPath(field.path()));
      SELVAGE_RETURN_IF_ERROR(CheckName(place, field.name()));
    }
    for (int i = 0; i < aggregate.columns_size(); ++i) {
      SELVAGE_RETURN_IF_ERROR(CheckColumn(fmt::format("column {}", i + 1), *aggregate.mutable_columns(i)));
    }
    return absl::OkStatus();
  }

  absl::Status CheckTimes(const v1::ViewAggregate& aggregate) const {
    const auto allowed = fmt::format("at most {} days", kViewTimeMsMax / 86'400'000);
    const std::pair<std::string_view, int64_t> times[] = {{"window_ms", aggregate.window_ms()},
                                                          {"lateness_ms", aggregate.lateness_ms()},
                                                          {"keep_ms", aggregate.keep_ms()}};
    for (const auto& [place, ms] : times) {
      if (ms < 0) return Invalid(place, fmt::format("{} is negative", ms), "0, or a time in milliseconds");
      if (ms > kViewTimeMsMax) return Invalid(place, fmt::format("{} ms is too long", ms), allowed);
      if (ms > 0 && aggregate.window_ms() == 0) {
        return Invalid(place, "there is no window", "give a window, or leave this out");
      }
    }
    if (aggregate.window_ms() > 0 && aggregate.window_ms() < kWindowMsMin) {
      return Invalid("window_ms", fmt::format("{} ms is too short", aggregate.window_ms()),
                     fmt::format("at least {} ms", kWindowMsMin));
    }
    if (aggregate.keep_ms() > 0 && aggregate.keep_ms() < aggregate.lateness_ms()) {
      return Invalid("keep_ms", "windows would go while they still take late records",
                     "at least lateness_ms, or 0 for ever");
    }
    return absl::OkStatus();
  }

  absl::Status CheckColumn(std::string place, v1::ViewColumn& column) {
    const std::string_view word = FunctionWord(column.function());
    if (!IsFunction(column.function())) {
      return Invalid(place, fmt::format("unknown function {}", static_cast<int>(column.function())),
                     "one of count, sum, mean, min, max, distinct");
    }
    place += fmt::format(" ({})", word);
    if (column.path().empty() && column.function() != v1::VIEW_COUNT) {
      return Invalid(place, "it names no field", "only count does without one");
    }
    if (!column.path().empty()) SELVAGE_RETURN_IF_ERROR(CheckPath(place, column.path()));
    const bool of_any = column.function() == v1::VIEW_COUNT || column.function() == v1::VIEW_DISTINCT;
    if (column.path() == kRecordKey && !of_any) {
      return Invalid(place, "a record's key is text", "of $key only count and distinct are known");
    }
    if (column.name().empty()) {
      column.set_name(column.path().empty() ? std::string(word)
                                            : fmt::format("{}_{}", word, NameOfPath(column.path())));
    }
    return CheckName(place, column.name());
  }
  static bool IsFunction(v1::ViewFunction function) {
    return std::any_of(kFunctions.begin(), kFunctions.end(),
                       [&](const auto& known) { return known.first == function; });
  }

  absl::Status CheckPath(std::string_view place, std::string_view path) const {
    if (path == kRecordKey) return absl::OkStatus();
    constexpr std::string_view kHint = "names with dots between them, as in site.id, or $key";
    if (!table::IsValidUtf8(path)) return Invalid(place, "its path is not valid UTF-8", kHint);
    if (path.size() > kPathBytesMax) {
      return Invalid(place, fmt::format("its path has {} bytes", path.size()),
                     fmt::format("at most {}", kPathBytesMax));
    }
    if (path.starts_with('$')) return Invalid(place, fmt::format("unknown path {}", Shown(path)), kHint);
    size_t depth = 0;
    for (size_t at = 0; at != std::string_view::npos; ++depth) {
      const size_t dot = path.find('.', at);
      if (at == path.size() || dot == at) {
        return Invalid(place, fmt::format("an empty name in the path '{}'", Shown(path)), kHint);
      }
      at = dot == std::string_view::npos ? dot : dot + 1;
    }
    if (depth > kPathDepthMax) {
      return Invalid(place, fmt::format("a path of {} names", depth),
                     fmt::format("at most {}", kPathDepthMax));
    }
    return absl::OkStatus();
  }

  /// Of a field of the view's rows: one that filters can name, and that nothing else has.
  absl::Status CheckName(std::string_view place, const std::string& name) {
    if (name.size() > kFieldNameBytesMax || !table::IsValidUtf8(name) || name.starts_with('$') ||
        name.find('.') != std::string::npos) {
      return Invalid(place, fmt::format("'{}' cannot be the name of a field", Shown(name)),
                     fmt::format("up to {} bytes of UTF-8, without dots and not with $ at the front",
                                 kFieldNameBytesMax));
    }
    const auto [other, is_new] = names_.emplace(name, place);
    if (is_new) return absl::OkStatus();
    return Invalid(place, fmt::format("its name '{}' is that of {}", Shown(name), other->second),
                   "give it another name");
  }

  std::string view_;
  std::map<std::string, std::string> names_;  ///< of the fields of rows → what has it
};

}  // namespace

std::string_view FunctionWord(v1::ViewFunction function) {
  for (const auto& [known, word] : kFunctions) {
    if (known == function) return word;
  }
  return "unknown";
}

std::optional<v1::ViewFunction> FunctionOfWord(std::string_view word) {
  for (const auto& [known, of_known] : kFunctions) {
    if (of_known == word) return known;
  }
  return std::nullopt;
}

absl::StatusOr<v1::ViewDefinition> CompleteDefinition(v1::ViewDefinition definition) {
  return DefinitionChecker().Check(std::move(definition));
}

}  // namespace selvage::view
