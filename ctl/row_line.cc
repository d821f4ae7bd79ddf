#include "ctl/row_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "ctl/output.h"
#include "fabric/base/error.h"
#include "fabric/table/canonical_json.h"
#include "fabric/table/canonical_reader.h"
#include "fabric/telemetry/text_escape.h"

namespace selvage::ctl {
namespace {

absl::Status InvalidLine(std::string_view what) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, "invalid_row_line", what,
      R"(write {"key":"...","row":{...}} on each line, with "expires_at_ms" where a row expires)");
}

absl::Status TakeMember(const std::string& name, const std::string& value, RowLine& line) {
  const table::JsonType type = table::TypeOf(value);
  if (name == "key") {
    if (type != table::JsonType::kString) return InvalidLine("the key is not a string");
    line.key = table::TextOf(value);
  } else if (name == "row") {
    if (type != table::JsonType::kObject) return InvalidLine("the row is not an object");
    line.row = value;
  } else if (name == "expires_at_ms") {
    if (type == table::JsonType::kNull) return absl::OkStatus();
    const auto number = table::CanonicalNumberOf(value);
    if (!number || !std::holds_alternative<int64_t>(*number)) {
      return InvalidLine("expires_at_ms is not a whole number of milliseconds");
    }
    line.expires_at_ms = std::get<int64_t>(*number);
  } else if (name != "version") {
    return InvalidLine(fmt::format("it has something else than a row: {}", Printable(name)));
  }
  return absl::OkStatus();
}

std::string KeyMember(std::string_view key) {
  std::string text = "{\"key\":\"";
  internal::AppendJsonEscaped(text, key);
  return text + '"';
}

}  // namespace

absl::StatusOr<RowLine> ParseRowLine(std::string_view text) {
  SELVAGE_ASSIGN_OR_RETURN(const table::Fields members, table::ParseFields(text, table::kMaxJsonDepth + 1));
  RowLine line;
  for (const auto& [name, value] : members) SELVAGE_RETURN_IF_ERROR(TakeMember(name, value.text(), line));
  if (!members.contains("key")) return InvalidLine("it has no key");
  if (!members.contains("row")) return InvalidLine("it has no row");
  return line;
}

std::string RowLineText(const v1::TableRow& row, bool whole) {
  std::string text = KeyMember(row.key()) + ",\"row\":" + ShownJson(row.json());
  if (whole) text += fmt::format(",\"version\":\"{}\"", Hex(row.version()));
  if (row.has_expires_at_ms()) {
    text += fmt::format(",\"expires_at_ms\":{}", row.expires_at_ms());
  } else if (whole) {
    text += ",\"expires_at_ms\":null";
  }
  return text + '}';
}

std::string ChangeLineText(const v1::RowChange& change) {
  std::string text = KeyMember(change.key()) + ",\"row\":";
  text += change.has_row() ? ShownJson(change.row().json()) : "null";
  if (change.row().has_expires_at_ms()) {
    text += fmt::format(",\"expires_at_ms\":{}", change.row().expires_at_ms());
  }
  return text + fmt::format(",\"position\":\"{}\"}}", Printable(change.position()));
}

std::string ShownJson(std::string_view canonical) {
  std::string shown;
  shown.reserve(canonical.size());
  for (size_t at = 0; at < canonical.size(); ++at) {
    const auto c = static_cast<unsigned char>(canonical[at]);
    const auto next = static_cast<unsigned char>(at + 1 < canonical.size() ? canonical[at + 1] : 0);
    if (c == 0x7f) {
      shown += "\\u007f";
    } else if (c == 0xc2 && next >= 0x80 && next < 0xa0) {
      // U+0080 to U+009F, which only strings can hold.
      shown += fmt::format("\\u{:04x}", next);
      ++at;
    } else {
      shown.push_back(canonical[at]);
    }
  }
  return shown;
}

std::string ShellWord(std::string_view text) {
  std::string word = "'";
  for (const char c : Printable(text)) {
    if (c == '\'') {
      word += "'\\''";
    } else {
      word.push_back(c);
    }
  }
  return word + '\'';
}

}  // namespace selvage::ctl
