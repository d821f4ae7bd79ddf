#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "fabric/base/ids.h"

namespace selvage::test {

/// XXH3-64 of what a producer wrote. A null key or value differs from an empty one.
uint64_t HashOfRecord(int64_t timestamp, std::optional<std::string_view> key,
                      std::optional<std::string_view> value);

/// One record of one partition of an edge's stream, numbered as at the edge.
struct AckedRecord {
  std::string edge;
  std::string stream;
  PartitionId partition;
  Offset offset;
  uint64_t hash = 0;

  auto operator<=>(const AckedRecord&) const = default;
};
using FoundRecord = AckedRecord;

/// "edge/stream/partition@offset".
std::string Describe(const AckedRecord& record);

struct CheckReport {
  uint64_t acked = 0;
  /// Entries that were looked at, whatever came of them.
  uint64_t found = 0;
  /// Offsets found that were never acknowledged to the producer: sent, but the answer was lost. Allowed.
  uint64_t unacknowledged = 0;
  /// Acknowledged, not found.
  std::vector<AckedRecord> lost;
  /// Found again at an offset where one was found already.
  std::vector<FoundRecord> duplicated;
  /// Found for the first time, but after a higher offset of the same partition.
  std::vector<FoundRecord> reordered;
  /// Found with other bytes than acknowledged.
  std::vector<FoundRecord> different;
  /// Acknowledged at an offset where other bytes had been acknowledged before: the source used an offset
  /// twice.
  std::vector<AckedRecord> acked_twice;

  bool ok() const {
    return lost.empty() && duplicated.empty() && reordered.empty() && different.empty() &&
           acked_twice.empty();
  }
  /// The counts, and the first few records of each list.
  std::string Describe() const;
};

/// Knows every acknowledged record and judges what is found later. Several threads need a lock around it.
class RecordChecker {
 public:
  /// A producer was told that this record is stored. The same one again changes nothing.
  void Add(const AckedRecord& record);

  /// `found`: everything that was read, in read order within each partition of each edge's stream; how these
  /// are mixed does not matter.
  CheckReport Check(std::span<const FoundRecord> found) const;

 private:
  struct Origin {
    std::string edge;
    std::string stream;
    PartitionId partition;
    auto operator<=>(const Origin&) const = default;
  };

  using HashByOffset = absl::flat_hash_map<Offset, uint64_t>;

  static Origin OriginOf(const AckedRecord& record) { return {record.edge, record.stream, record.partition}; }

  std::map<Origin, HashByOffset> acked_;
  std::vector<AckedRecord> acked_twice_;
};

}  // namespace selvage::test
