#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "fabric/kafka/group/types.h"
#include "fabric/kafka/handlers/topics.h"

namespace selvage::kafka {

/// What a partition holds; -1 for both ends when there is no such partition here.
struct PartitionEnds {
  int64_t start = -1;
  int64_t end = -1;
  bool known() const { return end >= 0; }
};
PartitionEnds EndsOf(Topics& topics, const group::TopicPartition& at);

/// Records from the offset on that are still to be consumed, as offsets: gaps count, what is held no more
/// does not. -1 when the partition is not known.
int64_t LagOf(const PartitionEnds& ends, int64_t offset);

/// A name that a client gave, as text: bytes that are not UTF-8 become C escapes.
std::string TextOf(std::string_view name);

}  // namespace selvage::kafka
