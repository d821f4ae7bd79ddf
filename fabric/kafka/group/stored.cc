#include "fabric/kafka/group/stored.h"

#include <fmt/format.h>

#include <utility>

#include "fabric/base/endian.h"
#include "fabric/base/error.h"

namespace selvage::kafka::group {
namespace {

// The group's name comes first with its length, so that no name is a prefix of another one's keys.
constexpr char kGroupDocument = 0;
constexpr char kOffsetDocument = 1;
constexpr char kBehindDocuments = 2;

std::string Prefix(std::string_view group, char kind) {
  std::string key;
  AppendBig<uint32_t>(key, static_cast<uint32_t>(group.size()));
  key.append(group);
  key.push_back(kind);
  return key;
}

}  // namespace

std::string GroupKey(std::string_view group) {
  return Prefix(group, kGroupDocument);
}

std::string OffsetKey(std::string_view group, const TopicPartition& at) {
  std::string key = Prefix(group, kOffsetDocument);
  key.append(at.topic);
  AppendBig<int32_t>(key, at.partition);
  return key;
}

std::pair<std::string, std::string> GroupKeyRange(std::string_view group) {
  return {Prefix(group, kGroupDocument), Prefix(group, kBehindDocuments)};
}

absl::StatusOr<DocumentKey> ParseKey(std::string_view key) {
  const auto bad = [&] {
    return MakeError(absl::StatusCode::kDataLoss, "group_key_damaged",
                     fmt::format("{} bytes are not the key of a consumer group's document", key.size()));
  };
  if (key.size() < sizeof(uint32_t)) return bad();
  const size_t name = LoadBig<uint32_t>(key.data());
  std::string_view rest = key.substr(sizeof(uint32_t));
  if (name >= rest.size()) return bad();
  DocumentKey parsed{std::string(rest.substr(0, name)), std::nullopt};
  const char kind = rest[name];
  rest.remove_prefix(name + 1);
  if (kind == kGroupDocument && rest.empty()) return parsed;
  if (kind != kOffsetDocument || rest.size() < sizeof(int32_t)) return bad();
  const size_t topic = rest.size() - sizeof(int32_t);
  parsed.offset_of =
      TopicPartition{std::string(rest.substr(0, topic)), LoadBig<int32_t>(rest.data() + topic)};
  return parsed;
}

std::string GroupOf(std::string_view key) {
  auto parsed = ParseKey(key);
  return parsed.ok() ? parsed->group : "unknown";
}

Write PutGroup(std::string_view group, const v1::StoredGroup& document) {
  return {Write::Kind::kPut, GroupKey(group), document.SerializeAsString()};
}

Write PutOffset(std::string_view group, const TopicPartition& at, const CommittedOffset& offset) {
  v1::StoredOffset document;
  document.set_offset(offset.offset);
  document.set_leader_epoch(offset.leader_epoch);
  document.set_metadata(offset.metadata);
  document.set_commit_ms(offset.commit_ms);
  return {Write::Kind::kPut, OffsetKey(group, at), document.SerializeAsString()};
}

Write DeleteOffset(std::string_view group, const TopicPartition& at) {
  return {Write::Kind::kDelete, OffsetKey(group, at), {}};
}

Write DeleteGroup(std::string_view group) {
  auto [from, to] = GroupKeyRange(group);
  return {Write::Kind::kDeleteRange, std::move(from), std::move(to)};
}

CommittedOffset FromStored(const v1::StoredOffset& document) {
  return {document.offset(), document.leader_epoch(), document.metadata(), document.commit_ms()};
}

}  // namespace selvage::kafka::group
