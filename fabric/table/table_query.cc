#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/table/index_value.h"
#include "fabric/table/projection.h"
#include "fabric/table/query_plan.h"
#include "fabric/table/row_format.h"
#include "fabric/table/table_store.h"

/// Queries: what is read is planned (query_plan.h), and each row that is found so is judged by itself:
/// whether it is there, whether an index has it under the value that it has now, and by the filter. Rows and
/// index are read as of one moment.
///
/// Where a page ends is a position in the order of what is read, behind a letter for its kind: "k" ‖ key, "i"
/// ‖ index number u32 ‖ value ‖ key, or, where an order by a path was asked for, "o" ‖ value ‖ key, which
/// holds whether an index has that order or rows are sorted.
namespace selvage::table {
namespace {

/// Of stored rows that one page reads where nothing is sorted.
constexpr size_t kQueryBytesMax = 64u << 20;
constexpr char kByKey = 'k';
constexpr char kByIndex = 'i';
constexpr char kByOrder = 'o';

absl::Status InvalidContinuation() {
  return MakeError(absl::StatusCode::kInvalidArgument, "invalid_continuation",
                   "the page that is asked for does not follow one of this query",
                   "begin again without it; an index may have been dropped meanwhile");
}

/// The keys that a query asks for.
KeyRange AskedFor(const QueryRequest& request) {
  KeyRange keys{std::max(request.prefix, request.from), request.to};
  const std::string end = EndOfPrefix(request.prefix);
  if (!end.empty() && (keys.to.empty() || end < keys.to)) keys.to = end;
  return keys;
}

bool IsWithin(const KeyRange& keys, std::string_view key) {
  return key >= keys.from && (keys.to.empty() || key < keys.to);
}

bool HoldsNothing(const KeyRange& keys) {
  return !keys.to.empty() && keys.from >= keys.to;
}

/// Goes through the keys of some ranges, forwards or from the last to the first.
class RangeWalk {
 public:
  /// `prefix`: what all keys of the cursor begin with. `after`: the first key comes after it, in the order of
  /// the walk, unless it is empty. The cursor must outlive the walk, and is its own.
  RangeWalk(Cursor& cursor, std::string prefix, std::vector<KeyRange> ranges, bool descending,
            std::string after)
      : cursor_(cursor),
        prefix_(std::move(prefix)),
        ranges_(std::move(ranges)),
        descending_(descending),
        after_(std::move(after)) {
    if (descending_) std::reverse(ranges_.begin(), ranges_.end());
  }

  /// False at the end, and after an error of the cursor.
  bool Next() {
    if (begun_) {
      if (descending_) {
        cursor_.Prev();
      } else {
        cursor_.Next();
      }
    }
    while (!begun_ || !Stands()) {
      if (begun_ && (!cursor_.status().ok() || ++at_ >= ranges_.size())) return false;
      if (at_ >= ranges_.size()) return false;
      begun_ = true;
      Seek(ranges_[at_]);
    }
    return true;
  }
  /// Without the prefix; valid until the walk goes on.
  std::string_view key() const { return cursor_.key().substr(prefix_.size()); }

 private:
  /// On a key of the current range.
  bool Stands() const { return cursor_.Valid() && IsWithin(ranges_[at_], key()); }
  void Seek(const KeyRange& range) {
    if (!descending_) {
      const std::string first = after_.empty() ? range.from : std::max(range.from, after_ + '\0');
      cursor_.Seek(prefix_ + first);
      return;
    }
    std::string end = range.to.empty() ? EndOfPrefix(prefix_) : prefix_ + range.to;
    if (!after_.empty()) end = std::min(end, prefix_ + after_);
    cursor_.SeekForPrev(end);
    if (cursor_.Valid() && cursor_.key() == end) cursor_.Prev();
  }

  Cursor& cursor_;
  const std::string prefix_;
  std::vector<KeyRange> ranges_;
  const bool descending_;
  const std::string after_;
  size_t at_ = 0;  // of ranges_
  bool begun_ = false;
};

/// The first rows in an order, as many as a page takes.
class SortedPage {
 public:
  SortedPage(const QueryRequest& request, std::string after)
      : request_(request), after_(std::move(after)), rows_(Order{request.order.descending}) {}

  /// Whether the row at this position is one of them so far.
  bool Takes(const std::string& position) {
    const Order before = rows_.key_comp();
    if (!after_.empty() && !before(after_, position)) return false;
    return !more_ || before(position, rows_.rbegin()->first);
  }
  /// A row that it takes.
  void Add(std::string position, RowView row) {
    bytes_ += row.key.size() + row.json.size();
    rows_.emplace(std::move(position), std::move(row));
    while (rows_.size() > 1 && (rows_.size() > request_.rows_max || bytes_ > request_.bytes_max)) {
      const auto last = std::prev(rows_.end());
      bytes_ -= last->second.key.size() + last->second.json.size();
      rows_.erase(last);
      more_ = true;
    }
  }
  /// Into `page`, with where it ends when there are more.
  void MoveTo(QueryPage& page, const std::string& token) && {
    if (more_) page.next = token + rows_.rbegin()->first;
    for (auto& [position, row] : rows_) page.rows.push_back(std::move(row));
  }

