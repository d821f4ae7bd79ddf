#include "fabric/kafka/group_admin/group_lag.h"

#include <google/protobuf/stubs/common.h>

#include <algorithm>

#include "absl/strings/escaping.h"

namespace selvage::kafka {
PartitionEnds EndsOf(Topics& topics, const group::TopicPartition& at) {
  auto log = topics.FindForReading(at.topic, at.partition);
  if (!log.ok()) return {};
  if (*log == nullptr) return {0, 0};  // shown ahead, and empty
  const LogState state = (*log)->state();
  return {state.log_start().value(), state.end.value()};
}

int64_t LagOf(const PartitionEnds& ends, int64_t offset) {
  if (!ends.known()) return -1;
  return std::max<int64_t>(0, ends.end - std::max(offset, ends.start));
}

std::string TextOf(std::string_view name) {
  const bool utf8 =
      google::protobuf::internal::IsStructurallyValidUTF8(name.data(), static_cast<int>(name.size()));
  if (utf8) return std::string(name);
  return absl::CHexEscape({name.data(), name.size()});
}

}  // namespace selvage::kafka
