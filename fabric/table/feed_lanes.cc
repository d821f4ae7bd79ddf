#include "fabric/table/feed_lanes.h"

#include <algorithm>
#include <utility>

namespace selvage::table {
namespace {

/// Reading over so many changes of others costs less than going to where the next of one's own is.
constexpr uint64_t kNear = 16;

}  // namespace

void FeedLanes::Open(int reader, const std::string& table, const std::string& prefix, uint64_t known_from) {
  Table& of_table = tables_[table];
  const auto [at, is_new] = of_table.lanes.try_emplace(prefix);
  if (is_new) {
    at->second.known_from = known_from;
    ++of_table.lengths[prefix.size()];
  }
  at->second.readers.push_back(reader);
  readers_[reader] = {table, prefix};
}

void FeedLanes::Close(int reader) {
  const auto place = readers_.find(reader);
  if (place == readers_.end()) return;
  const auto table = tables_.find(place->second.first);
  const auto lane = table->second.lanes.find(place->second.second);
  std::erase(lane->second.readers, reader);
  if (lane->second.readers.empty()) {
    const auto length = table->second.lengths.find(lane->first.size());
    if (--length->second == 0) table->second.lengths.erase(length);
    table->second.lanes.erase(lane);
  }
  if (table->second.lanes.empty()) tables_.erase(table);
  readers_.erase(place);
}

void FeedLanes::Extend(Lane& lane, uint64_t sequence) {
  std::vector<Range>& ranges = lane.ranges;
  if (!ranges.empty() && sequence <= ranges.back().end + kNear) {
    ranges.back().end = std::max(ranges.back().end, sequence + 1);
    return;
  }
  if (ranges.size() == kRangesMax) {
    ranges[1].first = ranges[0].first;
    ranges.erase(ranges.begin());
  }
  ranges.push_back({sequence, sequence + 1});
}

std::vector<int> FeedLanes::Note(const std::string& table, const std::vector<Change>& changes) {
  std::vector<int> readers;
  const auto found = tables_.find(table);
  if (found == tables_.end()) return readers;
  std::vector<Lane*> concerned;
  for (const auto& [sequence, key] : changes) {
    for (const auto& [length, count] : found->second.lengths) {
      if (length > key.size()) break;
      const auto lane = found->second.lanes.find(std::string_view(key).substr(0, length));
      if (lane == found->second.lanes.end()) continue;
      Extend(lane->second, sequence);
      if (!std::exchange(lane->second.concerned, true)) concerned.push_back(&lane->second);
    }
  }
  for (Lane* lane : concerned) {
    lane->concerned = false;
    readers.insert(readers.end(), lane->readers.begin(), lane->readers.end());
  }
  return readers;
}

const FeedLanes::Lane* FeedLanes::LaneOf(int reader) const {
  const auto place = readers_.find(reader);
  if (place == readers_.end()) return nullptr;
  return &tables_.at(place->second.first).lanes.at(place->second.second);
}

uint64_t FeedLanes::End(int reader, uint64_t otherwise) const {
  const Lane* lane = LaneOf(reader);
  if (lane == nullptr) return otherwise;
  return lane->ranges.empty() ? lane->known_from : lane->ranges.back().end;
}

std::vector<FeedLanes::Range> FeedLanes::Ranges(int reader, uint64_t from, uint64_t to) const {
  std::vector<Range> ranges;
  const auto add = [&](uint64_t first, uint64_t end) {
    first = std::max(first, from);
    end = std::min(end, to);
    if (first < end) ranges.push_back({first, end});
  };
  const Lane* lane = LaneOf(reader);
  if (lane == nullptr) {
    add(from, to);
    return ranges;
  }
  add(from, lane->known_from);
  for (const Range& range : lane->ranges) add(range.first, range.end);
  return ranges;
}

}  // namespace selvage::table
