/// Entries of table flows, as a peer may send them, and positions in feeds, as damaged storage may hold them.
/// The first byte chooses: changes, a piece of a snapshot, or a position.
#include <string>

#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/table/apply_task.h"
#include "fabric/table/change_format.h"
#include "tests/fuzz/input.h"

namespace selvage::table {
namespace {

std::string Written(const std::vector<RowChange>& changes) {
  ChangesWriter writer;
  for (const RowChange& change : changes) writer.Add(change);
  return std::move(writer).Take();
}

/// What is taken has one form.
void CheckChanges(std::string_view body) {
  const auto changes = ReadChangesBody(body);
  if (!changes.ok()) {
    SELVAGE_CHECK(!ErrorKind(changes.status()).empty());
    return;
  }
  SELVAGE_CHECK(ChangesBody(changes->seen, changes->source_end, Written(changes->rows)) == body);
  for (const RowChange& change : changes->rows) SELVAGE_CHECK(CheckRowKey(change.key).ok());
}

void CheckInterval(std::string_view body) {
  const auto interval = ReadIntervalBody(body);
  if (!interval.ok()) {
    SELVAGE_CHECK(!ErrorKind(interval.status()).empty());
    return;
  }
  SELVAGE_CHECK(IntervalBody(interval->upto, interval->feed, interval->source_end, Written(interval->rows)) ==
                body);
}

/// What is taken is the same when it was stored once more.
void CheckCursor(std::string_view stored) {
  const auto cursor = CursorOf(stored);
  if (!cursor.ok()) {
    SELVAGE_CHECK(ErrorKind(cursor.status()) == "corrupt_meta");
    return;
  }
  const auto again = CursorOf(Stored(*cursor).SerializeAsString());
  SELVAGE_CHECK(again.ok() && *again == *cursor);
}

}  // namespace
}  // namespace selvage::table

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace selvage;
  using namespace selvage::table;
  fuzz::Input input(data, size);
  switch (input.Below(3)) {
    case 0:
      CheckChanges(input.Rest());
      break;
    case 1:
      CheckInterval(input.Rest());
      break;
    default:
      CheckCursor(input.Rest());
  }
  return 0;
}
