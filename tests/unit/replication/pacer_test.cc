#include "fabric/replication/pacer.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace selvage::replication {
namespace {

/// Hands frames to a link of a fixed rate and delay as fast as the pacer lets it, and reports what arrived.
class FixedLink {
 public:
  FixedLink(Pacer& pacer, double rate, absl::Duration round_trip)
      : pacer_(pacer), rate_(rate), trip_(round_trip) {}

  void Run(absl::Duration time) {
    absl::Duration until = now + time;
    while (now < until) {
      while (!arriving_.empty() && arriving_.front().second <= now) {
        ASSERT_TRUE(pacer_.Received(arriving_.front().first, now));
        arriving_.pop_front();
      }
      for (size_t frame; (frame = pacer_.NextFrame(size_t{1} << 30, now)) > 0;) {
        pacer_.Sent(frame, now);
        sent += frame;
        free_at_ = std::max(free_at_, now) + absl::Seconds(static_cast<double>(frame) / rate_);
        arriving_.emplace_back(sent, free_at_ + trip_);
      }
      absl::Duration next = arriving_.empty() ? until : arriving_.front().second;
      next = std::min(next, pacer_.NextFrameAt(size_t{1} << 30, now));
      now = std::min(until, next);
    }
  }

  absl::Duration now = absl::Seconds(5);
  uint64_t sent = 0;