 private:
  struct Order {
    bool descending = false;
    bool operator()(const std::string& a, const std::string& b) const { return descending ? b < a : a < b; }
  };

  const QueryRequest& request_;
  const std::string after_;
  std::map<std::string, RowView, Order> rows_;
  size_t bytes_ = 0;
  bool more_ = false;  // rows behind the last one were left out
};

}  // namespace

struct TableStore::PlannedQuery {
  QueryPlan plan;
  KeyRange keys;
  std::string token;  ///< what its continuations begin with
  std::string after;  ///< position of the page before; empty: this is the first
};

absl::StatusOr<TableStore::PlannedQuery> TableStore::Plan(const Table& table,
                                                          const QueryRequest& request) const {
  using By = QueryOrder::By;
  const QueryOrder order = request.count ? QueryOrder{} : request.order;
  TableIndexes indexes = ReadyIndexes(table);
  // A page that follows is read as the one before was, whatever indexes there are by now.
  const std::string& after = request.after;
  if (!after.empty() && order.by == By::kAny) {
    std::erase_if(indexes, [&](const TableIndex& index) {
      std::string token(1, kByIndex);
      AppendBig<uint32_t>(token, index.number);
      return !after.starts_with(token);
    });
  }
  PlannedQuery planned;
  planned.keys = AskedFor(request);
  const auto conditions = request.filter ? request.filter->Conditions() : std::vector<FieldCondition>();
  planned.plan = PlanQuery(conditions, order, planned.keys, indexes);
  if (order.by == By::kPath) {
    planned.token = kByOrder;
  } else if (planned.plan.index) {
    planned.token = kByIndex;
    AppendBig<uint32_t>(planned.token, planned.plan.index->number);
  } else {
    planned.token = kByKey;
  }
  if (after.empty()) return planned;
  if (!after.starts_with(planned.token) || after.size() == planned.token.size()) return InvalidContinuation();
  planned.after = after.substr(planned.token.size());
  return planned;
}

namespace {

/// Reads one page.
class QueryRun {
 public:
  struct Parts {
    const QueryRequest& request;
    const QueryPlan& plan;
    const KeyRange& keys;
    const std::string& token;
    const std::string& after;
    const std::string& table;  ///< its name
    std::string row_keys;      ///< what the keys of its rows begin with
    std::string read_keys;     ///< the same of what is walked
    int64_t now_ms = 0;
  };
  /// `walked`: the index, or the rows as well. `rows` is for those that the index names.
  QueryRun(Parts parts, Cursor& walked, Cursor& rows)
      : parts_(std::move(parts)),
        request_(parts_.request),
        walked_(walked),
        rows_(rows),
        projection_(request_.fields),
        sorted_(request_, parts_.after) {}

  absl::StatusOr<QueryPage> Run() {
    const bool sorts = parts_.plan.sorts;
    RangeWalk walk(walked_, parts_.read_keys, parts_.plan.ranges,
                   request_.order.descending && !request_.count && !sorts, sorts ? "" : parts_.after);
    std::string last = parts_.after;
    while (walk.Next()) {
      if (!sorts && IsFull()) return EndAfter(last);
      SELVAGE_RETURN_IF_ERROR(CheckSorted());
      ++page_.looked_at;
      SELVAGE_ASSIGN_OR_RETURN(auto found, Look(walk.key()));
      if (found && !Take(*std::move(found))) return EndAfter(last);
      if (!sorts) last = walk.key();
    }
    SELVAGE_RETURN_IF_ERROR(walked_.status());
    if (sorts) std::move(sorted_).MoveTo(page_, parts_.token);
    if (!request_.count) page_.count = page_.rows.size();
    return std::move(page_);
  }

 private:
  /// A row that the query wants.
  struct Found {
    std::string key;
    Row row;
    std::string json;
  };

  bool IsFull() const {
    return (!request_.count && page_.rows.size() >= request_.rows_max) ||
           page_.looked_at >= request_.looked_at_max || bytes_looked_at_ >= kQueryBytesMax;
  }
  absl::StatusOr<QueryPage> EndAfter(const std::string& last) {
    page_.next = parts_.token + last;
    if (!request_.count) page_.count = page_.rows.size();
    return std::move(page_);
  }
  absl::Status CheckSorted() const {
    if (!parts_.plan.sorts ||
        (page_.looked_at < TableStore::kSortedRowsMax && bytes_looked_at_ < TableStore::kSortedBytesMax)) {
      return absl::OkStatus();
    }
    const std::string& path = request_.order.path->text;
    return MakeError(absl::StatusCode::kFailedPrecondition, "query_needs_index",
                     fmt::format("to sort by {} more than {} rows or {} bytes would be read", path,
                                 TableStore::kSortedRowsMax, TableStore::kSortedBytesMax),
                     fmt::format("make an index: selvagectl table index create {} {}", parts_.table, path));
  }

