#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/table/row_format.h"
#include "fabric/table/table_store.h"

namespace selvage::table {
namespace {

/// Of stored rows that one page reads: with large rows the count alone bounds no time.
constexpr size_t kLookedAtBytesMax = 64u << 20;
/// Changes, or rows, that one page reads, wanted or not.
constexpr size_t kPageLookedAtMax = 100'000;

/// Nothing when the row is not there.
std::optional<RowView> ViewOf(std::string_view key, const Row& row, int64_t now_ms) {
  auto json = VisibleJson(row, now_ms);
  if (!json) return std::nullopt;
  return RowView{std::string(key), *std::move(json), DigestOf(row, now_ms),
                 row.expiry ? row.expiry->at_ms : std::nullopt};
}

/// The keys of a request as those of the store: [first, second).
template <class Request>
std::pair<std::string, std::string> RangeOf(TableNumber table, const Request& request) {
  const std::string prefix = RowKey(table, request.prefix);
  std::string from = std::max(prefix, RowKey(table, request.from));
  std::string to = EndOfPrefix(prefix);
  if (!request.to.empty()) to = std::min(to, RowKey(table, request.to));
  return {std::move(from), std::move(to)};
}

}  // namespace

absl::StatusOr<Row> TableStore::Decode(Table& table, std::string_view key, std::string_view stored) const {
  auto row = DecodeRow(stored);
  if (row.ok()) return row;
  NoteDamaged(table, key);
  return DamagedRow(key);
}

absl::StatusOr<Row> TableStore::ReadRow(Table& table, std::string_view key) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto stored, env_.store.Get(Family::kRow, RowKey(table.number, key)));
  if (!stored) return Row();
  return Decode(table, key, *stored).value_or(Row());
}

void TableStore::NoteDamaged(Table& table, std::string_view key) const {
  absl::MutexLock lock(&mutex_);
  if (table.damaged.size() < kDamagedKnown) table.damaged.emplace(key, false);
}

void TableStore::ForgetDamaged(Table& table, std::string_view key) const {
  absl::MutexLock lock(&mutex_);
  if (const auto known = table.damaged.find(key); known != table.damaged.end()) table.damaged.erase(known);
}

absl::Status TableStore::LookAtDamaged(Table& table) const {
  std::vector<std::string> keys;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [key, refused] : table.damaged) keys.push_back(key);
  }
  for (const std::string& key : keys) {
    SELVAGE_ASSIGN_OR_RETURN(const auto stored, env_.store.Get(Family::kRow, RowKey(table.number, key)));
    if (!stored || DecodeRow(*stored).ok()) ForgetDamaged(table, key);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<RowView>> TableStore::Get(const std::string& name, std::string_view key) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  SELVAGE_ASSIGN_OR_RETURN(const auto stored, env_.store.Get(Family::kRow, RowKey(table->number, key)));
  if (!stored) return std::nullopt;
  SELVAGE_ASSIGN_OR_RETURN(const Row row, Decode(*table, key, *stored));
  return ViewOf(key, row, now_ms());
}

absl::StatusOr<ScanPage> TableStore::Scan(const std::string& name, const ScanRequest& request) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  const auto [from, to] = RangeOf(table->number, request);
  const size_t key_at = RowKeys(table->number).size();
  const int64_t now = now_ms();
  ScanPage page;
  if (from >= to) return page;
  size_t bytes = 0;
  size_t bytes_looked_at = 0;
  auto cursor = env_.store.Scan(Family::kRow, from, to);
  for (cursor->Seek(from); cursor->Valid(); cursor->Next()) {
    const std::string_view key = cursor->key().substr(key_at);
    if (page.rows.size() >= request.rows_max || page.looked_at >= request.looked_at_max ||
        bytes_looked_at >= kLookedAtBytesMax) {
      page.next = std::string(key);
      return page;
    }
    const auto row = Decode(*table, key, cursor->value());
    if (!row.ok() && !request.past_damaged) {
      if (page.looked_at == 0) return row.status();
      page.next = std::string(key);
      return page;
    }
    ++page.looked_at;
    bytes_looked_at += cursor->value().size();
    if (!row.ok()) {
      page.damaged.emplace_back(key);
      continue;
    }
    auto view = ViewOf(key, *row, now);
    if (!view) continue;
    bytes += view->key.size() + view->json.size();
    if (bytes > request.bytes_max && !page.rows.empty()) {
      page.next = std::move(view->key);
      return page;
    }
    page.rows.push_back(*std::move(view));
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  return page;
}

