#include "fabric/stream/log_damage.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"

namespace selvage {
namespace {

bool IsDamage(const absl::Status& status) {
  return absl::IsDataLoss(status);
}

}  // namespace

Entry StandInFor(const LogDamage& damage) {
  Entry entry;
  entry.kind = EntryKind::kGap;
  entry.from = damage.from;
  entry.to = damage.to;
  entry.hash_before = damage.hash_before;
  entry.hash_after = damage.hash_after;
  entry.append_ms = damage.append_ms;
  entry.max_timestamp = damage.max_timestamp;
  entry.log_bytes = damage.log_bytes;
  return entry;
}

/// The first entry that begins at or after `offset`, if any; kDataLoss when it cannot be read.
absl::StatusOr<std::optional<Entry>> DamageFinder::AtOrAfter(Offset offset) {
  cursor_->Seek(LogKey(log_, offset));
  if (cursor_->Valid())
    return DecodeEntry(OffsetOfLogKey(cursor_->key()), Bytes(std::string(cursor_->value())));
  SELVAGE_RETURN_IF_ERROR(cursor_->status());
  return std::nullopt;
}

/// An entry at or before `offset` that can be read, near to it; nothing when there is none.
absl::StatusOr<std::optional<Entry>> DamageFinder::LastReadable(Offset offset) {
  for (int64_t back = 0;; back = back == 0 ? 1 : 2 * back) {
    const Offset probe = std::max(state_.start, offset - std::min(back, offset.value()));
    auto entry = AtOrAfter(probe);
    if (!entry.ok() && !IsDamage(entry.status())) return entry.status();
    if (entry.ok() && *entry && (*entry)->from <= offset) return entry;
    if (probe == state_.start) return std::nullopt;
  }
}

/// The first entry behind a damaged place that can be read; nothing when that is the end of the log. A cursor
/// does not tell the key of what it cannot read, so the place is found by bisecting offsets.
absl::StatusOr<std::optional<Entry>> DamageFinder::FirstReadable(Offset damaged) {
  Offset low = damaged;  // seeking from here fails, from `high` not
  Offset high = state_.end;
  std::optional<Entry> after;
  const auto probe = [&](Offset at) -> absl::Status {
    auto entry = AtOrAfter(at);
    if (!entry.ok() && !IsDamage(entry.status())) return entry.status();
    if (entry.ok()) {
      high = at;
      after = *std::move(entry);
    } else {
      low = at;
    }
    return absl::OkStatus();
  };
  for (int64_t ahead = 1; damaged + ahead < high; ahead *= 2) SELVAGE_RETURN_IF_ERROR(probe(damaged + ahead));
  while (high - low > 1) SELVAGE_RETURN_IF_ERROR(probe(Offset(low.value() + (high - low) / 2)));
  return after;
}

absl::StatusOr<LogDamage> DamageFinder::Measure(const std::optional<Entry>& before, Offset from,
                                                std::string why) {
  LogDamage damage;
  damage.why = std::move(why);
  damage.from = from;
  damage.hash_before = before ? before->hash_after : state_.start_hash;
  auto after = AtOrAfter(from);
  if (!after.ok() && IsDamage(after.status())) after = FirstReadable(from);
  if (!after.ok()) return after.status();
  const std::optional<Entry>& next = *after;
  damage.to = next ? next->from : state_.end;
  damage.hash_after = next ? next->hash_before : state_.hash;
  damage.max_timestamp = next ? next->max_timestamp : state_.max_timestamp;
  damage.append_ms = before ? before->append_ms : next ? next->append_ms : state_.append_ms;
  const uint64_t bytes_before = before ? before->log_bytes : state_.bytes_before_start;
  const uint64_t bytes_after =
      next ? next->log_bytes - std::min<uint64_t>(next->log_bytes, next->body.size()) : state_.log_bytes;
  damage.log_bytes = std::max(bytes_before, bytes_after);
  damage.bytes = damage.log_bytes - bytes_before;
  return damage;
}

absl::StatusOr<std::variant<Entry, LogDamage>> DamageFinder::Find(Offset offset) {
  SELVAGE_ASSIGN_OR_RETURN(std::optional<Entry> last, LastReadable(offset));
  while (!last || last->to <= offset) {
    const Offset next = last ? last->to : state_.start;
    auto entry = AtOrAfter(next);
    if (!entry.ok() && !IsDamage(entry.status())) return entry.status();
    if (entry.ok() && *entry && (*entry)->from == next) {
      const ChainHash before = last ? last->hash_after : state_.start_hash;
      if ((*entry)->hash_before != before) {
        return MakeError(
            absl::StatusCode::kDataLoss, "corrupt_entry",
            fmt::format("the entry at offset {} does not follow the one before it", next.value()),
            "run selvagectl verify");
      }
      last = *std::move(entry);
      continue;
    }
    std::string why = entry.ok() ? "no entry is there" : std::string(entry.status().message());
    SELVAGE_ASSIGN_OR_RETURN(LogDamage damage, Measure(last, next, std::move(why)));
    if (damage.to > offset) return damage;
    SELVAGE_ASSIGN_OR_RETURN(last, AtOrAfter(damage.to));
  }
  return *std::move(last);
}

}  // namespace selvage
