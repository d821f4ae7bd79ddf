#include "fabric/api/members.h"

#include <fmt/format.h>

#include "fabric/base/error.h"
#include "fabric/table/canonical_reader.h"

namespace selvage::api {
namespace {

/// The text of a canonical JSON string; nothing for another value.
std::optional<std::string> TextIn(std::string_view json) {
  if (table::TypeOf(json) != table::JsonType::kString) return std::nullopt;
  return table::TextOf(json);
}

/// The elements of a canonical array; nothing for another value, or when there are more than `max`.
std::optional<std::vector<std::string>> ElementsOf(std::string_view json, size_t max) {
  if (table::TypeOf(json) != table::JsonType::kArray) return std::nullopt;
  std::vector<std::string> elements;
  table::CanonicalReader reader(json);
  for (table::CanonicalReader::Part part; reader.Next(part);) {
    if (elements.size() == max) return std::nullopt;
    elements.emplace_back(part.value);
  }
  return elements;
}

}  // namespace

absl::StatusOr<Members> Members::Parse(std::string_view json, std::string where) {
  auto fields = table::ParseFields(json);
  if (fields.ok()) return Members(*std::move(fields), std::move(where));
  return where.empty() ? fields.status() : Annotate(fields.status(), where);
}

absl::Status Members::Wrong(std::string_view name, std::string_view must) const {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_request",
                   fmt::format("{}{}{:.100} must be {}", where_, where_.empty() ? "" : ".", name, must),
                   "/v1/openapi.json says what a request looks like");
}

std::optional<table::CanonicalJson> Members::Take(std::string_view name) {
  const auto field = fields_.find(name);
  if (field == fields_.end()) return std::nullopt;
  std::optional<table::CanonicalJson> value = std::move(field->second);
  fields_.erase(field);
  return value;
}

absl::StatusOr<std::optional<std::string>> Members::TakeText(std::string_view name) {
  const auto value = Take(name);
  if (!value) return std::nullopt;
  auto text = TextIn(value->text());
  if (!text) return Wrong(name, "a string");
  return text;
}

absl::StatusOr<std::optional<int64_t>> Members::TakeInteger(std::string_view name, int64_t min, int64_t max) {
  const auto value = Take(name);
  if (!value) return std::nullopt;
  const auto number = value->number();
  const auto* integer = number ? std::get_if<int64_t>(&*number) : nullptr;
  if (integer == nullptr || *integer < min || *integer > max) {
    return Wrong(name, fmt::format("an integer from {} to {}", min, max));
  }
  return *integer;
}

absl::StatusOr<std::optional<table::Fields>> Members::TakeObject(std::string_view name) {
  const auto value = Take(name);
  if (!value) return std::nullopt;
  if (!value->text().starts_with('{')) return Wrong(name, "an object");
  return table::ParseFields(value->text());
}

absl::StatusOr<std::optional<std::vector<std::string>>> Members::TakeArray(std::string_view name,
                                                                           size_t max) {
  const auto value = Take(name);
  if (!value) return std::nullopt;
  auto elements = ElementsOf(value->text(), max);
  if (!elements) return Wrong(name, fmt::format("an array of at most {} elements", max));
  return elements;
}

absl::StatusOr<std::optional<std::vector<std::string>>> Members::TakeTexts(std::string_view name,
                                                                           size_t max) {
  SELVAGE_ASSIGN_OR_RETURN(auto elements, TakeArray(name, max));
  if (!elements) return std::nullopt;
  for (std::string& element : *elements) {
    auto text = TextIn(element);
    if (!text) return Wrong(name, "an array of strings");
    element = *std::move(text);
  }
  return elements;
}

absl::Status Members::NothingElse() const {
  if (fields_.empty()) return absl::OkStatus();
  return Wrong(fields_.begin()->first, "left out: it is not known");
}

}  // namespace selvage::api
