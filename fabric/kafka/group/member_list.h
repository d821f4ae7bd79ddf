#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "fabric/kafka/group/types.h"

namespace selvage::kafka::group {

/// One member of a group, with what it waits for.
struct Member {
  std::string id;
  std::optional<std::string> instance_id;
  std::string client_id;
  std::string client_host;
  absl::Duration session_timeout;
  absl::Duration rebalance_timeout;
  std::vector<Protocol> protocols;  ///< without repeated names
  std::string assignment;

  uint64_t order = 0;  ///< the older, the smaller
  absl::Duration session_end;
  bool is_new = false;      ///< was never in a generation
  bool knows_id = true;     ///< false: the answer to its first join will tell it
  bool has_synced = false;  ///< asked for its assignment of this generation
  std::optional<RequestId> parked_join;
  std::optional<RequestId> parked_sync;

  bool is_static() const { return instance_id.has_value(); }
  /// What it offers for `protocol`; empty when it does not have it.
  std::string_view MetadataFor(std::string_view protocol) const;
  /// Memory that peers made it take.
  size_t Bytes() const;
};

/// The members of one group: by id, by instance, by age; counts which protocols they have in common.
class MemberList {
 public:
  bool empty() const { return by_id_.empty(); }
  size_t size() const { return by_id_.size(); }
  size_t bytes() const { return bytes_; }

  Member* Find(std::string_view id);
  const Member* Find(std::string_view id) const;
  Member* FindInstance(std::string_view instance_id);

  /// The id and the instance must be free. The new member is the youngest, unless `order` gives it a place.
  Member& Add(Member member, std::optional<uint64_t> order = std::nullopt);
  void Remove(std::string_view id);
  void SetProtocols(Member& member, std::vector<Protocol> protocols);
  void SetAssignment(Member& member, std::string assignment);

  /// Whether all members have the protocol in common; true for every one without members.
  bool AllSupport(std::string_view protocol) const;
  /// Each member votes for the first of its protocols that all have; ties go to the one that the oldest
  /// member likes better. Empty without members or without a common protocol.
  std::string Vote() const;
  absl::Duration MaxRebalanceTimeout() const;
  /// The oldest first. Valid until a member is added or removed.
  std::vector<Member*> ByAge();
  std::vector<const Member*> ByAge() const;

 private:
  void Count(const Member& member, int by);

  std::map<std::string, Member, std::less<>> by_id_;
  absl::flat_hash_map<std::string, std::string> id_of_instance_;
  std::map<uint64_t, Member*> by_age_;
  absl::flat_hash_map<std::string, size_t> supporters_;  // of each protocol
  uint64_t next_order_ = 0;
  size_t bytes_ = 0;
};

/// The protocols without later repeats of a name.
std::vector<Protocol> WithoutRepeats(std::vector<Protocol> protocols);
/// Memory that a list of protocols takes.
size_t BytesOf(const std::vector<Protocol>& protocols);

}  // namespace selvage::kafka::group
