#include "tests/fault/table_model.h"

#include <algorithm>
#include <iterator>

#include "fabric/base/error.h"
#include "tests/fault/wrong.h"

namespace selvage::test {
namespace {

constexpr size_t kAllBytes = 1 << 30;

}  // namespace

std::string TableModel::Json(const Row& row) {
  std::string json = "{";
  if (row.n) json += fmt::format("\"n\":{}", *row.n);
  if (row.text) json += fmt::format("{}\"text\":\"{}\"", row.n ? "," : "", *row.text);
  return json + '}';
}

TableModel::Rows TableModel::Shown(const State& state) {
  Rows rows;
  for (const auto& [key, row] : state.rows) rows[key] = Json(row);
  return rows;
}

absl::Status TableModel::CheckRecovered(const table::TableStore& tables, const std::string& name) {
  if (!tables.Find(name)) return made_ ? Wrong("table {} is gone", name) : absl::OkStatus();
  made_ = true;
  SELVAGE_RETURN_IF_ERROR(tables.CheckInvariants());
  SELVAGE_ASSIGN_OR_RETURN(const table::ScanPage page, tables.Scan(name, {.bytes_max = kAllBytes}));
  Rows found;
  for (const table::RowView& row : page.rows) found[row.key] = row.json;
  SELVAGE_ASSIGN_OR_RETURN(const auto cursor, tables.Cursor(name, peer_));
  const uint64_t read = cursor ? cursor->feed.sequence : 0;
  const auto state = std::find_if(states_.begin(), states_.end(), [&](const State& possible) {
    return possible.read == read && Shown(possible) == found;
  });
  if (state == states_.end()) {
    return Wrong("table {} with {} rows, read up to {}, is none of the {} that it may be", name, found.size(),
                 read, states_.size());
  }
  states_ = {State(*state)};
  return Follow(tables, name, /*page_rows=*/3, /*all=*/true);
}

absl::Status TableModel::Follow(const table::TableStore& tables, const std::string& name, size_t page_rows,
                                bool all) {
  for (bool more = true; more;) {
    auto page = tables.ReadChanges(name, followed_to_, /*prefix=*/"", page_rows, kAllBytes);
    if (!page.ok()) return Annotate(page.status(), "following the changes of table " + name);
    for (const table::RowChanged& change : page->changes) {
      if (change.row) {
        followed_[change.key] = change.row->json;
      } else {
        followed_.erase(change.key);
      }
    }
    followed_to_ = page->next;
    if (!page->more && states_.size() == 1 && followed_ != Shown(states_.front())) {
      return Wrong("who follows the changes of table {} has other rows than it", name);
    }
    more = page->more && all;
  }
  return absl::OkStatus();
}

}  // namespace selvage::test
