#include "tests/support/record_checker.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "fabric/base/endian.h"

namespace selvage::test {
namespace {

constexpr size_t kShownPerList = 5;

void AppendField(std::string& out, std::optional<std::string_view> field) {
  AppendBig<int64_t>(out, field ? static_cast<int64_t>(field->size()) : -1);
  if (field) out.append(*field);
}

void DescribeList(std::string& out, std::string_view name, const std::vector<AckedRecord>& records) {
  if (records.empty()) return;
  out += fmt::format("\n{} {}:", records.size(), name);
  const size_t shown = std::min(records.size(), kShownPerList);
  for (size_t i = 0; i < shown; ++i) out += fmt::format(" {}", Describe(records[i]));
  if (shown < records.size()) out += " ...";
}

}  // namespace

uint64_t HashOfRecord(int64_t timestamp, std::optional<std::string_view> key,
                      std::optional<std::string_view> value) {
  std::string bytes;
  AppendBig<int64_t>(bytes, timestamp);
  AppendField(bytes, key);
  AppendField(bytes, value);
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string Describe(const AckedRecord& record) {
  return fmt::format("{}/{}/{}@{}", record.edge, record.stream, record.partition.value(),
                     record.offset.value());
}

std::string CheckReport::Describe() const {
  std::string out = fmt::format("{} acknowledged, {} found, {} unacknowledged", acked, found, unacknowledged);
  DescribeList(out, "lost", lost);
  DescribeList(out, "duplicated", duplicated);
  DescribeList(out, "reordered", reordered);
  DescribeList(out, "different", different);
  DescribeList(out, "acknowledged twice", acked_twice);
  return out;
}

void RecordChecker::Add(const AckedRecord& record) {
  const auto [known, added] = acked_[OriginOf(record)].emplace(record.offset, record.hash);
  if (!added && known->second != record.hash) acked_twice_.push_back(record);
}

CheckReport RecordChecker::Check(std::span<const FoundRecord> found) const {
  struct Seen {
    absl::flat_hash_set<Offset> offsets;
    Offset highest{-1};
  };
  std::map<Origin, Seen> seen_by_origin;
  CheckReport report;
  report.found = found.size();
  report.acked_twice = acked_twice_;
  for (const FoundRecord& record : found) {
    const Origin origin = OriginOf(record);
    Seen& seen = seen_by_origin[origin];
    const bool first = seen.offsets.insert(record.offset).second;
    if (!first) {
      report.duplicated.push_back(record);
    } else if (record.offset < seen.highest) {
      report.reordered.push_back(record);
    }
    seen.highest = std::max(seen.highest, record.offset);

    const auto acked = acked_.find(origin);
    const uint64_t* hash = nullptr;
    if (acked != acked_.end()) {
      const auto at = acked->second.find(record.offset);
      if (at != acked->second.end()) hash = &at->second;
    }
    if (hash == nullptr) {
      if (first) ++report.unacknowledged;
    } else if (*hash != record.hash) {
      report.different.push_back(record);
    }
  }
  for (const auto& [origin, hashes] : acked_) {
    report.acked += hashes.size();
    const auto seen = seen_by_origin.find(origin);
    for (const auto& [offset, hash] : hashes) {
      if (seen != seen_by_origin.end() && seen->second.offsets.contains(offset)) continue;
      report.lost.push_back({origin.edge, origin.stream, origin.partition, offset, hash});
    }
  }
  std::sort(report.lost.begin(), report.lost.end());
  return report;
}

}  // namespace selvage::test
