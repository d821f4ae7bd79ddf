#include <fmt/format.h>

#include "fabric/base/error.h"
#include "fabric/stream/embedded_log.h"
#include "fabric/stream/record_batch.h"

namespace selvage {
namespace {

absl::StatusOr<Entry> DecodeAt(const Cursor& cursor) {
  return DecodeEntry(OffsetOfLogKey(cursor.key()), Bytes(std::string(cursor.value())));
}

}  // namespace

absl::Status EmbeddedLog::OutOfRange(Offset offset, const LogState& state) const {
  return MakeError(absl::StatusCode::kOutOfRange, "offset_out_of_range",
                   fmt::format("{}: offset {} is outside of what is held, {} to {}", ToString(origin_),
                               offset.value(), state.start.value(), state.end.value()),
                   "read from the start or the end");
}

absl::Status EmbeddedLog::Missing(Offset offset) const {
  // A trim takes entries out of the store a moment before it publishes the new start.
  if (offset.value() < start_to_be_) return OutOfRange(offset, state());
  return MakeError(absl::StatusCode::kDataLoss, "corrupt_entry",
                   fmt::format("{}: no entry holds offset {}", ToString(origin_), offset.value()),
                   "the disk lost or damaged it: run selvagectl verify");
}

std::unique_ptr<Cursor> EmbeddedLog::CursorAt(Offset offset) const {
  auto cursor = env_.store.Scan(Family::kLog, LogKey(number_, Offset(0)), LogKey(number_, Offset(INT64_MAX)));
  cursor->SeekForPrev(LogKey(number_, offset));
  return cursor;
}

absl::StatusOr<Entry> EmbeddedLog::EntryContaining(Offset offset) const {
  SELVAGE_RETURN_IF_ERROR(held());
  auto cursor = CursorAt(offset);
  if (!cursor->Valid()) {
    SELVAGE_RETURN_IF_ERROR(cursor->status());
    return Missing(offset);
  }
  auto entry = DecodeAt(*cursor);
  if (!entry.ok()) return Annotate(entry.status(), ToString(origin_));
  if (entry->to <= offset) return Missing(offset);
  return entry;
}

absl::StatusOr<std::vector<Entry>> EmbeddedLog::Read(Offset from, size_t max_bytes, bool from_disk) {
  SELVAGE_RETURN_IF_ERROR(held());
  const LogState state = this->state();
  if (from < state.start || from > state.end) return OutOfRange(from, state);
  if (from == state.end) return std::vector<Entry>();
  if (!from_disk) {
    std::vector<Entry> cached = env_.cache.Read(number_, from, max_bytes);
    // The cache has an entry a moment before the new end is published.
    while (!cached.empty() && cached.back().from >= state.end) cached.pop_back();
    if (!cached.empty()) return cached;
  }
  std::vector<Entry> entries;
  size_t bytes = 0;
  Offset next = from;
  auto cursor = CursorAt(from);
  for (; cursor->Valid() && next < state.end; cursor->Next()) {
    const size_t size = cursor->value().size() - std::min(cursor->value().size(), kEntryHeaderSize);
    if (!entries.empty() && bytes + size > max_bytes) return entries;
    auto entry = DecodeAt(*cursor);
    // What is whole goes out; the damage answers the next read.
    if (!entry.ok() && !entries.empty()) return entries;
    if (!entry.ok()) return Annotate(entry.status(), ToString(origin_));
    const bool follows = entries.empty()
                             ? entry->from <= next && next < entry->to
                             : entry->from == next && entry->hash_before == entries.back().hash_after;
    if (!follows) break;
    bytes += size;
    next = entry->to;
    entries.push_back(*std::move(entry));
  }
  if (!entries.empty()) return entries;
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  return Missing(from);
}

absl::StatusOr<LogPosition> EmbeddedLog::BoundaryAtOrBefore(Offset offset) {
  const LogState state = this->state();
  if (offset >= state.end) return state.position();
  if (offset < state.start) return OutOfRange(offset, state);
  SELVAGE_ASSIGN_OR_RETURN(const Entry entry, EntryContaining(offset));
  return LogPosition{state.id, entry.from, entry.hash_before};
}

absl::StatusOr<std::optional<Entry>> EmbeddedLog::Search(const std::function<bool(const Entry&)>& wanted) {
  const LogState state = this->state();
  Offset low = state.start, high = state.end;  // the wanted entry begins in [low, high), or is `found`
  std::optional<Entry> found;
  Offset probe = low;  // often the first entry is the answer
  while (low < high) {
    auto entry = EntryContaining(probe);
    if (entry.ok() && wanted(*entry)) {
      high = entry->from;
      found = *std::move(entry);
    } else if (entry.ok()) {
      low = entry->to;
    } else if (probe.value() < start_to_be_) {
      low = Offset(start_to_be_);  // trimmed meanwhile
    } else {
      return entry.status();
    }
    probe = Offset(low.value() + (high - low) / 2);
  }
  return found;
}

absl::StatusOr<std::optional<Entry>> EmbeddedLog::FirstAtOrAfter(int64_t timestamp_ms) {
  SELVAGE_ASSIGN_OR_RETURN(std::optional<Entry> entry,
                           Search([&](const Entry& e) { return e.max_timestamp >= timestamp_ms; }));
  if (!entry) return entry;
  // The running maximum may come from a record that was trimmed: step to an entry that has such a record
  // itself.
  const Offset end = state().end;
  auto cursor = CursorAt(entry->from);
  for (; cursor->Valid() && OffsetOfLogKey(cursor->key()) < end; cursor->Next()) {
    SELVAGE_ASSIGN_OR_RETURN(Entry next, DecodeAt(*cursor));
    if (next.kind == EntryKind::kBatch && ParseBatchHeader(next.body.view())->max_timestamp >= timestamp_ms) {
      return next;
    }
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  return std::nullopt;
}

}  // namespace selvage
