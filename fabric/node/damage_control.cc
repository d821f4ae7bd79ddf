#include "fabric/node/damage_control.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "fabric/base/error.h"
#include "fabric/stream/repair_flow.h"

namespace selvage {
namespace {

constexpr std::string_view kWaiting = "entry_damaged";
constexpr std::string_view kLost = "entry_quarantined";
/// What is read of a log in one go; and of all logs that are read through, each time.
constexpr size_t kReadBytes = 1u << 20;
constexpr int kReadsMax = 8;

std::vector<LogDamage> DamagesOf(Log& log) {
  const LogRepair* repair = log.repair();
  return repair == nullptr ? std::vector<LogDamage>() : repair->damages();
}

bool HasDamage(Log& log) {
  const LogRepair* repair = log.repair();
  return repair != nullptr && repair->has_damage();
}

}  // namespace

void DamageControl::Open() {
  absl::MutexLock lock(&run_mutex_);
  for (const v1::AlarmDocument& alarm : alarms_.All(/*also_resolved=*/false)) {
    if (alarm.kind() != kWaiting) continue;
    bool found = false;
    for (const std::shared_ptr<Log>& log : logs_.All()) {
      if (ToString(log->origin()) != alarm.subject()) continue;
      reading_[log->number()] = {alarm.subject(), log->state().start};
      found = true;
    }
    if (!found) alarms_.Clear(kWaiting, alarm.subject());
  }
  alarms_.OnResolve(std::string(kWaiting), [this](const v1::AlarmDocument& alarm, const std::string&) {
    return GiveUp(alarm.subject());
  });
}

absl::Status DamageControl::RunOnce() {
  absl::MutexLock lock(&run_mutex_);
  absl::Status first = ReadOn();
  for (LogNumber number : LogsToLookAt()) {
    const std::shared_ptr<Log> log = logs_.FindNumber(number);
    if (log != nullptr && log->held().ok()) first.Update(LookAt(*log));
    if (log == nullptr || !HasDamage(*log)) damaged_.erase(number);
  }
  ForgetDeleted();
  return first;
}

std::set<LogNumber> DamageControl::LogsToLookAt() {
  for (const std::shared_ptr<Log>& log : logs_.ChangedSince(changes_seen_)) {
    if (HasDamage(*log)) damaged_.insert(log->number());
  }
  std::set<LogNumber> logs = damaged_;
  absl::MutexLock lock(&mutex_);
  for (const auto& [number, waits] : waits_) logs.insert(number);
  return logs;
}

void DamageControl::ForgetDeleted() {
  std::vector<std::string> deleted;
  {
    absl::MutexLock lock(&mutex_);
    std::erase_if(waits_, [&](const auto& entry) {
      if (logs_.FindNumber(entry.first) != nullptr) return false;
      deleted.push_back(entry.second.subject);
      return true;
    });
  }
  for (const std::string& subject : deleted) ReportSubject(subject);
}

absl::Status DamageControl::LookAt(Log& log) {
  const std::vector<LogDamage> damages = DamagesOf(log);
  absl::Status first;
  std::vector<LogDamage> waiting;
  if (const auto copy = damages.empty() ? std::nullopt : find_copy_(log); copy) {
    for (LogDamage damage : damages) {
      if (!IsKnown(log, damage)) {
        // A reader may have noted what was made whole, or trimmed, while it read.
        auto still = log.repair()->FindDamage(damage.from);
        first.Update(still.status());
        if (!still.ok() || !*still) continue;
        damage = **std::move(still);
        absl::MutexLock lock(&mutex_);
        ++counts_.found;
      }
      if (damage.from < copy->to) {
        waiting.push_back(damage);
      } else {
        first.Update(Quarantine(log, damage));
      }
    }
  }
  ReportWaiting(log, waiting);
  return first;
}

bool DamageControl::IsKnown(const Log& log, const LogDamage& damage) {
  absl::MutexLock lock(&mutex_);
  auto waits = waits_.find(log.number());
  return waits != waits_.end() && waits->second.ranges.contains(damage.to);
}

void DamageControl::ReportWaiting(const Log& log, const std::vector<LogDamage>& waiting) {
  const std::string subject = ToString(log.origin());
  std::string former;  // of a log that was renamed
  {
    absl::MutexLock lock(&mutex_);
    if (waiting.empty() && waits_.erase(log.number()) == 0) return;
    if (!waiting.empty()) {
      Waits& waits = waits_[log.number()];
      if (waits.subject != subject) former = std::exchange(waits.subject, subject);
      std::map<Offset, std::string> ranges;
      for (const LogDamage& damage : waiting) ranges[damage.to] = waits.ranges[damage.to];
      waits.ranges = std::move(ranges);
      const LogDamage& damage = waiting.front();
      waits.first =
          fmt::format("from offset {} to {}: {}", damage.from.value(), damage.to.value(), damage.why);
      const std::string& said = waits.ranges[damage.to];
      if (!said.empty()) waits.first += fmt::format("; the other end: {}", said);
    }
  }
  if (!former.empty()) ReportSubject(former);
  ReportSubject(subject);
}

void DamageControl::ReportSubject(const std::string& subject) {
  std::string text;
  {
    absl::MutexLock lock(&mutex_);
    size_t ranges = 0;
    std::string_view first;
    for (const auto& [number, waits] : waits_) {
      if (waits.subject != subject) continue;
      ranges += waits.ranges.size();
      if (first.empty()) first = waits.first;
    }
    if (ranges > 0)
      text = fmt::format("{} damaged ranges wait for the other copy, the first {}", ranges, first);
    std::string& reported = reported_[subject];
    if (reported == text) return;
    reported = text;
    if (text.empty()) reported_.erase(subject);
  }
  if (text.empty()) return alarms_.Clear(kWaiting, subject);
  alarms_.Report(
      {kWaiting, subject, text,
       "look at the disk; the entries are fetched when the link is up. Resolving gives them up: a gap",
       false});
}

absl::Status DamageControl::Quarantine(Log& log, const LogDamage& damage) {
  // First the alarm: a gap that nobody hears of must not come of a crash in between.
  alarms_.Report({kLost, ToString(log.origin()),
                  fmt::format("what was stored from offset {} to {} is damaged, and lost: {}",
                              damage.from.value(), damage.to.value(), damage.why),
                  "look at the disk; selvagectl loss list shows all that is lost", false});
  SELVAGE_RETURN_IF_ERROR(log.repair()->Quarantine(damage.from));
  absl::MutexLock lock(&mutex_);
  ++counts_.quarantined;
  return absl::OkStatus();
}

absl::Status DamageControl::GiveUp(const std::string& subject) {
  absl::Status first;
  for (const std::shared_ptr<Log>& log : logs_.All()) {
    if (ToString(log->origin()) != subject) continue;
    for (const LogDamage& damage : DamagesOf(*log)) first.Update(Quarantine(*log, damage));
  }
  return first;
}

/// Reads on in the logs of which something was damaged before the start, so that it is found again.
absl::Status DamageControl::ReadOn() {
  absl::Status first;
  if (reading_.empty()) return first;
  std::vector<std::string> read;
  const std::vector<std::shared_ptr<Log>> logs = logs_.All();
  for (auto reading = reading_.begin(); reading != reading_.end();) {
    auto& [subject, next] = reading->second;
    const std::shared_ptr<Log> log = logs_.FindNumber(reading->first);
    if (log != nullptr && log->held().ok()) {
      const auto done = ReadOn(*log, next);
      first.Update(done.status());
      if (done.ok() && !*done) {
        ++reading;
        continue;
      }
      if (done.ok()) read.push_back(subject);
    } else if (log == nullptr) {
      read.push_back(subject);  // deleted
    } else {
      ++reading;
      continue;
    }
    reading = reading_.erase(reading);
  }
  // An alarm of before the start for which nothing is found.
  for (const std::string& subject : read) {
    const bool damaged =
        std::any_of(logs.begin(), logs.end(),
                    [&](const std::shared_ptr<Log>& log) ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_) {
                      return ToString(log->origin()) == subject &&
                             (reading_.contains(log->number()) || !DamagesOf(*log).empty());
                    });
    if (!damaged) alarms_.Clear(kWaiting, subject);
  }
  return first;
}

