#include "ctl/output.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/telemetry/text_escape.h"

namespace selvage::ctl {
namespace {

namespace json = boost::json;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// A longer cell is printed whole, and pushes what follows it on its own line alone.
constexpr size_t kWidestColumn = 64;

// Characters, not bytes: good enough for alignment, as wide characters are rare in names.
size_t Width(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// `index` is -1 for a field that is not repeated.
json::value FieldJson(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& r = *message.GetReflection();
  const bool one = index < 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return one ? r.GetInt32(message, &field) : r.GetRepeatedInt32(message, &field, index);
    case FieldDescriptor::CPPTYPE_INT64:
      return one ? r.GetInt64(message, &field) : r.GetRepeatedInt64(message, &field, index);
    case FieldDescriptor::CPPTYPE_UINT32:
      return one ? r.GetUInt32(message, &field) : r.GetRepeatedUInt32(message, &field, index);
    case FieldDescriptor::CPPTYPE_UINT64:
      return one ? r.GetUInt64(message, &field) : r.GetRepeatedUInt64(message, &field, index);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return one ? r.GetDouble(message, &field) : r.GetRepeatedDouble(message, &field, index);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return one ? r.GetFloat(message, &field) : r.GetRepeatedFloat(message, &field, index);
    case FieldDescriptor::CPPTYPE_BOOL:
      return one ? r.GetBool(message, &field) : r.GetRepeatedBool(message, &field, index);
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto* value = one ? r.GetEnum(message, &field) : r.GetRepeatedEnum(message, &field, index);
      return json::string(EnumWord(value->name()));
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string text = one ? r.GetString(message, &field) : r.GetRepeatedString(message, &field, index);
      return json::string(field.type() == FieldDescriptor::TYPE_BYTES ? Hex(text) : text);
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (one && !r.HasField(message, &field)) return nullptr;
      return ToJson(one ? r.GetMessage(message, &field) : r.GetRepeatedMessage(message, &field, index));
  }
  return nullptr;
}

// Maps are in no order of their own, so they are sorted to look the same every time.
json::value MapJson(const Message& message, const FieldDescriptor& field) {
  std::vector<std::pair<std::string, json::value>> entries;
  const FieldDescriptor& key = *field.message_type()->map_key();
  const FieldDescriptor& value = *field.message_type()->map_value();
  for (int i = 0; i < message.GetReflection()->FieldSize(message, &field); ++i) {
    const Message& entry = message.GetReflection()->GetRepeatedMessage(message, &field, i);
    entries.emplace_back(entry.GetReflection()->GetString(entry, &key), FieldJson(entry, value, -1));
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  json::object object;
  for (auto& [name, of_name] : entries) object[name] = std::move(of_name);
  return object;
}

json::value RepeatedJson(const Message& message, const FieldDescriptor& field) {
  json::array array;
  for (int i = 0; i < message.GetReflection()->FieldSize(message, &field); ++i) {
    array.push_back(FieldJson(message, field, i));
  }
  return array;
}

std::string NumberText(double number) {
  return std::isfinite(number) ? fmt::format("{}", number) : "null";  // JSON knows no infinity
}

void AppendString(std::string& out, std::string_view text) {
  out += '"';
  internal::AppendJsonEscaped(out, text);  // also what is not UTF-8, as a message or a key may hold
  out += '"';
}

void AppendJson(std::string& out, const json::value& value, bool indent, size_t depth) {
  auto line = [&](size_t at) {
    if (indent) out += "\n" + std::string(at * 2, ' ');
  };
  bool first = true;
  if (const auto* object = value.if_object(); object != nullptr && !object->empty()) {
    out += '{';
    for (const auto& [key, of_key] : *object) {
      if (!std::exchange(first, false)) out += ',';
      line(depth + 1);
      AppendString(out, key);
      out += indent ? ": " : ":";
      AppendJson(out, of_key, indent, depth + 1);
    }
    line(depth);
    out += '}';
  } else if (const auto* array = value.if_array(); array != nullptr && !array->empty()) {
    out += '[';
    for (const json::value& element : *array) {
      if (!std::exchange(first, false)) out += ',';
      line(depth + 1);
      AppendJson(out, element, indent, depth + 1);
    }
    line(depth);
    out += ']';
  } else if (const double* number = value.if_double()) {
    out += NumberText(*number);  // boost writes 1.5 as 1.5E0
  } else if (const json::string* text = value.if_string()) {
    AppendString(out, *text);
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

void Table::Add(std::vector<std::string> cells) {
  SELVAGE_CHECK(cells.size() == columns_.size());
  for (std::string& cell : cells) cell = cell.empty() ? "-" : Printable(cell);
  rows_.push_back(std::move(cells));
}

void Table::Print(std::ostream& out) const {
  std::vector<std::string> header;
  header.reserve(columns_.size());
  for (const Column& column : columns_) header.push_back(absl::AsciiStrToUpper(column.name));
  std::vector<const std::vector<std::string>*> lines{&header};
  for (const auto& row : rows_) lines.push_back(&row);

  std::vector<size_t> widths(columns_.size(), 0);
  for (const auto* line : lines) {
    for (size_t i = 0; i < widths.size(); ++i) {
      const size_t width = Width((*line)[i]);
      if (width <= kWidestColumn) widths[i] = std::max(widths[i], width);
    }
  }
  for (const auto* line : lines) {
    std::string text;
    for (size_t i = 0; i < widths.size(); ++i) {
      const std::string padding(widths[i] - std::min(widths[i], Width((*line)[i])), ' ');
      if (i > 0) text += "  ";
      text += columns_[i].align == Align::kRight ? padding + (*line)[i] : (*line)[i] + padding;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out << text << '\n';
  }
}

void PrintFields(std::ostream& out, const std::vector<std::pair<std::string, std::string>>& fields) {
  size_t widest = 0;
  for (const auto& [name, value] : fields) widest = std::max(widest, Width(name));
  for (const auto& [name, value] : fields) {
    out << name << ": " << std::string(widest - Width(name), ' ') << (value.empty() ? "-" : Printable(value))
        << '\n';
  }
}

json::value ToJson(const Message& message) {
  json::object object;
  const auto& descriptor = *message.GetDescriptor();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor& field = *descriptor.field(i);
    object[field.name()] = field.is_map()        ? MapJson(message, field)
                           : field.is_repeated() ? RepeatedJson(message, field)
                                                 : FieldJson(message, field, -1);
  }
  return object;
}

std::string JsonText(const json::value& value, bool indent) {
  std::string out;
  AppendJson(out, value, indent, 0);
  return out;
}

void PrintJson(std::ostream& out, const json::value& value) {
  out << JsonText(value, true) << '\n';
}

void PrintJson(std::ostream& out, const Message& message) {
  PrintJson(out, ToJson(message));
}

std::string EnumWord(std::string_view enumerator) {
  if (enumerator.ends_with("_UNSPECIFIED")) return "unspecified";
  std::string word = absl::AsciiStrToLower(std::string(enumerator));
  std::replace(word.begin(), word.end(), '_', '-');
  return word;
}

std::string Printable(std::string_view text) {
  std::string out;
  internal::AppendTextEscaped(out, text, false);
  return out;
}

bool IsUtf8(std::string_view bytes) {
  // Escaping puts a replacement character in the place of every byte that is not UTF-8.
  auto replacements = [](std::string_view text) {
    size_t count = 0;
    for (size_t at = 0; (at = text.find("\xEF\xBF\xBD", at)) != std::string_view::npos; at += 3) ++count;
    return count;
  };
  std::string escaped;
  internal::AppendJsonEscaped(escaped, bytes);
  return replacements(escaped) == replacements(bytes);
}

std::string Hex(std::string_view bytes) {
  return absl::BytesToHexString(std::string(bytes));
}

json::value ErrorJson(const absl::Status& status) {
  if (status.ok()) return nullptr;
  std::string_view message(status.message().data(), status.message().size());
  return {{"kind", ErrorKind(status)},
          {"message", json::string(message)},
          {"hint", ErrorHint(status)},
          {"retryable", IsRetryable(status)}};
}

void PrintError(std::ostream& err, const absl::Status& status) {
  std::string hint = ErrorHint(status);
  err << "error: " << Printable(std::string_view(status.message().data(), status.message().size()))
      << (hint.empty() ? "" : "; hint: " + Printable(hint))
      << (IsRetryable(status) ? "; a retry helps\n" : "; a retry does not help\n");
}

}  // namespace selvage::ctl
