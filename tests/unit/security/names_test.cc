#include "fabric/base/names.h"

#include <gtest/gtest.h>

#include <string>

namespace selvage {
namespace {

TEST(NamesTest, DnsLabel) {
  for (std::string good : {std::string("a"), std::string("0"), std::string("rig-7"), std::string("a--b"),
                           std::string(63, 'x')}) {
    EXPECT_TRUE(IsDnsLabel(good)) << good;
  }
  for (std::string bad :
       {std::string(), std::string("-a"), std::string("a-"), std::string("-"), std::string("A"),
        std::string("a.b"), std::string("a_b"), std::string("a b"), std::string("a/b"),
        std::string("\xc3\xa9"), std::string("a\0b", 3), std::string(64, 'x')}) {
    EXPECT_FALSE(IsDnsLabel(bad)) << bad;
  }
}

TEST(NamesTest, DnsName) {
  const std::string label(63, 'x');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'y');
  ASSERT_EQ(longest.size(), 253u);
  for (const std::string& good : {std::string("local"), std::string("fleet.example.org"), longest}) {
    EXPECT_TRUE(IsDnsName(good)) << good;
  }
  for (const std::string& bad :
       {std::string(), std::string("."), std::string("a."), std::string(".a"), std::string("a..b"),
        std::string("a.-b"), std::string("a:1"), longest + "y"}) {
    EXPECT_FALSE(IsDnsName(bad)) << bad;
  }
}

TEST(NamesTest, StreamName) {
  for (std::string good : {std::string("sensors"), std::string("A_b-9"), std::string("-"), std::string("a.b"),
                           std::string("..."), std::string(249, 's')}) {
    EXPECT_TRUE(IsStreamName(good)) << good;
  }
  for (std::string bad :
       {std::string(), std::string("."), std::string(".."), std::string("a b"), std::string("a/b"),
        std::string("\xff"), std::string("a\0", 2), std::string(250, 's')}) {
    EXPECT_FALSE(IsStreamName(bad)) << bad;
  }
}

}  // namespace
}  // namespace selvage
