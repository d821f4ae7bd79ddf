#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fabric/kafka/group_service/group_service.h"
#include "fabric/kafka/handlers/topics.h"
#include "selvage/v1/admin.pb.h"

namespace selvage::kafka {

/// Consumer groups as an operator sees and changes them. Safe to use from several threads; what changes
/// something waits for the disk. Errors: "unknown_group"; "group_not_empty" for a change while members are
/// there; "unknown_stream", "wrong_partition", "offset_out_of_range"; "groups_unavailable" (a retry helps).
class GroupAdmin {
 public:
  /// The parameters must outlive it.
  GroupAdmin(GroupService& groups, Topics& topics) : groups_(groups), topics_(topics) {}

  v1::ListGroupsResponse List() const;
  absl::StatusOr<v1::DescribeGroupResponse> Describe(const std::string& group) const;
  using Cancelled = std::function<bool()>;
  /// Commits other offsets for an empty group; what they are. By time it may read a good part of the logs:
  /// `cancelled` is asked now and then, and once before the commit. Error: kCancelled, with nothing changed.
  absl::StatusOr<v1::SetGroupOffsetsResponse> Reset(const v1::ResetGroupRequest& request,
                                                    const Cancelled& cancelled);
  absl::StatusOr<v1::SetGroupOffsetsResponse> Import(const v1::ImportGroupRequest& request);

 private:
  using Partitions = std::vector<group::CommitRequest::Partition>;
  absl::StatusOr<std::vector<group::TopicPartition>> Wanted(const v1::ResetGroupRequest& request) const;
  absl::StatusOr<int64_t> Target(const v1::ResetGroupRequest& request, const group::TopicPartition& at,
                                 int64_t committed, const Cancelled& cancelled) const;
  absl::StatusOr<v1::SetGroupOffsetsResponse> Set(const std::string& group, Partitions partitions,
                                                  bool dry_run);
  absl::Status Commit(const std::string& group, Partitions partitions);

  GroupService& groups_;
  Topics& topics_;
};

}  // namespace selvage::kafka
