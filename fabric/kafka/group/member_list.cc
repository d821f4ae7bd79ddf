#include "fabric/kafka/group/member_list.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "fabric/base/check.h"

namespace selvage::kafka::group {
namespace {

// A member's own fields, its places in the indexes and what allocation adds.
constexpr size_t kMemberOverhead = 512;
constexpr size_t kProtocolOverhead = 128;

}  // namespace

std::string_view Member::MetadataFor(std::string_view protocol) const {
  for (const Protocol& offered : protocols) {
    if (offered.name == protocol) return offered.metadata;
  }
  return {};
}

size_t Member::Bytes() const {
  return kMemberOverhead + 2 * id.size() + 2 * (instance_id ? instance_id->size() : 0) + client_id.size() +
         client_host.size() + BytesOf(protocols) + assignment.size();
}

Member* MemberList::Find(std::string_view id) {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second;
}

const Member* MemberList::Find(std::string_view id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second;
}

Member* MemberList::FindInstance(std::string_view instance_id) {
  const auto found = id_of_instance_.find(std::string(instance_id));
  return found == id_of_instance_.end() ? nullptr : Find(found->second);
}

Member& MemberList::Add(Member member, std::optional<uint64_t> order) {
  member.order = order ? *order : next_order_;
  next_order_ = std::max(next_order_, member.order + 1);
  if (member.instance_id) {
    SELVAGE_CHECK(id_of_instance_.emplace(*member.instance_id, member.id).second);
  }
  std::string id = member.id;
  auto [at, added] = by_id_.emplace(std::move(id), std::move(member));
  SELVAGE_CHECK(added);
  SELVAGE_CHECK(by_age_.emplace(at->second.order, &at->second).second);
  Count(at->second, 1);
  bytes_ += at->second.Bytes();
  return at->second;
}

void MemberList::Remove(std::string_view id) {
  const auto at = by_id_.find(id);
  SELVAGE_CHECK(at != by_id_.end());
  Member& member = at->second;
  bytes_ -= member.Bytes();
  Count(member, -1);
  by_age_.erase(member.order);
  if (member.instance_id) id_of_instance_.erase(*member.instance_id);
  by_id_.erase(at);
}

void MemberList::SetProtocols(Member& member, std::vector<Protocol> protocols) {
  bytes_ -= member.Bytes();
  Count(member, -1);
  member.protocols = std::move(protocols);
  Count(member, 1);
  bytes_ += member.Bytes();
}

void MemberList::SetAssignment(Member& member, std::string assignment) {
  bytes_ += assignment.size();
  bytes_ -= member.assignment.size();
  member.assignment = std::move(assignment);
}

void MemberList::Count(const Member& member, int by) {
  for (const Protocol& protocol : member.protocols) {
    size_t& count = supporters_[protocol.name];
    count = by > 0 ? count + 1 : count - 1;
    if (count == 0) supporters_.erase(protocol.name);
  }
}

bool MemberList::AllSupport(std::string_view protocol) const {
  if (empty()) return true;
  const auto found = supporters_.find(std::string(protocol));
  return found != supporters_.end() && found->second == size();
}

std::string MemberList::Vote() const {
  absl::flat_hash_map<std::string, size_t> votes;
  for (const auto& [order, member] : by_age_) {
    const auto first = std::find_if(member->protocols.begin(), member->protocols.end(),
                                    [this](const Protocol& protocol) { return AllSupport(protocol.name); });
    if (first == member->protocols.end()) return {};
    ++votes[first->name];
  }
  if (empty()) return {};
  std::string winner;
  size_t most = 0;
  for (const Protocol& protocol : by_age_.begin()->second->protocols) {
    const auto count = votes.find(protocol.name);
    if (count == votes.end() || count->second <= most) continue;
    most = count->second;
    winner = protocol.name;
  }
  return winner;
}

absl::Duration MemberList::MaxRebalanceTimeout() const {
  absl::Duration longest;
  for (const auto& [id, member] : by_id_) longest = std::max(longest, member.rebalance_timeout);
  return longest;
}

std::vector<Member*> MemberList::ByAge() {
  std::vector<Member*> members;
  members.reserve(by_age_.size());
  for (const auto& [order, member] : by_age_) members.push_back(member);
  return members;
}

std::vector<const Member*> MemberList::ByAge() const {
  std::vector<const Member*> members;
  members.reserve(by_age_.size());
  for (const auto& [order, member] : by_age_) members.push_back(member);
  return members;
}

std::vector<Protocol> WithoutRepeats(std::vector<Protocol> protocols) {
  absl::flat_hash_set<std::string> seen;
  std::erase_if(protocols, [&seen](const Protocol& protocol) { return !seen.insert(protocol.name).second; });
  return protocols;
}

size_t BytesOf(const std::vector<Protocol>& protocols) {
  size_t bytes = 0;
  for (const Protocol& protocol : protocols) {
    bytes += kProtocolOverhead + 2 * protocol.name.size() + protocol.metadata.size();
  }
  return bytes;
}

}  // namespace selvage::kafka::group
