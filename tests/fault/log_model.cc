#include "tests/fault/log_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "fabric/base/error.h"
#include "fabric/stream/record_batch.h"
#include "tests/fault/wrong.h"

namespace selvage::test {
namespace {

std::string Name(const Entry& entry) {
  return fmt::format("{} [{},{})", entry.kind == EntryKind::kGap ? "gap" : "batch", entry.from.value(),
                     entry.to.value());
}

absl::Status CheckFollows(const Entry& before, const Entry& entry) {
  if (entry.from != before.to) return Wrong("{} follows {}", Name(entry), Name(before));
  if (entry.hash_before != before.hash_after) return Wrong("{} breaks the chain", Name(entry));
  if (entry.append_ms < before.append_ms || entry.max_timestamp < before.max_timestamp) {
    return Wrong("{}: a time that runs along the log goes back", Name(entry));
  }
  // What was compacted counts as it was appended.
  const bool compacted = entry.compacted || (entry.kind == EntryKind::kGap &&
                                             DecodeGap(entry.body.view())->reason == GapReason::kCompacted);
  const uint64_t counted = before.log_bytes + entry.body.size();
  if (compacted ? entry.log_bytes < before.log_bytes : entry.log_bytes != counted) {
    return Wrong("{} counts bytes wrong", Name(entry));
  }
  return absl::OkStatus();
}

}  // namespace

bool SameEntry(const Entry& a, const Entry& b) {
  return a.kind == b.kind && a.from == b.from && a.to == b.to && a.hash_before == b.hash_before &&
         a.hash_after == b.hash_after && a.body.view() == b.body.view();
}

absl::Status CheckEntry(const Entry& entry) {
  if (entry.kind == EntryKind::kGap) return DecodeGap(entry.body.view()).status();
  if (!BatchCrcMatches(entry.body.view())) return Wrong("{} has a wrong CRC", Name(entry));
  if (!entry.compacted && ChainBatch(entry.hash_before, entry.body.view()) != entry.hash_after) {
    return Wrong("{} has a wrong chain hash", Name(entry));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Entry>> ReadWhole(EmbeddedLog& log, size_t chunk_bytes, bool from_disk) {
  const LogState state = log.state();
  std::vector<Entry> all;
  for (Offset next = state.start; next < state.end;) {
    SELVAGE_ASSIGN_OR_RETURN(std::vector<Entry> some, log.Read(next, chunk_bytes, from_disk));
    if (some.empty()) return Wrong("nothing can be read at {}, before the end", next.value());
    for (Entry& entry : some) {
      SELVAGE_RETURN_IF_ERROR(CheckEntry(entry));
      if (!all.empty()) SELVAGE_RETURN_IF_ERROR(CheckFollows(all.back(), entry));
      next = entry.to;
      all.push_back(std::move(entry));
    }
  }
  if (all.empty()) return all;
  const Entry& last = all.back();
  if (last.to != state.end || last.hash_after != state.hash || last.log_bytes != state.log_bytes ||
      last.max_timestamp != state.max_timestamp || last.append_ms != state.append_ms) {
    return Wrong("the state disagrees with the last entry, {}", Name(last));
  }
  if (all.front().from != state.start)
    return Wrong("the first entry, {}, is not at the start", Name(all.front()));
  return all;
}

LogModel::LogModel(const LogState& made)
    : identity_(IdentityOf(made)), start_(made.start), start_hash_(made.hash) {}

Offset LogModel::end() const {
  return submitted_.empty() ? SureEnd() : submitted_.back().to;
}

ChainHash LogModel::hash() const {
  return submitted_.empty() ? SureHash() : submitted_.back().hash_after;
}

void LogModel::SubmitBatch(std::string stamped) {
  const BatchHeader header = *ParseBatchHeader(stamped);
  Entry entry;
  entry.kind = EntryKind::kBatch;
  entry.from = header.base_offset;
  entry.to = header.next_offset();
  entry.hash_before = hash();
  entry.hash_after = ChainBatch(entry.hash_before, stamped);
  entry.body = Bytes(std::move(stamped));
  submitted_.push_back(std::move(entry));
}

void LogModel::SubmitGap(const Gap& gap) {
  Entry entry;
  entry.kind = EntryKind::kGap;
  entry.from = gap.from;
  entry.to = gap.to;
  entry.hash_before = hash();
  entry.hash_after = gap.hash_after;
  entry.body = Bytes(EncodeGap(gap));
  submitted_.push_back(std::move(entry));
}

std::vector<Entry> LogModel::BatchesOf(int64_t producer) const {
  std::vector<Entry> batches;
  const auto take = [&](const Entry& entry) {
    if (entry.kind != EntryKind::kBatch) return;
    if (ParseBatchHeader(entry.body.view())->producer_id == producer) batches.push_back(entry);
  };
  std::for_each(sure_.begin(), sure_.end(), take);
  std::for_each(submitted_.begin(), submitted_.end(), take);
  return batches;
}

void LogModel::TakeEpoch(const Entry& entry) {
  const LeaderEpoch epoch = LeaderEpochOf(entry);
  auto& epochs = identity_.leader_epochs;
  if (!epochs.empty() && epoch <= epochs.back().first) return;
  std::erase_if(epochs, [&](const auto& known) { return known.second > entry.from; });
  epochs.emplace_back(epoch, entry.from);
}

absl::Status LogModel::Answered(const absl::StatusOr<LogPosition>& answer) {
  if (!answer.ok()) return absl::OkStatus();
  if (submitted_.empty()) return Wrong("an answer to nothing");
  Entry entry = std::move(submitted_.front());
  submitted_.pop_front();
  TakeEpoch(entry);
  sure_.push_back(std::move(entry));
  never_written_ = false;
  const LogPosition expected{identity_.id, SureEnd(), SureHash()};
  if (*answer == expected) return absl::OkStatus();
  return Wrong("acknowledged as ending at {}, but it ends at {}", answer->offset.value(),
               expected.offset.value());
}

void LogModel::Died() {
  std::move(submitted_.begin(), submitted_.end(), std::back_inserter(perhaps_));
  submitted_.clear();
}

void LogModel::Became() {
  if (!next_) return;
  if (never_written_) {
    start_ = next_->base;
    start_hash_ = next_->base_hash;
  }
  identity_ = *std::exchange(next_, std::nullopt);
}

void LogModel::AcknowledgementStored() {
  acknowledged_.erase(acknowledged_.begin(), acknowledged_.end() - 1);
}

void LogModel::MayTrim(Offset to, std::optional<Offset> gap_from) {
  trim_to_ = to;
  gap_from_ = gap_from;
}

absl::Status LogModel::TakeGap(const Entry& gap) {
  // It must take the place of whole entries, beginning at the start, and lead to the same hash.
  auto last =
      std::find_if(sure_.begin(), sure_.end(), [&](const Entry& entry) { return entry.to == gap.to; });
  if (last == sure_.end()) return Wrong("{} does not end where an entry ended", Name(gap));
  if (gap.hash_before != start_hash_ || gap.hash_after != last->hash_after) {
    return Wrong("{} is on another chain than what it replaced", Name(gap));
  }
  if (!trim_to_ || gap.to > *trim_to_ || !gap_from_) return Wrong("{} was not asked for", Name(gap));
  sure_.erase(sure_.begin(), last);
  sure_.front() = gap;
  return absl::OkStatus();
}

absl::Status LogModel::TakeStart(const LogState& state, const std::vector<Entry>& found) {
  if (state.start < start_)
    return Wrong("the start went back from {} to {}", start_.value(), state.start.value());
  if (state.start > start_) {
    if (!trim_to_ || state.start > *trim_to_) {
      return Wrong("entries from {} to {} are gone", start_.value(), state.start.value());
    }
    if (gap_from_ && state.start > std::max(start_, *gap_from_)) {
      return Wrong("entries from {} to {} are gone without a gap", gap_from_->value(), state.start.value());
    }
    while (!sure_.empty() && sure_.front().to <= state.start) {
      start_ = sure_.front().to;
      start_hash_ = sure_.front().hash_after;
      sure_.erase(sure_.begin());
    }
    if (start_ != state.start) return Wrong("the log starts at {}, within an entry", state.start.value());
  }
  const bool same = found.empty() || sure_.empty() || SameEntry(found.front(), sure_.front());
  return same || found.front().kind != EntryKind::kGap ? absl::OkStatus() : TakeGap(found.front());
}

absl::Status LogModel::Compare(const LogState& state, const std::vector<Entry>& found) {
  for (size_t i = 0; i < found.size(); ++i) {
    if (i >= sure_.size() && perhaps_.empty()) return Wrong("{} was never submitted", Name(found[i]));
    if (i >= sure_.size()) {
      TakeEpoch(perhaps_.front());
      sure_.push_back(std::move(perhaps_.front()));
      perhaps_.pop_front();
      never_written_ = false;
    }
    if (!SameEntry(found[i], sure_[i]))
      return Wrong("{} is found where {} was written", Name(found[i]), Name(sure_[i]));
  }
  if (found.size() < sure_.size()) {
    return Wrong("acknowledged entries are gone, from {} to {}", sure_[found.size()].from.value(),
                 SureEnd().value());
  }
  if (state.end != SureEnd() || state.hash != SureHash()) {
    return Wrong("the end is {}, not {}", state.end.value(), SureEnd().value());
  }
  if (!(IdentityOf(state) == identity_)) {
    return Wrong("id {} at {} with {} epochs, the last {}; not id {} at {} with {} epochs, the last {}",
                 state.id.hex(), state.base.value(), state.leader_epochs.size(), state.leader_epoch().value(),
                 identity_.id.hex(), identity_.base.value(), identity_.leader_epochs.size(),
                 identity_.leader_epochs.back().first.value());
  }
  return absl::OkStatus();
}

absl::Status LogModel::Check(EmbeddedLog& log, size_t chunk_bytes) {
  const LogState state = log.state();
  SELVAGE_ASSIGN_OR_RETURN(const std::vector<Entry> found, ReadWhole(log, chunk_bytes, /*from_disk=*/true));
  SELVAGE_RETURN_IF_ERROR(TakeStart(state, found));
  SELVAGE_RETURN_IF_ERROR(Compare(state, found));
  SELVAGE_ASSIGN_OR_RETURN(const std::vector<Entry> cached, ReadWhole(log, chunk_bytes, /*from_disk=*/false));
  if (!std::equal(found.begin(), found.end(), cached.begin(), cached.end(), SameEntry)) {
    return Wrong("the cache shows another log than the disk");
  }
  trim_to_.reset();
  return absl::OkStatus();
}

absl::Status LogModel::CheckRecovered(EmbeddedLog& log, size_t chunk_bytes) {
  const LogState state = log.state();
  took_next_ = false;
  if (next_) {
    Identity found = IdentityOf(state);
    // Entries that came before the change may have brought their own epochs.
    took_next_ =
        found.id == next_->id && found.base == next_->base && found.leader_epochs == next_->leader_epochs;
    if (took_next_) Became();
  }
  SELVAGE_RETURN_IF_ERROR(Check(log, chunk_bytes));
  next_.reset();
  perhaps_.clear();
  const std::optional<Offset> acknowledged = log.acknowledged();
  if (std::find(acknowledged_.begin(), acknowledged_.end(), acknowledged) == acknowledged_.end()) {
    return Wrong("acknowledged up to {}, which no peer ever said", acknowledged ? acknowledged->value() : -1);
  }
  acknowledged_ = {acknowledged};
  return absl::OkStatus();
}

}  // namespace selvage::test
