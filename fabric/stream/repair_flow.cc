#include "fabric/stream/repair_flow.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/stream/log_flow.h"

namespace selvage {

using replication::FlowPosition;

namespace {

absl::Status NotHeld(const Log& log, Offset from, Offset to) {
  return MakeError(absl::StatusCode::kOutOfRange, kRangeNotHeld,
                   fmt::format("{}: the entries from offset {} to {} are not held here (any more)",
                               ToString(log.origin()), from.value(), to.value()));
}

/// That a boundary of this log lies at `offset` and has the hash that the peer's log has there.
absl::Status CheckBoundary(Log& log, Offset offset, uint64_t hash, const absl::Status& not_held) {
  SELVAGE_ASSIGN_OR_RETURN(const LogPosition boundary, log.BoundaryAtOrBefore(offset));
  if (boundary.offset != offset) return not_held;
  if (boundary.hash == ChainHash(hash)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, "chain_mismatch",
                   fmt::format("{}: the history up to offset {} is another one here", ToString(log.origin()),
                               offset.value()),
                   "run selvagectl verify");
}

/// Where a piece from `from` on ends: at `to`, or behind it when an entry does, or before it at `max_bytes`,
/// but not before the end of the first entry.
absl::StatusOr<Offset> EndOfPiece(Log& log, Offset from, Offset to, uint64_t max_bytes) {
  Offset end = from;
  uint64_t bytes = 0;
  while (end < to) {
    SELVAGE_ASSIGN_OR_RETURN(const std::vector<Entry> entries, log.Read(end, max_bytes));
    for (const Entry& entry : entries) {
      bytes += entry.body.size();
      if (end >= to || (end > from && bytes > max_bytes)) return end;
      end = entry.to;
    }
  }
  return end;
}

/// What is in an entry, but not from its header: the chain hash behind it.
ChainHash HashAfter(ChainHash before, EntryKind kind, std::string_view body) {
  return kind == EntryKind::kBatch ? ChainBatch(before, body) : DecodeGap(body)->hash_after;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RepairSource>> RepairSource::Make(std::shared_ptr<Log> log, uint32_t number,
                                                                 const v1::RepairRequest& request) {
  const Offset from(request.from());
  const Offset to(request.to());
  const LogState state = log->state();
  const absl::Status not_held = NotHeld(*log, from, to);
  if (from >= to || from < state.start || to > state.end) return not_held;
  SELVAGE_RETURN_IF_ERROR(CheckBoundary(*log, from, request.hash_before(), not_held));
  if (request.has_hash_after()) {
    SELVAGE_RETURN_IF_ERROR(CheckBoundary(*log, to, request.hash_after(), not_held));
  }
  SELVAGE_ASSIGN_OR_RETURN(const Offset end,
                           EndOfPiece(*log, from, to, std::min(request.max_bytes(), kRepairPieceMax)));
  if (end > to) return not_held;
  return std::unique_ptr<RepairSource>(new RepairSource(std::move(log), number, from, end));
}

v1::FlowOpen RepairSource::Describe() {
  v1::FlowOpen open;
  open.set_kind(v1::REPAIR);
  open.set_request(request_);
  open.set_history(id_.bytes());
  open.set_start(from_.value());
  open.set_end(to_.value());
  open.mutable_repair()->set_name(log_->origin().stream);
  open.mutable_repair()->set_partition(log_->origin().partition.value());
  return open;
}

replication::FlowSettings RepairSource::settings() {
  return {.priority = 0, .weight = 1, .compress = true};
}

absl::StatusOr<std::vector<FlowEntry>> RepairSource::Read(Offset from, size_t max_bytes) {
  if (log_->state().id != id_) {
    return MakeError(
        absl::StatusCode::kAborted, "log_branched",
        fmt::format("{}: the log has got a new id since it was asked for", ToString(log_->origin())),
        "it is asked for again", Retry::kYes);
  }
  SELVAGE_ASSIGN_OR_RETURN(const std::vector<Entry> stored, log_->Read(from, max_bytes));
  if (stored.empty() || stored.front().from != from) return NotHeld(*log_, from, to_);
  std::vector<FlowEntry> entries;
  for (const Entry& entry : stored) {
    if (entry.from < to_) entries.push_back(ToFlowEntry(entry));
  }
  return entries;
}

void RepairSource::Acknowledged(const FlowPosition& durable) {
  finished_ = durable.offset >= to_;
}

FlowPosition RepairSink::position() {
  return {history_, damage_.from, {}, {}};
}

absl::Status RepairSink::Check(const FlowEntry& entry) {
  SELVAGE_RETURN_IF_ERROR(CheckReceived(entry, log_->origin(), batch_max_));
  const ChainHash after = HashAfter(expected_, entry.kind, entry.body.view());
  if (entry.to > to_ || (entry.to == damage_.to && after != damage_.hash_after)) {
    return MakeError(absl::StatusCode::kDataLoss, "chain_mismatch",
                     fmt::format("{}: the entry that came for offset {} is not the one that was there",
                                 ToString(log_->origin()), entry.from.value()),
                     "run selvagectl verify");
  }
  expected_ = after;
  return absl::OkStatus();
}

void RepairSink::Persist(FlowEntry entry, Done done) {
  if (abandoned_) {
    done(MakeError(absl::StatusCode::kCancelled, "cancelled", "the repair was given up", "", Retry::kYes));
    return;
  }
  const Offset end = entry.to;
  waiting_.push_back({std::move(done), end});
  entries_.push_back(std::move(entry));
  if (end < to_) return;
  // The sink may be gone when the committer comes to it.
  auto all_done = [waiting = std::exchange(waiting_, {}), history = history_,
                   stored = stored_](const absl::StatusOr<LogPosition>& outcome) {
    *stored = outcome.ok();
    for (const Waiting& one : waiting) {
      one.done(outcome.ok() ? absl::StatusOr<FlowPosition>(FlowPosition{history, one.end, {}, {}})
                            : outcome.status());
    }
  };
  const absl::Status queued = log_->repair()->Replace(std::exchange(entries_, {}), fence_, all_done);
  if (!queued.ok()) all_done(queued);
}

void RepairSink::Abandon() {
  abandoned_ = true;
  entries_.clear();
  for (const Waiting& one : std::exchange(waiting_, {})) {
    one.done(
        MakeError(absl::StatusCode::kCancelled, "cancelled", "the repair was given up", "", Retry::kYes));
  }
}

}  // namespace selvage
