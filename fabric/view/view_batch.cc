#include "fabric/view/view_batch.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/base/utf8.h"
#include "fabric/stream/record_format.h"
#include "fabric/table/canonical_reader.h"
#include "fabric/table/table_types.h"
#include "fabric/view/json_fields.h"
#include "fabric/view/view_definition.h"
#include "fabric/view/window.h"

namespace selvage::view {
namespace {

/// Where a view finds one of its values in a record.
struct ValueSource {
  enum class Kind : uint8_t { kRecord, kKey, kField };
  Kind kind = Kind::kRecord;
  size_t field = 0;       ///< of kField: which of FoldPlan::paths
  std::string path = {};  ///< as the definition has it
};

/// What a view wants of each record.
struct FoldPlan {
  explicit FoldPlan(const v1::ViewAggregate& aggregate) {
    for (const v1::ViewGroupField& field : aggregate.group_by()) groups.push_back(SourceOf(field.path()));
    for (const v1::ViewColumn& column : aggregate.columns()) columns.push_back(SourceOf(column.path()));
  }

  std::vector<std::string> paths;  ///< of fields of the value
  std::vector<ValueSource> groups;
  std::vector<ValueSource> columns;

 private:
  ValueSource SourceOf(const std::string& path) {
    if (path.empty()) return {ValueSource::Kind::kRecord};
    if (path == kRecordKey) return {.kind = ValueSource::Kind::kKey, .path = path};
    paths.push_back(path);
    return {.kind = ValueSource::Kind::kField, .field = paths.size() - 1, .path = path};
  }
};

/// Bytes of a row's canonical JSON.
size_t SizeOfRow(const table::Fields& fields) {
  std::string names;
  size_t size = fields.empty() ? 2 : 1;  // each field has a comma or the last brace behind it
  for (const auto& [name, value] : fields) {
    table::AppendJsonString(names, name);
    size += value.text().size() + 2;
  }
  return size + names.size();
}

/// Rows are found by views of their keys. (The string_view of Abseil is another type on Debian.)
struct KeyHash {
  using is_transparent = void;
  size_t operator()(std::string_view key) const { return std::hash<std::string_view>()(key); }
};
template <class Row>
using RowsByKey = absl::flat_hash_map<std::string, Row, KeyHash, std::equal_to<>>;

template <class Map>
auto SortedByKey(Map& map) {
  std::vector<typename Map::value_type*> sorted;
  sorted.reserve(map.size());
  for (auto& entry : map) sorted.push_back(&entry);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
  return sorted;
}

}  // namespace

/// A view, and the piece that is being made.
class ViewFold::Piece {
 public:
  explicit Piece(v1::ViewDefinition definition)
      : definition_(std::move(definition)),
        plan_(definition_.aggregate()),
        fields_(plan_.paths),
        nothing_(definition_.aggregate()) {}

  void Begin(const LogProgress& from, const PieceLimits& limits) {
    limits_ = limits;
    made_ = {};
    made_.after = from;
    groups_.clear();
    newest_.clear();
    bytes_ = 0;
  }

  bool full() const { return made_.full; }
  Offset next() const { return made_.after.next; }
  void PassTo(Offset to) {
    if (!made_.full) made_.after.next = std::max(made_.after.next, to);
  }

  bool Add(const InputRecord& record, int64_t timestamp_max_ms) {
    if (record.offset < made_.after.next && !Planted(Canary::kViewCountsRepeat)) return true;
    if (made_.full) return false;
    if (definition_.has_newest()) {
      made_.full = !AddNewest(record);
    } else {
      std::optional<Window> window;
      if (record.timestamp_ms <= timestamp_max_ms && length_ms() > 0) {
        window = WindowOf(record.timestamp_ms, length_ms());
      }
      made_.full = !AddToGroup(record, window);
      if (window && !made_.full) {
        auto& watermark = made_.after.watermark_ms;
        watermark = std::max(watermark.value_or(record.timestamp_ms), record.timestamp_ms);
      }
    }
    if (made_.full) return false;
    ++made_.records;
    made_.after.next = record.offset + 1;
    return true;
  }

