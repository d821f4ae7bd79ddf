/// Records as any producer may write them, and states of views as damaged storage may hand them over. The
/// first byte chooses: fields of JSON, a state, or a fold over records.
#include <optional>
#include <string>
#include <vector>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/table/canonical_reader.h"
#include "fabric/view/json_fields.h"
#include "fabric/view/view_batch.h"
#include "fabric/view/view_definition.h"
#include "tests/fuzz/input.h"

namespace selvage::view {
namespace {

const std::vector<std::string> kPaths = {"a", "a.b", "b", "c.c.c"};

v1::ViewDefinition MakeDefinition() {
  v1::ViewDefinition definition;
  definition.set_name("v");
  definition.set_stream("s");
  auto& aggregate = *definition.mutable_aggregate();
  aggregate.add_group_by()->set_path("$key");
  aggregate.add_group_by()->set_path("a");
  aggregate.set_window_ms(1000);
  aggregate.set_lateness_ms(500);
  for (const v1::ViewFunction function :
       {v1::VIEW_COUNT, v1::VIEW_SUM, v1::VIEW_MEAN, v1::VIEW_MIN, v1::VIEW_MAX, v1::VIEW_DISTINCT}) {
    v1::ViewColumn& column = *aggregate.add_columns();
    column.set_function(function);
    column.set_path("b");
  }
  return CompleteDefinition(definition).value();
}
const v1::ViewDefinition& Definition() {
  static const v1::ViewDefinition definition = MakeDefinition();
  return definition;
}

/// The value at a path of canonical JSON; nothing when it is not there, or null.
std::optional<std::string> Find(std::string_view json, std::string_view path) {
  const size_t dot = path.find('.');
  table::CanonicalReader reader(json);
  for (table::CanonicalReader::Part part; reader.Next(part);) {
    if (part.name.empty() || table::TextOf(part.name) != path.substr(0, dot)) continue;
    if (dot != std::string_view::npos) return Find(part.value, path.substr(dot + 1));
    if (part.value == "null") return std::nullopt;
    return std::string(part.value);
  }
  return std::nullopt;
}

/// Two readers of JSON agree: the one that takes fields out, and the one of tables, which refuses a little
/// more.
void CheckFields(std::string_view text) {
  JsonFields fields(kPaths);
  const auto outcome = fields.Read(text);
  const auto row = table::ParseFields(text);
  const std::string kind = ErrorKind(row.status());
  const bool no_json = kind == "invalid_json" || kind == "invalid_utf8" || kind == "too_deep";
  if (no_json) SELVAGE_CHECK(outcome == JsonFields::Outcome::kNotJson);
  if (kind == "not_an_object") SELVAGE_CHECK(outcome == JsonFields::Outcome::kNotAnObject);
  if (!row.ok()) return;
  SELVAGE_CHECK(outcome == JsonFields::Outcome::kRead);
  const std::string canonical =
      table::CanonicalJson::Parse(text).ok() ? table::CanonicalJson::Parse(text)->text() : std::string();
  if (canonical.empty()) return;  // one level deeper than a field may be
  for (size_t i = 0; i < kPaths.size(); ++i) {
    const FieldValue& value = fields.value(i);
    const auto found = Find(canonical, kPaths[i]);
    SELVAGE_CHECK(found.has_value() == (value.kind != FieldKind::kAbsent));
    if (value.kind == FieldKind::kNumber) SELVAGE_CHECK(table::CanonicalNumber(value.number) == *found);
    if (value.kind == FieldKind::kText) SELVAGE_CHECK(value.text == table::TextOf(*found));
    if (value.kind == FieldKind::kBoolean) SELVAGE_CHECK(*found == (value.boolean ? "true" : "false"));
    if (value.kind == FieldKind::kComposite) SELVAGE_CHECK((*found)[0] == '{' || (*found)[0] == '[');
    SELVAGE_CHECK(value.kind != FieldKind::kOutOfRange);
  }
}

/// What can be decoded has one form, and merges.
void CheckState(std::string_view bytes) {
  const auto state = AggregateState::Decode(Definition().aggregate(), bytes);
  if (!state.ok()) {
    SELVAGE_CHECK(ErrorKind(state.status()) == "corrupt_view");
    return;
  }
  SELVAGE_CHECK(state->Encode() == bytes);
  AggregateState twice = *state;
  twice.Merge(*state);
  SELVAGE_CHECK(VisibleRow(Definition().aggregate(), "1,2,3", twice).ok());
}

/// A piece that is cut in two adds up to the whole.
void CheckFold(fuzz::Input input) {
  ViewFold whole(Definition());
  ViewFold cut(Definition());
  whole.Begin({}, {});
  cut.Begin({}, {});
  std::vector<ViewPiece> pieces;
  for (int64_t offset = 0; !input.empty(); ++offset) {
    InputRecord record{.offset = Offset(offset), .timestamp_ms = input.Number<int16_t>()};
    const uint8_t choice = input.Byte();
    if ((choice & 1) != 0) record.key = input.Bytes();
    if ((choice & 2) != 0) record.value = input.Bytes();
    SELVAGE_CHECK(whole.Add(record));
    SELVAGE_CHECK(cut.Add(record));
    if ((choice & 4) == 0) continue;
    pieces.push_back(cut.Take());
    cut.Begin(pieces.back().after, {});
  }
  pieces.push_back(cut.Take());
  const ViewPiece all = whole.Take();
  SELVAGE_CHECK(all.after == pieces.back().after);
  for (const GroupUpdate& group : all.groups) {
    AggregateState merged(Definition().aggregate());
    for (const ViewPiece& piece : pieces) {
      for (const GroupUpdate& part : piece.groups) {
        if (part.key == group.key) merged.Merge(part.state);
      }
    }
    SELVAGE_CHECK(merged.Encode() == group.state.Encode());
    SELVAGE_CHECK(VisibleRow(Definition().aggregate(), group.key, merged).ok());
  }
}

}  // namespace
}  // namespace selvage::view

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace selvage;
  using namespace selvage::view;
  fuzz::Input input(data, size);
  switch (input.Below(3)) {
    case 0:
      CheckFields(input.Rest());
      break;
    case 1:
      CheckState(input.Rest());
      break;
    default:
      CheckFold(input);
  }
  return 0;
}
