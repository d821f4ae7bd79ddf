#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"
#include "fabric/stream/embedded_log.h"
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

absl::Status EmbeddedLog::OutOfRange(Offset offset, const LogState& state) const {
  return MakeError(absl::StatusCode::kOutOfRange, "offset_out_of_range",
                   fmt::format("{}: offset {} is outside of what is held, {} to {}", ToString(origin_),
                               offset.value(), state.start.value(), state.end.value()),
                   "read from the start or the end");
}

absl::Status EmbeddedLog::Damaged(const LogDamage& damage) const {
  return MakeError(absl::StatusCode::kDataLoss, "corrupt_entry",
                   fmt::format("{}: what is stored from offset {} to {} is damaged: {}", ToString(origin_),
                               damage.from.value(), damage.to.value(), damage.why),
                   "it is fetched again from the other copy, or becomes a gap: selvagectl alarm list",
                   Retry::kYes);
}

std::unique_ptr<Cursor> EmbeddedLog::NewCursor() const {
  return env_.store.Scan(Family::kLog, LogKey(number_, Offset(0)), LogKey(number_, Offset(INT64_MAX)));
}

absl::StatusOr<std::variant<Entry, LogDamage>> EmbeddedLog::Find(Offset offset) const {
  SELVAGE_RETURN_IF_ERROR(held());
  {
    auto cursor = NewCursor();
    cursor->SeekForPrev(LogKey(number_, offset));
    auto entry = DecodeAt(*cursor);
    if (entry.ok() && *entry && (*entry)->to > offset) return **std::move(entry);
    if (!entry.ok() && !absl::IsDataLoss(entry.status())) return entry.status();
  }
  return FindDamaged(offset);
}

absl::StatusOr<std::variant<Entry, LogDamage>> EmbeddedLog::FindDamaged(Offset offset) const {
  const LogState state = this->state();
  // A trim takes entries out of the store a moment before it publishes the new start.
  if (offset < state.start || offset.value() < start_to_be_) return OutOfRange(offset, state);
  auto found = DamageFinder([this] { return NewCursor(); }, number_, state).Find(offset);
  if (offset.value() < start_to_be_) return OutOfRange(offset, this->state());
  if (!found.ok()) return Annotate(found.status(), ToString(origin_));
  // What a trim takes away meanwhile must not pass for damage; the next look tells.
  const LogDamage* damage = std::get_if<LogDamage>(&*found);
  if (damage != nullptr && state.start.value() == start_to_be_) NoteDamage(*damage);
  return found;
}

absl::StatusOr<Entry> EmbeddedLog::EntryContaining(Offset offset) const {
  SELVAGE_ASSIGN_OR_RETURN(auto found, Find(offset));
  if (const LogDamage* damage = std::get_if<LogDamage>(&found)) return Damaged(*damage);
  return std::get<Entry>(std::move(found));
}

absl::StatusOr<Entry> EmbeddedLog::EntryOrStandIn(Offset offset) const {
  SELVAGE_ASSIGN_OR_RETURN(auto found, Find(offset));
  if (const LogDamage* damage = std::get_if<LogDamage>(&found)) return StandInFor(*damage);
  return std::get<Entry>(std::move(found));
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
  std::vector<Entry> entries = ReadForward(from, state.end, max_bytes);
  if (!entries.empty()) return entries;
  SELVAGE_ASSIGN_OR_RETURN(Entry entry, EntryContaining(from));
  entries.push_back(std::move(entry));
  return entries;
}

/// What one cursor can read from `from` on; damage in between is for the next read to tell.
std::vector<Entry> EmbeddedLog::ReadForward(Offset from, Offset end, size_t max_bytes) const {
  std::vector<Entry> entries;
  size_t bytes = 0;
  Offset next = from;
  auto cursor = NewCursor();
  for (cursor->SeekForPrev(LogKey(number_, from)); cursor->Valid() && next < end; cursor->Next()) {
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

absl::StatusOr<LogPosition> EmbeddedLog::BoundaryAtOrBefore(Offset offset) {
  const LogState state = this->state();
  if (offset >= state.end) return state.position();
  if (offset < state.start) return OutOfRange(offset, state);
  // Where damage begins is known, though not what lies inside.
  SELVAGE_ASSIGN_OR_RETURN(const Entry entry, EntryOrStandIn(offset));
  return LogPosition{state.id, entry.from, entry.hash_before};
}

absl::StatusOr<std::optional<Entry>> EmbeddedLog::Search(const std::function<bool(const Entry&)>& wanted) {
  return SearchFrom(/*near_start=*/false, wanted);
}

absl::StatusOr<std::optional<Entry>> EmbeddedLog::SearchNearStart(
    const std::function<bool(const Entry&)>& wanted) {
  return SearchFrom(/*near_start=*/true, wanted);
}

/// Each probe reads a whole entry from the disk. By halves there are as many as the log is long; near the
/// start, from where each step is twice the one before, as many as the entry is far.
absl::StatusOr<std::optional<Entry>> EmbeddedLog::SearchFrom(
    bool near_start, const std::function<bool(const Entry&)>& wanted) {
  const LogState state = this->state();
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
    } else if (probe.value() < start_to_be_) {
      low = Offset(start_to_be_);  // trimmed meanwhile
    } else {
      return entry.status();
    }
    const int64_t half = (high - low) / 2;
    probe = low + (step > 0 ? std::min(step, half) : half);
  }
  return found;
}

absl::StatusOr<std::optional<RecordTime>> EmbeddedLog::FirstRecordAtOrAfter(
    int64_t timestamp_ms, const std::function<bool()>& cancelled) {
  // By the running maximum. It may come from a record that was trimmed or is hidden: from there it is a walk.
  SELVAGE_ASSIGN_OR_RETURN(std::optional<Entry> entry,
                           Search([&](const Entry& e) { return e.max_timestamp >= timestamp_ms; }));
  if (!entry) return std::nullopt;
  const Offset end = state().end;
  for (Offset next = entry->from; next < end;) {
    if (cancelled()) return absl::CancelledError("nobody waits for the answer any more");
    const LogState held = state();
    next = std::max(next, held.log_start());
    auto entries = Read(next, kWalkBytes);
    if (!entries.ok()) {
      if (next.value() >= start_to_be_) return entries.status();
      next = Offset(start_to_be_);  // trimmed meanwhile
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
