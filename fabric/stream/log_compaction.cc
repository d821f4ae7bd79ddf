#include "fabric/stream/log_compaction.h"

#include <algorithm>
#include <utility>

#include "fabric/base/error.h"

namespace selvage {
namespace {

constexpr size_t kPieceBytes = 1u << 20;

/// What producers made unreadable stays as it is.
absl::Status UnlessUnreadable(const absl::Status& status) {
  return absl::IsInvalidArgument(status) ? absl::OkStatus() : status;
}

}  // namespace

absl::StatusOr<LogCompaction::Work> LogCompaction::Run(const v1::StreamSettings& settings, int64_t now_ms,
                                                       size_t max_bytes) {
  Work work;
  while (work.read < max_bytes) {
    if (pass_ == nullptr) SELVAGE_RETURN_IF_ERROR(Begin(settings, now_ms));
    if (pass_ == nullptr) return work;
    auto piece = pass_->learned ? Rewrite() : Learn();
    if (!piece.ok()) {
      pass_.reset();
      return piece.status();
    }
    work.read += piece->read;
    work.freed += piece->freed;
    if (pass_->learned && pass_->next >= pass_->to) SELVAGE_RETURN_IF_ERROR(Finish(now_ms));
  }
  return work;
}

absl::Status LogCompaction::Begin(const v1::StreamSettings& settings, int64_t now_ms) {
  const LogState state = log_->state();
  const CompactionState done = log_->compaction();
  if (state.log_bytes <= done.counted_to + kNewestBytes) return absl::OkStatus();
  const uint64_t newest_from = state.log_bytes - kNewestBytes;
  SELVAGE_ASSIGN_OR_RETURN(const std::optional<Entry> first_left,
                           log_->Search([&](const Entry& entry) { return entry.log_bytes > newest_from; }));
  const Offset from = std::max(state.start, done.to);
  if (!first_left || first_left->from <= from) return absl::OkStatus();
  const uint64_t counted = std::max(done.counted_to, state.bytes_before_start);
  const uint64_t left = first_left->log_bytes - first_left->body.size();
  if (left < counted + done.kept_bytes) return absl::OkStatus();
  pass_ = std::make_unique<Pass>(keys_max_);
  pass_->to = first_left->from;
  pass_->counted_to = left;
  pass_->next = from;
  if (now_ms - done.tombstones_ms >= settings.delete_retention_ms())
    pass_->tombstones_to = done.tombstones_to;
  return absl::OkStatus();
}

absl::StatusOr<LogCompaction::Work> LogCompaction::Learn() {
  size_t bytes = 0;
  pass_->next = std::max(pass_->next, log_->state().start);
  if (pass_->next < pass_->to) {
    SELVAGE_ASSIGN_OR_RETURN(const std::vector<Entry> entries,
                             log_->Read(pass_->next, kPieceBytes, /*from_disk=*/true));
    for (const Entry& entry : entries) {
      if (entry.from >= pass_->to) break;
      if (pass_->newest.full()) {
        pass_->to = pass_->next;
        break;
      }
      bytes += entry.body.size();
      if (entry.kind == EntryKind::kBatch) {
        SELVAGE_RETURN_IF_ERROR(UnlessUnreadable(pass_->newest.Take(entry.body.view())));
      }
      pass_->next = entry.to;
      pass_->counted_to = entry.log_bytes;
    }
  }
  if (pass_->next >= pass_->to) {
    pass_->learned = true;
    pass_->next = log_->state().start;
  }
  return Work{.read = bytes};
}

absl::StatusOr<LogCompaction::Work> LogCompaction::Rewrite() {
  const auto rewrite = [this](const Entry& entry) -> absl::StatusOr<CompactedBatch> {
    auto compacted = CompactBatch(entry.body.view(), pass_->newest, entry.to <= pass_->tombstones_to);
    if (absl::IsInvalidArgument(compacted.status())) return CompactedBatch();
    return compacted;
  };
  SELVAGE_ASSIGN_OR_RETURN(const EmbeddedLog::CompactedPiece piece,
                           log_->CompactPiece(pass_->next, pass_->to, kPieceBytes, rewrite));
  pass_->next = piece.next;
  pass_->kept_bytes += piece.bytes_kept;
  return Work{piece.bytes_read, piece.bytes_read - piece.bytes_kept};
}

absl::Status LogCompaction::Finish(int64_t now_ms) {
  CompactionState done = log_->compaction();
  const std::unique_ptr<Pass> pass = std::move(pass_);
  // Those that this pass met first wait from now on, once those before them are gone.
  if (done.tombstones_to == pass->tombstones_to) {
    done.tombstones_to = pass->to;
    done.tombstones_ms = now_ms;
  }
  done.to = pass->to;
  done.counted_to = pass->counted_to;
  done.kept_bytes = pass->kept_bytes;
  return log_->StoreCompaction(done);
}

}  // namespace selvage
