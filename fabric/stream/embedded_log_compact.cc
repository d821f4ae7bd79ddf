#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/embedded_log.h"

namespace selvage {
namespace {

bool IsCompactedGap(const Entry& entry) {
  if (entry.kind != EntryKind::kGap || IsStandIn(entry)) return false;
  return DecodeGap(entry.body.view())->reason == GapReason::kCompacted;
}

/// What becomes of a stretch of entries.
class Rewriting {
 public:
  explicit Rewriting(int64_t now_ms) : now_ms_(now_ms) {}

  /// The entry stays.
  void Keep(const Entry& entry) {
    CloseGap();
    bytes_kept_ += entry.body.size();
  }
  /// Its batch becomes this one.
  void Replace(Entry entry, std::string batch) {
    CloseGap();
    bytes_kept_ += batch.size();
    entry.body = Bytes(std::move(batch));
    entry.compacted = true;
    puts_.push_back(std::move(entry));
  }
  /// Nothing of it stays, or it is a gap already: one gap for all that follow one another.
  void Swallow(const Entry& entry) {
    const bool was_gap = entry.kind == EntryKind::kGap;
    if (!gap_) {
      gap_ = entry;
      gap_changed_ = !was_gap;
    } else {
      deletes_.push_back(entry.from);
      // The gap's header says of it what the last entry's said, so that what runs along the log goes on.
      const Entry first = *std::exchange(gap_, entry);
      gap_->from = first.from;
      gap_->hash_before = first.hash_before;
      gap_changed_ = true;
    }
    epoch_ = LeaderEpochOf(entry);
  }
  void CloseGap() {
    if (gap_ && gap_changed_) {
      gap_->kind = EntryKind::kGap;
      gap_->compacted = false;
      gap_->body = Bytes(EncodeGap({.from = gap_->from,
                                    .to = gap_->to,
                                    .reason = GapReason::kCompacted,
                                    .leader_epoch = epoch_,
                                    .hash_after = gap_->hash_after,
                                    .recorded_ms = now_ms_}));
      puts_.push_back(*std::move(gap_));
    }
    gap_.reset();
  }

  bool empty() const { return puts_.empty(); }
  size_t bytes_kept() const { return bytes_kept_; }
  size_t bytes_written() const {
    size_t bytes = 0;
    for (const Entry& entry : puts_) bytes += entry.body.size();
    return bytes;
  }
  void Stage(WriteBatch& batch, LogNumber log) const {
    for (Offset offset : deletes_) batch.Delete(Family::kLog, LogKey(log, offset));
    for (const Entry& entry : puts_) {
      batch.Put(Family::kLog, LogKey(log, entry.from), {EncodeEntryHeader(entry), entry.body.view()});
    }
  }

 private:
  const int64_t now_ms_;
  std::optional<Entry> gap_;
  bool gap_changed_ = false;
  LeaderEpoch epoch_;
  std::vector<Entry> puts_;
  std::vector<Offset> deletes_;
  size_t bytes_kept_ = 0;
};

class CompactTask : public CommitTask {
 public:
  /// Log and rewriting outlive it: whoever compacts waits.
  CompactTask(StagedLog& log, const Rewriting& rewriting) : log_(log), rewriting_(rewriting) {}

  size_t ByteSize() const override { return rewriting_.bytes_written(); }
  absl::Status Stage(WriteBatch& batch) override {
    SELVAGE_RETURN_IF_ERROR(log_.held());
    rewriting_.Stage(batch, log_.number());
    return absl::OkStatus();
  }
  void Finish(const absl::Status& status) override {
    if (status.ok()) log_.ForgetCached();
  }

 private:
  StagedLog& log_;
  const Rewriting& rewriting_;
};

}  // namespace

absl::StatusOr<EmbeddedLog::CompactedPiece> EmbeddedLog::CompactPiece(
    Offset from, Offset to, size_t max_bytes,
    const std::function<absl::StatusOr<CompactedBatch>(const Entry&)>& rewrite) {
  // What is read here must be there when it is replaced: only trims and repairs change it.
  absl::MutexLock lock(&trim_mutex_);
  const LogState state = this->state();
  CompactedPiece piece{.next = std::max(from, state.start)};
  if (piece.next >= std::min(to, state.end)) return CompactedPiece{.next = std::max(to, piece.next)};
  SELVAGE_ASSIGN_OR_RETURN(const std::vector<Entry> entries, Read(piece.next, max_bytes, /*from_disk=*/true));

  Rewriting rewriting(absl::ToUnixMillis(env_.clock.Wall()));
  if (entries.front().from > state.start) {
    SELVAGE_ASSIGN_OR_RETURN(const Entry before, reader_.EntryOrStandIn(entries.front().from - 1));
    if (IsCompactedGap(before)) rewriting.Swallow(before);
  }
  for (const Entry& entry : entries) {
    if (entry.to > to) {
      piece.next = to;
      break;
    }
    piece.next = entry.to;
    piece.bytes_read += entry.body.size();
    if (entry.kind == EntryKind::kGap) {
      IsCompactedGap(entry) ? rewriting.Swallow(entry) : rewriting.Keep(entry);
      continue;
    }
    SELVAGE_ASSIGN_OR_RETURN(CompactedBatch compacted, rewrite(entry));
    if (compacted.dropped == 0) {
      rewriting.Keep(entry);
    } else if (compacted.batch) {
      rewriting.Replace(entry, *std::move(compacted.batch));
    } else {
      rewriting.Swallow(entry);
    }
  }
  rewriting.CloseGap();
  piece.bytes_kept = rewriting.bytes_kept();
  if (rewriting.empty()) return piece;
  // It frees more than it takes, though later.
  SELVAGE_ASSIGN_OR_RETURN(DiskCharge charge, env_.budget.AdmitFromReserve(rewriting.bytes_written()));
  SELVAGE_RETURN_IF_ERROR(CommitAndWait(env_.committer, std::make_unique<CompactTask>(staged_, rewriting)));
  charge.Written();
  return piece;
}

absl::Status EmbeddedLog::StoreCompaction(const CompactionState& state) {
  return CommitChange([&](WriteBatch& batch) { staged_.StageCompaction(batch, state); });
}

}  // namespace selvage
