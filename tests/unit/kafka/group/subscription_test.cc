#include "fabric/kafka/group/subscription.h"

#include <gtest/gtest.h>

#include "fabric/base/endian.h"

namespace selvage::kafka::group {
namespace {

std::string Subscription(int32_t count, const std::vector<std::string>& topics) {
  std::string bytes;
  AppendBig<int16_t>(bytes, 1);
  AppendBig<int32_t>(bytes, count);
  for (const std::string& topic : topics) {
    AppendBig<int16_t>(bytes, static_cast<int16_t>(topic.size()));
    bytes += topic;
  }
  return bytes;
}

TEST(GroupSubscription, NamesItsTopicsOnceAndInOrder) {
  EXPECT_EQ(SubscribedTopics(Subscription(3, {"b", "a", "b"}) + "user data"),
            (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(SubscribedTopics(Subscription(0, {})), std::vector<std::string>{});
}

TEST(GroupSubscription, CutOffAnywhereIsNone) {
  const std::string bytes = Subscription(2, {"orders", "payments"});
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(SubscribedTopics(bytes.substr(0, size))) << size;
}

TEST(GroupSubscription, FalseCountsAreNone) {
  EXPECT_FALSE(SubscribedTopics(Subscription(-1, {})));
  EXPECT_FALSE(SubscribedTopics(Subscription(INT32_MAX, {"a"})));
  std::string negative_length = Subscription(1, {});
  AppendBig<int16_t>(negative_length, -1);
  EXPECT_FALSE(SubscribedTopics(negative_length));
}

}  // namespace
}  // namespace selvage::kafka::group
