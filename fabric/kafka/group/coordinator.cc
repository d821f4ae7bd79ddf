#include "fabric/kafka/group/coordinator.h"

#include <algorithm>

#include "fabric/base/check.h"

namespace selvage::kafka::group {
namespace {

constexpr size_t kGroupOverhead = 1024;

}  // namespace

Coordinator::Coordinator(Settings settings, Random& random, absl::Duration now)
    : settings_(settings), random_(random), next_sweep_(now + settings.sweep_interval) {}

Coordinator::Entry* Coordinator::Find(std::string_view group) {
  const auto found = groups_.find(group);
  return found == groups_.end() ? nullptr : found->second.get();
}

const Coordinator::Entry* Coordinator::Find(std::string_view group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? nullptr : found->second.get();
}

Coordinator::Entry* Coordinator::FindOrCreate(const std::string& group) {
  auto& entry = groups_[group];
  if (entry == nullptr) entry = std::make_unique<Entry>(group, settings_, random_);
  return entry.get();
}

void Coordinator::Ask(std::vector<Write> writes, Work work) {
  const PersistId id = ++last_persist_;
  ready_.persist.push_back({id, std::move(writes)});
  under_way_.emplace_back(id, std::move(work));
}

void Coordinator::Apply(Entry& entry, Effects effects) {
  std::move(effects.answers.begin(), effects.answers.end(), std::back_inserter(ready_.answers));
  if (effects.persist) {
    entry.stored = true;
    Ask({PutGroup(entry.group.id(), *effects.persist)}, GroupChange{entry.group.id()});
  }
  Touch(entry);
}

void Coordinator::Touch(Entry& entry) {
  const Group& group = entry.group;
  const bool unused = group.state() == State::kEmpty && !group.has_pending_members() && !group.persisting() &&
                      entry.offsets.empty() && !entry.stored && !entry.erasing;
  if (unused) {
    Drop(entry);
    return;
  }
  const size_t bytes = kGroupOverhead + 3 * group.id().size() + group.bytes() + entry.offsets.bytes();
  bytes_ = bytes_ - entry.counted_bytes + bytes;
  entry.counted_bytes = bytes;
  const absl::Duration deadline = group.NextDeadline();
  if (deadline == entry.deadline) return;
  deadlines_.erase({entry.deadline, group.id()});
  if (deadline != absl::InfiniteDuration()) deadlines_.emplace(deadline, group.id());
  entry.deadline = deadline;
}

void Coordinator::Drop(Entry& entry) {
  bytes_ -= entry.counted_bytes;
  deadlines_.erase({entry.deadline, entry.group.id()});
  groups_.erase(std::string(entry.group.id()));
}

ErrorCode Coordinator::CheckJoin(const JoinRequest& request) {
  if (request.group.empty()) return ErrorCode::kInvalidGroupId;
  if (request.session_timeout < settings_.min_session_timeout ||
      request.session_timeout > settings_.max_session_timeout) {
    return ErrorCode::kInvalidSessionTimeout;
  }
  const Entry* entry = Find(request.group);
  if (entry == nullptr && !request.member_id.empty()) return ErrorCode::kUnknownMemberId;
  const bool full = bytes() >= settings_.limits.total_bytes ||
                    (entry == nullptr && groups_.size() >= settings_.limits.groups);
  if (full || (entry != nullptr && entry->erasing)) return ErrorCode::kCoordinatorNotAvailable;
  return ErrorCode::kNone;
}

void Coordinator::Join(RequestId id, JoinRequest request, Instant now) {
  if (ErrorCode error = CheckJoin(request); error != ErrorCode::kNone) {
    JoinAnswer answer;
    answer.error = error;
    answer.member_id = std::move(request.member_id);
    ready_.answers.push_back({id, std::move(answer)});
    return;
  }
  Entry& entry = *FindOrCreate(request.group);
  Effects effects;
  entry.group.Join(id, std::move(request), now, effects);
  Apply(entry, std::move(effects));
}

void Coordinator::Sync(RequestId id, SyncRequest request, Instant now) {
  Entry* entry = Find(request.group);
  if (entry == nullptr) {
    const ErrorCode error = request.group.empty() ? ErrorCode::kInvalidGroupId : ErrorCode::kUnknownMemberId;
    ready_.answers.push_back({id, SyncAnswer{error, {}, {}, {}}});
    return;
  }
  Effects effects;
  entry->group.Sync(id, std::move(request), now, effects);
  Apply(*entry, std::move(effects));
}

void Coordinator::Leave(RequestId id, LeaveRequest request, Instant now) {
  Entry* entry = Find(request.group);
  if (entry == nullptr) {
    LeaveAnswer answer;
    if (request.group.empty()) {
      answer.error = ErrorCode::kInvalidGroupId;
    } else {
      answer.members.assign(request.members.size(), ErrorCode::kUnknownMemberId);
    }
    ready_.answers.push_back({id, std::move(answer)});
    return;
  }
  Effects effects;
  entry->group.Leave(id, std::move(request), now, effects);
  Apply(*entry, std::move(effects));
}

ErrorCode Coordinator::Heartbeat(const HeartbeatRequest& request, Instant now) {
  if (request.group.empty()) return ErrorCode::kInvalidGroupId;
  Entry* entry = Find(request.group);
  return entry == nullptr ? ErrorCode::kUnknownMemberId : entry->group.Heartbeat(request, now);
}

void Coordinator::Refuse(RequestId id, const CommitRequest& request, ErrorCode error) {
  ready_.answers.push_back({id, CommitAnswer{std::vector<ErrorCode>(request.partitions.size(), error)}});
}

ErrorCode Coordinator::CheckPartition(const Entry& entry, const CommitRequest::Partition& partition,
                                      size_t added) const {
  if (partition.metadata.size() > settings_.limits.offset_metadata_bytes)
    return ErrorCode::kOffsetMetadataTooLarge;
  const bool is_new = !entry.offsets.Contains(partition.at);
  if (is_new && entry.offsets.size() >= settings_.limits.offsets_per_group)
    return ErrorCode::kUnknownServerError;
  if (bytes() + added >= settings_.limits.total_bytes) return ErrorCode::kCoordinatorNotAvailable;
  return ErrorCode::kNone;
}

void Coordinator::Commit(RequestId id, CommitRequest request, Instant now) {
  Entry* entry = Find(request.group);
  if (entry == nullptr) {
    if (request.generation >= 0) return Refuse(id, request, ErrorCode::kIllegalGeneration);
    if (groups_.size() >= settings_.limits.groups)
      return Refuse(id, request, ErrorCode::kCoordinatorNotAvailable);
    entry = FindOrCreate(request.group);
  }
  if (entry->erasing) return Refuse(id, request, ErrorCode::kCoordinatorNotAvailable);
  if (ErrorCode error = entry->group.CheckCommit(request, now); error != ErrorCode::kNone) {
    return Refuse(id, request, error);
  }
  OffsetCommit work{request.group, id, {}, {}, {}, 0};
  std::vector<Write> writes;
  for (CommitRequest::Partition& partition : request.partitions) {
    const ErrorCode error = CheckPartition(*entry, partition, work.bytes);
    work.answer.partitions.push_back(error);
    if (error != ErrorCode::kNone) continue;
    CommittedOffset offset{partition.offset, partition.leader_epoch, std::move(partition.metadata),
                           now.wall_ms};
    writes.push_back(PutOffset(request.group, partition.at, offset));
    entry->offsets.BeginCommit(partition.at);
    work.bytes +=
        sizeof(CommittedOffset) + sizeof(TopicPartition) + offset.metadata.size() + partition.at.topic.size();
    work.offsets.emplace_back(work.answer.partitions.size() - 1, std::move(offset));
    work.partitions.push_back(std::move(partition.at));
  }
  if (writes.empty()) {
    ready_.answers.push_back({id, std::move(work.answer)});
  } else {
    commits_under_way_bytes_ += work.bytes;
    Ask(std::move(writes), std::move(work));
  }
  Touch(*entry);
}

std::vector<CommittedOffset> Coordinator::Fetch(std::string_view group,
                                                const std::vector<TopicPartition>& partitions) const {
  const Entry* entry = Find(group);
  std::vector<CommittedOffset> offsets;
  offsets.reserve(partitions.size());
  for (const TopicPartition& at : partitions) {
    const CommittedOffset* committed = entry == nullptr ? nullptr : entry->offsets.Find(at);
    offsets.push_back(committed == nullptr ? CommittedOffset{} : *committed);
  }
  return offsets;
}

std::vector<std::pair<TopicPartition, CommittedOffset>> Coordinator::FetchAll(std::string_view group) const {
  const Entry* entry = Find(group);
  if (entry == nullptr) return {};
  return entry->offsets.All();
}

void Coordinator::Tick(Instant now) {
  std::vector<std::string> due;
  for (const auto& [deadline, group] : deadlines_) {
    if (deadline > now.monotonic) break;
    due.push_back(group);
  }
  for (const std::string& group : due) {
    Entry& entry = *Find(group);
    Effects effects;
    entry.group.Tick(now, effects);
    Apply(entry, std::move(effects));
  }
  if (now.monotonic >= next_sweep_) Sweep(now);
}

absl::Duration Coordinator::NextDeadline() const {
  return deadlines_.empty() ? next_sweep_ : std::min(next_sweep_, deadlines_.begin()->first);
}

Ready Coordinator::TakeReady() {
  return std::exchange(ready_, {});
}

void Coordinator::OnPersisted(PersistId id, const absl::Status& outcome, Instant now) {
  SELVAGE_CHECK(!under_way_.empty() && under_way_.front().first == id);
  Work work = std::move(under_way_.front().second);
  under_way_.pop_front();
  std::visit([&](auto& each) { Finish(std::move(each), outcome.ok(), now); }, work);
}

void Coordinator::Finish(const GroupChange& work, bool durable, Instant now) {
  Entry& entry = *Find(work.group);
  Effects effects;
  entry.group.OnPersisted(durable, now, effects);
  Apply(entry, std::move(effects));
}

void Coordinator::Finish(OffsetCommit work, bool durable, Instant) {
  Entry& entry = *Find(work.group);
  commits_under_way_bytes_ -= work.bytes;
  for (size_t i = 0; i < work.offsets.size(); ++i) {
    const auto& [place, offset] = work.offsets[i];
    entry.offsets.EndCommit(work.partitions[i], durable ? &offset : nullptr);
    if (!durable) work.answer.partitions[place] = ErrorCode::kCoordinatorNotAvailable;
  }
  ready_.answers.push_back({work.request, std::move(work.answer)});
  Touch(entry);
}

int64_t Coordinator::newest_ms() const {
  int64_t newest = 0;
  for (const auto& [id, entry] : groups_) {
    newest = std::max({newest, entry->group.empty_since_ms(), entry->offsets.newest_ms()});
  }
  return newest;
}

void Coordinator::CheckInvariants() const {
  size_t bytes = 0;
  size_t deadlines = 0;
  for (const auto& [id, entry] : groups_) {
    entry->group.CheckInvariants();
    bytes += entry->counted_bytes;
    if (entry->deadline == absl::InfiniteDuration()) continue;
    ++deadlines;
    SELVAGE_CHECK(deadlines_.contains({entry->deadline, id}));
    SELVAGE_CHECK(entry->deadline <= entry->group.NextDeadline());
  }
  SELVAGE_CHECK(bytes == bytes_ && deadlines == deadlines_.size());
}

}  // namespace selvage::kafka::group
