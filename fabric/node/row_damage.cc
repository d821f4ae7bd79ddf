#include "fabric/node/row_damage.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

namespace selvage {
namespace {

/// Of the keys that an alarm names; `table describe` names all that are known.
constexpr std::ptrdiff_t kDamagedNamed = 5;

std::string DamageText(const std::string& table, const std::vector<std::string>& keys) {
  const auto named_end = keys.begin() + std::min(kDamagedNamed, std::ssize(keys));
  return fmt::format("{} of table {} cannot be read: \"{}\"{}", keys.size() == 1 ? "a row" : "rows", table,
                     fmt::join(keys.begin(), named_end, "\", \""),
                     named_end == keys.end() ? "" : " and more");
}

}  // namespace

void RowDamage::Report() {
  std::map<std::string, std::vector<std::string>> damaged;
  const auto all = tables_.AllFacts();
  for (const auto& [table, facts] : all) {
    if (!facts.damaged.empty()) damaged[table] = facts.damaged;
  }
  for (const auto& [table, keys] : damaged) {
    const auto known = reported_.find(table);
    if (known != reported_.end() && known->second == keys) continue;
    alarms_.Report({.kind = kKind,
                    .subject = table,
                    .message = DamageText(table, keys),
                    .hint =
                        "look at the disk. Other rows go on; put these again with --replace-damaged, from a "
                        "node that has them whole (docs/tables.md, \"A damaged row\")"});
  }
  for (const auto& [table, keys] : std::exchange(reported_, damaged)) {
    if (!damaged.contains(table)) alarms_.Clear(kKind, table);
  }
  alarms_.ClearExcept(kKind, [&](const std::string& table) { return all.contains(table); });
}

}  // namespace selvage
