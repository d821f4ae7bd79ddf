#include "fabric/kafka/group/stored.h"

#include <gtest/gtest.h>

namespace selvage::kafka::group {
namespace {

TEST(GroupKeys, HaveTheirGoldenBytes) {
  EXPECT_EQ(GroupKey("grp"), std::string("\0\0\0\3grp\0", 8));
  EXPECT_EQ(OffsetKey("grp", {"orders", 258}), std::string("\0\0\0\3grp\1orders\0\0\1\2", 18));
}

TEST(GroupKeys, AreReadBack) {
  for (const std::string& group :
       {std::string(), std::string("g"), std::string("a\0b", 3), std::string(40'000, 'x')}) {
    const auto of_group = ParseKey(GroupKey(group));
    ASSERT_TRUE(of_group.ok());
    EXPECT_EQ(of_group->group, group);
    EXPECT_FALSE(of_group->offset_of);
    const auto of_offset = ParseKey(OffsetKey(group, {"t", 7}));
    ASSERT_TRUE(of_offset.ok());
    EXPECT_EQ(of_offset->group, group);
    EXPECT_EQ(of_offset->offset_of, (TopicPartition{"t", 7}));
  }
}

TEST(GroupKeys, OtherBytesAreRefused) {
  const std::string good = OffsetKey("grp", {"", 7});
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(ParseKey(good.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(ParseKey(GroupKey("grp") + "x").ok());
  EXPECT_FALSE(ParseKey(std::string("\xff\xff\xff\xffgrp\0", 8)).ok());
}

TEST(GroupKeys, OfOneGroupLieInOneRangeWithoutThoseOfAnother) {
  const auto [from, to] = GroupKeyRange("grp");
  for (const std::string& key : {GroupKey("grp"), OffsetKey("grp", {"t", 0}), OffsetKey("grp", {"t", -1})}) {
    EXPECT_LE(from, key);
    EXPECT_LT(key, to);
  }
  for (const std::string group : {"gr", "grp1", "grq", ""}) {
    for (const std::string& key : {GroupKey(group), OffsetKey(group, {"t", 0})}) {
      EXPECT_TRUE(key < from || key >= to) << group;
    }
  }
}

}  // namespace
}  // namespace selvage::kafka::group
