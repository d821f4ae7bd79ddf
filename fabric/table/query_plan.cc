#include "fabric/table/query_plan.h"

#include <algorithm>
#include <utility>

#include "fabric/table/canonical_reader.h"
#include "fabric/table/index_value.h"

namespace selvage::table {
namespace {

/// After all keys of rows that follow a value: keys are UTF-8.
constexpr char kAfterKeys = '\xff';

/// Values in an index: from `from` on and before `to`.
struct ValueRange {
  std::string from;
  std::string to;
  bool one = false;  ///< one value: its rows stand by their keys
};
using ValueRanges = std::vector<ValueRange>;  // ascending and apart from each other

ValueRange OneValue(std::string value) {
  std::string after = value + kAfterKeys;
  return {std::move(value), std::move(after), true};
}

std::string Begin(ValueTag tag) {
  return {static_cast<char>(tag)};
}

std::string End(ValueTag tag) {
  return {static_cast<char>(static_cast<char>(tag) + 1)};
}

ValueRanges RangesOf(const FieldCondition& condition) {
  using Kind = FieldCondition::Kind;
  ValueRanges ranges;
  if (condition.kind == Kind::kOneOf) {
    std::vector<std::string> values;
    for (const std::string& canonical : condition.values) {
      values.push_back(IndexValue(canonical));
      // Other, which is read in any case.
      if (values.back() == Begin(ValueTag::kOther)) values.pop_back();
    }
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    ranges.reserve(values.size());
    for (std::string& value : values) ranges.push_back(OneValue(std::move(value)));
    return ranges;
  }
  const std::string& bound = condition.values.front();
  const std::string value = IndexValue(bound);
  const bool is_text = TypeOf(bound) == JsonType::kString;
  const ValueTag tag = is_text ? ValueTag::kText : ValueTag::kNumber;
  // The same bytes may stand for texts on both sides of a long one.
  const bool inclusive = condition.kind == Kind::kAtMost || condition.kind == Kind::kAtLeast ||
                         (is_text && TextOf(bound).size() >= kIndexedTextMax);
  if (condition.kind == Kind::kBelow || condition.kind == Kind::kAtMost) {
    ranges.push_back({Begin(tag), inclusive ? value + kAfterKeys : value});
  } else {
    ranges.push_back({inclusive ? value : value + kAfterKeys, End(tag)});
  }
  return ranges;
}

ValueRanges Both(const ValueRanges& a, const ValueRanges& b) {
  ValueRanges both;
  for (auto x = a.begin(), y = b.begin(); x != a.end() && y != b.end();) {
    ValueRange range{std::max(x->from, y->from), std::min(x->to, y->to), x->one || y->one};
    if (range.from < range.to) both.push_back(std::move(range));
    x->to < y->to ? ++x : ++y;
  }
  return both;
}

/// What conditions on one path ask of an index on it.
struct Use {
  enum class Kind { kEqual, kOneOf, kRange, kNone };
  Kind kind = Kind::kNone;
  ValueRanges ranges = {};
};

Use UseOf(const FieldPath& path, const std::vector<FieldCondition>& conditions) {
  Use use;
  for (const FieldCondition& condition : conditions) {
    if (condition.path != path.text) continue;
    ValueRanges ranges = RangesOf(condition);
    Use::Kind kind = Use::Kind::kRange;
    if (condition.kind == FieldCondition::Kind::kOneOf) {
      kind = condition.values.size() <= 1 ? Use::Kind::kEqual : Use::Kind::kOneOf;
    }
    use.ranges = use.kind == Use::Kind::kNone ? std::move(ranges) : Both(use.ranges, ranges);
    use.kind = std::min(use.kind, kind);
  }
  // Of an array or object no value says which of the conditions it meets.
  if (use.kind != Use::Kind::kNone) use.ranges.push_back(OneValue(Begin(ValueTag::kOther)));
  return use;
}

/// The keys of an index for these values and rows.
std::vector<KeyRange> KeysOf(ValueRanges ranges, const KeyRange& keys) {
  std::vector<KeyRange> narrowed;
  for (ValueRange& range : ranges) {
    if (range.one) {
      if (!keys.to.empty()) range.to = range.from + keys.to;
      range.from += keys.from;
    }
    if (range.from < range.to) narrowed.push_back({std::move(range.from), std::move(range.to)});
  }
  return narrowed;
}

std::vector<KeyRange> AllOfIndex() {
  return {{Begin(ValueTag::kNothing), End(ValueTag::kOther)}};
}

}  // namespace

QueryPlan PlanQuery(const std::vector<FieldCondition>& conditions, const QueryOrder& order,
                    const KeyRange& keys, const std::vector<TableIndex>& indexes) {
  QueryPlan plan;
  if (order.by == QueryOrder::By::kPath) {
    for (const TableIndex& index : indexes) {
      if (index.path.text != order.path->text) continue;
      Use use = UseOf(index.path, conditions);
      plan.index = index;
      plan.ranges = use.kind == Use::Kind::kNone ? AllOfIndex() : KeysOf(std::move(use.ranges), keys);
      return plan;
    }
    plan.sorts = true;
  }
  const bool all_rows = keys.from.empty() && keys.to.empty();
  Use best;
  for (const TableIndex& index : indexes) {
    if (order.by == QueryOrder::By::kKey) break;
    Use use = UseOf(index.path, conditions);
    if (use.kind == Use::Kind::kRange && !all_rows) continue;
    if (use.kind >= best.kind) continue;
    best = std::move(use);
    plan.index = index;
  }
  plan.ranges = plan.index ? KeysOf(std::move(best.ranges), keys) : std::vector<KeyRange>{keys};
  return plan;
}

}  // namespace selvage::table
