#include "fabric/view/json_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <functional>
#include <limits>
#include <utility>

namespace selvage::view {
namespace {

namespace json = boost::json;

constexpr uint32_t kNowhere = std::numeric_limits<uint32_t>::max();

/// The wanted paths as a tree of names. What is wanted below a node has neighbouring slots.
class PathTree {
 public:
  explicit PathTree(const std::vector<std::string>& paths) : nodes_(1) {
    std::vector<uint32_t> ends(paths.size());
    std::transform(paths.begin(), paths.end(), ends.begin(),
                   [&](const std::string& path) { return Insert(path); });
    for (const uint32_t end : ends) nodes_[end].wanted = true;
    NumberSlots(kRoot);
    slot_of_path_.reserve(ends.size());
    for (const uint32_t end : ends) slot_of_path_.push_back(nodes_[end].first_slot);
  }

  static constexpr uint32_t kRoot = 0;
  struct Node {
    std::string name;
    std::vector<uint32_t> children = {};
    bool wanted = false;  ///< its value goes into the first slot
    uint32_t first_slot = 0;
    uint32_t end_slot = 0;
  };
  const Node& node(uint32_t at) const { return nodes_[at]; }
  uint32_t Child(uint32_t at, std::string_view name) const {
    for (const uint32_t child : nodes_[at].children) {
      if (nodes_[child].name == name) return child;
    }
    return kNowhere;
  }
  uint32_t slots() const { return nodes_[kRoot].end_slot; }
  uint32_t SlotOfPath(size_t path) const { return slot_of_path_[path]; }

 private:
  uint32_t Insert(std::string_view path) {
    uint32_t at = kRoot;
    while (true) {
      const size_t dot = path.find('.');
      const std::string_view name = path.substr(0, dot);
      uint32_t child = Child(at, name);
      if (child == kNowhere) {
        child = static_cast<uint32_t>(nodes_.size());
        nodes_.push_back({.name = std::string(name)});
        nodes_[at].children.push_back(child);
      }
      at = child;
      if (dot == std::string_view::npos) return at;
      path.remove_prefix(dot + 1);
    }
  }
  /// No deeper than the longest path.
  void NumberSlots(uint32_t at, uint32_t* next) {
    nodes_[at].first_slot = *next;
    if (nodes_[at].wanted) ++*next;
    for (const uint32_t child : nodes_[at].children) NumberSlots(child, next);
    nodes_[at].end_slot = *next;
  }
  void NumberSlots(uint32_t at) {
    uint32_t next = 0;
    NumberSlots(at, &next);
  }

  std::vector<Node> nodes_;
  std::vector<uint32_t> slot_of_path_;
};

/// Receives what Boost.JSON's parser finds and keeps what is wanted.
class FieldsHandler {
 public:
  // What basic_parser asks of its handler; records are bounded by their batches.
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();

  explicit FieldsHandler(const std::vector<std::string>& paths)
      : tree_(paths), values_(tree_.slots()), texts_(tree_.slots()) {}

  void Begin(std::string_view text) {
    text_ = text;
    Forget(tree_.node(PathTree::kRoot));
    next_ = kNowhere;
    depth_ = 0;
    object_ = false;
    part_.clear();
  }
  bool object() const { return object_; }
  const FieldValue& ValueOfPath(size_t path) const { return values_[tree_.SlotOfPath(path)]; }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }

  bool on_object_begin(json::error_code&) {
    if (depth_ == 0) {
      object_ = true;
      levels_[depth_++] = PathTree::kRoot;
      return true;
    }
    const uint32_t node = next_;
    if (FieldValue* value = Wanted()) value->kind = FieldKind::kComposite;
    levels_[depth_++] = node;
    return true;
  }
  bool on_object_end(std::size_t, json::error_code&) {
    --depth_;
    return true;
  }
  bool on_array_begin(json::error_code&) {
    if (FieldValue* value = Wanted()) value->kind = FieldKind::kComposite;
    levels_[depth_++] = kNowhere;
    return true;
  }
  bool on_array_end(std::size_t, json::error_code&) {
    --depth_;
    return true;
  }

  bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
    if (levels_[depth_ - 1] != kNowhere) part_.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view part, std::size_t, json::error_code&) {
    const uint32_t level = levels_[depth_ - 1];
    if (level == kNowhere) return true;
    next_ = tree_.Child(level, Whole(part));
    part_.clear();
    // What an earlier member of this name left goes.
    if (next_ != kNowhere) Forget(tree_.node(next_));
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
    if (IsWanted()) part_.append(part.data(), part.size());
    return true;
  }
  bool on_string(json::string_view part, std::size_t, json::error_code&) {
    FieldValue* value = Wanted();
    if (value == nullptr) return true;
    value->kind = FieldKind::kText;
    const std::string_view whole = Whole(part);
    if (IsOfRecord(whole)) {
      value->text = whole;
    } else {
      std::string& owned = texts_[static_cast<size_t>(value - values_.data())];
      owned.assign(whole);
      value->text = owned;
    }
    part_.clear();
    return true;
  }

