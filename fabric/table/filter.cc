#include "fabric/table/filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <compare>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/base/utf8.h"
#include "fabric/table/canonical_json.h"
#include "fabric/table/canonical_reader.h"
#include "fabric/table/field_path.h"

namespace selvage::table {
namespace {

using Part = CanonicalReader::Part;

/// What one operator asks of the values that its path leads to.
struct Comparison {
  enum class Kind { kExists, kIn, kBelow, kAtMost, kAbove, kAtLeast };
  Kind kind = Kind::kExists;
  std::vector<std::string> values = {};  ///< of kIn: canonical, ascending
  // Of the four that order: one of these.
  std::optional<JsonNumber> number = {};
  std::optional<std::string> text = {};
};

}  // namespace

struct Filter::Node {
  enum class Kind { kAll, kAny, kNone, kField };
  Kind kind = Kind::kAll;
  std::vector<Node> parts = {};  ///< of all but kField
  // Of kField.
  FieldPath path = {};
  Comparison comparison = {};
};

namespace {

using Node = Filter::Node;

class FilterParser {
 public:
  absl::StatusOr<Node> Parse(std::string_view json) {
    if (json.size() > kFilterBytesMax) {
      return Invalid(fmt::format("it has {} bytes, more than {}", json.size(), kFilterBytesMax));
    }
    const auto canonical = CanonicalJson::Parse(json);
    if (!canonical.ok()) return Invalid(std::string(canonical.status().message()));
    return ParseObject(canonical->text());
  }

 private:
  /// Names a part of the filter while it is parsed, for messages.
  class Within {
   public:
    Within(std::string& where, std::string_view part) : where_(where), size_(where.size()) {
      where_.push_back('/');
      for (const char c : part) {
        if (c == '~') {
          where_ += "~0";
        } else if (c == '/') {
          where_ += "~1";
        } else {
          where_.push_back(c);
        }
      }
    }
    ~Within() { where_.resize(size_); }
    Within(const Within&) = delete;
    Within& operator=(const Within&) = delete;

   private:
    std::string& where_;
    size_t size_;
  };

  absl::Status Invalid(std::string_view what) const {
    constexpr size_t kWhereMax = 200;
    const std::string where = where_.empty() ? "" : " at " + DocumentText(where_, kWhereMax);
    return MakeError(absl::StatusCode::kInvalidArgument, "invalid_filter",
                     fmt::format("the filter is not valid{}: {}", where, what),
                     "docs/tables.md, \"Queries\", has the form of filters");
  }

  /// A name or a string as messages show it: without quotes, control characters escaped.
  static std::string_view Bare(std::string_view canonical_string) {
    return canonical_string.substr(1, canonical_string.size() - 2);
  }

  absl::StatusOr<Node> ParseObject(std::string_view object) {
    if (TypeOf(object) != JsonType::kObject) return Invalid("it is not a JSON object");
    Node all;
    CanonicalReader reader(object);
    for (Part part; reader.Next(part);) {
      const Within within(where_, Bare(part.name));
      SELVAGE_ASSIGN_OR_RETURN(Node node, ParseMember(part));
      all.parts.push_back(std::move(node));
    }
    return all;
  }

  absl::StatusOr<Node> ParseMember(const Part& part) {
    const std::string_view name = Bare(part.name);
    if (!name.starts_with('$')) return ParseField(part);
    if (name == "$and") return ParseList(Node::Kind::kAll, part.value);
    if (name == "$or") return ParseList(Node::Kind::kAny, part.value);
    if (name == "$nor") return ParseList(Node::Kind::kNone, part.value);
    if (name == "$not") {
      const Deeper deeper(depth_);
      SELVAGE_RETURN_IF_ERROR(CheckDepth());
      SELVAGE_ASSIGN_OR_RETURN(Node node, ParseObject(part.value));
      return Not(std::move(node));
    }
    return Invalid("unknown operator; here stand fields, $and, $or, $nor and $not");
  }

  absl::StatusOr<Node> ParseList(Node::Kind kind, std::string_view list) {
    const Deeper deeper(depth_);
    SELVAGE_RETURN_IF_ERROR(CheckDepth());
    if (TypeOf(list) != JsonType::kArray || list == "[]") return Invalid("it needs a list of filters");
    Node node{.kind = kind};
    CanonicalReader reader(list);
    for (Part part; reader.Next(part);) {
      const Within within(where_, std::to_string(node.parts.size()));
      SELVAGE_ASSIGN_OR_RETURN(Node element, ParseObject(part.value));
      node.parts.push_back(std::move(element));
    }
    return node;
  }

  absl::StatusOr<Node> ParseField(const Part& field) {
    const FieldPath path = FieldPath::Parse(TextOf(field.name));
    CanonicalReader first(field.value);
    Part part;
    if (TypeOf(field.value) == JsonType::kObject && first.Next(part) && Bare(part.name).starts_with('$')) {
      return ParseOperators(path, field.value);
    }
    return OneOf(path, {std::string(field.value)});
  }

