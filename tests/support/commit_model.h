#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "fabric/kafka/group_service/group_service.h"

namespace selvage::test {

/// What one disk must hold of committed offsets: for each partition of each group the newest that was
/// acknowledged, or one that was asked for after it. Every commit has an offset of its own, larger than those
/// before.
class CommitModel {
 public:
  struct Place {
    std::string group;
    kafka::group::TopicPartition at;
    friend auto operator<=>(const Place&, const Place&) = default;
  };

  /// The offset to commit there next.
  int64_t Submit(const Place& place) {
    possible_[place].push_back(++last_);
    return last_;
  }
  /// It was acknowledged: from here on nothing older.
  void Acknowledged(const Place& place, int64_t offset) {
    std::deque<int64_t>& possible = possible_[place];
    while (!possible.empty() && possible.front() < offset) possible.pop_front();
    sure_.insert_or_assign(place, offset);
    ++acknowledged_;
  }
  uint64_t acknowledged() const { return acknowledged_; }
  /// The disk is another one, or was set back: whatever it holds is taken as it is.
  void Forget() {
    possible_.clear();
    sure_.clear();
    forgot_ = true;
  }
  /// Compares with what was opened, and takes that over; empty, or what is wrong.
  std::string Restored(const kafka::GroupService& groups) {
    std::map<Place, int64_t> found;
    for (const auto& group : groups.List({}, {})) {
      for (const auto& [at, committed] : groups.FetchAll(group.group))
        found[{group.group, at}] = committed.offset;
    }
    std::string wrong;
    for (const auto& [place, offset] : sure_) {
      if (!found.contains(place)) {
        wrong = fmt::format("the offset that {} committed for {}/{} is gone: {}", place.group, place.at.topic,
                            place.at.partition, offset);
      }
    }
    for (const auto& [place, offset] : found) {
      const std::deque<int64_t>& possible = possible_[place];
      const bool known = std::find(possible.begin(), possible.end(), offset) != possible.end();
      if (known || forgot_) continue;
      wrong = fmt::format("{} has offset {} for {}/{}, and had {} acknowledged", place.group, offset,
                          place.at.topic, place.at.partition, sure_.contains(place) ? sure_[place] : -1);
    }
    forgot_ = false;
    possible_.clear();
    sure_ = found;
    for (const auto& [place, offset] : found) possible_[place] = {offset};
    return wrong;
  }

 private:
  std::map<Place, std::deque<int64_t>> possible_;  // acknowledged last, and all after it
  std::map<Place, int64_t> sure_;
  int64_t last_ = 0;
  uint64_t acknowledged_ = 0;
  bool forgot_ = false;
};

}  // namespace selvage::test
