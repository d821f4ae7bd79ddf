#include "fabric/kafka/group_admin/group_admin.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/synchronization/notification.h"
#include "fabric/base/error.h"
#include "fabric/kafka/group_admin/group_lag.h"
#include "fabric/stream/record_batch.h"

namespace selvage::kafka {
namespace {

constexpr std::string_view kDead = "Dead";
constexpr std::string_view kEmpty = "Empty";

v1::GroupOffset ToRow(const PartitionEnds& ends, const group::TopicPartition& at,
                      const group::CommittedOffset& committed) {
  v1::GroupOffset row;
  row.set_topic(TextOf(at.topic));
  row.set_partition(at.partition);
  row.set_offset(committed.offset);
  row.set_leader_epoch(committed.leader_epoch);
  row.set_metadata(TextOf(committed.metadata));
  row.set_commit_ms(committed.commit_ms);
  row.set_start(ends.start);
  row.set_end(ends.end);
  row.set_lag(LagOf(ends, committed.offset));
  return row;
}

absl::Status UnknownGroup(const std::string& group) {
  return MakeError(absl::StatusCode::kNotFound, "unknown_group",
                   fmt::format("there is no group {}", TextOf(group)),
                   "selvagectl group list shows what there is");
}

absl::Status NotEmpty(const std::string& group, std::string_view state) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "group_not_empty",
      fmt::format("group {} has members: it is {}", TextOf(group), state),
      "stop its consumers, or wait for their session timeouts; selvagectl group describe shows them");
}

absl::Status WrongPartition(const group::TopicPartition& at, int32_t partitions) {
  return MakeError(absl::StatusCode::kInvalidArgument, "wrong_partition",
                   fmt::format("topic {} has no partition {}", TextOf(at.topic), at.partition),
                   fmt::format("it has {}, from 0 on", partitions));
}

absl::Status OutOfRange(const group::TopicPartition& at, int64_t offset, const PartitionEnds& ends) {
  return MakeError(
      absl::StatusCode::kOutOfRange, "offset_out_of_range",
      fmt::format("partition {} of {} holds offsets {} to {}; {} is beyond", at.partition, TextOf(at.topic),
                  ends.start, ends.end, offset),
      "a replica that is behind gets there with the link: selvagectl status shows how the flows stand",
      Retry::kYes);
}

}  // namespace

v1::ListGroupsResponse GroupAdmin::List() const {
  v1::ListGroupsResponse response;
  for (const group::GroupListing& listed : groups_.List({}, {})) {
    v1::GroupSummary& row = *response.add_groups();
    row.set_group(TextOf(listed.group));
    row.set_state(listed.state);
    row.set_protocol_type(TextOf(listed.protocol_type));
    row.set_members(static_cast<int32_t>(groups_.Describe(listed.group).members.size()));
    int64_t lag = 0;
    for (const auto& [at, committed] : groups_.FetchAll(listed.group)) {
      lag += std::max<int64_t>(0, LagOf(EndsOf(topics_, at), committed.offset));
      row.set_partitions(row.partitions() + 1);
    }
    row.set_lag(lag);
  }
  return response;
}

absl::StatusOr<v1::DescribeGroupResponse> GroupAdmin::Describe(const std::string& group) const {
  const group::GroupDescription described = groups_.Describe(group);
  if (described.state == kDead) return UnknownGroup(group);
  v1::DescribeGroupResponse response;
  response.set_group(TextOf(group));
  response.set_state(described.state);
  response.set_protocol_type(TextOf(described.protocol_type));
  response.set_protocol(TextOf(described.protocol));
  response.set_generation(described.generation);
  for (const group::MemberDescription& member : described.members) {
    v1::GroupMember& row = *response.add_members();
    row.set_member_id(TextOf(member.member_id));
    row.set_instance_id(TextOf(member.instance_id.value_or("")));
    row.set_client_id(TextOf(member.client_id));
    row.set_client_host(member.client_host);
  }
  for (const auto& [at, committed] : groups_.FetchAll(group)) {
    *response.add_offsets() = ToRow(EndsOf(topics_, at), at, committed);
  }
  return response;
}

absl::StatusOr<std::vector<group::TopicPartition>> GroupAdmin::Wanted(
    const v1::ResetGroupRequest& request) const {
  std::vector<group::TopicPartition> wanted;
  if (request.topic().empty()) {
    for (auto& [at, committed] : groups_.FetchAll(request.group())) {
      if (EndsOf(topics_, at).known()) wanted.push_back(std::move(at));
    }
    return wanted;
  }
  SELVAGE_ASSIGN_OR_RETURN(const Topic topic, topics_.Find(request.topic()));
  if (request.partitions().empty()) {
    for (int32_t p = 0; p < topic.partitions; ++p) wanted.push_back({topic.name, p});
    return wanted;
  }
  for (const int32_t p : request.partitions()) {
    if (p < 0 || p >= topic.partitions) return WrongPartition({topic.name, p}, topic.partitions);
    wanted.push_back({topic.name, p});
  }
  return wanted;
}

