#include "fabric/stream/embedded_log_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/base/canary.h"
#include "fabric/base/check.h"
#include "fabric/base/endian.h"
#include "fabric/base/error.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"
#include "fabric/stream/record_batch.h"

namespace selvage {
namespace {

absl::Status DamagedMeta(std::string_view what) {
  return MakeError(
      absl::StatusCode::kDataLoss, "corrupt_meta", fmt::format("the store's {} is damaged", what),
      "restore the store, or start this node with an empty data directory: it adopts its place again");
}

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

/// What is read at once to see which entries are alive.
constexpr size_t kLivePieceBytes = 1u << 20;

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

EmbeddedLogStore::~EmbeddedLogStore() {
  {
    absl::MutexLock lock(&mutex_);
    current_.clear();
    by_number_.clear();
    logs_.clear();
  }
#ifdef SELVAGE_CANARIES
  SELVAGE_CHECK(*live_ == 0);
#endif
}

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
  if (newest_ms > 0) ages_.GoOnFrom(newest_ms);
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
    if (!log->second->LoadProducer(LoadBig<int64_t>(at + 4), cursor->value())) {
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

std::shared_ptr<EmbeddedLog> EmbeddedLogStore::MakeLog(LogNumber number, LogOrigin origin, LogState state,
                                                       std::optional<Offset> acknowledged, bool superseded) {
  std::shared_ptr<EmbeddedLog> log(new EmbeddedLog(env_, ages_, log_changes_, number, std::move(origin),
                                                   std::move(state), acknowledged, superseded),
                                   [live = live_](const EmbeddedLog* last_held) {
                                     delete last_held;
                                     --*live;
                                   });
  ++*live_;
  log->set_make_room(make_room_);
  return log;
}

void EmbeddedLogStore::Add(std::shared_ptr<EmbeddedLog> log) {
  by_number_.emplace(log->number(), log);
  log_changes_.Add(log->number());
  if (!log->superseded()) {
    current_[log->origin()] = log;
    ++changes_;
  }
  logs_.push_back(std::move(log));
}

std::shared_ptr<EmbeddedLog> EmbeddedLogStore::NewLog(const CreateLog& create) {
  LogState state;
  state.id = create.id;
  state.base = state.start = state.end = create.base;
  state.base_hash = state.start_hash = state.hash = create.base_hash;
  state.leader_epochs.emplace_back(create.leader_epoch, create.base);
  uint32_t number = 0;
  {
    absl::MutexLock lock(&mutex_);
    number = next_number_++;
  }
  return MakeLog(LogNumber(number), create.origin, std::move(state), std::nullopt, false);
}

void EmbeddedLogStore::StageNextNumber(WriteBatch& batch, const EmbeddedLog& newest) {
  std::string next;
  AppendBig<uint32_t>(next, newest.number().value() + 1);
  batch.Put(Family::kMeta, kNextLogKey, {next});
}

absl::StatusOr<std::shared_ptr<Log>> EmbeddedLogStore::Create(const CreateLog& create) {
  absl::MutexLock create_lock(&create_mutex_);
  const std::shared_ptr<EmbeddedLog> former = FindEmbedded(create.origin);
  for (const std::shared_ptr<EmbeddedLog>& log : Logs()) {
    const bool same = log->origin() == create.origin && log->state().id == create.id;
    if (same && !Planted(Canary::kCopySupersededLog)) return MakeCurrent(log, former);
  }
  const std::shared_ptr<EmbeddedLog> log = NewLog(create);
  SELVAGE_RETURN_IF_ERROR(Commit(env_.committer, [&](WriteBatch& batch) {
    StageNextNumber(batch, *log);
    batch.Put(Family::kMeta, LogDocumentKey(log->number()), {log->Document().SerializeAsString()});
    if (former != nullptr) StageSuperseded(batch, *former, true);
    return absl::OkStatus();
  }));
  absl::MutexLock lock(&mutex_);
  Add(log);
  return log;
}

void EmbeddedLogStore::StageSuperseded(WriteBatch& batch, EmbeddedLog& log, bool superseded) {
  log.set_superseded(superseded);
  batch.Put(Family::kMeta, LogDocumentKey(log.number()), {log.Document().SerializeAsString()});
}

absl::StatusOr<std::shared_ptr<Log>> EmbeddedLogStore::MakeCurrent(
    const std::shared_ptr<EmbeddedLog>& log, const std::shared_ptr<EmbeddedLog>& former) {
  if (log == former) return log;
  SELVAGE_RETURN_IF_ERROR(Commit(env_.committer, [&](WriteBatch& batch) {
    StageSuperseded(batch, *log, false);
    if (former != nullptr) StageSuperseded(batch, *former, true);
    return absl::OkStatus();
  }));
  absl::MutexLock lock(&mutex_);
  current_[log->origin()] = log;
  ++changes_;
  return log;
}

std::shared_ptr<EmbeddedLog> EmbeddedLogStore::FindEmbedded(const LogOrigin& origin) {
  absl::MutexLock lock(&mutex_);
  auto it = current_.find(origin);
  return it == current_.end() ? nullptr : it->second;
}

std::vector<std::shared_ptr<EmbeddedLog>> EmbeddedLogStore::Logs() {
  absl::MutexLock lock(&mutex_);
  return logs_;
}

std::shared_ptr<EmbeddedLog> EmbeddedLogStore::FindNumber(LogNumber number) {
  absl::MutexLock lock(&mutex_);
  auto it = by_number_.find(number);
  return it == by_number_.end() ? nullptr : it->second;
}

std::vector<std::shared_ptr<EmbeddedLog>> EmbeddedLogStore::ChangedSince(uint64_t& seen) {
  std::vector<std::shared_ptr<EmbeddedLog>> logs;
  for (LogNumber number : log_changes_.Since(seen)) {
    if (std::shared_ptr<EmbeddedLog> log = FindNumber(number)) logs.push_back(std::move(log));
  }
  return logs;
}

absl::StatusOr<LiveKeys> EmbeddedLogStore::LiveEntries(std::string_view from, std::string_view to) {
  std::map<LogNumber, std::shared_ptr<EmbeddedLog>> logs;
  const LogNumber first(LoadBig<uint32_t>(from.data()));
  for (const std::shared_ptr<EmbeddedLog>& log : Logs()) {
    if (first <= log->number() && LogKey(log->number(), Offset(0)) < to) logs.emplace(log->number(), log);
  }
  LiveKeys live;
  std::string closed_from(from);
  const auto close_up_to = [&](std::string_view key) {
    if (closed_from < std::min(key, to)) live.closed.emplace_back(closed_from, std::min(key, to));
  };
  for (const auto& [number, log] : logs) {
    const LogState state = log->state();
    Offset next = state.start;
    if (number == first) next = std::max(next, OffsetOfLogKey(from.substr(0, kLogKeySize)));
    while (next < state.end && LogKey(number, next) < to) {
      SELVAGE_ASSIGN_OR_RETURN(const std::vector<Entry> entries,
                               log->Read(next, kLivePieceBytes, /*from_disk=*/true));
      for (const Entry& entry : entries) {
        next = entry.to;
        std::string key = LogKey(number, entry.from);
        if (from <= key && key < to) live.keys.push_back(std::move(key));
      }
    }
    // The next entry will have the key of the log's end. Numbers of logs are not given twice.
    close_up_to(LogKey(number, state.end));
    closed_from = std::max(closed_from, LogKey(number + 1, Offset(0)));
  }
  close_up_to(to);
  return live;
}

std::vector<std::shared_ptr<Log>> EmbeddedLogStore::All() {
  std::vector<std::shared_ptr<EmbeddedLog>> logs = Logs();
  return std::vector<std::shared_ptr<Log>>(logs.begin(), logs.end());
}

absl::StatusOr<int> EmbeddedLogStore::DeleteStream(const std::string& stream) {
  return DeleteStream(stream, [](WriteBatch&) {});
}

absl::StatusOr<int> EmbeddedLogStore::DeleteStream(const std::string& stream,
                                                   const std::function<void(WriteBatch&)>& also) {
  absl::MutexLock create_lock(&create_mutex_);
  std::vector<std::shared_ptr<EmbeddedLog>> logs = Logs();
  std::erase_if(logs,
                [&](const std::shared_ptr<EmbeddedLog>& log) { return log->origin().stream != stream; });
  absl::Status deleted = MakeError(absl::StatusCode::kNotFound, "unknown_stream",
                                   fmt::format("stream {} was deleted", stream), "create it again");
  for (const std::shared_ptr<EmbeddedLog>& log : logs) log->Close(deleted);
  SELVAGE_RETURN_IF_ERROR(Commit(env_.committer, [&](WriteBatch& batch) {
    for (const std::shared_ptr<EmbeddedLog>& log : logs) {
      batch.DeleteRange(Family::kLog, LogKey(log->number(), Offset(0)), LogKey(log->number() + 1, Offset(0)));
      batch.DeleteRange(Family::kMeta, GapIndexKey(log->number(), Offset(0)),
                        GapIndexKey(log->number() + 1, Offset(0)));
      batch.DeleteRange(Family::kMeta, ProducerKeys(log->number()), ProducerKeys(log->number() + 1));
      batch.Delete(Family::kMeta, LogDocumentKey(log->number()));
    }
    also(batch);
    return absl::OkStatus();
  }));
  absl::MutexLock lock(&mutex_);
  Remove(logs);
  for (const auto& log : logs) {
    env_.cache.Forget(log->number());
    log_changes_.Forget(log->number());
    to_reclaim_.push_back({log->number(), log->state().bytes()});
  }
  return static_cast<int>(logs.size());
}

void EmbeddedLogStore::Remove(const std::vector<std::shared_ptr<EmbeddedLog>>& logs) {
  for (const auto& log : logs) {
    by_number_.erase(log->number());
    const auto current = current_.find(log->origin());
    if (current != current_.end() && current->second == log) current_.erase(current);
  }
  std::erase_if(logs_, [&](const auto& log) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !by_number_.contains(log->number());
  });
  ++changes_;
}

absl::StatusOr<std::shared_ptr<EmbeddedLog>> EmbeddedLogStore::Renamed(EmbeddedLog& log,
                                                                       const v1::StoredLog& document) {
  LogOrigin origin = log.origin();
  origin.stream = document.stream();
  const std::shared_ptr<EmbeddedLog> renamed =
      MakeLog(log.number(), std::move(origin), log.state(), log.acknowledged(), document.superseded());
  renamed->LoadCompaction(document.compaction());
  SELVAGE_RETURN_IF_ERROR(
      LoadProducers({{log.number(), renamed}}, ProducerKeys(log.number()), ProducerKeys(log.number() + 1)));
  return renamed;
}

absl::Status EmbeddedLogStore::RenameStream(const std::string& from, const std::string& to,
                                            const std::function<void(WriteBatch&)>& also) {
  absl::MutexLock create_lock(&create_mutex_);
  std::vector<std::shared_ptr<EmbeddedLog>> logs = Logs();
  std::erase_if(logs, [&](const std::shared_ptr<EmbeddedLog>& log) { return log->origin().stream != from; });
  for (const std::shared_ptr<EmbeddedLog>& log : logs) SELVAGE_RETURN_IF_ERROR(log->held());
  std::vector<v1::StoredLog> documents(logs.size());
  const absl::Status closed =
      MakeError(absl::StatusCode::kNotFound, "unknown_stream",
                fmt::format("stream {} is called {} now", from, to), "use its new name");
  for (size_t i = 0; i < logs.size(); ++i) {
    documents[i].set_superseded(logs[i]->superseded());
    logs[i]->Close(closed);
  }
  SELVAGE_RETURN_IF_ERROR(Commit(env_.committer, [&](WriteBatch& batch) {
    for (size_t i = 0; i < logs.size(); ++i) {
      const bool superseded = documents[i].superseded();
      documents[i] = logs[i]->Document();
      documents[i].set_stream(to);
      documents[i].set_superseded(superseded);
      batch.Put(Family::kMeta, LogDocumentKey(logs[i]->number()), {documents[i].SerializeAsString()});
    }
    also(batch);
    return absl::OkStatus();
  }));
  std::vector<std::shared_ptr<EmbeddedLog>> renamed;
  for (size_t i = 0; i < logs.size(); ++i) {
    SELVAGE_ASSIGN_OR_RETURN(renamed.emplace_back(), Renamed(*logs[i], documents[i]));
  }
  absl::MutexLock lock(&mutex_);
  Remove(logs);
  for (auto& log : renamed) Add(std::move(log));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<LogStore::LostRange>> EmbeddedLogStore::Losses() {
  std::map<LogNumber, LogOrigin> origins;
  for (const std::shared_ptr<EmbeddedLog>& log : Logs()) origins.emplace(log->number(), log->origin());
  std::vector<LostRange> losses;
  auto cursor = env_.store.Scan(Family::kMeta, kGapIndexPrefix, PrefixEnd(kGapIndexPrefix));
  for (cursor->Seek(kGapIndexPrefix); cursor->Valid(); cursor->Next()) {
    if (cursor->key().size() != kGapIndexPrefix.size() + kLogKeySize) return DamagedMeta("index of gaps");
    LogNumber number(LoadBig<uint32_t>(cursor->key().data() + kGapIndexPrefix.size()));
    SELVAGE_ASSIGN_OR_RETURN(Gap gap, DecodeGap(cursor->value()));
    auto origin = origins.find(number);
    if (origin != origins.end()) losses.push_back({origin->second, gap});
  }
  SELVAGE_RETURN_IF_ERROR(cursor->status());
  return losses;
}

absl::Status EmbeddedLogStore::FlushAcknowledged() {
  absl::MutexLock lock(&flush_mutex_);
  uint64_t seen = flushed_;
  std::vector<std::shared_ptr<EmbeddedLog>> logs = ChangedSince(seen);
  std::erase_if(logs, [](const std::shared_ptr<EmbeddedLog>& log) { return !log->AcknowledgedChanged(); });
  if (!logs.empty()) {
    SELVAGE_RETURN_IF_ERROR(Commit(env_.committer, [&](WriteBatch& batch) {
      for (const std::shared_ptr<EmbeddedLog>& log : logs) log->StageAcknowledged(batch);
      return absl::OkStatus();
    }));
  }
  flushed_ = seen;
  return absl::OkStatus();
}

absl::Status EmbeddedLogStore::BranchAll(const std::vector<Branching>& logs,
                                         std::function<void(WriteBatch&)> also) {
  std::vector<LogState> after;
  return Commit(
      env_.committer,
      [&](WriteBatch& batch) {
        for (const Branching& branching : logs) SELVAGE_RETURN_IF_ERROR(branching.log->held());
        for (const auto& [log, id, from] : logs) after.push_back(log->StageBranch(batch, id, from));
        also(batch);
        return absl::OkStatus();
      },
      [&](const absl::Status& status) {
        if (!status.ok()) return;
        for (size_t i = 0; i < logs.size(); ++i) logs[i].log->Publish(after[i]);
      });
}

absl::Status EmbeddedLogStore::AdoptAll(const std::vector<Adoption>& adoptions,
                                        std::function<void(WriteBatch&)> also) {
  absl::MutexLock create_lock(&create_mutex_);
  std::vector<std::shared_ptr<EmbeddedLog>> made;
  std::vector<std::shared_ptr<EmbeddedLog>> left;  // another log takes their place
  std::map<LogOrigin, std::shared_ptr<EmbeddedLog>> logs;
  for (const auto& [origin, at, epoch] : adoptions) {
    std::shared_ptr<EmbeddedLog>& log = logs[origin];
    if (log == nullptr) log = FindEmbedded(origin);
    if (log != nullptr && log->state().end <= at.offset) continue;
    // The end under one number never goes down, or what it stood for would seem lost at the next start.
    if (log != nullptr) left.push_back(log);
    made.push_back(NewLog({origin, at.log, at.offset, at.hash, epoch}));
    log = made.back();
  }
  std::map<std::shared_ptr<EmbeddedLog>, LogState> after;
  const auto stage = [&](WriteBatch& batch) {
    for (const auto& [origin, log] : logs) SELVAGE_RETURN_IF_ERROR(log->CheckAdoptable());
    for (const std::shared_ptr<EmbeddedLog>& log : left) SELVAGE_RETURN_IF_ERROR(log->CheckAdoptable());
    for (const std::shared_ptr<EmbeddedLog>& log : left) StageSuperseded(batch, *log, true);
    for (const auto& [origin, at, epoch] : adoptions) {
      after[logs[origin]] = logs[origin]->StageAdopt(batch, at, epoch);
    }
    if (!made.empty()) StageNextNumber(batch, *made.back());
    also(batch);
    return absl::OkStatus();
  };
  SELVAGE_RETURN_IF_ERROR(Commit(env_.committer, stage, [&](const absl::Status& status) {
    if (!status.ok()) return;
    for (const auto& [log, state] : after) {
      log->Publish(state);
      log->NotifyWatchers();
    }
  }));
  absl::MutexLock lock(&mutex_);
  for (auto& log : made) Add(std::move(log));
  return absl::OkStatus();
}

std::vector<EmbeddedLogStore::DeletedLog> EmbeddedLogStore::TakeDeleted() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(to_reclaim_, {});
}

}  // namespace selvage