  /// The operators on one field, all of which must hold.
  absl::StatusOr<Node> ParseOperators(const FieldPath& path, std::string_view operators) {
    Node all;
    CanonicalReader reader(operators);
    for (Part part; reader.Next(part);) {
      const Within within(where_, Bare(part.name));
      SELVAGE_ASSIGN_OR_RETURN(Node node, ParseOperator(path, Bare(part.name), part.value));
      all.parts.push_back(std::move(node));
    }
    return all;
  }

  absl::StatusOr<Node> ParseOperator(const FieldPath& path, std::string_view name, std::string_view value) {
    using Kind = Comparison::Kind;
    if (name == "$eq") return OneOf(path, {std::string(value)});
    if (name == "$ne") return Not(OneOf(path, {std::string(value)}));
    if (name == "$in") return ParseIn(path, value);
    if (name == "$nin") return Not(ParseIn(path, value));
    if (name == "$lt") return ParseOrder(path, Kind::kBelow, value);
    if (name == "$lte") return ParseOrder(path, Kind::kAtMost, value);
    if (name == "$gt") return ParseOrder(path, Kind::kAbove, value);
    if (name == "$gte") return ParseOrder(path, Kind::kAtLeast, value);
    if (name == "$exists") {
      if (value != "true" && value != "false") return Invalid("it needs true or false");
      auto exists = FieldNode(path, {.kind = Kind::kExists});
      return value == "true" ? std::move(exists) : Not(std::move(exists));
    }
    if (name == "$not") {
      const Deeper deeper(depth_);
      SELVAGE_RETURN_IF_ERROR(CheckDepth());
      if (TypeOf(value) != JsonType::kObject || value == "{}") return Invalid("it needs operators");
      return Not(ParseOperators(path, value));
    }
    return Invalid(
        "unknown operator; on a field stand $eq, $ne, $gt, $gte, $lt, $lte, $in, $nin, $exists and $not");
  }

  absl::StatusOr<Node> ParseIn(const FieldPath& path, std::string_view list) {
    if (TypeOf(list) != JsonType::kArray) return Invalid("it needs a list of values");
    std::vector<std::string> values;
    CanonicalReader reader(list);
    for (Part part; reader.Next(part);) values.emplace_back(part.value);
    return OneOf(path, std::move(values));
  }

  absl::StatusOr<Node> ParseOrder(const FieldPath& path, Comparison::Kind kind, std::string_view value) {
    Comparison comparison{.kind = kind};
    switch (TypeOf(value)) {
      case JsonType::kNumber:
        comparison.number = CanonicalNumberOf(value);
        break;
      case JsonType::kString:
        comparison.text = TextOf(value);
        break;
      default:
        return Invalid("it needs a number or a string");
    }
    SELVAGE_RETURN_IF_ERROR(CountValues(1));
    return FieldNode(path, std::move(comparison));
  }

  absl::StatusOr<Node> OneOf(const FieldPath& path, std::vector<std::string> values) {
    SELVAGE_RETURN_IF_ERROR(CountValues(values.size()));
    std::sort(values.begin(), values.end());
    return FieldNode(path, {.kind = Comparison::Kind::kIn, .values = std::move(values)});
  }

  absl::StatusOr<Node> FieldNode(const FieldPath& path, Comparison comparison) {
    if (++conditions_ > kFilterConditionsMax) {
      return Invalid(fmt::format("it has more than {} conditions", kFilterConditionsMax));
    }
    return Node{.kind = Node::Kind::kField, .path = path, .comparison = std::move(comparison)};
  }

  static absl::StatusOr<Node> Not(absl::StatusOr<Node> node) {
    if (!node.ok()) return node;
    Node none{.kind = Node::Kind::kNone};
    none.parts.push_back(*std::move(node));
    return none;
  }

  absl::Status CountValues(size_t count) {
    values_ += count;
    if (values_ <= kFilterValuesMax) return absl::OkStatus();
    return Invalid(fmt::format("it has more than {} values", kFilterValuesMax));
  }

  class Deeper {
   public:
    explicit Deeper(int& depth) : depth_(depth) { ++depth_; }
    ~Deeper() { --depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    int& depth_;
  };
  absl::Status CheckDepth() const {
    if (depth_ <= kFilterDepthMax) return absl::OkStatus();
    return Invalid(fmt::format("more than {} operators inside each other", kFilterDepthMax));
  }

  std::string where_;  ///< the part that is parsed
  int depth_ = 0;
  size_t conditions_ = 0;
  size_t values_ = 0;
};

bool OrderHolds(Comparison::Kind kind, std::strong_ordering order) {
  switch (kind) {
    case Comparison::Kind::kBelow:
      return std::is_lt(order);
    case Comparison::Kind::kAtMost:
      return std::is_lteq(order);
    case Comparison::Kind::kAbove:
      return std::is_gt(order);
    case Comparison::Kind::kAtLeast:
      return std::is_gteq(order);
    default:
      return false;
  }
}

bool ValueHolds(const Comparison& comparison, std::string_view value) {
  if (comparison.kind == Comparison::Kind::kExists) return true;
  if (comparison.kind == Comparison::Kind::kIn) {
    // Equal values have equal canonical bytes, numbers too.
    return std::binary_search(comparison.values.begin(), comparison.values.end(), value, std::less<>());
  }
  const JsonType type = TypeOf(value);
  if (comparison.number && type == JsonType::kNumber) {
    const auto number = CanonicalNumberOf(value);
    return number && OrderHolds(comparison.kind, Compare(*number, *comparison.number));
  }
  if (comparison.text && type == JsonType::kString) {
    return OrderHolds(comparison.kind, TextOf(value) <=> *comparison.text);
  }
  return false;
}

/// Follows a path from a value and tries the comparison on all that it leads to.
class FieldMatcher {
 public:
  explicit FieldMatcher(const Node& node) : node_(node) {}

