#include "fabric/table/projection.h"

#include "fabric/table/canonical_reader.h"

namespace selvage::table {

Projection::Projection(const std::vector<FieldPath>& paths) {
  root_.whole = paths.empty();
  for (const FieldPath& path : paths) {
    Node* node = &root_;
    for (const PathStep& step : path.steps) node = &node->members[step.canonical];
    node->whole = true;
  }
}

std::string Projection::Of(std::string_view row_json) const {
  std::string wanted;
  Append(wanted, row_json, root_);
  return wanted;
}

bool Projection::Append(std::string& out, std::string_view value, const Node& node) {
  if (node.whole) {
    out += value;
    return true;
  }
  switch (TypeOf(value)) {
    case JsonType::kObject:
      AppendObject(out, value, node);
      return true;
    case JsonType::kArray:
      AppendArray(out, value, node);
      return true;
    default:
      return false;
  }
}

void Projection::AppendObject(std::string& out, std::string_view object, const Node& node) {
  out.push_back('{');
  const size_t begin = out.size();
  CanonicalReader reader(object);
  for (CanonicalReader::Part part; reader.Next(part);) {
    const auto member = node.members.find(part.name);
    if (member == node.members.end()) continue;
    const size_t before = out.size();
    if (before > begin) out.push_back(',');
    out += part.name;
    out.push_back(':');
    if (!Append(out, part.value, member->second)) out.resize(before);
  }
  out.push_back('}');
}

void Projection::AppendArray(std::string& out, std::string_view array, const Node& node) {
  out.push_back('[');
  const size_t begin = out.size();
  CanonicalReader reader(array);
  for (CanonicalReader::Part part; reader.Next(part);) {
    if (TypeOf(part.value) != JsonType::kObject) continue;
    if (out.size() > begin) out.push_back(',');
    AppendObject(out, part.value, node);
  }
  out.push_back(']');
}

}  // namespace selvage::table