 private:
  Pacer& pacer_;
  double rate_;
  absl::Duration trip_;
  absl::Duration free_at_;
  std::deque<std::pair<uint64_t, absl::Duration>> arriving_;
};

TEST(Pacer, LetsLittleOutBeforeTheFirstMeasurement) {
  Pacer pacer(0);
  EXPECT_EQ(pacer.rate(), 0);
  absl::Duration now = absl::Seconds(1);
  const absl::Duration begun = now;
  uint64_t sent = 0;
  for (absl::Duration at = now; at < absl::InfiniteDuration(); at = pacer.NextFrameAt(1 << 20, now)) {
    now = at;
    size_t frame = pacer.NextFrame(1 << 20, now);
    ASSERT_GT(frame, 0u);
    pacer.Sent(frame, now);
    sent += frame;
  }
  EXPECT_EQ(sent, pacer.in_flight());
  EXPECT_LE(sent, 8u << 10);
  EXPECT_GE(sent, 4u << 10);
  EXPECT_LE(now - begun, absl::Milliseconds(100));
  EXPECT_EQ(pacer.NextFrame(1 << 20, now + absl::Hours(1)), 0u);
}

// What is written at once arrives at once, when all of it is through.
TEST(Pacer, FramesOnASlowLinkAreApart) {
  Pacer pacer(0);
  FixedLink link(pacer, 8e3, absl::Milliseconds(600));
  link.Run(absl::Seconds(20));
  absl::Duration now = link.now;
  ASSERT_TRUE(pacer.Received(link.sent, now));  // the whole window is free at once
  const absl::Duration begun = now;
  int frames = 0;
  for (absl::Duration at = pacer.next_at(); at < absl::InfiniteDuration();
       at = pacer.NextFrameAt(1 << 20, now)) {
    EXPECT_GE(at - now, absl::Milliseconds(frames > 0 ? 20 : 0));
    now = std::max(now, at);
    size_t frame = pacer.NextFrame(1 << 20, now);
    ASSERT_GT(frame, 0u);
    pacer.Sent(frame, now);
    EXPECT_EQ(pacer.NextFrame(1 << 20, now), 0u);
    ++frames;
  }
  EXPECT_GE(frames, 4);
  EXPECT_LE(now - begun, absl::Seconds(1));
}

TEST(Pacer, FramesOnAFastLinkNeedNotBeApart) {
  Pacer pacer(0);
  FixedLink link(pacer, 100e6, absl::Milliseconds(10));
  link.Run(absl::Seconds(20));
  ASSERT_TRUE(pacer.Received(link.sent, link.now));
  size_t frames = 0;
  while (size_t frame = pacer.NextFrame(1 << 20, link.now)) {
    pacer.Sent(frame, link.now);
    ++frames;
  }
  EXPECT_GE(frames, 4u);
}

TEST(Pacer, AnUrgentFrameIsNotHeldUpByAFullWindow) {
  Pacer pacer(0);
  FixedLink link(pacer, 8e3, absl::Milliseconds(600));
  link.Run(absl::Seconds(20));
  ASSERT_EQ(pacer.NextFrame(1 << 20, link.now), 0u);
  ASSERT_GE(pacer.NextFrame(200, link.now, true), 200u);
  // But one frame's worth only.
  size_t ahead = 0;
  absl::Duration now = link.now;
  while (size_t frame = pacer.NextFrame(1 << 20, now, true)) {
    pacer.Sent(frame, now);
    ahead += frame;
    now = std::max(now, pacer.next_at());
  }
  EXPECT_GT(ahead, 0u);
  EXPECT_LE(pacer.in_flight(), pacer.window() + pacer.FrameBytes());
  EXPECT_FALSE(pacer.window_open(true));
}

TEST(Pacer, ControlFramesTakeTheirTime) {
  Pacer pacer(0);
  FixedLink link(pacer, 8e3, absl::Milliseconds(600));
  link.Run(absl::Seconds(20));
  absl::Duration now = link.now + absl::Seconds(5);
  ASSERT_TRUE(pacer.Received(link.sent, now));
  ASSERT_GT(pacer.NextFrame(1 << 20, now), 0u);
  pacer.SentControl(300, now);
  EXPECT_EQ(pacer.NextFrame(1 << 20, now), 0u);
  EXPECT_GT(pacer.NextFrame(1 << 20, now, true), 0u);
  // However many.
  for (int i = 0; i < 1000; ++i) pacer.SentControl(300, now);
  EXPECT_GT(pacer.NextFrame(1 << 20, now + absl::Milliseconds(251)), 0u);
}

TEST(Pacer, RefusesArrivalsThatWereNeverSent) {
  Pacer pacer(0);
  pacer.Sent(100, absl::Seconds(1));
  EXPECT_FALSE(pacer.Received(101, absl::Seconds(2)));
  EXPECT_TRUE(pacer.Received(100, absl::Seconds(2)));
  EXPECT_TRUE(pacer.Received(50, absl::Seconds(3)));  // an older report
  EXPECT_EQ(pacer.in_flight(), 0u);
}

TEST(Pacer, MeasuresRateAndBaseDelay) {
  for (double rate : {8e3, 1e6, 100e6}) {
    Pacer pacer(0);
    FixedLink link(pacer, rate, absl::Milliseconds(100));
    link.Run(absl::Seconds(40));
    EXPECT_NEAR(pacer.rate() / rate, 1, 0.1);
    EXPECT_GE(pacer.base_delay(), absl::Milliseconds(100));
    EXPECT_LE(pacer.base_delay(), absl::Milliseconds(400));
    EXPECT_LE(static_cast<double>(pacer.FrameBytes()), std::max(1024.0, rate * 0.26));
    EXPECT_LE(pacer.FrameBytes(), 128u << 10);
    EXPECT_GT(static_cast<double>(link.sent) / 40 / rate, 0.85);
  }
}

// A standing queue of our own must not be taken for the link's delay, however long it stands.
TEST(Pacer, BaseDelayDoesNotDriftUnderConstantLoad) {
  Pacer pacer(0);
  FixedLink link(pacer, 8e3, absl::Milliseconds(600));
  link.Run(absl::Seconds(60));
  size_t window = pacer.window();
  for (int i = 0; i < 60; ++i) {
    link.Run(absl::Seconds(59));
    EXPECT_LE(pacer.base_delay(), absl::Milliseconds(900)) << i;
    EXPECT_LE(pacer.window(), window + window / 4) << i;
  }
}

TEST(Pacer, FramesThatWaitAreNotSmall) {
  Pacer pacer(0);
  FixedLink link(pacer, 100e3, absl::Milliseconds(100));
  link.Run(absl::Seconds(20));
  absl::Duration now = link.now;
  size_t smallest = 1 << 20;
  while (size_t frame = pacer.NextFrame(1 << 20, now)) {
    pacer.Sent(frame, now);
    smallest = std::min(smallest, frame);
    now = std::max(now, pacer.next_at());
  }
  EXPECT_TRUE(smallest == 1 << 20 || smallest >= pacer.FrameBytes() / 2);
}

TEST(Pacer, LittleTrafficDoesNotLowerTheRate) {
  Pacer pacer(0);
  FixedLink link(pacer, 1e6, absl::Milliseconds(50));
  link.Run(absl::Seconds(10));
  double rate = pacer.rate();
  absl::Duration now = link.now + absl::Seconds(1);
  pacer.Received(link.sent, now);
  pacer.Idle();
  uint64_t sent = link.sent;
  for (int i = 0; i < 100; ++i) {
    for (int frame = 0; frame < 3; ++frame) pacer.Sent(200, now);
    pacer.Idle();
    sent += 600;
    now += absl::Milliseconds(50);
    ASSERT_TRUE(pacer.Received(sent, now));
    now += absl::Milliseconds(950);
  }
  EXPECT_EQ(pacer.rate(), rate);
  // But what was long ago is not trusted at once.
  EXPECT_LE(pacer.window(), 16u << 10);
}

TEST(Pacer, MaxRateIsATokenBucket) {
  Pacer pacer(10000);
  absl::Duration now = absl::Seconds(1);
  uint64_t sent = 0;
  absl::Duration until = now + absl::Seconds(100);
  while (now < until) {
    while (size_t frame = pacer.NextFrame(1 << 20, now)) {
      pacer.Sent(frame, now);
      sent += frame;
      pacer.Received(sent, now + absl::Milliseconds(1));
    }
    absl::Duration next = pacer.NextFrameAt(1 << 20, now);
    ASSERT_GT(next, now);
    ASSERT_LE(next, now + absl::Milliseconds(300));
    now = next;
  }
  EXPECT_NEAR(static_cast<double>(sent), 1e6, 1e4);
}

TEST(Pacer, SmallFramePassesASmallMaxRate) {
  Pacer pacer(100);  // less than one frame in ten seconds
  absl::Duration now = absl::Seconds(1);
  EXPECT_EQ(pacer.NextFrame(200, now), 0u);
  absl::Duration at = pacer.NextFrameAt(200, now);
  EXPECT_LE(at, now + absl::Seconds(2.1));
  EXPECT_EQ(pacer.NextFrame(200, at), 200u);
}

}  // namespace
}  // namespace selvage::replication
