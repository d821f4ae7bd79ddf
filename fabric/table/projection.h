#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "fabric/table/field_path.h"

namespace selvage::table {

/// Which fields of a row are wanted: those that some paths lead to. Where a path meets an array it goes into
/// each element that is an object, and the others are left out. Safe to use from several threads.
class Projection {
 public:
  /// Without paths all of the row is wanted.
  explicit Projection(const std::vector<FieldPath>& paths);

  bool whole() const { return root_.whole; }
  /// What is wanted of a row, canonical as the row is.
  std::string Of(std::string_view row_json) const;

 private:
  struct Node {
    bool whole = false;
    std::map<std::string, Node, std::less<>> members;  ///< by canonical name
  };
  static bool Append(std::string& out, std::string_view value, const Node& node);
  static void AppendObject(std::string& out, std::string_view object, const Node& node);
  static void AppendArray(std::string& out, std::string_view array, const Node& node);

  Node root_;
};

}  // namespace selvage::table
