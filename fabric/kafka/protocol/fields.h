#pragma once

#include <cstdint>
#include <limits>

#include "fabric/base/id128.h"

namespace selvage::kafka {

/// Identity of a topic; all zeros where there is none.
using TopicId = Id128<struct KafkaTopicIdTag>;

/// The versions of a message that have a field. A message is a plain struct with a function `Fields`, which
/// names each field once, in the order of the wire and with the protocol's name:
///
///   static void Fields(auto& field, auto& m) {
///     field("timeout_ms", m.timeout_ms);                          // in all versions that the codec knows
///     field("topics", m.topics, Since(4));                        // an array of structs with their own
///     `Fields` field.Blob("metadata", m.metadata);                         // a string that is `bytes` on
///     the wire field.Records("records", m.records);                        // record batches, not copied
///     field.Tagged(0, "leader", m.leader, Leader{}, Since(10));   // last, ascending, with its default
///   }
///
/// Reading, writing and sizing pass their own `field`. std::optional members can be null on the wire; a field
/// that a version lacks keeps its default when it is read. How a version encodes lengths is not the struct's
/// concern.
struct Versions {
  int16_t from = 0;
  int16_t to = std::numeric_limits<int16_t>::max();
  int16_t null_from = 0;  ///< the first that lets an optional field be null

  constexpr bool Has(int16_t version) const { return version >= from && version <= to; }
  constexpr bool LetNull(int16_t version) const { return version >= null_from; }
  constexpr Versions NullSince(int16_t version) const { return {from, to, version}; }
};

constexpr Versions Since(int16_t from) {
  return {.from = from};
}
constexpr Versions Until(int16_t to) {
  return {.to = to};
}
constexpr Versions Between(int16_t from, int16_t to) {
  return {.from = from, .to = to};
}

/// Which half of an exchange a message is: the value of its constant kHalf.
enum class Half { kRequest, kResponse };

}  // namespace selvage::kafka
