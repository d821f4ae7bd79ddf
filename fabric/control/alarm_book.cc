#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "absl/time/time.h"
#include "fabric/base/error.h"
#include "fabric/control/alarm_book.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"

namespace selvage {
namespace {

/// Resolved alarms are kept as history up to this many; the oldest go first.
constexpr size_t kResolvedMax = 1000;
/// An alarm that repeats is counted in memory and stored this often.
constexpr int64_t kStoreEveryMs = 60'000;

std::string AlarmKey(uint64_t id) {
  return fmt::format("{}{:020}", kAlarmPrefix, id);
}

}  // namespace

absl::Status AlarmBook::Open() {
  auto cursor = store_.Scan(Family::kMeta, kAlarmPrefix, PrefixEnd(kAlarmPrefix));
  absl::MutexLock lock(&mutex_);
  for (cursor->Seek(kAlarmPrefix); cursor->Valid(); cursor->Next()) {
    v1::AlarmDocument alarm;
    if (!alarm.ParseFromString(std::string(cursor->value()))) {
      return MakeError(absl::StatusCode::kDataLoss, "corrupt_meta", "a stored alarm is damaged");
    }
    next_id_ = std::max(next_id_, alarm.id() + 1);
    alarms_[alarm.id()] = alarm;
  }
  return cursor->status();
}

absl::Status AlarmBook::Store(const v1::AlarmDocument& alarm) {
  return Commit(committer_, [&](WriteBatch& batch) {
    batch.Put(Family::kMeta, AlarmKey(alarm.id()), {alarm.SerializeAsString()});
    return absl::OkStatus();
  });
}

void AlarmBook::Report(const Raise& raise) {
  int64_t now_ms = absl::ToUnixMillis(clock_.Wall());
  v1::AlarmDocument alarm;
  std::optional<uint64_t> forgotten;
  {
    absl::MutexLock lock(&mutex_);
    auto open = std::find_if(alarms_.begin(), alarms_.end(), [&](const auto& entry) {
      return !entry.second.resolved() && entry.second.kind() == raise.kind &&
             entry.second.subject() == raise.subject;
    });
    if (open == alarms_.end()) {
      alarm.set_id(next_id_++);
      alarm.set_kind(std::string(raise.kind));
      alarm.set_subject(raise.subject);
      alarm.set_first_ms(now_ms);
      alarm.set_origin(origin_);
    } else {
      alarm = open->second;
    }
    bool stored_recently =
        open != alarms_.end() && alarm.message() == raise.message && now_ms - alarm.last_ms() < kStoreEveryMs;
    alarm.set_message(raise.message);
    alarm.set_hint(raise.hint);
    alarm.set_needs_operator(raise.needs_operator);
    alarm.set_count(alarm.count() + 1);
    if (!stored_recently) alarm.set_last_ms(now_ms);
    alarms_[alarm.id()] = alarm;
    if (stored_recently) return;
    if (alarms_.size() > kResolvedMax) {
      auto oldest = std::find_if(alarms_.begin(), alarms_.end(),
                                 [](const auto& entry) { return entry.second.resolved(); });
      if (oldest != alarms_.end()) {
        forgotten = oldest->first;
        alarms_.erase(oldest);
      }
    }
  }
  // Not waited for: links and upkeep report, and must go on. What is committed after it finds it stored.
  CommitLater(committer_, [alarm, forgotten](WriteBatch& batch) {
    batch.Put(Family::kMeta, AlarmKey(alarm.id()), {alarm.SerializeAsString()});
    if (forgotten) batch.Delete(Family::kMeta, AlarmKey(*forgotten));
    return absl::OkStatus();
  });
}

absl::StatusOr<v1::AlarmDocument> AlarmBook::Resolve(uint64_t id, const std::string& action) {
  v1::AlarmDocument alarm;
  {
    absl::MutexLock lock(&mutex_);
    auto it = alarms_.find(id);
    if (it == alarms_.end() || it->second.resolved()) {
      return MakeError(absl::StatusCode::kNotFound, "unknown_alarm",
                       fmt::format("no open alarm has the id {}", id),
                       "selvagectl alarm list shows the open ones");
    }
    alarm = it->second;
  }
  if (auto resolver = resolvers_.find(alarm.kind()); resolver != resolvers_.end()) {
    SELVAGE_RETURN_IF_ERROR(resolver->second(alarm, action));
  }
  alarm.set_resolved(true);
  SELVAGE_RETURN_IF_ERROR(Store(alarm));
  absl::MutexLock lock(&mutex_);
  alarms_[id] = alarm;
  return alarm;
}

void AlarmBook::Clear(std::string_view kind, const std::string& subject) {
  v1::AlarmDocument alarm;
  {
    absl::MutexLock lock(&mutex_);
    auto open = std::find_if(alarms_.begin(), alarms_.end(), [&](const auto& entry) {
      return !entry.second.resolved() && entry.second.kind() == kind && entry.second.subject() == subject;
    });
    if (open == alarms_.end()) return;
    open->second.set_resolved(true);
    alarm = open->second;
  }
  CommitLater(committer_, [alarm](WriteBatch& batch) {
    batch.Put(Family::kMeta, AlarmKey(alarm.id()), {alarm.SerializeAsString()});
    return absl::OkStatus();
  });
}

void AlarmBook::ClearExcept(std::string_view kind,
                            const std::function<bool(const std::string& subject)>& stays) {
  std::vector<std::string> gone;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [id, alarm] : alarms_) {
      if (!alarm.resolved() && alarm.kind() == kind && !stays(alarm.subject()))
        gone.push_back(alarm.subject());
    }
  }
  for (const std::string& subject : gone) Clear(kind, subject);
}

std::vector<v1::AlarmDocument> AlarmBook::All(bool also_resolved) const {
  absl::MutexLock lock(&mutex_);
  std::vector<v1::AlarmDocument> all;
  for (const auto& [id, alarm] : alarms_) {
    if (also_resolved || !alarm.resolved()) all.push_back(alarm);
  }
  return all;
}

int AlarmBook::open_count() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(
      std::count_if(alarms_.begin(), alarms_.end(), [](const auto& e) { return !e.second.resolved(); }));
}

}  // namespace selvage
