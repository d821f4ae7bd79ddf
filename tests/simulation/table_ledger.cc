#include "tests/simulation/table_ledger.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/table/hlc.h"

namespace selvage::sim {
namespace {

std::optional<int64_t> IntegerOf(const std::string& text) {
  const auto number = table::CanonicalNumberOf(text);
  if (!number || !std::holds_alternative<int64_t>(*number)) return std::nullopt;
  return std::get<int64_t>(*number);
}

int64_t MostOf(const std::map<const TableCopy*, int64_t>& seen) {
  int64_t most = 0;
  for (const auto& [copy, value] : seen) most = std::max(most, value);
  return most;
}

}  // namespace

// --- What programs do
// ------------------------------------------------------------------------------------------

int64_t TableLedger::NextValue(const TableCopy& by, const Target& target, int64_t wall_ms) {
  written_.emplace(++last_value_, Written{&by, target, wall_ms});
  return last_value_;
}

void TableLedger::Putting(const std::string& table, const std::string& key, int64_t value) {
  once_[{table, key}].value = value;
}

void TableLedger::Deleting(const std::string& table, const std::string& key) {
  once_[{table, key}].delete_asked = true;
}

bool TableLedger::MayBeDeleted(const std::string& table, const std::string& key) const {
  const auto found = once_.find({table, key});
  return found == once_.end() || found->second.delete_asked;
}

void TableLedger::Deleted(const TableCopy& at, const std::string& table, const std::string& key) {
  if (Gives(at, table, key)) once_[{table, key}].deleted.insert(&at);
}

void TableLedger::Adding(const TableCopy& by, const Target& target, int64_t amount) {
  Count& count = counts_[target];
  count.by = &by;
  count.set_back = false;
  count.tried += amount;
}

void TableLedger::Added(const Target& target, int64_t amount) {
  counts_[target].acknowledged += amount;
}

void TableLedger::NotAdded(const Target& target, int64_t amount) {
  counts_[target].tried -= amount;
}

// --- What happens to disks
// -------------------------------------------------------------------------------------

void TableLedger::SetBack(TableCopy& copy) {
  copy.tables.clear();
  copy.fresh = true;
  copy.set_back = true;
  for (auto& [row, once] : once_) {
    once.held.erase(&copy);
    once.deleted.erase(&copy);
  }
  for (auto& [target, count] : counts_) {
    count.seen.erase(&copy);
    count.base.erase(&copy);
    if (count.by != &copy) continue;
    // What it adds from here on it counts anew, beside what the others hold.
    count.base = count.seen;
    count.acknowledged = 0;
    count.set_back = true;
  }
}

void TableLedger::HeldAtEdge(const TableCopy& core, const std::string& table, const std::string& key) {
  held_at_set_back_.insert({table, key});
  const auto state = core.tables.find(table);
  if (state == core.tables.end()) return;
  const auto row = state->second.rows.find(key);
  if (row == state->second.rows.end() || row->second.empty()) may_come_back_.insert({table, key});
}

bool TableLedger::MayComeBack(const RowName& row) const {
  return may_come_back_.contains(row) || (deletes_forgotten_ && held_at_set_back_.contains(row));
}

bool TableLedger::Gives(const TableCopy& copy, const std::string& table, std::string_view key) {
  return !copy.is_edge || table == kShared || key.starts_with("site/" + copy.node + "/");
}

void TableLedger::Violate(const TableCopy& copy, const Target& target, const std::string& what) {
  time_.Violate(
      fmt::format("{}: table {}: {} of row {} {}", copy.node, target.table, target.field, target.key, what));
}

void TableLedger::Saw(TableCopy& copy, const std::string& table, const std::string& key, table::Fields fields,
                      int64_t wall_ms) {
  TableCopy::Table& state = copy.tables[table];
  table::Fields& before = state.rows[key];
  time_.Trace("{}: table {}: row {} has {} fields", copy.node, table, key, fields.size());
  copy.set_back = copy.set_back && copy.fresh;
  if (copy.set_back && deletes_forgotten_ && !fields.empty()) may_come_back_.insert({table, key});
  const auto displaced = [&](const std::string& field) -> std::set<std::string>& {
    return state.displaced[{key, field}];
  };
  // The expiry hides what is there, and may be put off again. What an edge has of others goes when it is to
  // have other rows.
  const bool comes_back = Expires(key) || !Gives(copy, table, key) || MayComeBack({table, key});
  for (const auto& [name, value] : before) {
    const auto now = fields.find(name);
    if (IsCounts(key)) {
      if (now == fields.end() && !Gives(copy, table, key)) continue;
      SawCount(copy, {table, key, name}, value.text(), now == fields.end() ? "" : now->second.text());
    } else if (name != kSum && !comes_back && (now == fields.end() || now->second != value)) {
      displaced(name).insert(value.text());
    }
  }
  for (const auto& [name, value] : fields) {
    const auto former = before.find(name);
    if (former != before.end() && former->second == value) continue;
    const Target target{table, key, name};
    if (IsCounts(key)) {
      if (former == before.end()) SawCount(copy, target, "0", value.text());
      continue;
    }
    if (name == kSum) {
      if (!IntegerOf(value.text())) Violate(copy, target, "is no integer: " + value.text());
      continue;
    }
    CheckValue(copy, target, value.text(), wall_ms);
    if (displaced(name).contains(value.text()) && !MayComeBack({table, key})) {
      Violate(copy, target, value.text() + " comes back");
    }
  }
  if (IsOnce(key) && Gives(copy, table, key)) {
    Once& once = once_[{table, key}];
    if (!fields.empty()) once.held.insert(&copy);
    // The core removes nothing for its not being elsewhere.
    if (fields.empty() && !before.empty() && !copy.is_edge) once.deleted.insert(&copy);
  }
  before = std::move(fields);
}

void TableLedger::CheckValue(const TableCopy& copy, const Target& target, const std::string& value,
                             int64_t wall_ms) {
  const auto number = IntegerOf(value);
  const auto written = number ? written_.find(*number) : written_.end();
  if (written == written_.end() || written->second.target != target) {
    return Violate(copy, target, "holds what nobody wrote to it: " + value.substr(0, 50));
  }
  if (written->second.by == &copy) {
    // The clock may have been set back between the call and its stamp.
    written->second.wall_ms = std::min(written->second.wall_ms, wall_ms);
    return;
  }
  if (copy.fresh) return;
  const int64_t ahead_ms = written->second.wall_ms - wall_ms;
  if (ahead_ms > table::kClockMarginMs + 1) {
    Violate(copy, target, fmt::format("is seen {} s before its time", ahead_ms / 1000));
  }
}

void TableLedger::SawCount(const TableCopy& copy, const Target& target, const std::string& before,
                           const std::string& now) {
  const auto was = IntegerOf(before), is = IntegerOf(now);
  if (!is || (*is < *was && Gives(copy, target.table, target.key)))
    return Violate(copy, target, fmt::format("was {}, and is '{}'", before, now));
  Count& count = counts_[target];
  if (*is > count.tried) {
    return Violate(copy, target, fmt::format("is {}; only {} were added", *is, count.tried));
  }
  if (!Gives(copy, target.table, target.key)) return;
  count.seen[&copy] = *is;
  if (count.by == &copy && count.set_back) count.base[&copy] = *is;
}

// --- The end
// ---------------------------------------------------------------------------------------------------

void TableLedger::CheckEnd(const TableCopy& core) {
  const auto row = [&](const std::string& table, const std::string& key) -> const table::Fields* {
    const auto state = core.tables.find(table);
    if (state == core.tables.end()) return nullptr;
    const auto found = state->second.rows.find(key);
    return found == state->second.rows.end() || found->second.empty() ? nullptr : &found->second;
  };
  for (const auto& [name, once] : once_) {
    const table::Fields* found = row(name.first, name.second);
    if (found != nullptr && !once.deleted.empty() && !MayComeBack(name)) {
      return time_.Violate(fmt::format("row {} of table {} is there, and was deleted at {}", name.second,
                                       name.first, (*once.deleted.begin())->node));
    }
    if (found == nullptr && !once.held.empty() && !once.delete_asked) {
      return time_.Violate(fmt::format("row {} of table {} is not there; it was at {}", name.second,
                                       name.first, (*once.held.begin())->node));
    }
  }
  for (const auto& [target, count] : counts_) {
    const table::Fields* found = row(target.table, target.key);
    const auto field = found == nullptr ? table::Fields::const_iterator() : found->find(target.field);
    const bool there = found != nullptr && field != found->end();
    const int64_t sum = there ? IntegerOf(field->second.text()).value_or(-1) : 0;
    const int64_t least = std::max(MostOf(count.seen), MostOf(count.base) + count.acknowledged);
    if (least <= sum && sum <= count.tried) continue;
    return time_.Violate(fmt::format("{} of row {} of table {} sums up to {}: it should be {} to {}",
                                     target.field, target.key, target.table, sum, least, count.tried));
  }
}

}  // namespace selvage::sim
