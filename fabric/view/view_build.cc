#include "fabric/view/view_build.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "fabric/base/canary.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"

namespace selvage::view {
namespace {

constexpr std::string_view kViewLogPrefix = "view_log/";      ///< + incarnation of the table + log u32
constexpr std::string_view kViewSkipsPrefix = "view_skips/";  ///< + incarnation of the table

constexpr PieceLimits kLimits{.bytes_max = 4u << 20, .row_bytes_max = 1u << 20};
constexpr int kSkipsKept = 100;
/// A record whose time is further ahead is skipped: it would make all others late.
constexpr int64_t kAheadMsMax = 3'600'000;

/// Which record a row of a view of newest records has. Of several logs the one with the greatest time counts,
/// and within a log the last one: so the time of a record is at least that of all before it in its log.
struct NewestState {
  int64_t time_ms = 0;
  LogNumber log;
  Offset offset;
  auto operator<=>(const NewestState&) const = default;

  std::string Encode() const {
    std::string bytes;
    AppendBig<int64_t>(bytes, time_ms);
    AppendBig<uint32_t>(bytes, log.value());
    AppendBig<int64_t>(bytes, offset.value());
    return bytes;
  }
  static absl::StatusOr<NewestState> Decode(std::string_view bytes) {
    if (bytes.size() != 20) {
      return MakeError(absl::StatusCode::kDataLoss, "corrupt_view", "what a view keeps of a row is damaged",
                       "selvagectl view rebuild makes it anew");
    }
    return NewestState{LoadBig<int64_t>(bytes.data()), LogNumber(LoadBig<uint32_t>(bytes.data() + 8)),
                       Offset(LoadBig<int64_t>(bytes.data() + 12))};
  }
};

const Entry* EntryWith(const std::vector<Entry>& entries, Offset offset) {
  for (const Entry& entry : entries) {
    if (offset < entry.to) return &entry;
  }
  return nullptr;
}

}  // namespace

ViewBuild::ViewBuild(const ViewEnvironment& env, v1::ViewDefinition definition, std::string table)
    : env_(env), definition_(definition), table_(std::move(table)), fold_(std::move(definition)) {}

std::string ViewBuild::LogKey(LogNumber log) const {
  std::string key(kViewLogPrefix);
  key += incarnation_;
  AppendBig<uint32_t>(key, log.value());
  return key;
}

std::string ViewBuild::SkipsKey() const {
  return std::string(kViewSkipsPrefix) + incarnation_;
}

absl::Status ViewBuild::Open() {
  const auto table = env_.tables.Find(table_);
  if (!table) return DamagedMeta("list of views");
  incarnation_ = table->incarnation();
  const std::string keys = std::string(kViewLogPrefix) + incarnation_;
  auto cursor = env_.store.Scan(Family::kMeta, keys, PrefixEnd(keys));
  for (cursor->Seek(keys); cursor->Valid(); cursor->Next()) {
    const std::string_view number = cursor->key().substr(keys.size());
    Stored stored;
    if (number.size() != sizeof(uint32_t) || !stored.ParseFromString(std::string(cursor->value()))) {
      return DamagedMeta("progress of a view");
    }
    read_[LogNumber(LoadBig<uint32_t>(number.data()))] = std::move(stored);
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  SELVAGE_ASSIGN_OR_RETURN(const auto skips, env_.store.Get(Family::kMeta, SkipsKey()));
  if (skips && !skips_.ParseFromString(*skips)) return DamagedMeta("list of skipped records");
  return absl::OkStatus();
}

std::vector<std::shared_ptr<EmbeddedLog>> ViewBuild::Logs() const {
  std::vector<std::shared_ptr<EmbeddedLog>> logs = env_.logs.Logs();
  std::erase_if(logs, [&](const auto& log) { return log->origin().stream != definition_.stream(); });
  std::sort(logs.begin(), logs.end(), [](const auto& a, const auto& b) { return a->number() < b->number(); });
  return logs;
}

absl::StatusOr<bool> ViewBuild::Feed() {
  bool fed = false;
  absl::Status first;
  for (const std::shared_ptr<EmbeddedLog>& log : Logs()) {
    // What an operator has to decide about is read when that is done.
    if (!log->held().ok()) continue;
    const auto one = FeedLog(*log);
    if (one.ok()) {
      fed |= *one;
    } else {
      first.Update(Annotate(one.status(), ToString(log->origin())));
    }
  }
  error_ = first;
  if (!first.ok()) return first;
  return fed;
}

bool ViewBuild::AtTheEnd() const {
  for (const std::shared_ptr<EmbeddedLog>& log : Logs()) {
    if (!log->held().ok()) continue;
    const auto at = read_.find(log->number());
    const LogState state = log->state();
    const Offset next = at == read_.end() ? state.log_start() : Offset(at->second.next());
    if (std::max(next, state.log_start()) < state.end) return false;
  }
  return true;
}

absl::StatusOr<bool> ViewBuild::FeedLog(EmbeddedLog& log) {
  const LogState state = log.state();
  const auto found = read_.find(log.number());
  Stored at;
  if (found != read_.end()) {
    at = found->second;
  } else {
    at.set_next(state.log_start().value());
    at.set_entry_from(-1);
  }
  const bool trimmed = Offset(at.next()) < state.log_start();
  if (trimmed) {
    at.set_trimmed(at.trimmed() + static_cast<uint64_t>(state.log_start().value() - at.next()));
    at.set_next(state.log_start().value());
    at.set_entry_from(-1);
  }
  if (Offset(at.next()) >= state.end) {
    // It is said now, and not only when there is something to read behind it.
    if (trimmed) SELVAGE_RETURN_IF_ERROR(Fold(log, {}, at));
    return trimmed;
  }
  const auto entries = log.Read(Offset(at.next()), env_.piece.bytes);
  // It was trimmed just now.
  if (absl::IsOutOfRange(entries.status())) return true;
  if (!entries.ok()) return entries.status();
  if (entries->empty()) return false;
  if (IsAnotherHistory(at, entries->front()) && !at.has_diverged_at()) at.set_diverged_at(at.next());
  SELVAGE_RETURN_IF_ERROR(Fold(log, *entries, at));
  return true;
}

bool ViewBuild::IsAnotherHistory(const Stored& at, const Entry& first) {
  if (at.entry_from() < 0) return false;
  if (first.from.value() == at.entry_from()) return first.hash_before.value() != at.hash();
  // Entries that became one gap are still of the same history; a batch begins where it always did.
  return first.kind == EntryKind::kBatch;
}

absl::Status ViewBuild::Fold(EmbeddedLog& log, const std::vector<Entry>& entries, Stored& at) {
  LogProgress from{Offset(at.next()), std::nullopt};
  if (at.has_watermark_ms()) from.watermark_ms = at.watermark_ms();
  PieceLimits limits = kLimits;
  limits.rows_max = env_.piece.rows;
  if (definition_.aggregate().keep_ms() > 0)
    limits.windows_gone_ms = now_ms() - definition_.aggregate().keep_ms();
  fold_.Begin(from, limits);
  for (const Entry& entry : entries) {
    if (entry.kind == EntryKind::kGap) {
      SELVAGE_ASSIGN_OR_RETURN(const Gap gap, DecodeGap(entry.body.view()));
      if (gap.reason != GapReason::kCompacted) {
        const Offset begin = std::max(entry.from, Offset(at.next()));
        at.set_lost(at.lost() + static_cast<uint64_t>(entry.to - begin));
      }
      fold_.PassTo(entry.to);
      continue;
    }
    SELVAGE_ASSIGN_OR_RETURN(const bool whole, fold_.AddBatch(entry.body.view(), now_ms() + kAheadMsMax));
    if (!whole) break;
  }
  return Commit(log, fold_.Take(), at, entries);
}

absl::StatusOr<std::vector<table::TableStore::OwnedRow>> ViewBuild::RowsOf(
    ViewPiece& piece, const EmbeddedLog& log, const std::vector<Entry>& entries) const {
  std::vector<std::string_view> keys;
  keys.reserve(piece.groups.size() + piece.newest.size());
  for (const GroupUpdate& group : piece.groups) keys.push_back(group.key);
  for (const NewestUpdate& newest : piece.newest) keys.push_back(newest.key);
  SELVAGE_ASSIGN_OR_RETURN(const std::vector<std::string> states, env_.tables.OwnedStates(table_, keys));
  std::vector<table::TableStore::OwnedRow> rows;
  rows.reserve(keys.size());
  const v1::ViewAggregate& aggregate = definition_.aggregate();
  for (size_t i = 0; i < piece.groups.size(); ++i) {
    GroupUpdate& group = piece.groups[i];
    if (!states[i].empty()) {
      SELVAGE_ASSIGN_OR_RETURN(const AggregateState before, AggregateState::Decode(aggregate, states[i]));
      group.state.Merge(before);
    }
    table::TableStore::OwnedRow row{.key = group.key};
    SELVAGE_ASSIGN_OR_RETURN(row.row, VisibleRow(aggregate, group.key, group.state));
    if (group.window_end_ms && aggregate.keep_ms() > 0) {
      row.expires_at_ms = *group.window_end_ms + aggregate.keep_ms();
    }
    row.state = group.state.Encode();
    rows.push_back(std::move(row));
  }
  for (size_t i = 0; i < piece.newest.size(); ++i) {
    NewestUpdate& newest = piece.newest[i];
    const Entry* entry = EntryWith(entries, newest.offset);
    const NewestState now{entry != nullptr ? entry->max_timestamp : newest.timestamp_ms, log.number(),
                          newest.offset};
    const std::string& state = states[piece.groups.size() + i];
    if (!state.empty()) {
      SELVAGE_ASSIGN_OR_RETURN(const NewestState before, NewestState::Decode(state));
      if (now < before) continue;
    }
    rows.push_back({.key = std::move(newest.key), .row = std::move(newest.row), .state = now.Encode()});
  }
  return rows;
}

void ViewBuild::Note(const ViewPiece& piece, const EmbeddedLog& log, Stored& at,
                     v1::StoredViewSkips& skips) const {
  at.set_records(at.records() + piece.records);
  while (at.skipped_size() < static_cast<int>(kSkipReasons)) at.add_skipped(0);
  for (size_t i = 0; i < kSkipReasons; ++i) {
    const int index = static_cast<int>(i);
    at.set_skipped(index, at.skipped(index) + piece.skipped.counts[i]);
  }
  for (const SkippedRecord& record : piece.skipped.listed) {
    v1::SkippedRecord& skipped = *skips.add_records();
    skipped.set_edge(log.origin().edge);
    skipped.set_partition(log.origin().partition.value());
    skipped.set_offset(record.offset.value());
    skipped.set_timestamp_ms(record.timestamp_ms);
    skipped.set_reason(std::string(SkipWord(record.reason)));
    skipped.set_what(record.what);
  }
  if (skips.records_size() > kSkipsKept) {
    skips.mutable_records()->DeleteSubrange(0, skips.records_size() - kSkipsKept);
  }
}

absl::Status ViewBuild::Commit(const EmbeddedLog& log, ViewPiece piece, const Stored& before,
                               const std::vector<Entry>& entries) {
  Stored at = before;
  at.set_next(piece.after.next.value());
  if (piece.after.watermark_ms) at.set_watermark_ms(*piece.after.watermark_ms);
  if (const Entry* entry = EntryWith(entries, piece.after.next)) {
    at.set_entry_from(entry->from.value());
    at.set_hash(entry->hash_before.value());
  } else if (!entries.empty()) {
    at.set_entry_from(piece.after.next.value());
    at.set_hash(entries.back().hash_after.value());
  }
  v1::StoredViewSkips skips = skips_;
  Note(piece, log, at, skips);
  SELVAGE_ASSIGN_OR_RETURN(auto rows, RowsOf(piece, log, entries));
  const std::string stored = at.SerializeAsString();
  const std::string skipped = piece.skipped.listed.empty() ? std::string() : skips.SerializeAsString();
  const auto also = [&](WriteBatch& batch) {
    batch.Put(Family::kMeta, LogKey(log.number()), {stored});
    if (!skipped.empty()) batch.Put(Family::kMeta, SkipsKey(), {skipped});
  };
  if (Planted(Canary::kViewPositionBeside)) {
    SELVAGE_RETURN_IF_ERROR(selvage::Commit(env_.committer, [&](WriteBatch& batch) {
      also(batch);
      return absl::OkStatus();
    }));
  }
  absl::Status outcome;
  absl::Notification finished;
  env_.tables.WriteOwned(table_, std::move(rows), also, [&](const absl::Status& written) {
    outcome = written;
    finished.Notify();
  });
  AwaitCommit(env_.committer, finished);
  SELVAGE_RETURN_IF_ERROR(outcome);
  read_[log.number()] = std::move(at);
  skips_ = std::move(skips);
  return absl::OkStatus();
}

void ViewBuild::StageForget(WriteBatch& batch) const {
  const std::string keys = std::string(kViewLogPrefix) + incarnation_;
  batch.DeleteRange(Family::kMeta, keys, PrefixEnd(keys));
  batch.Delete(Family::kMeta, SkipsKey());
}

void ViewBuild::DescribeTo(v1::ViewStatus& status) const {
  for (const std::shared_ptr<EmbeddedLog>& log : Logs()) {
    const LogState state = log->state();
    const auto found = read_.find(log->number());
    Stored at;
    at.set_next(state.log_start().value());
    if (found != read_.end()) at = found->second;
    v1::ViewLog& one = *status.add_logs();
    one.set_edge(log->origin().edge);
    one.set_slot(log->origin().slot.value());
    one.set_partition(log->origin().partition.value());
    one.set_superseded(log->superseded());
    one.set_next(at.next());
    one.set_end(state.end.value());
    one.set_records(at.records());
    one.set_lost(at.lost());
    one.set_trimmed(at.trimmed());
    if (at.has_diverged_at()) one.set_diverged_at(at.diverged_at());
    if (at.has_watermark_ms()) one.set_watermark_ms(at.watermark_ms());
    for (int i = 0; i < at.skipped_size(); ++i) {
      if (at.skipped(i) == 0) continue;
      const auto reason = static_cast<SkipReason>(i);
      (*status.mutable_skipped())[std::string(SkipWord(reason))] += at.skipped(i);
    }
  }
  for (const v1::SkippedRecord& record : skips_.records()) *status.add_skipped_records() = record;
  if (!error_.ok()) status.set_error(Describe(error_));
}

}  // namespace selvage::view
