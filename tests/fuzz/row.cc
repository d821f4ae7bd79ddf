/// Rows of tables, as damaged storage or a peer may hand them over, and JSON, as a user may. The first byte
/// chooses: a row, two rows that are merged, or JSON.
#include <string>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/table/merge.h"
#include "fabric/table/row_format.h"
#include "tests/fuzz/input.h"

namespace selvage::table {
namespace {

constexpr int64_t kBeforeAll = INT64_MIN;  // nothing has expired then

/// What can be decoded has one form, is JSON to readers, and merges with itself without a change.
std::optional<Row> CheckRow(std::string_view bytes) {
  auto row = DecodeRow(bytes);
  if (!row.ok()) {
    SELVAGE_CHECK(ErrorKind(row.status()) == "corrupt_row");
    return std::nullopt;
  }
  SELVAGE_CHECK(EncodeRow(*row) == bytes);
  const auto json = VisibleJson(*row, kBeforeAll);
  SELVAGE_CHECK(json.has_value() != DigestOf(*row, kBeforeAll).none());
  if (json) SELVAGE_CHECK(ParseFields(*json).ok());
  Row again = *row;
  SELVAGE_CHECK(Merge(again, *row, {}).outcome != MergeOutcome::kApplied);
  return *std::move(row);
}

void CheckMerge(std::string_view bytes_a, std::string_view bytes_b) {
  const auto a = CheckRow(bytes_a);
  const auto b = CheckRow(bytes_b);
  if (!a || !b) return;
  Row ab = *a;
  Merge(ab, *b, {});
  SELVAGE_CHECK(DecodeRow(EncodeRow(ab)).ok());
  Row ba = *b;
  Merge(ba, *a, {});
  SELVAGE_CHECK(VisibleJson(ab, kBeforeAll) == VisibleJson(ba, kBeforeAll));
  SELVAGE_CHECK(DigestOf(ab, kBeforeAll) == DigestOf(ba, kBeforeAll));
}

/// What is taken has one form, which is taken again as it is.
void CheckJson(std::string_view text) {
  const auto value = CanonicalJson::Parse(text);
  if (value.ok()) {
    SELVAGE_CHECK(CanonicalJson::FromBytes(value->text()).ok());
    if (value->number()) SELVAGE_CHECK(CanonicalJson::Of(*value->number()) == *value);
  }
  const auto fields = ParseFields(text);
  if (!fields.ok()) return;
  Row row;
  row.clear = Clear{ClearKind::kPut, {}};
  for (const auto& [name, field] : *fields) row.fields[name].set = Register{field, {}};
  const auto json = VisibleJson(row, kBeforeAll);
  SELVAGE_CHECK(json && *ParseFields(*json) == *fields);
  if (value.ok()) SELVAGE_CHECK(*json == value->text());
}

}  // namespace
}  // namespace selvage::table

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace selvage;
  using namespace selvage::table;
  fuzz::Input input(data, size);
  switch (input.Below(3)) {
    case 0:
      CheckRow(input.Rest());
      break;
    case 1: {
      const std::string_view first = input.Bytes();
      CheckMerge(first, input.Rest());
      break;
    }
    default:
      CheckJson(input.Rest());
  }
  return 0;
}