  bool Matches(std::string_view row) {
    if (Follow(row, 0)) return true;
    // null stands for what is not there, too.
    return !reached_ && node_.comparison.kind == Comparison::Kind::kIn &&
           ValueHolds(node_.comparison, "null");
  }

 private:
  /// Goes into each part of the row at most once, so the cost is that of reading it. No deeper than the path.
  bool Follow(std::string_view value, size_t depth) {
    if (depth == node_.path.steps.size()) return Try(value);
    switch (TypeOf(value)) {
      case JsonType::kObject:
        return FollowMember(value, depth);
      case JsonType::kArray:
        return FollowArray(value, depth);
      default:
        return false;
    }
  }

  bool FollowMember(std::string_view object, size_t depth) {
    CanonicalReader reader(object);
    for (Part part; reader.Next(part);) {
      if (part.name == node_.path.steps[depth].canonical) return Follow(part.value, depth + 1);
    }
    return false;
  }

  bool FollowArray(std::string_view array, size_t depth) {
    CanonicalReader reader(array);
    const auto& index = node_.path.steps[depth].index;
    size_t at = 0;
    for (Part part; reader.Next(part); ++at) {
      if (index) {
        if (at == *index) return Follow(part.value, depth + 1);
      } else if (TypeOf(part.value) == JsonType::kObject && FollowMember(part.value, depth)) {
        return true;
      }
    }
    return false;
  }

  bool Try(std::string_view value) {
    reached_ = true;
    if (ValueHolds(node_.comparison, value)) return true;
    if (TypeOf(value) != JsonType::kArray) return false;
    CanonicalReader reader(value);
    for (Part part; reader.Next(part);) {
      if (ValueHolds(node_.comparison, part.value)) return true;
    }
    return false;
  }

  const Node& node_;
  bool reached_ = false;  ///< the path led to something
};

bool NodeMatches(const Node& node, std::string_view row) {
  const auto matches = [&](const Node& part) { return NodeMatches(part, row); };
  switch (node.kind) {
    case Node::Kind::kAll:
      return std::all_of(node.parts.begin(), node.parts.end(), matches);
    case Node::Kind::kAny:
      return std::any_of(node.parts.begin(), node.parts.end(), matches);
    case Node::Kind::kNone:
      return std::none_of(node.parts.begin(), node.parts.end(), matches);
    case Node::Kind::kField:
      return FieldMatcher(node).Matches(row);
  }
  return false;
}

FieldCondition ConditionOf(const Node& field) {
  using Kind = FieldCondition::Kind;
  const Comparison& comparison = field.comparison;
  if (comparison.kind == Comparison::Kind::kIn) {
    return {.path = field.path.text, .kind = Kind::kOneOf, .values = comparison.values};
  }
  FieldCondition condition{.path = field.path.text};
  std::string value;
  if (comparison.number) value = CanonicalNumber(*comparison.number);
  if (comparison.text) AppendJsonString(value, *comparison.text);
  condition.values.push_back(std::move(value));
  switch (comparison.kind) {
    case Comparison::Kind::kBelow:
      condition.kind = Kind::kBelow;
      break;
    case Comparison::Kind::kAtMost:
      condition.kind = Kind::kAtMost;
      break;
    case Comparison::Kind::kAbove:
      condition.kind = Kind::kAbove;
      break;
    default:
      condition.kind = Kind::kAtLeast;
  }
  return condition;
}

void AddConditions(const Node& node, std::vector<FieldCondition>& conditions) {
  if (node.kind == Node::Kind::kAll) {
    for (const Node& part : node.parts) AddConditions(part, conditions);
  } else if (node.kind == Node::Kind::kField && node.comparison.kind != Comparison::Kind::kExists) {
    conditions.push_back(ConditionOf(node));
  }
}

}  // namespace

absl::StatusOr<Filter> Filter::Parse(std::string_view json) {
  SELVAGE_ASSIGN_OR_RETURN(Node root, FilterParser().Parse(json));
  return Filter(std::make_shared<const Node>(std::move(root)));
}

std::vector<FieldCondition> Filter::Conditions() const {
  std::vector<FieldCondition> conditions;
  AddConditions(*root_, conditions);
  return conditions;
}

bool Filter::Matches(std::string_view row_json) const {
  return NodeMatches(*root_, row_json);
}

}  // namespace selvage::table