  bool on_number_part(json::string_view part, json::error_code&) {
    if (IsWanted()) part_.append(part.data(), part.size());
    return true;
  }
  bool on_int64(int64_t number, json::string_view, json::error_code&) {
    if (FieldValue* value = Wanted()) {
      value->kind = FieldKind::kNumber;
      value->number = number;
    }
    part_.clear();
    return true;
  }
  bool on_uint64(uint64_t, json::string_view part, json::error_code&) { return Number(part); }
  // Boost.JSON's own double is not always the nearest one, so the digits are read again.
  bool on_double(double, json::string_view part, json::error_code&) { return Number(part); }

  bool on_bool(bool boolean, json::error_code&) {
    if (FieldValue* value = Wanted()) {
      value->kind = FieldKind::kBoolean;
      value->boolean = boolean;
    }
    return true;
  }
  bool on_null(json::error_code&) {
    next_ = kNowhere;
    return true;
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  void Forget(const PathTree::Node& node) {
    for (uint32_t slot = node.first_slot; slot < node.end_slot; ++slot)
      values_[slot].kind = FieldKind::kAbsent;
  }
  bool IsWanted() const { return next_ != kNowhere && tree_.node(next_).wanted; }
  /// Where the value that was just found goes, or nullptr. The next value is that of another name.
  FieldValue* Wanted() {
    FieldValue* value = IsWanted() ? &values_[tree_.node(next_).first_slot] : nullptr;
    next_ = kNowhere;
    return value;
  }
  std::string_view Whole(json::string_view last) {
    if (part_.empty()) return {last.data(), last.size()};
    part_.append(last.data(), last.size());
    return part_;
  }
  /// False for what the parser unescaped elsewhere.
  bool IsOfRecord(std::string_view text) const {
    return std::greater_equal<>()(text.data(), text_.data()) &&
           std::less_equal<>()(text.data() + text.size(), text_.data() + text_.size());
  }
  bool Number(json::string_view part) {
    if (FieldValue* value = Wanted()) {
      const auto number = table::NumberOfLiteral(Whole(part));
      value->kind = number ? FieldKind::kNumber : FieldKind::kOutOfRange;
      if (number) value->number = *number;
    }
    part_.clear();
    return true;
  }

  PathTree tree_;
  std::vector<FieldValue> values_;  ///< by slot
  std::vector<std::string> texts_;  ///< by slot: of texts that do not lie in the record
  std::string_view text_;           ///< the record
  std::string part_;                ///< a name, text or number of which only a part was seen
  /// Of each object and array that is open: where the tree's names stand, or kNowhere.
  std::array<uint32_t, table::kMaxJsonDepth> levels_{};
  size_t depth_ = 0;
  uint32_t next_ = kNowhere;  ///< of the name whose value comes
  bool object_ = false;
};

json::parse_options OptionsOfRecords() {
  json::parse_options options;
  options.max_depth = table::kMaxJsonDepth;
  return options;
}

}  // namespace

struct JsonFields::Parser {
  explicit Parser(const std::vector<std::string>& paths) : json(OptionsOfRecords(), paths) {}

  boost::json::basic_parser<FieldsHandler> json;
  boost::json::error_code error;
  size_t read = 0;
};

JsonFields::JsonFields(const std::vector<std::string>& paths) : parser_(std::make_unique<Parser>(paths)) {}
JsonFields::~JsonFields() = default;
JsonFields::JsonFields(JsonFields&&) noexcept = default;
JsonFields& JsonFields::operator=(JsonFields&&) noexcept = default;

JsonFields::Outcome JsonFields::Read(std::string_view text) {
  auto& json = parser_->json;
  json.reset();
  json.handler().Begin(text);
  parser_->error = {};
  parser_->read = json.write_some(false, text.data(), text.size(), parser_->error);
  if (!parser_->error && parser_->read < text.size()) parser_->error = boost::json::error::extra_data;
  if (parser_->error) return Outcome::kNotJson;
  return json.handler().object() ? Outcome::kRead : Outcome::kNotAnObject;
}

const FieldValue& JsonFields::value(size_t i) const {
  return parser_->json.handler().ValueOfPath(i);
}

std::string JsonFields::Wrong() const {
  return fmt::format("not JSON from byte {} on: {}", parser_->read, parser_->error.message());
}

}  // namespace selvage::view