/// True at the end of the log.
absl::StatusOr<bool> DamageControl::ReadOn(Log& log, Offset& next) {
  for (int i = 0; i < kReadsMax; ++i) {
    next = std::max(next, log.state().start);
    if (next >= log.state().end) return true;
    auto entries = log.Read(next, kReadBytes, /*from_disk=*/true);
    if (entries.ok()) {
      next = entries->back().to;
      continue;
    }
    LogRepair* repair = log.repair();
    if (repair == nullptr) return entries.status();
    SELVAGE_ASSIGN_OR_RETURN(const std::optional<LogDamage> damage, repair->FindDamage(next));
    if (damage) next = damage->to;
  }
  return false;
}

std::vector<DamageControl::Wanted> DamageControl::Waiting() {
  std::vector<LogNumber> waiting;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [number, waits] : waits_) waiting.push_back(number);
  }
  std::vector<Wanted> wanted;
  for (LogNumber number : waiting) {
    const std::shared_ptr<Log> log = logs_.FindNumber(number);
    if (log == nullptr || !log->held().ok()) continue;
    const std::vector<LogDamage> damages = DamagesOf(*log);
    const std::optional<OtherCopy> copy = find_copy_(*log);
    for (const LogDamage& damage : damages) {
      if (!copy || damage.from >= copy->to || !IsKnown(*log, damage)) continue;
      wanted.push_back({log, damage, std::min(damage.to, copy->to)});
    }
  }
  return wanted;
}

void DamageControl::Refused(Log& log, Offset from, const absl::Status& why) {
  const std::vector<LogDamage> damages = DamagesOf(log);
  auto damage =
      std::find_if(damages.begin(), damages.end(), [&](const LogDamage& d) { return d.from == from; });
  const std::optional<OtherCopy> copy = find_copy_(log);
  if (damage == damages.end() || !copy) return;
  // Where both copies are damaged, the source puts a gap, and the other gets it from there.
  const bool lost = !copy->several &&
                    (ErrorKind(why) == kRangeNotHeld || (ErrorKind(why) == kCorruptEntry && copy->is_source));
  // What could not be done now is tried again with the next refusal.
  if (lost && Quarantine(log, *damage).ok()) return;
  absl::MutexLock lock(&mutex_);
  if (auto waits = waits_.find(log.number()); waits != waits_.end()) {
    waits->second.ranges[damage->to] = std::string(why.message());
  }
}

void DamageControl::Fetched() {
  absl::MutexLock lock(&mutex_);
  ++counts_.fetched;
}

DamageControl::Counts DamageControl::counts() const {
  absl::MutexLock lock(&mutex_);
  return counts_;
}

}  // namespace selvage