absl::StatusOr<int64_t> GroupAdmin::Target(const v1::ResetGroupRequest& request,
                                           const group::TopicPartition& at, int64_t committed,
                                           const Cancelled& cancelled) const {
  SELVAGE_ASSIGN_OR_RETURN(const std::shared_ptr<Log> log, topics_.FindForReading(at.topic, at.partition));
  const PartitionEnds ends = EndsOf(topics_, at);
  switch (request.to()) {
    case v1::RESET_LATEST:
      return ends.end;
    case v1::RESET_OFFSET:
      return std::clamp(request.value(), ends.start, ends.end);
    case v1::RESET_BY: {
      int64_t moved;
      const int64_t from = std::max(committed, ends.start);
      if (__builtin_add_overflow(from, request.value(), &moved)) moved = request.value() < 0 ? 0 : INT64_MAX;
      return std::clamp(moved, ends.start, ends.end);
    }
    case v1::RESET_TIME: {
      if (log == nullptr) return 0;
      SELVAGE_ASSIGN_OR_RETURN(const std::optional<RecordTime> first,
                               log->FirstRecordAtOrAfter(request.value(), cancelled));
      return first ? first->offset.value() : ends.end;
    }
    default:
      return ends.start;
  }
}

absl::StatusOr<v1::SetGroupOffsetsResponse> GroupAdmin::Reset(const v1::ResetGroupRequest& request,
                                                              const Cancelled& cancelled) {
  const std::string state = groups_.Describe(request.group()).state;
  if (state == kDead && request.topic().empty()) return UnknownGroup(request.group());
  if (state != kDead && state != kEmpty) return NotEmpty(request.group(), state);
  SELVAGE_ASSIGN_OR_RETURN(const std::vector<group::TopicPartition> wanted, Wanted(request));
  const std::vector<group::CommittedOffset> committed = groups_.Fetch(request.group(), wanted);
  Partitions partitions;
  for (size_t i = 0; i < wanted.size(); ++i) {
    SELVAGE_ASSIGN_OR_RETURN(const int64_t target,
                             Target(request, wanted[i], committed[i].offset, cancelled));
    partitions.push_back({wanted[i], target, -1, ""});
  }
  // Whoever gave up believes that nothing was changed.
  if (cancelled()) return absl::CancelledError("nobody waits for the reset any more");
  return Set(request.group(), std::move(partitions), request.dry_run());
}

absl::StatusOr<v1::SetGroupOffsetsResponse> GroupAdmin::Import(const v1::ImportGroupRequest& request) {
  if (request.group().empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "bad_value", "a group has a name",
                     "give --group NAME");
  }
  const std::string state = groups_.Describe(request.group()).state;
  if (state != kDead && state != kEmpty) return NotEmpty(request.group(), state);
  Partitions partitions;
  for (const v1::GroupOffset& row : request.offsets()) {
    const group::TopicPartition at{row.topic(), row.partition()};
    SELVAGE_ASSIGN_OR_RETURN(const Topic topic, topics_.Find(at.topic));
    if (at.partition < 0 || at.partition >= topic.partitions) return WrongPartition(at, topic.partitions);
    const PartitionEnds ends = EndsOf(topics_, at);
    // What is trimmed already is read from the start on; what is not there yet would make consumers start
    // anywhere.
    if (row.offset() < 0 || row.offset() > ends.end) return OutOfRange(at, row.offset(), ends);
    partitions.push_back({at, row.offset(), row.leader_epoch(), row.metadata()});
  }
  return Set(request.group(), std::move(partitions), request.dry_run());
}

absl::StatusOr<v1::SetGroupOffsetsResponse> GroupAdmin::Set(const std::string& group, Partitions partitions,
                                                            bool dry_run) {
  v1::SetGroupOffsetsResponse response;
  for (const auto& partition : partitions) {
    *response.add_offsets() = ToRow(EndsOf(topics_, partition.at), partition.at,
                                    {partition.offset, partition.leader_epoch, partition.metadata, 0});
  }
  if (!dry_run && !partitions.empty()) SELVAGE_RETURN_IF_ERROR(Commit(group, std::move(partitions)));
  return response;
}

absl::Status GroupAdmin::Commit(const std::string& group, Partitions partitions) {
  std::vector<ErrorCode> errors;
  absl::Notification done;
  // Not from a member of the group: refused while there are any.
  groups_.Commit({group, "", std::nullopt, -1, std::move(partitions)}, [&](group::CommitAnswer answer) {
    errors = std::move(answer.partitions);
    done.Notify();
  });
  done.WaitForNotification();
  const auto failed =
      std::find_if(errors.begin(), errors.end(), [](ErrorCode e) { return e != ErrorCode::kNone; });
  if (failed == errors.end()) return absl::OkStatus();
  if (*failed == ErrorCode::kUnknownMemberId) return NotEmpty(group, groups_.Describe(group).state);
  return MakeError(
      absl::StatusCode::kUnavailable, "groups_unavailable",
      fmt::format("the offsets of group {} could not be stored: {}", TextOf(group), ErrorCodeName(*failed)),
      "the node's log says why", Retry::kYes);
}

}  // namespace selvage::kafka
