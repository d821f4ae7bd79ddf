#include "fabric/stream/log_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"
#include "fabric/stream/record_batch.h"

namespace selvage {
namespace {

constexpr size_t kWalkBytes = 1u << 20;

/// The entry under the cursor; nothing behind the last one.
absl::StatusOr<std::optional<Entry>> DecodeAt(const Cursor& cursor) {
  if (cursor.Valid()) return DecodeEntry(OffsetOfLogKey(cursor.key()), Bytes(std::string(cursor.value())));
  SELVAGE_RETURN_IF_ERROR(cursor.status());
  return std::nullopt;
}

}  // namespace

absl::Status LogReader::OutOfRange(Offset offset, const LogState& state) const {
  return MakeError(absl::StatusCode::kOutOfRange, "offset_out_of_range",
                   fmt::format("{}: offset {} is outside of what is held, {} to {}", ToString(log_.origin()),
                               offset.value(), state.start.value(), state.end.value()),
                   "read from the start or the end");
}

absl::Status LogReader::Damaged(const LogDamage& damage) const {
  return MakeError(absl::StatusCode::kDataLoss, "corrupt_entry",
                   fmt::format("{}: what is stored from offset {} to {} is damaged: {}",
                               ToString(log_.origin()), damage.from.value(), damage.to.value(), damage.why),
                   "it is fetched again from the other copy, or becomes a gap: selvagectl alarm list",
                   Retry::kYes);
}

std::unique_ptr<Cursor> LogReader::NewCursor() const {
  return store_.Scan(Family::kLog, LogKey(log_.number(), Offset(0)),
                     LogKey(log_.number(), Offset(INT64_MAX)));
}

absl::StatusOr<std::variant<Entry, LogDamage>> LogReader::Find(Offset offset) const {
  SELVAGE_RETURN_IF_ERROR(log_.held());
  {
    auto cursor = NewCursor();
    cursor->SeekForPrev(LogKey(log_.number(), offset));
    auto entry = DecodeAt(*cursor);
    if (entry.ok() && *entry && (*entry)->to > offset) return **std::move(entry);
    if (!entry.ok() && !absl::IsDataLoss(entry.status())) return entry.status();
  }
  return FindDamaged(offset);
}

absl::StatusOr<std::variant<Entry, LogDamage>> LogReader::FindDamaged(Offset offset) const {
  const LogState state = log_.state();
  // A trim takes entries out of the store a moment before it publishes the new start.
  if (offset < state.start || offset < log_.start_to_be()) return OutOfRange(offset, state);
  auto found = DamageFinder([this] { return NewCursor(); }, log_.number(), state).Find(offset);
  if (offset < log_.start_to_be()) return OutOfRange(offset, log_.state());
  if (!found.ok()) return Annotate(found.status(), ToString(log_.origin()));
  // What a trim takes away meanwhile must not pass for damage; the next look tells.
  const LogDamage* damage = std::get_if<LogDamage>(&*found);
  if (damage != nullptr && state.start == log_.start_to_be()) damaged_.Note(*damage);
  return found;
}

absl::StatusOr<Entry> LogReader::EntryContaining(Offset offset) const {
  SELVAGE_ASSIGN_OR_RETURN(auto found, Find(offset));
  if (const LogDamage* damage = std::get_if<LogDamage>(&found)) return Damaged(*damage);
  return std::get<Entry>(std::move(found));
}

absl::StatusOr<Entry> LogReader::EntryOrStandIn(Offset offset) const {
  SELVAGE_ASSIGN_OR_RETURN(auto found, Find(offset));
  if (const LogDamage* damage = std::get_if<LogDamage>(&found)) return StandInFor(*damage);
  return std::get<Entry>(std::move(found));
}

absl::StatusOr<std::vector<Entry>> LogReader::Read(Offset from, size_t max_bytes, bool from_disk) const {
  SELVAGE_RETURN_IF_ERROR(log_.held());
  const LogState state = log_.state();
  if (from < state.start || from > state.end) return OutOfRange(from, state);
  if (from == state.end) return std::vector<Entry>();
  if (!from_disk) {
    std::vector<Entry> cached = cache_.Read(log_.number(), from, max_bytes);
    // The cache has an entry a moment before the new end is published.
    while (!cached.empty() && cached.back().from >= state.end) cached.pop_back();
    if (!cached.empty()) return cached;
  }
  std::vector<Entry> entries = ReadForward(from, state.end, max_bytes);
  if (!entries.empty()) return entries;
  SELVAGE_ASSIGN_OR_RETURN(Entry entry, EntryContaining(from));
  entries.push_back(std::move(entry));
  return entries;
}

/// What one cursor can read from `from` on; damage in between is for the next read to tell.
std::vector<Entry> LogReader::ReadForward(Offset from, Offset end, size_t max_bytes) const {
  std::vector<Entry> entries;
  size_t bytes = 0;
  Offset next = from;
  auto cursor = NewCursor();
  for (cursor->SeekForPrev(LogKey(log_.number(), from)); cursor->Valid() && next < end; cursor->Next()) {
    const size_t size = cursor->value().size() - std::min(cursor->value().size(), kEntryHeaderSize);
    if (!entries.empty() && bytes + size > max_bytes) break;
    auto entry = DecodeAt(*cursor);
    if (!entry.ok()) break;
    const bool follows = entries.empty()
                             ? (*entry)->from <= next && next < (*entry)->to
                             : (*entry)->from == next && (*entry)->hash_before == entries.back().hash_after;
    if (!follows) break;
    bytes += size;
    next = (*entry)->to;
    entries.push_back(**std::move(entry));
  }
  return entries;
}

absl::StatusOr<LogPosition> LogReader::BoundaryAtOrBefore(Offset offset) const {
  const LogState state = log_.state();
  if (offset >= state.end) return state.position();
  if (offset < state.start) return OutOfRange(offset, state);
  // Where damage begins is known, though not what lies inside.
  SELVAGE_ASSIGN_OR_RETURN(const Entry entry, EntryOrStandIn(offset));
  return LogPosition{state.id, entry.from, entry.hash_before};
}

absl::StatusOr<std::optional<Entry>> LogReader::Search(
    const std::function<bool(const Entry&)>& wanted) const {
  return SearchFrom(/*near_start=*/false, wanted);
}

absl::StatusOr<std::optional<Entry>> LogReader::SearchNearStart(
    const std::function<bool(const Entry&)>& wanted) const {
  return SearchFrom(/*near_start=*/true, wanted);
}

/// Each probe reads a whole entry from the disk. By halves there are as many as the log is long; near the
/// start, from where each step is twice the one before, as many as the entry is far.
absl::StatusOr<std::optional<Entry>> LogReader::SearchFrom(
    bool near_start, const std::function<bool(const Entry&)>& wanted) const {
  const LogState state = log_.state();
  Offset low = state.start, high = state.end;  // the wanted entry begins in [low, high), or is `found`
  std::optional<Entry> found;
  int64_t step = near_start ? 1 : 0;
  Offset probe = low;  // often the first entry is the answer
  while (low < high) {
    auto entry = EntryOrStandIn(probe);
    if (entry.ok() && wanted(*entry)) {
      high = entry->from;
      found = *std::move(entry);
      step = 0;
    } else if (entry.ok()) {
      step *= 2;
      if (step > 0) step = std::max(step, entry->to - entry->from);
      low = entry->to;
    } else if (probe < log_.start_to_be()) {
      low = log_.start_to_be();  // trimmed meanwhile
    } else {
      return entry.status();
    }
    const int64_t half = (high - low) / 2;
    probe = low + (step > 0 ? std::min(step, half) : half);
  }
  return found;
}

absl::StatusOr<std::optional<RecordTime>> LogReader::FirstRecordAtOrAfter(
    int64_t timestamp_ms, const std::function<bool()>& cancelled) const {
  // By the running maximum. It may come from a record that was trimmed or is hidden: from there it is a walk.
  SELVAGE_ASSIGN_OR_RETURN(std::optional<Entry> entry,
                           Search([&](const Entry& e) { return e.max_timestamp >= timestamp_ms; }));
  if (!entry) return std::nullopt;
  const Offset end = log_.end();
  for (Offset next = entry->from; next < end;) {
    if (cancelled()) return absl::CancelledError("nobody waits for the answer any more");
    const LogState held = log_.state();
    next = std::max(next, held.log_start());
    auto entries = Read(next, kWalkBytes, /*from_disk=*/false);
    if (!entries.ok()) {
      if (next >= log_.start_to_be()) return entries.status();
      next = log_.start_to_be();  // trimmed meanwhile
      continue;
    }
    for (const Entry& read : *entries) {
      next = read.to;
      if (read.kind != EntryKind::kBatch) continue;
      if (ParseBatchHeader(read.body.view())->max_timestamp < timestamp_ms) continue;
      SELVAGE_ASSIGN_OR_RETURN(
          auto record, selvage::FirstRecordAtOrAfter(read.body.view(), timestamp_ms, held.log_start()));
      if (record) return record;
    }
    if (entries->empty()) break;
  }
  return std::nullopt;
}

}  // namespace selvage
