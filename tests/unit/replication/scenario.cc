#include "tests/unit/replication/scenario.h"

#include <utility>
#include <vector>

#include "fabric/base/error.h"
#include "tests/unit/replication/scenario_world.h"

namespace selvage::replication::test {
namespace {

constexpr std::string_view kDivider = "----";

std::vector<std::string_view> LinesOf(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

}  // namespace

absl::StatusOr<std::string> RunScenario(std::string_view name, std::string_view text) {
  const std::vector<std::string_view> lines = LinesOf(text);
  ScenarioWorld world;
  std::string ran;
  for (size_t i = 0; i < lines.size();) {
    if (lines[i].empty() || lines[i].starts_with('#')) {
      ran += std::string(lines[i++]) + "\n";
      continue;
    }
    for (; i < lines.size() && !lines[i].empty() && lines[i] != kDivider; ++i) {
      ran += std::string(lines[i]) + "\n";
      if (absl::Status done = world.Do(lines[i]); !done.ok()) {
        return Annotate(done, std::string(name) + ":" + std::to_string(i + 1));
      }
    }
    while (i < lines.size() && !lines[i].empty()) ++i;  // what was expected
    const std::string output = world.TakeOutput();
    ran += std::string(kDivider) + "\n" + (output.empty() ? "(nothing)\n" : output);
  }
  return ran;
}

}  // namespace selvage::replication::test
