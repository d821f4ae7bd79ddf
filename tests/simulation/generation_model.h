#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace selvage::sim {

/// What one node told the members of its consumer groups, and who of them may therefore not commit any more.
/// A generation is durable before anybody hears of it, so this holds over crashes; but for who left, who is a
/// member again when the node starts before the next generation is stored.
class GenerationModel {
 public:
  /// The disk is another one, or was set back.
  void Forget() { groups_.clear(); }
  /// The group may be gone, or began anew.
  void Forget(const std::string& group) { groups_.erase(group); }

  /// The node starts again.
  void Restarted() {
    for (auto& [name, group] : groups_) group.left.clear();
  }

  /// A member was told this generation. With `may_be_new` the group may have been forgotten since, as one
  /// without members and offsets is after a while. Empty, or what is wrong.
  std::string Told(const std::string& group, int32_t generation, bool may_be_new) {
    Group& known = groups_[group];
    const bool back = generation < known.told || generation <= known.closed;
    if (back && !may_be_new) {
      return fmt::format("generation {} of {} begins after {}{}", generation, group, known.told,
                         generation <= known.closed ? ", when nobody was left of it" : "");
    }
    if (back) known = Group();
    known.told = generation;
    return "";
  }
  /// A member left.
  void Left(const std::string& group, const std::string& member) { groups_[group].left.insert(member); }
  /// Another took a member's place.
  void Replaced(const std::string& group, const std::string& member) {
    groups_[group].replaced.insert(member);
  }
  /// The group was seen without members: who is in it later is of another generation.
  void Emptied(const std::string& group) { groups_[group].closed = groups_[group].told; }

  /// Why a commit of this member must not be taken; empty when it may be.
  std::string Fenced(const std::string& group, const std::string& member, int32_t generation) const {
    const auto known = groups_.find(group);
    if (known == groups_.end()) return "";
    if (generation < known->second.told) return fmt::format("generation {} has begun", known->second.told);
    if (generation <= known->second.closed) return "the group was empty since";
    if (known->second.replaced.contains(member)) return "another took its place";
    return known->second.left.contains(member) ? "it left" : "";
  }

 private:
  struct Group {
    int32_t told = -1;    ///< the newest generation that a member heard of
    int32_t closed = -1;  ///< nobody is left of this one and those before
    std::set<std::string> left;
    std::set<std::string> replaced;
  };
  std::map<std::string, Group> groups_;
};

}  // namespace selvage::sim
