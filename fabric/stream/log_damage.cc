#include "fabric/stream/log_damage.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"

namespace selvage {
namespace {

/// Offsets behind a damaged one of which each is probed for an entry that can be read: a probe takes
/// microseconds, and batches seldom hold more records.
constexpr int64_t kProbedOneByOne = 1024;

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
  if (!cursor_->status().ok()) cursor_ = new_cursor_();
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

/// The first entry in (damaged, bound) that can be read, if any. A cursor does not tell the key of what it
/// cannot read, so offsets are probed: near the damage each of them, lest what lies between two damaged
/// entries is passed over; farther on by bisecting, first away from the damage, then back towards it.
absl::StatusOr<std::optional<Entry>> DamageFinder::FirstReadable(Offset damaged, Offset bound) {
  Offset low = damaged;  // seeking from here finds nothing before `bound`, from `high` the entry `after`
  Offset high = bound;
  std::optional<Entry> after;
  const auto probe = [&](Offset at) -> absl::Status {
    auto entry = AtOrAfter(at);
    if (!entry.ok() && !IsDamage(entry.status())) return entry.status();
    if (entry.ok() && *entry && (*entry)->from < bound) {
      high = at;
      after = *std::move(entry);
    } else {
      low = at;
    }
    return absl::OkStatus();
  };
  int64_t ahead = 1;
  for (; high - damaged > ahead && ahead <= kProbedOneByOne; ++ahead) {
    SELVAGE_RETURN_IF_ERROR(probe(damaged + ahead));
    if (after) return after;
  }
  for (; high - damaged > ahead; ahead *= 2) SELVAGE_RETURN_IF_ERROR(probe(damaged + ahead));
  while (high - low > 1) SELVAGE_RETURN_IF_ERROR(probe(Offset(low.value() + (high - low) / 2)));
  return after;
}

/// What lies between `before`, or the start of the log, and the next entry that can be read. `at_from`: what
/// seeking there gave.
absl::StatusOr<LogDamage> DamageFinder::Measure(const std::optional<Entry>& before, Offset from,
                                                absl::StatusOr<std::optional<Entry>> at_from) {
  LogDamage damage;
  damage.from = from;
  damage.why = at_from.ok() ? "no entry is there" : std::string(at_from.status().message());
  damage.hash_before = before ? before->hash_after : state_.start_hash;
  // A log has no holes, so what seems to be one is what the store failed to notice.
  std::optional<Entry> next;
  if (at_from.ok() && *at_from && (*at_from)->from < state_.end) next = **std::move(at_from);
  SELVAGE_ASSIGN_OR_RETURN(std::optional<Entry> nearer, FirstReadable(from, next ? next->from : state_.end));
  if (nearer) next = std::move(nearer);
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
    SELVAGE_ASSIGN_OR_RETURN(LogDamage damage, Measure(last, next, std::move(entry)));
    if (damage.to > offset) return damage;
    SELVAGE_ASSIGN_OR_RETURN(last, AtOrAfter(damage.to));
  }
  return *std::move(last);
}

}  // namespace selvage
