#include "fabric/table/table_keys.h"

#include "fabric/base/endian.h"

namespace selvage::table {
namespace {

/// Tables are numbered from 1 on, one after the other.
constexpr uint32_t kOfOwner = 1u << 31;
constexpr size_t kFeedPrefixSize = 1 + sizeof(uint32_t);

std::string Numbered(std::string_view prefix, TableNumber table) {
  std::string key(prefix);
  AppendBig<uint32_t>(key, table.value());
  return key;
}

}  // namespace

std::string TableKey(TableNumber table) {
  return Numbered(kTablePrefix, table);
}

std::string TableCountsKey(TableNumber table) {
  return Numbered(kTableCountsPrefix, table);
}

std::string TableCursorKeys(TableNumber table) {
  return Numbered(kTableCursorPrefix, table);
}

std::string TableReaderKeys(TableNumber table) {
  return Numbered(kTableReaderPrefix, table);
}

std::string TableIndexKeys(TableNumber table) {
  return Numbered(kTableIndexPrefix, table);
}

std::string TableIndexKey(TableNumber table, uint32_t index) {
  std::string key = TableIndexKeys(table);
  AppendBig<uint32_t>(key, index);
  return key;
}

std::string RowKeys(TableNumber table) {
  return Numbered("", table);
}

std::string RowKey(TableNumber table, std::string_view key) {
  std::string row = RowKeys(table);
  row += key;
  return row;
}

std::string OwnedStateKeys(TableNumber table) {
  return RowKeys(TableNumber(table.value() | kOfOwner));
}

std::string OwnedStateKey(TableNumber table, std::string_view key) {
  std::string state = OwnedStateKeys(table);
  state += key;
  return state;
}

std::string FeedKeys(FeedIndex index, TableNumber table) {
  const char letter = static_cast<char>(index);
  return Numbered({&letter, 1}, table);
}

std::string FeedKey(FeedIndex index, TableNumber table, uint64_t number, std::string_view key) {
  std::string feed_key = FeedKeys(index, table);
  AppendBig<uint64_t>(feed_key, number);
  feed_key += key;
  return feed_key;
}

std::string AheadKey(TableNumber table, int64_t due_ms, uint64_t number) {
  std::string key = FeedKey(FeedIndex::kAhead, table, static_cast<uint64_t>(due_ms));
  AppendBig<uint64_t>(key, number);
  return key;
}

uint64_t NumberOfAheadKey(std::string_view ahead_key) {
  return LoadBig<uint64_t>(ahead_key.data() + ahead_key.size() - sizeof(uint64_t));
}

uint64_t NumberOfFeedKey(std::string_view feed_key) {
  return LoadBig<uint64_t>(feed_key.data() + kFeedPrefixSize);
}

std::string_view RowOfFeedKey(std::string_view feed_key) {
  return feed_key.substr(kFeedPrefixSize + sizeof(uint64_t));
}

std::string ValueKeys(TableNumber table, uint32_t index) {
  std::string keys = FeedKeys(FeedIndex::kValue, table);
  AppendBig<uint32_t>(keys, index);
  return keys;
}

std::string EndOfPrefix(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (!prefix.empty()) ++prefix.back();
  return prefix;
}

}  // namespace selvage::table