absl::StatusOr<DigestPage> TableStore::DigestRows(const std::string& name,
                                                  const DigestRequest& request) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  const auto [from, to] = RangeOf(table->number, request);
  const size_t key_at = RowKeys(table->number).size();
  DigestPage page;
  page.at_ms = request.at_ms.value_or(now_ms());
  if (from >= to) return page;
  size_t bytes_looked_at = 0;
  size_t looked_at = 0;
  // Two nodes that have a row damaged do not have the same.
  const RowDigest of_damaged = *RowDigest::FromBytes(options_.store_id().bytes());
  auto cursor = env_.store.Scan(Family::kRow, from, to);
  for (cursor->Seek(from); cursor->Valid(); cursor->Next()) {
    const std::string_view key = cursor->key().substr(key_at);
    if (page.digest.rows() >= request.rows_max || looked_at >= kPageLookedAtMax ||
        bytes_looked_at >= kLookedAtBytesMax) {
      page.next = std::string(key);
      return page;
    }
    ++looked_at;
    bytes_looked_at += cursor->value().size();
    const auto row = Decode(*table, key, cursor->value());
    const RowDigest version = row.ok() ? DigestOf(*row, page.at_ms) : of_damaged;
    if (version.none()) continue;
    page.digest.Add(key, version);
    if (request.versions) page.versions.emplace_back(key, version);
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  return page;
}

absl::StatusOr<uint64_t> TableStore::ResumeAt(const Table& table, const FeedPosition& from) const {
  absl::MutexLock lock(&mutex_);
  // From the beginning there is nothing that could have been deleted unheard.
  if (from.sequence == 0) return 0;
  const auto resume = epochs_.Resume(from.epoch, from.sequence);
  if (resume && std::max(*resume, from.began_at) >= table.horizon && *resume <= published_end_)
    return *resume;
  return MakeError(absl::StatusCode::kOutOfRange, "position_expired",
                   fmt::format("changes of table {} are not known from position {} on",
                               table.definition.name(), from.Text()),
                   "scan the table, and go on from the position that it had before the scan");
}

absl::StatusOr<ChangePage> TableStore::ReadChanges(const std::string& name, const FeedPosition& from,
                                                   std::string_view prefix, size_t rows_max,
                                                   size_t bytes_max) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  SELVAGE_ASSIGN_OR_RETURN(const uint64_t start, ResumeAt(*table, from));
  const FeedPosition end = End();
  const int64_t now = now_ms();
  ChangePage page;
  page.next = end;
  if (start >= end.sequence) return page;
  const uint64_t began_at = start == 0 ? end.sequence : from.began_at;
  const auto position = [&](uint64_t sequence) {
    return FeedPosition{end.epoch, sequence, sequence < began_at ? began_at : 0};
  };
  size_t bytes = 0;
  size_t looked_at = 0;
  const std::string first = FeedKey(FeedIndex::kSequence, table->number, start);
  const std::string last = FeedKey(FeedIndex::kSequence, table->number, end.sequence);
  auto cursor = env_.store.Scan(Family::kFeed, first, last);
  for (cursor->Seek(first); cursor->Valid(); cursor->Next()) {
    const uint64_t sequence = NumberOfFeedKey(cursor->key());
    const std::string key(cursor->value());
    if (page.changes.size() >= rows_max || bytes >= bytes_max || looked_at++ >= kPageLookedAtMax) {
      page.next = position(sequence);
      page.more = true;
      return page;
    }
    if (!std::string_view(key).starts_with(prefix)) continue;
    SELVAGE_ASSIGN_OR_RETURN(const auto stored, env_.store.Get(Family::kRow, RowKey(table->number, key)));
    Row row;
    if (stored) {
      auto decoded = Decode(*table, key, *stored);
      if (!decoded.ok()) continue;
      row = *std::move(decoded);
      // It changed again: the newer change tells of it.
      if (IndexOf(row).newest() != sequence) continue;
    }
    page.changes.push_back({key, ViewOf(key, row, now), position(sequence + 1)});
    bytes += key.size() + (page.changes.back().row ? page.changes.back().row->json.size() : 0);
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  return page;
}

}  // namespace selvage::table
