#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fabric/table/canonical_json.h"

namespace selvage::view {

enum class FieldKind : uint8_t {
  kAbsent,  ///< not there, or null
  kNumber,
  kOutOfRange,  ///< a number that neither an int64_t nor a double holds
  kText,
  kBoolean,
  kComposite,  ///< an object or an array
};

/// What a path leads to in one record.
struct FieldValue {
  FieldKind kind = FieldKind::kAbsent;
  bool boolean = false;
  table::JsonNumber number = int64_t{0};
  std::string_view text = {};  ///< without quotes and escapes
};

/// Takes the values of some paths out of JSON as any producer writes it, in one pass and without a tree. A
/// path is names with dots between them, each of a member of the object before: it does not lead into arrays,
/// nor to names with dots. Not thread-safe.
///
///   {"site":{"id":7,"tags":["a"]},"bar":2.5}   site.id → 7, site.tags → composite, bar.low → absent
///
/// Of an object that has a wanted name twice the last one counts, as most parsers have it.
class JsonFields {
 public:
  /// A path may be wanted more than once.
  explicit JsonFields(const std::vector<std::string>& paths);
  ~JsonFields();
  JsonFields(JsonFields&&) noexcept;
  JsonFields& operator=(JsonFields&&) noexcept;

  enum class Outcome : uint8_t {
    kRead,
    kNotJson,      ///< by RFC 8259, valid UTF-8, at most table::kMaxJsonDepth levels
    kNotAnObject,  ///< some other JSON
  };
  /// Reads one record. `json` must outlive what is asked of value().
  Outcome Read(std::string_view json);
  /// Of the path `i` in the last record, which was kRead. Valid until the next Read.
  const FieldValue& value(size_t i) const;
  /// What was wrong with the last record, which was kNotJson.
  std::string Wrong() const;

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace selvage::view
