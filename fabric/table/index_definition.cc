#include "fabric/table/index_definition.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"
#include "fabric/base/utf8.h"
#include "fabric/table/canonical_json.h"

namespace selvage::table {
namespace {

constexpr size_t kShownMax = 100;

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-';
}

}  // namespace

absl::StatusOr<FieldPath> ParseFieldPath(std::string_view text, std::string_view kind,
                                         std::string_view what) {
  const auto wrong = [&](std::string_view why) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, kind,
        fmt::format("{} cannot be the path \"{}\": {}", what, DocumentText(text, kShownMax), why),
        "a path is names of fields with dots between them, as in site.country");
  };
  if (text.empty()) return wrong("it is empty");
  if (text.size() > kPathBytesMax) {
    return wrong(fmt::format("it has {} bytes, more than {}", text.size(), kPathBytesMax));
  }
  if (!IsValidUtf8(text)) return wrong("it is not valid UTF-8");
  if (text.starts_with('$')) return wrong("names that begin with $ are operators of filters");
  FieldPath path = FieldPath::Parse(text);
  if (path.steps.size() > kPathStepsMax) {
    return wrong(fmt::format("it is {} names deep, more than {}", path.steps.size(), kPathStepsMax));
  }
  return path;
}

absl::Status CheckIndexName(std::string_view name) {
  if (!name.empty() && name.size() <= kIndexNameMax &&
      std::all_of(name.begin(), name.end(), IsNameCharacter)) {
    return absl::OkStatus();
  }
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_index",
                   fmt::format("an index cannot be named \"{}\"", DocumentText(name, kShownMax)),
                   fmt::format("1 to {} of a-z, A-Z, 0-9, ., _ and -", kIndexNameMax));
}

std::string IndexNameOf(std::string_view path) {
  std::string name(path.substr(0, kIndexNameMax));
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !IsNameCharacter(c); }, '_');
  return name;
}

}  // namespace selvage::table
