#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/embedded_log.h"
#include "fabric/stream/meta_keys.h"
#include "fabric/stream/record_batch.h"

namespace selvage {
namespace {

/// What the body of an entry says of its place.
absl::StatusOr<Entry> EntryOf(FlowEntry received) {
  Entry entry;
  entry.kind = received.kind;
  entry.from = received.from;
  entry.to = received.to;
  bool agrees = false;
  if (entry.kind == EntryKind::kBatch) {
    SELVAGE_ASSIGN_OR_RETURN(const BatchHeader header, ParseBatchHeader(received.body.view()));
    agrees = header.base_offset == entry.from && header.next_offset() == entry.to && !header.compacted();
  } else {
    SELVAGE_ASSIGN_OR_RETURN(const Gap gap, DecodeGap(received.body.view()));
    agrees = gap.from == entry.from && gap.to == entry.to;
    entry.hash_after = gap.hash_after;
  }
  if (!agrees) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, entry.kind == EntryKind::kBatch ? "corrupt_batch" : "corrupt_gap",
        fmt::format("the entry at offset {} covers other offsets than announced", entry.from.value()));
  }
  entry.body = std::move(received.body);
  return entry;
}

/// Puts entries in place of what is damaged.
class RepairTask : public CommitTask {
 public:
  /// What the node itself puts there has no fence.
  RepairTask(std::shared_ptr<StagedLog> log, std::vector<Entry> entries, std::optional<Fence> fence,
             AppendDone done)
      : log_(std::move(log)), entries_(std::move(entries)), fence_(std::move(fence)), done_(std::move(done)) {
    for (const Entry& entry : entries_) size_ += entry.body.size() + kOverhead;
  }

  size_t ByteSize() const override { return size_; }

  absl::Status Stage(WriteBatch& batch) override {
    SELVAGE_RETURN_IF_ERROR(log_->held());
    if (fence_) SELVAGE_RETURN_IF_ERROR(log_->CheckFence(*fence_));
    id_ = log_->state().id;
    return log_->StageRepair(batch, entries_);
  }

  void Finish(const absl::Status& status) override {
    if (!status.ok()) return done_(status);
    log_->PublishRepaired();
    done_(LogPosition{id_, entries_.back().to, entries_.back().hash_after});
  }

 private:
  static constexpr size_t kOverhead = 256;

  const std::shared_ptr<StagedLog> log_;
  std::vector<Entry> entries_;
  const std::optional<Fence> fence_;
  const AppendDone done_;
  size_t size_ = 0;
  LogId id_;
};

}  // namespace

absl::StatusOr<std::optional<LogDamage>> EmbeddedLog::FindDamage(Offset offset) {
  auto found = reader_.Find(offset);
  if (absl::IsOutOfRange(found.status())) {  // trimmed
    damaged_.Forget(offset, offset + 1);
    return std::nullopt;
  }
  if (!found.ok()) return found.status();
  if (const LogDamage* damage = std::get_if<LogDamage>(&*found)) return *damage;
  const Entry& whole = std::get<Entry>(*found);
  damaged_.Forget(whole.from, whole.to);
  return std::nullopt;
}

absl::Status EmbeddedLog::Quarantine(Offset offset) {
  absl::MutexLock lock(&trim_mutex_);
  SELVAGE_ASSIGN_OR_RETURN(const std::optional<LogDamage> damage, FindDamage(offset));
  if (!damage) return absl::OkStatus();
  Entry gap = StandInFor(*damage);
  gap.body = Bytes(EncodeGap({.from = gap.from,
                              .to = gap.to,
                              .reason = GapReason::kCorrupt,
                              .leader_epoch = state().LeaderEpochBefore(gap.to),
                              .hash_after = gap.hash_after,
                              .recorded_ms = absl::ToUnixMillis(env_.clock.Wall())}));
  std::vector<Entry> entries;
  entries.push_back(std::move(gap));
  return CommitAndWait(env_.committer, std::make_unique<RepairTask>(SharedStaging(), std::move(entries),
                                                                    std::nullopt, [](const auto&) {}));
}

absl::Status EmbeddedLog::Replace(std::vector<FlowEntry> entries, Fence fence, AppendDone done) {
  SELVAGE_CHECK(!entries.empty());
  std::vector<Entry> decoded;
  for (FlowEntry& entry : entries) {
    SELVAGE_ASSIGN_OR_RETURN(Entry whole, EntryOf(std::move(entry)));
    decoded.push_back(std::move(whole));
  }
  return env_.committer.Submit(
      std::make_unique<RepairTask>(SharedStaging(), std::move(decoded), std::move(fence), std::move(done)),
      Committer::Limit::kNone);
}

}  // namespace selvage
