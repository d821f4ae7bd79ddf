#include "fabric/node/alarm_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "absl/time/time.h"
#include "fabric/base/error.h"
#include "fabric/base/utf8.h"
#include "fabric/storage/commit.h"
#include "fabric/stream/meta_keys.h"

namespace selvage {
namespace {

/// Resolved alarms are kept as history up to this many; the oldest go first.
constexpr size_t kResolvedMax = 1000;
/// An alarm that repeats is counted in memory and stored this often.
constexpr int64_t kStoreEveryMs = 60'000;
// In bytes; what peers say may be as long as a frame.
constexpr size_t kSubjectMax = 400;
constexpr size_t kMessageMax = 2000;

std::string AlarmKey(uint64_t id) {
  return fmt::format("{}{:020}", kAlarmPrefix, id);
}

/// Writes what changed when it is staged, not what had changed when it was queued.
class StoreAlarmsTask : public CommitTask {
 public:
  explicit StoreAlarmsTask(std::function<absl::Status(WriteBatch&)> stage) : stage_(std::move(stage)) {}
  size_t ByteSize() const override { return 256; }
  absl::Status Stage(WriteBatch& batch) override { return stage_(batch); }
  void Finish(const absl::Status&) override {}  // the store's failure stops the node by itself

 private:
  const std::function<absl::Status(WriteBatch&)> stage_;
};

}  // namespace

AlarmBook::Key AlarmBook::KeyOf(std::string_view kind, std::string_view subject) {
  return {DocumentText(kind, kSubjectMax), DocumentText(subject, kSubjectMax)};
}

absl::Status AlarmBook::Open() {
  auto cursor = store_.Scan(Family::kMeta, kAlarmPrefix, PrefixEnd(kAlarmPrefix));
  absl::MutexLock lock(&mutex_);
  for (cursor->Seek(kAlarmPrefix); cursor->Valid(); cursor->Next()) {
    v1::AlarmDocument alarm;
    if (!alarm.ParseFromString(std::string(cursor->value()))) {
      return MakeError(absl::StatusCode::kDataLoss, "corrupt_meta", "a stored alarm is damaged");
    }
    next_id_ = std::max(next_id_, alarm.id() + 1);
    if (alarm.resolved()) {
      resolved_.insert(alarm.id());
    } else {
      open_[{alarm.kind(), alarm.subject()}] = alarm.id();
      if (!alarm.peer().empty()) ++open_of_peer_[alarm.peer()];
    }
    alarms_[alarm.id()] = std::move(alarm);
  }
  return cursor->status();
}

absl::Status AlarmBook::StageChanged(WriteBatch& batch) {
  absl::MutexLock lock(&mutex_);
  storing_ = false;
  for (uint64_t id : std::exchange(changed_, {})) {
    auto alarm = alarms_.find(id);
    if (alarm == alarms_.end()) {
      batch.Delete(Family::kMeta, AlarmKey(id));
    } else {
      batch.Put(Family::kMeta, AlarmKey(id), {alarm->second.SerializeAsString()});
    }
  }
  return absl::OkStatus();
}

void AlarmBook::NoteChange(uint64_t id) {
  changed_.insert(id);
  ++changes_;
}

void AlarmBook::StoreSoon() {
  {
    absl::MutexLock lock(&mutex_);
    if (changed_.empty() || std::exchange(storing_, true)) return;
  }
  // An alarm that cannot be stored is still shown.
  (void)committer_.Submit(
      std::make_unique<StoreAlarmsTask>([this](WriteBatch& batch) { return StageChanged(batch); }),
      Committer::Limit::kNone);
}

uint64_t AlarmBook::AddOpen(const Key& key, std::string_view peer, int64_t now_ms) {
  const uint64_t id = next_id_++;
  v1::AlarmDocument& alarm = alarms_[id];
  alarm.set_id(id);
  alarm.set_kind(key.first);
  alarm.set_subject(key.second);
  alarm.set_first_ms(now_ms);
  alarm.set_origin(origin_);
  alarm.set_peer(peer.data(), peer.size());
  open_[key] = id;
  if (!peer.empty()) ++open_of_peer_[std::string(peer)];
  return id;
}

void AlarmBook::Take(const Raise& raise, const Key& key, int64_t now_ms) {
  auto open = open_.find(key);
  const bool first = open == open_.end();
  v1::AlarmDocument& alarm = alarms_[first ? AddOpen(key, raise.peer, now_ms) : open->second];
  const std::string message = DocumentText(raise.message, kMessageMax);
  const bool stored_recently =
      !first && alarm.message() == message && now_ms - alarm.last_ms() < kStoreEveryMs;
  alarm.set_message(message);
  alarm.set_hint(DocumentText(raise.hint, kMessageMax));
  alarm.set_needs_operator(raise.needs_operator);
  alarm.set_count(alarm.count() + 1);
  if (stored_recently) return;
  alarm.set_last_ms(now_ms);
  NoteChange(alarm.id());
}

void AlarmBook::Report(const Raise& raise) {
  const int64_t now_ms = absl::ToUnixMillis(clock_.Wall());
  const Key key = KeyOf(raise.kind, raise.subject);
  {
    absl::MutexLock lock(&mutex_);
    const auto of_peer = open_of_peer_.find(raise.peer);
    const bool full = of_peer != open_of_peer_.end() && of_peer->second >= kOpenOfPeerMax;
    if (!full || open_.contains(key)) {
      Take(raise, key, now_ms);
    } else {
      ++left_out_;
      Take({kLeftOut, raise.peer,
            fmt::format("{} alarms of {} are open; further ones are only counted, here and in "
                        "selvage_alarms_left_out_total",
                        kOpenOfPeerMax, raise.peer),
            "settle the open ones: what was left out is raised again as long as its cause is there", false},
           KeyOf(kLeftOut, raise.peer), now_ms);
    }
  }
  StoreSoon();
}

/// The alarm becomes history.
void AlarmBook::End(uint64_t id) {
  v1::AlarmDocument& alarm = alarms_[id];
  if (alarm.resolved()) return;
  alarm.set_resolved(true);
  open_.erase({alarm.kind(), alarm.subject()});
  resolved_.insert(id);
  NoteChange(id);
  if (auto of_peer = open_of_peer_.find(alarm.peer()); of_peer != open_of_peer_.end()) {
    if (--of_peer->second == 0) open_of_peer_.erase(of_peer);
    const auto left_out = open_.find(KeyOf(kLeftOut, alarm.peer()));
    if (left_out != open_.end()) End(left_out->second);  // there is room again
  }
  while (resolved_.size() > kResolvedMax) {
    const uint64_t oldest = *resolved_.begin();
    resolved_.erase(resolved_.begin());
    alarms_.erase(oldest);
    NoteChange(oldest);
  }
}

void AlarmBook::EndAll(const std::function<bool(const v1::AlarmDocument&)>& which) {
  std::vector<uint64_t> ended;
  for (const auto& [key, id] : open_) {
    if (which(alarms_[id])) ended.push_back(id);
  }
  for (uint64_t id : ended) End(id);
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
  } else if (alarm.needs_operator() && !alarm.peer().empty() && of_peer_) {
    SELVAGE_RETURN_IF_ERROR(of_peer_(alarm, action));
  }
  {
    absl::MutexLock lock(&mutex_);
    // Its cause may have ended it meanwhile.
    if (auto it = alarms_.find(id); it != alarms_.end()) End(id);
  }
  alarm.set_resolved(true);
  SELVAGE_RETURN_IF_ERROR(Commit(committer_, [&](WriteBatch& batch) { return StageChanged(batch); }));
  return alarm;
}