  /// True, so that the fold goes on.
  bool Skip(
      SkipReason reason, const InputRecord& record,
      absl::FunctionRef<std::string()> what = [] { return std::string(); }) {
    const uint64_t count = ++made_.skipped.counts[static_cast<size_t>(reason)];
    if (count <= SkippedRecords::kListedMax) {
      made_.skipped.listed.push_back(
          {reason, record.offset, record.timestamp_ms, DocumentText(what(), kSkippedWhatMax)});
    }
    return true;
  }

  ViewPiece Take() {
    for (auto* entry : SortedByKey(groups_)) {
      made_.groups.push_back({entry->first, entry->second.window_end_ms, std::move(entry->second.state)});
    }
    for (auto* entry : SortedByKey(newest_)) {
      Newest& newest = entry->second;
      made_.newest.push_back({entry->first, std::move(newest.row), newest.offset, newest.timestamp_ms});
    }
    ViewPiece piece = std::move(made_);
    Begin(piece.after, limits_);
    return piece;
  }

  const v1::ViewDefinition& definition() const { return definition_; }

 private:
  struct Group {
    std::optional<int64_t> window_end_ms;
    AggregateState state;
  };
  struct Newest {
    std::optional<table::Fields> row;
    Offset offset;
    int64_t timestamp_ms = 0;
    size_t bytes = 0;
  };

  int64_t length_ms() const { return definition_.aggregate().window_ms(); }

  /// False when the piece is full.
  bool AddNewest(const InputRecord& record) {
    if (!record.key) return Skip(SkipReason::kNoKey, record);
    const std::string_view key = *record.key;
    if (key.size() > table::kRowKeyMax) return Skip(SkipReason::kKeyTooLong, record);
    if (key.empty() || !table::IsValidUtf8(key)) return Skip(SkipReason::kBadKey, record);
    std::optional<table::Fields> row;
    if (record.value) {
      auto parsed = table::ParseFields(*record.value);
      if (!parsed.ok()) {
        const bool json = ErrorKind(parsed.status()) == "not_an_object";
        return Skip(json ? SkipReason::kNotAnObject : SkipReason::kNotJson, record,
                    [&] { return std::string(parsed.status().message()); });
      }
      if (SizeOfRow(*parsed) > limits_.row_bytes_max) return Skip(SkipReason::kRowTooLarge, record);
      row = *std::move(parsed);
    }
    const size_t bytes = key.size() + (record.value ? record.value->size() : 0);
    const auto known = newest_.find(key);
    const size_t before = known == newest_.end() ? 0 : known->second.bytes;
    if (!newest_.empty() && bytes_ - before + bytes > limits_.bytes_max) return false;
    if (known == newest_.end() && newest_.size() >= limits_.rows_max) return false;
    bytes_ = bytes_ - before + bytes;
    Newest& newest = known == newest_.end() ? newest_[std::string(key)] : known->second;
    newest = {std::move(row), record.offset, record.timestamp_ms, bytes};
    return true;
  }

  /// `window`: of a view with windows; nothing when the record's time is of no use. False when the piece is
  /// full.
  bool AddToGroup(const InputRecord& record, const std::optional<Window>& window) {
    if (length_ms() > 0) {
      if (!window) return Skip(SkipReason::kBadTimestamp, record);
      if (limits_.windows_gone_ms && window->end_ms <= *limits_.windows_gone_ms) {
        return Skip(SkipReason::kWindowGone, record, [&] { return WindowText(*window); });
      }
      if (IsLate(*window, made_.after.watermark_ms, definition_.aggregate().lateness_ms())) {
        return Skip(SkipReason::kLate, record, [&] { return WindowText(*window); });
      }
    }
    if (!ReadFields(record)) return true;
    if (!MakeKey(record, window)) return true;
    auto group = groups_.find(key_);
    if (group == groups_.end()) {
      const bool room = groups_.size() < limits_.rows_max && bytes_ + key_.size() <= limits_.bytes_max;
      if (!groups_.empty() && !room) return false;
      bytes_ += key_.size();
      const auto end_ms = window ? std::optional(window->end_ms) : std::nullopt;
      group = groups_.emplace(key_, Group{end_ms, nothing_}).first;
    }
    for (size_t i = 0; i < plan_.columns.size(); ++i) Feed(record, i, group->second.state);
    return true;
  }

