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
  // What a held log recovered may be less than what it says elsewhere.
  if (!held().ok()) return absl::OkStatus();
  // First what may move up to the published end meanwhile.
  const Offset acknowledged = this->acknowledged().value_or(Offset(0));
  const CompactionState compaction = this->compaction();
  const LogState& staged = staged_.state();
  const LogState published = state();
  SELVAGE_RETURN_IF_ERROR(CheckState(staged));
  SELVAGE_RETURN_IF_ERROR(CheckState(published));
  Offset undamaged;
  for (const LogDamage& damage : damaged_.All()) {
    SELVAGE_RETURN_IF_ERROR(FirstBroken({
        {damage.from < damage.to, "a damaged range is not empty"},
        {undamaged <= damage.from, "damaged ranges do not overlap"},
        {damage.to <= staged.end, "what is damaged lies before the end"},
        {staged.start <= damage.from, "what is damaged was not trimmed"},
        {damage.bytes <= damage.log_bytes, "a damaged range has no more bytes than the log up to its end"},
    }));
    undamaged = damage.to;
  }
  return FirstBroken({
      {published.start <= staged.start, "no start is published before it is staged"},
      {published.end <= staged.end, "no end is published before it is staged"},
      {published.log_bytes <= staged.log_bytes, "no bytes are published before they are staged"},
      {published.start <= published_.start_to_be(), "readers know of a trim before it takes effect"},
      {acknowledged <= published.end, "the replica holds nothing that this log does not"},
      {compaction.to <= staged.end, "only what is there is compacted"},
      {compaction.kept_bytes <= compaction.counted_to, "compacting leaves no more than there was"},
  });
}

}  // namespace selvage
