#include <fmt/format.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "fabric/base/error.h"
#include "fabric/kafka/group/coordinator.h"
#include "fabric/kafka/group/subscription.h"

namespace selvage::kafka::group {
namespace {

constexpr char kClassicType[] = "classic";

bool Passes(const std::vector<std::string>& filter, const std::string& value) {
  return filter.empty() || std::any_of(filter.begin(), filter.end(), [&value](const std::string& wanted) {
           return absl::EqualsIgnoreCase(wanted, value);
         });
}

absl::Status Damaged(std::string_view group) {
  return MakeError(absl::StatusCode::kDataLoss, "group_document_damaged",
                   fmt::format("a stored document of consumer group {} cannot be read", group));
}

}  // namespace

absl::Status Coordinator::Restore(std::string_view key, std::string_view value, Instant now) {
  SELVAGE_ASSIGN_OR_RETURN(const DocumentKey parsed, ParseKey(key));
  if (parsed.offset_of) {
    v1::StoredOffset document;
    if (!document.ParseFromArray(value.data(), static_cast<int>(value.size()))) return Damaged(parsed.group);
    Entry& entry = *FindOrCreate(parsed.group);
    entry.offsets.Put(*parsed.offset_of, FromStored(document));
    Touch(entry);
    return absl::OkStatus();
  }
  v1::StoredGroup document;
  if (!document.ParseFromArray(value.data(), static_cast<int>(value.size()))) return Damaged(parsed.group);
  // Tried first on a group of its own, so that a bad document leaves nothing half taken over.
  Group trial(parsed.group, settings_, random_);
  SELVAGE_RETURN_IF_ERROR(trial.Restore(document, now));
  Entry& entry = *FindOrCreate(parsed.group);
  entry.stored = true;
  SELVAGE_RETURN_IF_ERROR(entry.group.Restore(document, now));
  Touch(entry);
  return absl::OkStatus();
}

GroupDescription Coordinator::Describe(std::string_view group) const {
  const Entry* entry = Find(group);
  if (entry != nullptr) return entry->group.Describe();
  GroupDescription dead;
  dead.group = std::string(group);
  dead.state = "Dead";
  return dead;
}

std::vector<GroupListing> Coordinator::List(const std::vector<std::string>& states,
                                            const std::vector<std::string>& types) const {
  std::vector<GroupListing> listed;
  if (!Passes(types, kClassicType)) return listed;
  for (const auto& [id, entry] : groups_) {
    std::string state = StateName(entry->group.state());
    if (!Passes(states, state)) continue;
    listed.push_back({id, entry->group.protocol_type(), std::move(state), kClassicType});
  }
  return listed;
}

void Coordinator::DeleteOffsets(RequestId id, DeleteOffsetsRequest request) {
  DeleteOffsetsAnswer answer;
  Entry* entry = Find(request.group);
  if (entry == nullptr) {
    answer.error = ErrorCode::kGroupIdNotFound;
  } else if (entry->erasing) {
    answer.error = ErrorCode::kCoordinatorNotAvailable;
  } else if (entry->group.state() != State::kEmpty && entry->group.protocol_type() != kConsumerProtocolType) {
    answer.error = ErrorCode::kNonEmptyGroup;
  }
  if (answer.error != ErrorCode::kNone) {
    ready_.answers.push_back({id, std::move(answer)});
    return;
  }
  const auto subscribed = entry->group.SubscribedTopics();
  OffsetRemoval work{request.group, {}, id, {}};
  std::vector<Write> writes;
  for (TopicPartition& at : request.partitions) {
    const bool in_use = !subscribed || subscribed->contains(at.topic);
    work.answer.partitions.push_back(in_use ? ErrorCode::kGroupSubscribedToTopic : ErrorCode::kNone);
    if (in_use || !entry->offsets.Contains(at)) continue;
    writes.push_back(DeleteOffset(request.group, at));
    work.partitions.emplace_back(work.answer.partitions.size() - 1, std::move(at));
  }
  if (writes.empty()) {
    ready_.answers.push_back({id, std::move(work.answer)});
  } else {
    Ask(std::move(writes), std::move(work));
  }
}

void Coordinator::Finish(OffsetRemoval work, bool durable, Instant) {
  Entry* entry = Find(work.group);
  for (const auto& [place, at] : work.partitions) {
    if (durable && entry != nullptr) entry->offsets.Remove(at);
    if (!durable && work.request) work.answer.partitions[place] = ErrorCode::kCoordinatorNotAvailable;
  }
  if (work.request) ready_.answers.push_back({*work.request, std::move(work.answer)});
  if (entry != nullptr) Touch(*entry);
}

void Coordinator::DeleteGroups(RequestId id, const std::vector<std::string>& groups) {
  Erasure work{{}, id, {}};
  std::vector<Write> writes;
  for (const std::string& group : groups) {
    Entry* entry = Find(group);
    ErrorCode error = ErrorCode::kNone;
    if (entry == nullptr) {
      error = ErrorCode::kGroupIdNotFound;
    } else if (entry->group.state() != State::kEmpty) {
      error = ErrorCode::kNonEmptyGroup;
    } else if (entry->erasing) {
      error = ErrorCode::kCoordinatorNotAvailable;
    } else {
      entry->erasing = true;
      writes.push_back(DeleteGroup(group));
      work.groups.emplace_back(work.answer.groups.size(), group);
    }
    work.answer.groups.push_back(error);
  }
  if (writes.empty()) {
    ready_.answers.push_back({id, std::move(work.answer)});
  } else {
    Ask(std::move(writes), std::move(work));
  }
}

void Coordinator::Finish(Erasure work, bool durable, Instant) {
  for (const auto& [place, group] : work.groups) {
    Entry& entry = *Find(group);
    entry.erasing = false;
    if (durable) {
      Drop(entry);
      continue;
    }
    if (work.request) work.answer.groups[place] = ErrorCode::kCoordinatorNotAvailable;
    Touch(entry);
  }
  if (work.request) ready_.answers.push_back({*work.request, std::move(work.answer)});
}

void Coordinator::ForgetTopics(const std::function<bool(const std::string& topic)>& gone) {
  for (auto& [id, entry] : groups_) {
    if (entry->erasing) continue;
    OffsetRemoval work{id, {}, std::nullopt, {}};
    std::vector<Write> writes;
    for (TopicPartition& at : entry->offsets.Where(gone)) {
      writes.push_back(DeleteOffset(id, at));
      work.partitions.emplace_back(0, std::move(at));
    }
    if (!writes.empty()) Ask(std::move(writes), std::move(work));
  }
}

void Coordinator::SweepOffsets(Entry& entry, Instant now) {
  OffsetRemoval work{entry.group.id(), {}, std::nullopt, {}};
  std::vector<Write> writes;
  for (TopicPartition& at : entry.offsets.Expired(now.wall_ms, entry.group.empty_since_ms(),
                                                  absl::ToInt64Milliseconds(settings_.offset_retention))) {
    writes.push_back(DeleteOffset(entry.group.id(), at));
    work.partitions.emplace_back(0, std::move(at));
  }
  if (!writes.empty()) Ask(std::move(writes), std::move(work));
}

void Coordinator::Sweep(Instant now) {
  next_sweep_ = now.monotonic + settings_.sweep_interval;
  const int64_t unused_before = now.wall_ms - absl::ToInt64Milliseconds(settings_.sweep_interval);
  Erasure unused{{}, std::nullopt, {}};
  std::vector<Write> writes;
  for (auto& [id, entry] : groups_) {
    const Group& group = entry->group;
    if (group.state() != State::kEmpty || group.has_pending_members() || entry->erasing) continue;
    if (!entry->offsets.empty()) {
      SweepOffsets(*entry, now);
    } else if (group.empty_since_ms() <= unused_before) {
      entry->erasing = true;
      writes.push_back(DeleteGroup(id));
      unused.groups.emplace_back(0, id);
    }
  }
  if (!writes.empty()) Ask(std::move(writes), std::move(unused));
}

}  // namespace selvage::kafka::group