  /// Takes the wanted fields out of the record's value; false when the record is skipped. A view that wants
  /// no field does not look into values.
  bool ReadFields(const InputRecord& record) {
    if (plan_.paths.empty()) return true;
    if (!record.value) {
      Skip(SkipReason::kNotJson, record, [] { return std::string("the record has no value"); });
      return false;
    }
    switch (fields_.Read(*record.value)) {
      case JsonFields::Outcome::kRead:
        return true;
      case JsonFields::Outcome::kNotJson:
        Skip(SkipReason::kNotJson, record, [&] { return fields_.Wrong(); });
        return false;
      case JsonFields::Outcome::kNotAnObject:
        Skip(SkipReason::kNotAnObject, record);
        return false;
    }
    return false;
  }

  FieldValue ValueOf(const InputRecord& record, const ValueSource& source) const {
    switch (source.kind) {
      case ValueSource::Kind::kField:
        return fields_.value(source.field);
      case ValueSource::Kind::kKey:
        if (!record.key) return {};
        return {.kind = FieldKind::kText, .text = *record.key};
      case ValueSource::Kind::kRecord:
        break;
    }
    return {.kind = FieldKind::kBoolean, .boolean = true};
  }

  /// Makes key_, of the row that the record belongs to; false when the record is skipped.
  bool MakeKey(const InputRecord& record, const std::optional<Window>& window) {
    key_.clear();
    for (const ValueSource& source : plan_.groups) {
      const auto reason = AppendGroupValue(ValueOf(record, source), source.kind);
      if (!reason) continue;
      Skip(*reason, record, [&] { return source.path; });
      return false;
    }
    if (window) {
      // Neighbouring records are mostly of one window.
      if (window_ != window) {
        window_ = window;
        window_text_ = '"' + WindowText(*window) + '"';
      }
      AppendToKey(window_text_);
    }
    if (key_.size() <= table::kRowKeyMax) return true;
    Skip(SkipReason::kKeyTooLong, record);
    return false;
  }
  std::optional<SkipReason> AppendGroupValue(const FieldValue& value, ValueSource::Kind source) {
    const bool is_key = source == ValueSource::Kind::kKey;
    switch (value.kind) {
      case FieldKind::kAbsent:
        return is_key ? SkipReason::kNoKey : SkipReason::kNoField;
      case FieldKind::kOutOfRange:
        return SkipReason::kOutOfRange;
      case FieldKind::kComposite:
        return SkipReason::kNotAScalar;
      case FieldKind::kText:
        // Of the fields the parser has seen that they are.
        if (is_key && !table::IsValidUtf8(value.text)) return SkipReason::kBadKey;
        AppendToKey({});
        table::AppendJsonString(key_, value.text);
        break;
      case FieldKind::kNumber:
        AppendToKey(table::CanonicalNumber(value.number));
        break;
      case FieldKind::kBoolean:
        AppendToKey(value.boolean ? "true" : "false");
        break;
    }
    return std::nullopt;
  }
  void AppendToKey(std::string_view part) {
    if (!key_.empty()) key_.push_back(',');
    key_ += part;
  }

  void Feed(const InputRecord& record, size_t column, AggregateState& state) {
    const ValueSource& source = plan_.columns[column];
    const auto path = [&] { return source.path; };
    const FieldValue value = ValueOf(record, source);
    if (source.kind == ValueSource::Kind::kKey && !table::IsValidUtf8(value.text)) {
      Skip(SkipReason::kBadKey, record, path);
      return;
    }
    switch (state.Feed(column, value)) {
      case Fed::kFed:
        break;
      case Fed::kNoField:
        Skip(source.kind == ValueSource::Kind::kKey ? SkipReason::kNoKey : SkipReason::kNoField, record,
             path);
        break;
      case Fed::kNotANumber:
        Skip(SkipReason::kNotANumber, record, path);
        break;
      case Fed::kOutOfRange:
        Skip(SkipReason::kOutOfRange, record, path);
        break;
      case Fed::kNotAScalar:
        Skip(SkipReason::kNotAScalar, record, path);
        break;
    }
  }

