#include "fabric/stream/damaged_ranges.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/base/error.h"

namespace selvage {

std::vector<LogDamage> DamagedRanges::All() const {
  absl::MutexLock lock(&mutex_);
  std::vector<LogDamage> all;
  all.reserve(ranges_.size());
  for (const auto& [from, damage] : ranges_) all.push_back(damage);
  return all;
}

bool DamagedRanges::empty() const {
  absl::MutexLock lock(&mutex_);
  return ranges_.empty();
}

void DamagedRanges::Note(const LogDamage& damage) {
  {
    absl::MutexLock lock(&mutex_);
    std::erase_if(ranges_, [&](const auto& known) {
      return known.second.from < damage.to && damage.from < known.second.to;
    });
    ranges_.emplace(damage.from, damage);
  }
  log_.NoteChanged();
}

void DamagedRanges::Forget(Offset from, Offset to) {
  absl::MutexLock lock(&mutex_);
  std::erase_if(ranges_, [&](const auto& known) { return known.second.from < to && from < known.second.to; });
}

absl::Status DamagedRanges::Fill(std::vector<Entry>& entries) {
  const Offset from = entries.front().from;
  const Offset to = entries.back().to;
  absl::MutexLock lock(&mutex_);
  auto known = ranges_.find(from);
  if (known == ranges_.end() || to > known->second.to) {
    return MakeError(absl::StatusCode::kAborted, "range_changed",
                     fmt::format("{}: what was damaged from offset {} on is not any more",
                                 ToString(log_.origin()), from.value()),
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
                      ToString(log_.origin()), from.value(), to.value()));
    }
    rest.from = entry.to;
    rest.hash_before = entry.hash_after;
  }
  rest.bytes = rest.log_bytes - log_bytes;
  ranges_.erase(known);
  if (rest.from < rest.to) ranges_.emplace(rest.from, rest);
  return absl::OkStatus();
}

}  // namespace selvage