void AlarmBook::Clear(std::string_view kind, const std::string& subject) {
  {
    absl::MutexLock lock(&mutex_);
    auto open = open_.find(KeyOf(kind, subject));
    if (open == open_.end()) return;
    End(open->second);
  }
  StoreSoon();
}

void AlarmBook::ClearExcept(std::string_view kind,
                            const std::function<bool(const std::string& subject)>& stays) {
  {
    absl::MutexLock lock(&mutex_);
    EndAll([&](const v1::AlarmDocument& alarm) { return alarm.kind() == kind && !stays(alarm.subject()); });
  }
  StoreSoon();
}

void AlarmBook::ClearOfPeer(const std::string& peer) {
  {
    absl::MutexLock lock(&mutex_);
    if (!open_of_peer_.contains(peer)) return;
    EndAll([&](const v1::AlarmDocument& alarm) { return alarm.peer() == peer; });
  }
  StoreSoon();
}

void AlarmBook::ClearHeldOfPeer(const std::string& peer,
                                const std::function<bool(const std::string& subject)>& goes_on) {
  {
    absl::MutexLock lock(&mutex_);
    if (!open_of_peer_.contains(peer)) return;
    EndAll([&](const v1::AlarmDocument& alarm) {
      return alarm.peer() == peer && alarm.needs_operator() && goes_on(alarm.subject());
    });
  }
  StoreSoon();
}

bool AlarmBook::IsOpen(std::string_view kind, const std::string& subject) const {
  absl::MutexLock lock(&mutex_);
  return open_.contains(KeyOf(kind, subject));
}

std::set<std::string> AlarmBook::OpenSubjects(std::string_view kind, const std::string& peer) const {
  absl::MutexLock lock(&mutex_);
  std::set<std::string> subjects;
  for (auto it = open_.lower_bound(KeyOf(kind, "")); it != open_.end() && it->first.first == kind; ++it) {
    if (alarms_.at(it->second).peer() == peer) subjects.insert(it->first.second);
  }
  return subjects;
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
  return static_cast<int>(open_.size());
}

size_t AlarmBook::open_of_peer(const std::string& peer) const {
  absl::MutexLock lock(&mutex_);
  const auto open = open_of_peer_.find(peer);
  return open == open_of_peer_.end() ? 0 : open->second;
}

uint64_t AlarmBook::left_out() const {
  absl::MutexLock lock(&mutex_);
  return left_out_;
}

}  // namespace selvage
