#include <fmt/format.h>

#include <utility>

#include "fabric/base/canary.h"
#include "fabric/base/error.h"
#include "fabric/stream/embedded_log.h"
#include "fabric/stream/produce_check.h"
#include "fabric/stream/record_batch.h"

/// Appending: the one task that most of a node's work is.
namespace selvage {
namespace {

/// Appends one entry: as the source (offset assigned here) or as a replica (offset checked here).
class AppendTask : public CommitTask {
 public:
  /// As the source, a batch that gets its offset when it is staged.
  AppendTask(std::shared_ptr<StagedLog> log, std::string batch, ProduceDone done)
      : log_(std::move(log)),
        size_(AppendQueueBytes(batch.size())),
        produced_(std::move(batch)),
        done_(std::move(done)) {}
  /// As the source, a gap from wherever the end is when it is staged.
  AppendTask(std::shared_ptr<StagedLog> log, Offset gap_to, GapReason reason, AppendDone done)
      : log_(std::move(log)),
        size_(AppendQueueBytes(0)),
        done_(TellEnd(std::move(done))),
        tail_gap_to_(gap_to),
        reason_(reason) {
    entry_.kind = EntryKind::kGap;
  }
  /// As a replica, an entry as it is.
  AppendTask(std::shared_ptr<StagedLog> log, FlowEntry entry, Fence fence, AppendDone done)
      : log_(std::move(log)),
        size_(AppendQueueBytes(entry.body.size())),
        done_(TellEnd(std::move(done))),
        fence_(std::move(fence)) {
    entry_.kind = entry.kind;
    entry_.from = entry.from;
    entry_.to = entry.to;
    entry_.body = std::move(entry.body);
  }

  /// What the body was admitted to the disk by.
  void Charge(DiskCharge charge) { charge_ = std::move(charge); }

  size_t ByteSize() const override { return size_; }

  absl::Status Stage(WriteBatch& batch) override {
    SELVAGE_RETURN_IF_ERROR(log_->CheckAppendable());
    SELVAGE_RETURN_IF_ERROR(JudgeSequence());
    if (appended_.duplicate) {
      after_ = log_->state();
      return absl::OkStatus();
    }
    SELVAGE_RETURN_IF_ERROR(fence_ ? CheckReplica() : MakeEntry());
    log_->StageEntry(batch, entry_);
    appended_.base = entry_.from;
    if (sequence_.numbered()) log_->producers().Add(batch, sequence_, entry_.from, entry_.append_ms);
    after_ = log_->state();
    if (Planted(Canary::kServeBeforeSync)) log_->PublishEntry(entry_, after_);
    return absl::OkStatus();
  }

  void StageLast(WriteBatch& batch) override {
    if (sequence_.numbered()) log_->producers().Flush(batch, sequence_.producer);
  }

  void Finish(const absl::Status& status) override {
    // Before anybody hears of it.
    if (status.ok() && !appended_.duplicate) {
      charge_.Written();
    } else {
      charge_.GiveBack();
    }
    if (!status.ok()) {
      done_(status);
      return;
    }
    appended_.end = after_.position();
    // What it is a duplicate of was durable before it, or in the same group.
    if (appended_.duplicate) return done_(appended_);
    log_->PublishEntry(entry_, after_);
    done_(appended_);
  }

 private:
  static ProduceDone TellEnd(AppendDone done) {
    return [done = std::move(done)](const absl::StatusOr<Appended>& appended) {
      done(appended.ok() ? absl::StatusOr<LogPosition>(appended->end) : appended.status());
    };
  }

  absl::Status OutOfSequence(std::string_view what, Offset offset) const {
    return MakeError(absl::StatusCode::kFailedPrecondition, "out_of_sequence",
                     fmt::format("{}: {} {} does not follow the log end {}", ToString(log_->origin()), what,
                                 offset.value(), log_->state().end.value()),
                     "", Retry::kYes);
  }

  /// A replica takes what its source took.
  absl::Status JudgeSequence() {
    if (fence_ || entry_.kind != EntryKind::kBatch) return absl::OkStatus();
    sequence_ = SequenceOf(*ParseBatchHeader(produced_));
    if (!sequence_.numbered()) return absl::OkStatus();
    const auto [verdict, base] = log_->producers().Judge(sequence_);
    switch (verdict) {
      case ProducerWindow::Verdict::kAppend:
        break;
      case ProducerWindow::Verdict::kDuplicate:
        appended_.base = base;
        appended_.duplicate = true;
        break;
      case ProducerWindow::Verdict::kOutOfOrder:
        return MakeError(absl::StatusCode::kFailedPrecondition, "out_of_order_sequence",
                         fmt::format("{}: sequence {} of producer {} does not follow what it sent before",
                                     ToString(log_->origin()), sequence_.first, sequence_.producer));
      case ProducerWindow::Verdict::kUnknown:
        return MakeError(absl::StatusCode::kFailedPrecondition, "unknown_producer",
                         fmt::format("{}: sequence {} of producer {}, of whom nothing is known here",
                                     ToString(log_->origin()), sequence_.first, sequence_.producer),
                         "begin a new epoch of the producer, with sequence 0");
      case ProducerWindow::Verdict::kStaleEpoch:
        return MakeError(absl::StatusCode::kFailedPrecondition, "stale_producer_epoch",
                         fmt::format("{}: epoch {} of producer {} was superseded", ToString(log_->origin()),
                                     sequence_.epoch, sequence_.producer));
    }
    return absl::OkStatus();
  }