  const v1::ViewDefinition definition_;
  const FoldPlan plan_;
  JsonFields fields_;
  const AggregateState nothing_;

  PieceLimits limits_;
  ViewPiece made_;  ///< but for its rows
  RowsByKey<Group> groups_;
  RowsByKey<Newest> newest_;
  size_t bytes_ = 0;              ///< of keys, and of newest values as they came
  std::string key_;               ///< of the row that the record at hand belongs to
  std::optional<Window> window_;  ///< of window_text_
  std::string window_text_;
};

ViewFold::ViewFold(v1::ViewDefinition definition) : piece_(std::make_unique<Piece>(std::move(definition))) {}
ViewFold::~ViewFold() = default;

void ViewFold::Begin(const LogProgress& from, const PieceLimits& limits) {
  piece_->Begin(from, limits);
}

bool ViewFold::Add(const InputRecord& record, int64_t timestamp_max_ms) {
  return piece_->Add(record, timestamp_max_ms);
}

absl::StatusOr<bool> ViewFold::AddBatch(std::string_view batch, int64_t timestamp_max_ms) {
  SELVAGE_ASSIGN_OR_RETURN(const BatchHeader header, ParseBatchHeader(batch));
  if (header.next_offset() <= piece_->next()) return true;
  if (piece_->full()) return false;
  const absl::Status visited = record_format::VisitRecords(
      batch, kDecodedBytesMax, [&](const BatchHeader&, const record_format::RecordView& record) {
        Add({.offset = header.base_offset + int64_t{record.offset_delta},
             .timestamp_ms = record_format::TimestampOf(header, record),
             .key = record.key,
             .value = record.value},
            timestamp_max_ms);
      });
  if (ErrorKind(visited) == "corrupt_batch") return visited;
  if (piece_->full()) return false;
  if (!visited.ok()) {
    const InputRecord rest{.offset = std::max(header.base_offset, piece_->next()),
                           .timestamp_ms = header.max_timestamp};
    piece_->Skip(SkipReason::kUnreadable, rest, [&] { return std::string(visited.message()); });
  }
  PassTo(header.next_offset());
  return true;
}

void ViewFold::PassTo(Offset to) {
  piece_->PassTo(to);
}

ViewPiece ViewFold::Take() {
  return piece_->Take();
}

const v1::ViewDefinition& ViewFold::definition() const {
  return piece_->definition();
}

absl::StatusOr<table::Fields> VisibleRow(const v1::ViewAggregate& aggregate, std::string_view key,
                                         const AggregateState& state) {
  std::vector<std::string> names;
  for (const v1::ViewGroupField& field : aggregate.group_by()) names.push_back(field.name());
  if (aggregate.window_ms() > 0) names.emplace_back(kWindowField);

  table::Fields row;
  const auto values = table::CanonicalJson::FromBytes('[' + std::string(key) + ']');
  table::CanonicalReader reader(values.ok() ? values->text() : std::string_view());
  size_t count = 0;
  for (table::CanonicalReader::Part part; reader.Next(part); ++count) {
    if (count < names.size()) row.emplace(names[count], table::CanonicalJson::Parse(part.value).value());
  }
  if (!values.ok() || count != names.size()) {
    return MakeError(absl::StatusCode::kDataLoss, "corrupt_view",
                     "the key '" + DocumentText(key, kSkippedWhatMax) + "' is not of a row of this view",
                     "selvagectl view rebuild makes it anew");
  }
  for (size_t i = 0; i < state.columns(); ++i) {
    if (auto value = state.Visible(i)) {
      row.emplace(aggregate.columns(static_cast<int>(i)).name(), *std::move(value));
    }
  }
  return row;
}

}  // namespace selvage::view