  absl::StatusOr<std::optional<Found>> Look(std::string_view walked) {
    std::string_view key = walked;
    std::string_view value;
    if (parts_.plan.index) {
      const auto size = IndexValueSize(walked);
      if (!size) {
        return MakeError(absl::StatusCode::kDataLoss, "corrupt_index",
                         fmt::format("an entry of index {} is damaged", parts_.plan.index->name),
                         "drop the index and make it again");
      }
      value = walked.substr(0, *size);
      key = walked.substr(*size);
      if (!IsWithin(parts_.keys, key)) return std::nullopt;
      const std::string row_key = parts_.row_keys + std::string(key);
      rows_.Seek(row_key);
      SELVAGE_RETURN_IF_ERROR(rows_.status());
      if (!rows_.Valid() || rows_.key() != row_key) return std::nullopt;
    }
    const std::string_view stored = parts_.plan.index ? rows_.value() : walked_.value();
    bytes_looked_at_ += stored.size();
    auto row = DecodeRow(stored);
    if (!row.ok()) return Annotate(row.status(), fmt::format("row \"{}\"", key));
    auto json = VisibleJson(*row, parts_.now_ms);
    if (!json) return std::nullopt;
    // Before and after an expiry it may stand under two values.
    if (parts_.plan.index && IndexValueAt(*json, parts_.plan.index->path) != value) return std::nullopt;
    if (request_.filter && !request_.filter->Matches(*json)) return std::nullopt;
    return Found{std::string(key), *std::move(row), *std::move(json)};
  }

  /// False when the page has no room for it.
  bool Take(Found found) {
    if (request_.count) {
      ++page_.count;
      return true;
    }
    std::string position;
    if (parts_.plan.sorts) {
      position = IndexValueAt(found.json, *request_.order.path) + found.key;
      if (!sorted_.Takes(position)) return true;
    }
    if (!projection_.whole()) found.json = projection_.Of(found.json);
    if (!parts_.plan.sorts) {
      const size_t bytes = found.key.size() + found.json.size();
      if (!page_.rows.empty() && bytes_ + bytes > request_.bytes_max) return false;
      bytes_ += bytes;
    }
    RowView view{std::move(found.key), std::move(found.json), DigestOf(found.row, parts_.now_ms),
                 found.row.expiry ? found.row.expiry->at_ms : std::nullopt};
    if (parts_.plan.sorts) {
      sorted_.Add(std::move(position), std::move(view));
    } else {
      page_.rows.push_back(std::move(view));
    }
    return true;
  }

  const Parts parts_;
  const QueryRequest& request_;
  Cursor& walked_;
  Cursor& rows_;
  const Projection projection_;
  SortedPage sorted_;
  QueryPage page_;
  size_t bytes_ = 0;
  size_t bytes_looked_at_ = 0;
};

}  // namespace

absl::StatusOr<QueryPage> TableStore::Query(const std::string& name, const QueryRequest& request) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  SELVAGE_ASSIGN_OR_RETURN(const PlannedQuery planned, Plan(*table, request));
  if (HoldsNothing(planned.keys)) return QueryPage();
  const std::string row_keys = RowKeys(table->number);
  const std::string rows_end = EndOfPrefix(row_keys);
  std::vector<KeySpan> spans{{Family::kRow, row_keys, rows_end}};
  std::string read_keys = row_keys;
  std::string read_end;
  if (planned.plan.index) {
    read_keys = ValueKeys(table->number, planned.plan.index->number);
    read_end = EndOfPrefix(read_keys);
    spans.push_back({Family::kFeed, read_keys, read_end});
  }
  const auto cursors = env_.store.ScanTogether(spans);
  QueryRun run({.request = request,
                .plan = planned.plan,
                .keys = planned.keys,
                .token = planned.token,
                .after = planned.after,
                .table = name,
                .row_keys = row_keys,
                .read_keys = read_keys,
                .now_ms = now_ms()},
               *cursors.back(), *cursors.front());
  return run.Run();
}

absl::StatusOr<std::string> TableStore::Explain(const std::string& name, const QueryRequest& request) const {
  SELVAGE_ASSIGN_OR_RETURN(const auto table, TableNamed(name));
  SELVAGE_ASSIGN_OR_RETURN(const PlannedQuery planned, Plan(*table, request));
  const QueryPlan& plan = planned.plan;
  std::string json = fmt::format("{{\"scan\":{}", !plan.index);
  if (plan.index) {
    json += ",\"index\":";
    AppendJsonString(json, plan.index->name);
    json += ",\"path\":";
    AppendJsonString(json, plan.index->path.text);
  }
  json += fmt::format(",\"ranges\":{},\"order\":\"{}\",\"looked_at_max\":{}}}", plan.ranges.size(),
                      plan.sorts   ? "sort"
                      : plan.index ? "index"
                                   : "key",
                      plan.sorts ? kSortedRowsMax : request.looked_at_max);
  return json;
}

}  // namespace selvage::table
