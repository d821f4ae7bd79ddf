#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
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
  /// Whether the offsets of a topic may be gone by now.
  using MayBeGone = std::function<bool(const std::string& topic)>;
  static bool Never(const std::string&) { return false; }

  /// The offset to commit there next.
  int64_t Submit(const Place& place) {
    possible_[place].push_back(++last_);
    return last_;
  }
  /// The same for who may not commit: it must never be there.
  int64_t SubmitForbidden() { return ++last_; }
  /// It was acknowledged: from here on nothing older.
  void Acknowledged(const Place& place, int64_t offset) {
    std::deque<int64_t>& possible = possible_[place];
    while (!possible.empty() && possible.front() < offset) possible.pop_front();
    sure_.insert_or_assign(place, offset);
    ++acknowledged_;
  }
  uint64_t acknowledged() const { return acknowledged_; }
  /// True when something must be there of this group.
  bool Holds(const std::string& group, const MayBeGone& may_be_gone) const {
    return std::any_of(sure_.begin(), sure_.end(), [&](const auto& committed) {
      return committed.first.group == group && !may_be_gone(committed.first.at.topic);
    });
  }
  /// The disk is another one, or was set back: whatever it holds is taken as it is.
  void Forget() {
    possible_.clear();
    sure_.clear();
    forgot_ = true;
  }
  /// What is there of these may be lost: their documents are damaged, or nobody heard whether they were
  /// deleted.
  void MayBeLost(const std::function<bool(const Place&)>& which) {
    std::erase_if(sure_, [&](const auto& committed) { return which(committed.first); });
  }
  /// They were deleted: nothing that was committed so far may be there.
  void Deleted(const std::function<bool(const Place&)>& which) {
    MayBeLost(which);
    std::erase_if(possible_, [&](const auto& submitted) { return which(submitted.first); });
  }
  /// Compares with what is there; empty, or what is wrong.
  std::string Compare(const kafka::GroupService& groups, const MayBeGone& may_be_gone = Never) const {
    return Compare(Found(groups), may_be_gone);
  }
  /// Compares with what was opened, and takes that over; empty, or what is wrong.
  std::string Restored(const kafka::GroupService& groups, const MayBeGone& may_be_gone = Never) {
    const Offsets found = Found(groups);
    const std::string wrong = Compare(found, may_be_gone);
    forgot_ = false;
    possible_.clear();
    sure_ = found;
    for (const auto& [place, offset] : found) possible_[place] = {offset};
    return wrong;
  }

 private:
  using Offsets = std::map<Place, int64_t>;

  static Offsets Found(const kafka::GroupService& groups) {
    Offsets found;
    for (const auto& group : groups.List({}, {})) {
      for (const auto& [at, committed] : groups.FetchAll(group.group))
        found[{group.group, at}] = committed.offset;
    }
    return found;
  }
  std::string Compare(const Offsets& found, const MayBeGone& may_be_gone) const {
    for (const auto& [place, offset] : sure_) {
      if (found.contains(place) || may_be_gone(place.at.topic)) continue;
      return fmt::format("the offset that {} committed for {}/{} is gone: {}", place.group, place.at.topic,
                         place.at.partition, offset);
    }
    for (const auto& [place, offset] : found) {
      const auto possible = possible_.find(place);
      const bool known =
          possible != possible_.end() &&
          std::find(possible->second.begin(), possible->second.end(), offset) != possible->second.end();
      if (known || forgot_) continue;
      return fmt::format("{} has offset {} for {}/{}, and had {} acknowledged", place.group, offset,
                         place.at.topic, place.at.partition, sure_.contains(place) ? sure_.at(place) : -1);
    }
    return "";
  }

  std::map<Place, std::deque<int64_t>> possible_;  // acknowledged last, and all after it
  Offsets sure_;
  int64_t last_ = 0;
  uint64_t acknowledged_ = 0;
  bool forgot_ = false;
};

}  // namespace selvage::test
