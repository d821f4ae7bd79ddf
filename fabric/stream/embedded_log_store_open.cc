#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/canary.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/stream/embedded_log_store.h"
#include "fabric/stream/meta_keys.h"
#include "fabric/stream/record_batch.h"

/// Opening: what the store holds of each log, and whether it is all that it acknowledged.
namespace selvage {
namespace {

LogState StateOf(const v1::StoredLog& document) {
  LogState state;
  state.id = LogId::FromBytes(document.log_id()).value_or(LogId());
  state.base = Offset(document.base());
  state.base_hash = ChainHash(document.base_hash());
  state.start = Offset(document.start());
  state.start_hash = ChainHash(document.start_hash());
  state.deleted_to = Offset(document.deleted_to());
  state.end = Offset(document.end());
  state.hash = ChainHash(document.end_hash());
  state.bytes_before_start = document.bytes_before_start();
  state.log_bytes = document.bytes_at_end();
  state.max_timestamp = document.max_timestamp();
  state.append_ms = document.append_ms();
  for (const auto& epoch : document.leader_epochs()) {
    state.leader_epochs.emplace_back(LeaderEpoch(epoch.epoch()), Offset(epoch.start()));
  }
  return state;
}

void TakeEnd(LogState& state, const Entry& last) {
  state.end = last.to;
  state.hash = last.hash_after;
  state.log_bytes = last.log_bytes;
  state.max_timestamp = last.max_timestamp;
  state.append_ms = last.append_ms;
}

/// The end of a log as the store holds it.
struct Tail {
  std::optional<Entry> last;  ///< the last entry that can be read
  absl::Status damage;        ///< why it is not the last entry
  Offset damaged_to;          ///< offsets before this were given to records, as far as can be told
};

/// The entry that begins at or before `offset`, if any.
absl::StatusOr<std::optional<Entry>> EntryAtOrBefore(KvStore& store, LogNumber log, Offset offset) {
  auto cursor = store.Scan(Family::kLog, LogKey(log, Offset(0)), LogKey(log, Offset(INT64_MAX)));
  cursor->SeekForPrev(LogKey(log, offset));
  if (!cursor->Valid()) {
    SELVAGE_RETURN_IF_ERROR(cursor->status());
    return std::nullopt;
  }
  return DecodeEntry(OffsetOfLogKey(cursor->key()), Bytes(std::string(cursor->value())));
}

/// How far behind the first damaged entry of a log's end the last one is looked for; and more records than a
/// batch has.
constexpr int64_t kDamagedTailMax = 1 << 20;

/// Where the last entry of a log begins, of which the one at `first` is damaged and nothing behind it can be
/// read. A cursor does not tell the key of what it cannot read, but it does tell when nothing lies at or
/// behind an offset. In a damaged block of a table it does not: then it is `first`.
Offset LastDamaged(KvStore& store, LogNumber log, Offset first) {
  auto cursor = store.Scan(Family::kLog, LogKey(log, Offset(0)), LogKey(log, Offset(INT64_MAX)));
  auto lies_behind = [&](Offset offset) {
    cursor->Seek(LogKey(log, offset));
    return cursor->Valid() || !cursor->status().ok();
  };
  Offset last = first, none = first + kDamagedTailMax;
  if (lies_behind(none)) return first;
  while (none - last > 1) {
    const Offset middle = last + (none - last) / 2;
    (lies_behind(middle) ? last : none) = middle;
  }
  return last;
}

/// The offset after the damaged entry at `at`: what its batch header says if that is whole, else one that was
/// certainly not given to a record of it, since offsets must not be given twice.
Offset EndOfDamaged(KvStore& store, LogNumber log, Offset at) {
  auto value = store.Get(Family::kLog, LogKey(log, at));
  if (!value.ok() || !*value || (*value)->size() < kEntryHeaderSize) return at + kDamagedTailMax;
  auto header = ParseBatchHeader(std::string_view(**value).substr(kEntryHeaderSize));
  return header.ok() && header->base_offset == at ? header->next_offset() : at + kDamagedTailMax;
}

/// Steps from `tail.last` on, as far as seeks forwards can read: in a table of which a block is damaged they
/// reach what was written anew. No damage is left when they come to the end.
void StepForward(KvStore& store, LogNumber log, Tail& tail) {
  auto cursor = store.Scan(Family::kLog, LogKey(log, Offset(0)), LogKey(log, Offset(INT64_MAX)));
  while (tail.last) {
    cursor->Seek(LogKey(log, tail.last->to));
    if (!cursor->Valid()) {
      if (cursor->status().ok()) tail.damage = absl::OkStatus();
      return;
    }
    auto next = DecodeEntry(OffsetOfLogKey(cursor->key()), Bytes(std::string(cursor->value())));
    if (!next.ok() || next->from != tail.last->to || next->hash_before != tail.last->hash_after) return;
    tail.last = *std::move(next);
  }
}

/// One seek for a whole log. Behind a damaged end the last entry that can be read is found by bisecting
/// offsets, since a cursor does not tell the key of what it cannot read.
Tail FindTail(KvStore& store, LogNumber log, Offset start) {
  Tail tail;
  Offset low = start - 1,
         high(INT64_MAX - 1);  // what begins at or before `low` can be read, at or before `high` not
  Offset probe = high;
  while (true) {
    auto entry = EntryAtOrBefore(store, log, probe);
    if (entry.ok()) {
      tail.last = *std::move(entry);
      low = tail.last ? std::max(probe, tail.last->to - 1) : probe;
      if (tail.damage.ok()) return tail;
    } else {
      if (tail.damage.ok()) tail.damage = entry.status();
      high = probe;
    }
    if (high - low <= 1) break;
    probe = Offset(low.value() + (high - low) / 2);
  }
  StepForward(store, log, tail);
  if (tail.damage.ok()) return tail;
  const Offset first = tail.last ? std::max(high, tail.last->to) : high;
  tail.damaged_to = EndOfDamaged(store, log, LastDamaged(store, log, first));
  return tail;
}

}  // namespace

absl::StatusOr<std::vector<EmbeddedLogStore::OpenProblem>> EmbeddedLogStore::Open(
    const std::map<LogNumber, Offset>& acknowledged_ends) {
  std::vector<OpenProblem> problems;
  SELVAGE_ASSIGN_OR_RETURN(auto next, env_.store.Get(Family::kMeta, kNextLogKey));
  if (next) {
    if (next->size() != 4) return DamagedMeta("next log number");
    absl::MutexLock lock(&mutex_);
    next_number_ = LoadBig<uint32_t>(next->data());
  }
  auto cursor = env_.store.Scan(Family::kMeta, kLogDocumentPrefix, PrefixEnd(kLogDocumentPrefix));
  for (cursor->Seek(kLogDocumentPrefix); cursor->Valid(); cursor->Next()) {
    v1::StoredLog document;
    if (!document.ParseFromString(std::string(cursor->value()))) return DamagedMeta("log document");
    SELVAGE_RETURN_IF_ERROR(OpenLog(document, acknowledged_ends, problems));
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  std::map<LogNumber, std::shared_ptr<EmbeddedLog>> logs;
  for (const std::shared_ptr<EmbeddedLog>& log : Logs()) logs.emplace(log->number(), log);
  SELVAGE_RETURN_IF_ERROR(LoadProducers(logs, kProducerPrefix, PrefixEnd(kProducerPrefix)));
  FindVanished(acknowledged_ends, problems);
  int64_t newest_ms = 0;
  for (const std::shared_ptr<EmbeddedLog>& log : Logs())
    newest_ms = std::max(newest_ms, log->state().append_ms);
  if (newest_ms > 0) env_.ages.GoOnFrom(newest_ms);
  return problems;
}

absl::Status EmbeddedLogStore::LoadProducers(const std::map<LogNumber, std::shared_ptr<EmbeddedLog>>& logs,
                                             std::string_view from, std::string_view to) {
  if (Planted(Canary::kForgetProducers)) return absl::OkStatus();
  auto cursor = env_.store.Scan(Family::kMeta, from, to);
  for (cursor->Seek(from); cursor->Valid(); cursor->Next()) {
    if (cursor->key().size() != kProducerPrefix.size() + 12) return DamagedMeta("list of producers");
    const char* at = cursor->key().data() + kProducerPrefix.size();
    auto log = logs.find(LogNumber(LoadBig<uint32_t>(at)));
    if (log == logs.end()) continue;
    if (!log->second->staging().producers().Load(LoadBig<int64_t>(at + 4), cursor->value())) {
      return DamagedMeta("list of producers");
    }
  }
  return cursor->status();
}

/// A number is stored as used in the batch that makes its log, and a log that was deleted later leaves it so.
/// Where it is not, the store went back to before that batch.
void EmbeddedLogStore::FindVanished(const std::map<LogNumber, Offset>& acknowledged_ends,
                                    std::vector<OpenProblem>& problems) {
  absl::MutexLock lock(&mutex_);
  for (const auto& [number, end] : acknowledged_ends) {
    if (number.value() < next_number_) continue;
    next_number_ = number.value() + 1;  // its acknowledged end must not be held against another log
    problems.push_back(
        {number, nullptr,
         MakeError(absl::StatusCode::kDataLoss, "recovered_less_than_acknowledged",
                   fmt::format("the store does not know log {} any more, which had acknowledged up "
                               "to offset {}: it lost what was written last",
                               number.value(), end.value()),
                   "look at the disk; what was replicated is still at the other end"),
         end});
  }
}

absl::Status EmbeddedLogStore::OpenLog(const v1::StoredLog& document,
                                       const std::map<LogNumber, Offset>& acknowledged_ends,
                                       std::vector<OpenProblem>& problems) {
  LogNumber number(document.number());
  LogState state = StateOf(document);
  if (state.id.none()) return DamagedMeta("log document");
  LogOrigin origin{document.edge(), Slot(document.slot()), document.stream(),
                   PartitionId(document.partition())};
  const Offset written_end = state.end;
  const Tail tail = FindTail(env_.store, number, state.start);
  if (tail.last) {
    TakeEnd(state, *tail.last);
  } else if (Planted(Canary::kForgetEmptiedEnd)) {
    state.start = state.end = state.base;
    state.hash = state.base_hash;
  } else if (state.start < state.end) {
    // Its entries are gone; trimming the last one would have moved the start.
    state.end = state.start;
    state.hash = state.start_hash;
    state.log_bytes = state.bytes_before_start;
  }
  auto acknowledged_end = acknowledged_ends.find(number);
  Offset expected = std::max(written_end, tail.damaged_to);
  if (acknowledged_end != acknowledged_ends.end()) expected = std::max(expected, acknowledged_end->second);
  absl::Status problem = tail.damage;
  if (Planted(Canary::kSkipOpenCheck)) expected = state.end;
  if (problem.ok() && state.end < expected) {
    problem = MakeError(absl::StatusCode::kDataLoss, "recovered_less_than_acknowledged",
                        fmt::format("{}: the store recovered up to offset {}, but had acknowledged up to {}",
                                    ToString(origin), state.end.value(), expected.value()));
  }
  std::optional<Offset> acknowledged;
  if (document.acked() >= 0) acknowledged = Offset(document.acked());
  const std::shared_ptr<EmbeddedLog> log =
      MakeLog(number, origin, std::move(state), acknowledged, document.superseded());
  absl::MutexLock lock(&mutex_);
  Add(log);
  log->LoadCompaction(document.compaction());
  if (!problem.ok()) {
    // Whoever comes again after the operator's word is served.
    problem = MakeError(problem.code(), ErrorKind(problem), std::string(problem.message()),
                        "look at the disk, then resolve the alarm: what is lost becomes a recorded gap",
                        Retry::kYes);
    log->Hold(problem);
    problems.push_back({number, log, problem, expected});
  }
  return absl::OkStatus();
}

}  // namespace selvage
