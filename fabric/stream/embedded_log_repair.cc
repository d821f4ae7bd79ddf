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

}  // namespace

/// Puts entries in place of what is damaged.
class RepairTask : public CommitTask {
 public:
  /// What the node itself puts there has no fence.
  RepairTask(EmbeddedLog& log, std::vector<Entry> entries, std::optional<Fence> fence, AppendDone done)
      : log_(log.shared_from_this()),
        entries_(std::move(entries)),
        fence_(std::move(fence)),
        done_(std::move(done)) {
    for (const Entry& entry : entries_) size_ += entry.body.size() + kOverhead;
  }

  size_t ByteSize() const override { return size_; }

  absl::Status Stage(WriteBatch& batch) override {
    SELVAGE_RETURN_IF_ERROR(log_->held());
    if (fence_) SELVAGE_RETURN_IF_ERROR(log_->CheckFence(*fence_));
    return log_->StageRepair(batch, entries_);
  }

  void Finish(const absl::Status& status) override {
    if (!status.ok()) return done_(status);
    log_->env_.cache.Forget(log_->number_);  // cached entries must not contradict a gap
    log_->changes_.Note(log_->number_);
    done_(LogPosition{log_->state().id, entries_.back().to, entries_.back().hash_after});
  }

 private:
  static constexpr size_t kOverhead = 256;

  const std::shared_ptr<EmbeddedLog> log_;
  std::vector<Entry> entries_;
  const std::optional<Fence> fence_;
  const AppendDone done_;
  size_t size_ = 0;
};

std::vector<LogDamage> EmbeddedLog::damages() const {
  absl::MutexLock lock(&mutex_);
  std::vector<LogDamage> all;
  all.reserve(damages_.size());
  for (const auto& [from, damage] : damages_) all.push_back(damage);
  return all;
}

void EmbeddedLog::NoteDamage(const LogDamage& damage) const {
  {
    absl::MutexLock lock(&mutex_);
    std::erase_if(damages_, [&](const auto& known) {
      return known.second.from < damage.to && damage.from < known.second.to;
    });
    damages_.emplace(damage.from, damage);
  }
  changes_.Note(number_);
}

bool EmbeddedLog::has_damage() const {
  absl::MutexLock lock(&mutex_);
  return !damages_.empty();
}

void EmbeddedLog::ForgetDamage(Offset from, Offset to) const {
  absl::MutexLock lock(&mutex_);
  std::erase_if(damages_,
                [&](const auto& known) { return known.second.from < to && from < known.second.to; });
}

absl::StatusOr<std::optional<LogDamage>> EmbeddedLog::FindDamage(Offset offset) {
  auto found = Find(offset);
  if (absl::IsOutOfRange(found.status())) {  // trimmed
    ForgetDamage(offset, offset + 1);
    return std::nullopt;
  }
  if (!found.ok()) return found.status();
  if (const LogDamage* damage = std::get_if<LogDamage>(&*found)) return *damage;
  const Entry& whole = std::get<Entry>(*found);
  ForgetDamage(whole.from, whole.to);
  return std::nullopt;
}

absl::Status EmbeddedLog::StageRepair(WriteBatch& batch, std::vector<Entry>& entries) {
  const Offset from = entries.front().from;
  const Offset to = entries.back().to;
  absl::MutexLock lock(&mutex_);
  auto known = damages_.find(from);
  if (known == damages_.end() || to > known->second.to) {
    return MakeError(absl::StatusCode::kAborted, "range_changed",
                     fmt::format("{}: what was damaged from offset {} on is not any more", ToString(origin_),
                                 from.value()),
                     "", Retry::kYes);
  }
  LogDamage rest = known->second;
  uint64_t log_bytes = rest.log_bytes - rest.bytes;
  for (Entry& entry : entries) {
    entry.hash_before = rest.hash_before;
    if (entry.kind == EntryKind::kBatch) entry.hash_after = ChainBatch(entry.hash_before, entry.body.view());
    log_bytes =
        entry.to == rest.to ? rest.log_bytes : std::min(log_bytes + entry.body.size(), rest.log_bytes);
    entry.log_bytes = log_bytes;
    entry.append_ms = rest.append_ms;
    entry.max_timestamp = rest.max_timestamp;
    if (entry.from != rest.from || (entry.to == rest.to && entry.hash_after != rest.hash_after)) {
      return MakeError(
          absl::StatusCode::kDataLoss, "chain_mismatch",
          fmt::format("{}: the entries that came for offset {} to {} are not those that were there",
                      ToString(origin_), from.value(), to.value()));
    }
    rest.from = entry.to;
    rest.hash_before = entry.hash_after;
  }
  rest.bytes = rest.log_bytes - log_bytes;
  // One deletion for the whole range: where a block of a table is damaged, it is what seeks step across it
  // by.
  batch.DeleteRange(Family::kLog, LogKey(number_, from), LogKey(number_, to));
  batch.DeleteRange(Family::kMeta, GapIndexKey(number_, from), GapIndexKey(number_, to));
  for (const Entry& entry : entries) {
    batch.Put(Family::kLog, LogKey(number_, entry.from), {EncodeEntryHeader(entry), entry.body.view()});
    if (entry.kind == EntryKind::kGap) {
      batch.Put(Family::kMeta, GapIndexKey(number_, entry.from), {entry.body.view()});
    }
  }
  damages_.erase(known);
  if (rest.from < rest.to) damages_.emplace(rest.from, rest);
  return absl::OkStatus();
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
  return CommitAndWait(env_.committer, std::make_unique<RepairTask>(*this, std::move(entries), std::nullopt,
                                                                    [](const auto&) {}));
}

absl::Status EmbeddedLog::Replace(std::vector<FlowEntry> entries, Fence fence, AppendDone done) {
  SELVAGE_CHECK(!entries.empty());
  std::vector<Entry> decoded;
  for (FlowEntry& entry : entries) {
    SELVAGE_ASSIGN_OR_RETURN(Entry whole, EntryOf(std::move(entry)));
    decoded.push_back(std::move(whole));
  }
  return env_.committer.Submit(
      std::make_unique<RepairTask>(*this, std::move(decoded), std::move(fence), std::move(done)),
      Committer::Limit::kNone);
}

}  // namespace selvage