  absl::Status MakeEntry() {
    if (entry_.kind == EntryKind::kBatch) {
      entry_ = log_->SourceEntry(std::move(produced_));
      return absl::OkStatus();
    }
    const Offset end = log_->state().end;
    if (tail_gap_to_ <= end) return OutOfSequence("a gap to offset", tail_gap_to_);
    entry_ = log_->GapFromEnd(tail_gap_to_, reason_);
    return absl::OkStatus();
  }

  absl::Status CheckReplica() {
    SELVAGE_RETURN_IF_ERROR(log_->CheckFence(*fence_));
    if (entry_.from != log_->state().end && !Planted(Canary::kStoreJump)) {
      return OutOfSequence("an entry from offset", entry_.from);
    }
    entry_.hash_before = log_->state().hash;
    if (entry_.kind == EntryKind::kBatch) {
      entry_.max_timestamp = ParseBatchHeader(entry_.body.view())->max_timestamp;
      entry_.hash_after = ChainBatch(entry_.hash_before, entry_.body.view());
    } else {
      entry_.max_timestamp = -1;
      entry_.hash_after = DecodeGap(entry_.body.view())->hash_after;
    }
    return absl::OkStatus();
  }

  const std::shared_ptr<StagedLog> log_;
  const size_t size_;
  std::string produced_;  // until it has its offset
  ProduceDone done_;
  DiskCharge charge_;
  ProducerSequence sequence_;
  Appended appended_;
  Entry entry_;
  std::optional<Fence> fence_;
  Offset tail_gap_to_;
  GapReason reason_ = GapReason::kLostWithDisk;
  LogState after_;
};

}  // namespace

absl::StatusOr<DiskCharge> EmbeddedLog::AdmitBytes(size_t bytes) {
  auto admitted = env_.budget.Admit(bytes);
  if (admitted.ok() || !make_room_) return admitted;
  if (auto into_dropped = make_room_(*this, bytes)) return *std::move(into_dropped);
  return admitted;
}

absl::Status EmbeddedLog::Append(std::string&& batch, ProduceDone done) {
  SELVAGE_RETURN_IF_ERROR(published_.CheckAppendable());
  // The queue first: nothing is charged, let alone dropped, for what it turns away.
  SELVAGE_ASSIGN_OR_RETURN(Committer::Place place, env_.committer.Reserve(AppendQueueBytes(batch.size())));
  SELVAGE_ASSIGN_OR_RETURN(DiskCharge charge, AdmitBytes(batch.size()));
  auto task = std::make_unique<AppendTask>(SharedStaging(), std::move(batch), std::move(done));
  task->Charge(std::move(charge));
  return env_.committer.Submit(std::move(task), std::move(place));
}

absl::Status EmbeddedLog::AppendReplica(FlowEntry entry, Fence fence, AppendDone done) {
  SELVAGE_RETURN_IF_ERROR(published_.CheckAppendable());
  DiskCharge charge;
  if (entry.kind == EntryKind::kBatch) {
    SELVAGE_ASSIGN_OR_RETURN(BatchHeader header, ParseBatchHeader(entry.body.view()));
    if (header.base_offset != entry.from || header.next_offset() != entry.to || header.compacted()) {
      return MakeError(absl::StatusCode::kInvalidArgument, "corrupt_batch",
                       fmt::format("{}: the batch covers other offsets than announced", ToString(origin())));
    }
    SELVAGE_ASSIGN_OR_RETURN(charge, AdmitBytes(entry.body.size()));
  } else {
    SELVAGE_ASSIGN_OR_RETURN(Gap gap, DecodeGap(entry.body.view()));
    if (gap.from != entry.from || gap.to != entry.to) {
      return MakeError(absl::StatusCode::kInvalidArgument, "corrupt_gap",
                       fmt::format("{}: the gap covers other offsets than announced", ToString(origin())));
    }
  }
  auto task =
      std::make_unique<AppendTask>(SharedStaging(), std::move(entry), std::move(fence), std::move(done));
  task->Charge(std::move(charge));
  return env_.committer.Submit(std::move(task), Committer::Limit::kNone);
}

absl::Status EmbeddedLog::AppendGap(Offset to, GapReason reason, AppendDone done) {
  SELVAGE_RETURN_IF_ERROR(published_.CheckAppendable());
  return env_.committer.Submit(std::make_unique<AppendTask>(SharedStaging(), to, reason, std::move(done)));
}

}  // namespace selvage
