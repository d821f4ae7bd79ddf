/// Filters, as a user may hand them over, and JSON Merge Patches. The first byte chooses: a filter on a row,
/// a filter on bytes that are no row, or a patch.
#include "fabric/table/filter.h"

#include <string>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/table/merge.h"
#include "fabric/table/merge_patch.h"
#include "tests/fuzz/input.h"

namespace selvage::table {
namespace {

/// A filter that is taken and its negation never agree.
void CheckFilter(std::string_view json, std::string_view row) {
  const auto filter = Filter::Parse(json);
  if (!filter.ok()) {
    SELVAGE_CHECK(ErrorKind(filter.status()) == "invalid_filter");
    return;
  }
  const auto negated = Filter::Parse("{\"$not\":" + std::string(json) + "}");
  const bool matches = filter->Matches(row);
  // At the bounds the negation is one too many.
  if (negated.ok()) SELVAGE_CHECK(negated->Matches(row) != matches);
}

/// The row that a patch makes has what the patch sets, and patching it once more changes nothing.
void CheckPatch(std::string_view row_json, std::string_view patch) {
  Row row;
  if (const auto fields = ParseFields(row_json); fields.ok()) {
    Merge(row, Put(row, *fields, {}, {Hlc::AtMs(1), StoreId()}), {});
  }
  const auto update = UpdateOfMergePatch(row, patch, 0);
  SELVAGE_CHECK(update.ok() == ParseFields(patch).ok());
  if (!update.ok()) return;
  const auto change = MakeUpdate(row, *update, {Hlc::AtMs(2), StoreId()}, FeedEpoch());
  SELVAGE_CHECK(change.ok());
  Merge(row, *change, {});
  const auto json = VisibleJson(row, 0);
  if (json) SELVAGE_CHECK(ParseFields(*json).ok());
  const auto again = UpdateOfMergePatch(row, patch, 0);
  SELVAGE_CHECK(again.ok() && again->set == update->set && again->unset == update->unset);
}

}  // namespace
}  // namespace selvage::table

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace selvage;
  using namespace selvage::table;
  fuzz::Input input(data, size);
  const uint32_t choice = input.Below(3);
  const std::string_view first = input.Bytes();
  const std::string_view second = input.Rest();
  switch (choice) {
    case 0: {
      const auto row = CanonicalJson::Parse(second);
      CheckFilter(first, row.ok() ? row->text() : "{}");
      break;
    }
    case 1:
      CheckFilter(first, second);
      break;
    default:
      CheckPatch(first, second);
  }
  return 0;
}
