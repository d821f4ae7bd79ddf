#include "fabric/base/error.h"
#include "fabric/base/invariant.h"
#include "fabric/stream/embedded_log.h"

/// What holds of a log between two commits.
namespace selvage {
namespace {

/// Of a state by itself, staged or published.
absl::Status CheckState(const LogState& state) {
  const bool empty = state.start == state.end;
  LeaderEpoch epoch(-1);
  Offset began;
  for (const auto& [next, start] : state.leader_epochs) {
    SELVAGE_RETURN_IF_ERROR(FirstBroken({
        {epoch < next, "leader epochs rise"},
        // It may begin behind the end, of which nobody noticed that it was lost.
        {began <= start, "a leader epoch does not begin before the one before it"},
    }));
    epoch = next;
    began = start;
  }
  return FirstBroken({
      {!state.id.none(), "a log has an id"},
      {state.start <= state.end, "a log starts before its end"},
      {state.base <= state.end, "a history begins before its end"},
      {state.deleted_to <= state.end, "records are deleted only up to the end"},
      {state.bytes_before_start <= state.log_bytes, "what was trimmed is part of what was written"},
      {!empty || state.start_hash == state.hash, "a log without entries has one hash"},
      {!empty || state.bytes() == 0, "a log without entries holds no bytes"},
  });
}

}  // namespace

absl::Status EmbeddedLog::CheckInvariants() const {
  absl::MutexLock lock(&mutex_);
  // What a held log recovered may be less than what it says elsewhere.
  if (!held_.ok()) return absl::OkStatus();
  SELVAGE_RETURN_IF_ERROR(CheckState(staged_));
  SELVAGE_RETURN_IF_ERROR(CheckState(published_));
  Offset undamaged;
  for (const auto& [from, damage] : damages_) {
    SELVAGE_RETURN_IF_ERROR(FirstBroken({
        {damage.from == from && damage.from < damage.to, "a damaged range is known by where it begins"},
        {undamaged <= damage.from, "damaged ranges do not overlap"},
        {damage.to <= staged_.end, "what is damaged lies before the end"},
        {staged_.start <= damage.from, "what is damaged was not trimmed"},
        {damage.bytes <= damage.log_bytes, "a damaged range has no more bytes than the log up to its end"},
    }));
    undamaged = damage.to;
  }
  return FirstBroken({
      {published_.start <= staged_.start, "no start is published before it is staged"},
      {published_.end <= staged_.end, "no end is published before it is staged"},
      {published_.log_bytes <= staged_.log_bytes, "no bytes are published before they are staged"},
      {published_.start.value() <= start_to_be_, "readers know of a trim before it takes effect"},
      {acknowledged_.value_or(Offset(0)) <= published_.end,
       "the replica holds nothing that this log does not"},
      {compaction_.to <= staged_.end, "only what is there is compacted"},
      {compaction_.kept_bytes <= compaction_.counted_to, "compacting leaves no more than there was"},
  });
}

}  // namespace selvage
