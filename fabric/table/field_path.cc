#include "fabric/table/field_path.h"

#include <algorithm>

#include "fabric/table/canonical_json.h"

namespace selvage::table {
namespace {

PathStep StepOf(std::string_view name) {
  PathStep step{.name = std::string(name)};
  AppendJsonString(step.canonical, name);
  constexpr size_t kDigitsMax = 9;
  if (!name.empty() && name.size() <= kDigitsMax &&
      std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    step.index = std::stoul(std::string(name));
  }
  return step;
}

}  // namespace

FieldPath FieldPath::Parse(std::string_view text) {
  FieldPath path{.text = std::string(text)};
  while (true) {
    const size_t dot = text.find('.');
    path.steps.push_back(StepOf(text.substr(0, dot)));
    if (dot == std::string_view::npos) return path;
    text.remove_prefix(dot + 1);
  }
}

}  // namespace selvage::table
