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

/// What is read at once to see which entries are alive.
constexpr size_t kLivePieceBytes = 1u << 20;

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

std::shared_ptr<EmbeddedLog> EmbeddedLogStore::MakeLog(LogNumber number, LogOrigin origin, LogState state,
                                                       std::optional<Offset> acknowledged, bool superseded) {
  std::shared_ptr<EmbeddedLog> log(
      new EmbeddedLog(env_, log_changes_, number, std::move(origin), state, acknowledged, superseded),
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
    log->staging().StageDocument(batch);
    if (former != nullptr) former->staging().StageSuperseded(batch, true);
    return absl::OkStatus();
  }));
  absl::MutexLock lock(&mutex_);
  Add(log);
  return log;
}

absl::StatusOr<std::shared_ptr<Log>> EmbeddedLogStore::MakeCurrent(
    const std::shared_ptr<EmbeddedLog>& log, const std::shared_ptr<EmbeddedLog>& former) {
  if (log == former) return log;
  SELVAGE_RETURN_IF_ERROR(Commit(env_.committer, [&](WriteBatch& batch) {
    log->staging().StageSuperseded(batch, false);
    if (former != nullptr) former->staging().StageSuperseded(batch, true);
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

std::shared_ptr<EmbeddedLog> EmbeddedLogStore::FindEmbedded(LogNumber number) {
  absl::MutexLock lock(&mutex_);
  auto it = by_number_.find(number);
  return it == by_number_.end() ? nullptr : it->second;
}

std::vector<std::shared_ptr<Log>> EmbeddedLogStore::ChangedSince(uint64_t& seen) {
  std::vector<std::shared_ptr<Log>> logs;
  for (LogNumber number : log_changes_.Since(seen)) {
    if (std::shared_ptr<EmbeddedLog> log = FindEmbedded(number)) logs.push_back(std::move(log));
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
  absl::MutexLock lock(&mutex_);
  return {logs_.begin(), logs_.end()};
}

absl::StatusOr<int> EmbeddedLogStore::DeleteStream(const std::string& stream, const Also& also) {
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
                                            const Also& also) {
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
      documents[i] = logs[i]->staging().Document();
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
  std::vector<std::shared_ptr<EmbeddedLog>> logs;
  for (LogNumber number : log_changes_.Since(seen)) {
    std::shared_ptr<EmbeddedLog> log = FindEmbedded(number);
    if (log != nullptr && log->staging().AcknowledgedChanged()) logs.push_back(std::move(log));
  }
  if (!logs.empty()) {
    SELVAGE_RETURN_IF_ERROR(Commit(env_.committer, [&](WriteBatch& batch) {
      for (const std::shared_ptr<EmbeddedLog>& log : logs) log->staging().StageAcknowledged(batch);
      return absl::OkStatus();
    }));
  }
  flushed_ = seen;
  return absl::OkStatus();
}

void EmbeddedLogStore::StageAcknowledged(WriteBatch& batch) {
  for (const std::shared_ptr<EmbeddedLog>& log : Logs()) log->staging().StageAcknowledged(batch);
}

absl::Status EmbeddedLogStore::BranchAll(const std::vector<Branching>& logs, const Also& also) {
  // A log that is not the store's any more is held for good.
  std::vector<std::shared_ptr<EmbeddedLog>> held_here;
  for (const Branching& branching : logs) held_here.push_back(FindEmbedded(branching.log->number()));
  std::vector<LogState> after;
  return Commit(
      env_.committer,
      [&](WriteBatch& batch) {
        for (const Branching& branching : logs) SELVAGE_RETURN_IF_ERROR(branching.log->held());
        for (size_t i = 0; i < logs.size(); ++i) {
          StagedLog& log = held_here[i]->staging();
          log.StageBranch(batch, logs[i].id, logs[i].from);
          after.push_back(log.state());
        }
        also(batch);
        return absl::OkStatus();
      },
      [&](const absl::Status& status) {
        if (!status.ok()) return;
        for (size_t i = 0; i < logs.size(); ++i) held_here[i]->staging().Publish(after[i]);
      });
}

absl::Status EmbeddedLogStore::AdoptAll(const std::vector<Adoption>& adoptions, const Also& also) {
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
    for (const auto& [origin, log] : logs) SELVAGE_RETURN_IF_ERROR(log->staging().CheckAdoptable());
    for (const std::shared_ptr<EmbeddedLog>& log : left)
      SELVAGE_RETURN_IF_ERROR(log->staging().CheckAdoptable());
    for (const std::shared_ptr<EmbeddedLog>& log : left) log->staging().StageSuperseded(batch, true);
    for (const auto& [origin, at, epoch] : adoptions) {
      StagedLog& log = logs[origin]->staging();
      log.StageAdopt(batch, at, epoch);
      after[logs[origin]] = log.state();
    }
    if (!made.empty()) StageNextNumber(batch, *made.back());
    also(batch);
    return absl::OkStatus();
  };
  SELVAGE_RETURN_IF_ERROR(Commit(env_.committer, stage, [&](const absl::Status& status) {
    if (!status.ok()) return;
    for (const auto& [log, state] : after) log->staging().PublishToWatchers(state);
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
