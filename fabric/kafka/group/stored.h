#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "fabric/kafka/group/types.h"
#include "selvage/v1/group.pb.h"

namespace selvage::kafka::group {

/// What a document is about: a group, or the offset it committed for one partition.
struct DocumentKey {
  std::string group;
  std::optional<TopicPartition> offset_of;
};

/// Keys of the stored documents (docs/formats.md, "Consumer groups"). All of one group lie in one range.
std::string GroupKey(std::string_view group);
std::string OffsetKey(std::string_view group, const TopicPartition& at);
/// The keys in [first, second) are those of the group's document and of all its offsets.
std::pair<std::string, std::string> GroupKeyRange(std::string_view group);
/// kDataLoss for bytes that are no such key.
absl::StatusOr<DocumentKey> ParseKey(std::string_view key);
/// The group that a key is of, as far as an operator is to be told; "unknown" for other bytes.
std::string GroupOf(std::string_view key);

/// A change of one key, or of a range of keys.
struct Write {
  enum class Kind { kPut, kDelete, kDeleteRange };
  Kind kind = Kind::kPut;
  std::string key;
  std::string value;  ///< kPut: the document. kDeleteRange: the end of the range, which is not a part of it
};

Write PutGroup(std::string_view group, const v1::StoredGroup& document);
Write PutOffset(std::string_view group, const TopicPartition& at, const CommittedOffset& offset);
Write DeleteOffset(std::string_view group, const TopicPartition& at);
Write DeleteGroup(std::string_view group);

CommittedOffset FromStored(const v1::StoredOffset& document);

}  // namespace selvage::kafka::group
