#include "fabric/replication/status_sender.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace selvage::replication {
namespace {

constexpr double kSlowRate = 8000;
constexpr size_t kPart = 2000;

v1::EdgeStatus StatusOf(int64_t time, int flows, int64_t end = 7) {
  v1::EdgeStatus status;
  status.set_version("0.1.0");
  status.set_time_ms(time);
  for (int i = 0; i < flows; ++i) {
    v1::FlowStatus& flow = *status.add_flows();
    flow.set_stream(fmt::format("stream-{}", i));
    flow.set_state("streaming");
    flow.set_source_end(end);
  }
  return status;
}

/// Takes parts until none is due within `time`, and puts them together.
class Taker {
 public:
  explicit Taker(StatusSender& sender, double rate = kSlowRate) : sender_(sender), rate_(rate) {}

  std::vector<v1::EdgeStatus> Run(absl::Duration time) {
    std::vector<v1::EdgeStatus> whole;
    const absl::Duration until = now + time;
    while (sender_.due_at() <= until) {
      now = std::max(now, sender_.due_at());
      auto part = sender_.Take(kPart, rate_, now);
      if (!part) continue;
      bytes += part->ByteSizeLong();
      largest = std::max(largest, part->ByteSizeLong());
      together_.MergeFrom(part->status());
      if (part->more()) continue;
      whole.push_back(together_);
      together_.Clear();
    }
    now = until;
    return whole;
  }

  absl::Duration now = absl::Seconds(100);
  size_t bytes = 0;
  size_t largest = 0;

 private:
  StatusSender& sender_;
  const double rate_;
  v1::EdgeStatus together_;
};

TEST(StatusSender, ASmallOneGoesAtOnceAndWhole) {
  StatusSender sender;
  EXPECT_EQ(sender.due_at(), absl::InfiniteDuration());
  sender.Offer(StatusOf(1, 3));
  auto part = sender.Take(kPart, 0, absl::Seconds(5));
  ASSERT_TRUE(part.has_value());
  EXPECT_FALSE(part->more());
  EXPECT_EQ(part->status().SerializeAsString(), StatusOf(1, 3).SerializeAsString());
  EXPECT_EQ(sender.due_at(), absl::InfiniteDuration());
}

TEST(StatusSender, ALargeOneGoesInPartsThatJoinToTheSame) {
  StatusSender sender;
  v1::EdgeStatus status = StatusOf(1, 200);
  for (int i = 0; i < 30; ++i) status.add_alarms()->set_message(fmt::format("alarm {}", i));
  status.add_alarms()->set_message(std::string(3 * kPart, 'x'));  // alone larger than a part
  status.add_losses()->set_edge("edge-0");
  sender.Offer(status);
  Taker taker(sender);
  auto whole = taker.Run(absl::Seconds(60));
  ASSERT_EQ(whole.size(), 1u);
  EXPECT_EQ(whole[0].SerializeAsString(), status.SerializeAsString());
  EXPECT_LE(taker.largest, 3 * kPart + 100);
}

TEST(StatusSender, PartsAreNoLargerThanAskedForAndLeaveRoomBetween) {
  StatusSender sender;
  sender.Offer(StatusOf(1, 200));
  absl::Duration now = absl::Seconds(100);
  auto first = sender.Take(kPart, kSlowRate, now);
  ASSERT_TRUE(first.has_value());
  EXPECT_TRUE(first->more());
  EXPECT_LE(first->ByteSizeLong(), kPart + 10);
  EXPECT_GE(first->ByteSizeLong(), kPart / 2);
  EXPECT_FALSE(sender.Take(kPart, kSlowRate, now).has_value());
  EXPECT_GE(sender.due_at() - now, absl::Milliseconds(500));
  EXPECT_LE(sender.due_at() - now, absl::Seconds(2));
}

TEST(StatusSender, TakesASmallShareOfASlowLink) {
  for (int flows : {1, 30, 300}) {
    StatusSender sender;
    Taker taker(sender);
    size_t whole = 0;
    for (int i = 0; i < 600; ++i) {
      sender.Offer(StatusOf(i, flows, i));
      whole += taker.Run(absl::Seconds(2)).size();
    }
    EXPECT_LT(static_cast<double>(taker.bytes), 0.08 * kSlowRate * 1200) << flows;
    EXPECT_GE(whole, flows == 1 ? 600u : 5u) << flows;
  }
}

TEST(StatusSender, IsNotHeldBackOnAFastLink) {
  StatusSender sender;
  Taker taker(sender, 1e6);
  for (int i = 0; i < 10; ++i) {
    sender.Offer(StatusOf(i, 300, i));
    EXPECT_EQ(taker.Run(absl::Seconds(2)).size(), 1u) << i;
  }
}

TEST(StatusSender, TheNewestTakesThePlaceOfOneThatWaits) {
  StatusSender sender;
  Taker taker(sender);
  sender.Offer(StatusOf(1, 100, 1));
  EXPECT_TRUE(taker.Run(absl::Milliseconds(1)).empty());
  sender.Offer(StatusOf(2, 100, 2));
  sender.Offer(StatusOf(3, 100, 3));
  auto whole = taker.Run(absl::Seconds(60));
  ASSERT_EQ(whole.size(), 2u);
  EXPECT_EQ(whole[0].SerializeAsString(), StatusOf(1, 100, 1).SerializeAsString());
  EXPECT_EQ(whole[1].SerializeAsString(), StatusOf(3, 100, 3).SerializeAsString());
}

TEST(StatusSender, AnUnchangedOneIsRepeatedSeldom) {
  StatusSender sender;
  Taker taker(sender);
  size_t sent = 0;
  for (int i = 0; i < 30; ++i) {
    sender.Offer(StatusOf(i, 3));
    sent += taker.Run(absl::Minutes(2)).size();
  }
  EXPECT_GE(sent, 5u);
  EXPECT_LE(sent, 7u);
  sender.Offer(StatusOf(100, 3, 8));
  EXPECT_EQ(taker.Run(absl::Seconds(2)).size(), 1u);
}

}  // namespace
}  // namespace selvage::replication
