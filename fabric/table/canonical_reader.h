#pragma once

#include <string>
#include <string_view>

/// Finds its way in canonical JSON without making a tree of it. Bytes that are not canonical JSON are safe to
/// read, and mean nothing.
namespace selvage::table {

enum class JsonType { kNull, kBoolean, kNumber, kString, kArray, kObject };
/// Of one canonical value.
JsonType TypeOf(std::string_view value);

/// Goes through the elements of an array or the members of an object, in their order. Holds views: the text
/// must outlive it.
class CanonicalReader {
 public:
  /// `value`: an array or an object; anything else has no parts.
  explicit CanonicalReader(std::string_view value);

  struct Part {
    std::string_view name = {};  ///< of a member, as a canonical string with its quotes; empty for an element
    std::string_view value = {};
  };
  /// False when there are no more.
  bool Next(Part& part);

 private:
  std::string_view rest_;
  bool object_ = false;
};

/// The text that a canonical string stands for.
std::string TextOf(std::string_view canonical_string);

}  // namespace selvage::table
