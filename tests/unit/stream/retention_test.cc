#include "fabric/stream/retention.h"

#include <gtest/gtest.h>

namespace selvage {
namespace {

struct TrimCase {
  const char* name;
  bool replicated;
  bool keep_after_ack;
  v1::OnFull on_full;
  int64_t acknowledged;
  int64_t expired_to;
  int64_t to;                   // -1: no trim
  int64_t unacknowledged_from;  // -1: none
};

// The log holds [100, 200).
constexpr TrimCase kCases[] = {
    {"LocalExpires", false, false, v1::REJECT, 0, 150, 150, -1},
    {"LocalKeepsAll", false, false, v1::REJECT, 0, 100, -1, -1},
    {"LocalExpiresAll", false, true, v1::REJECT, 0, 999, 200, -1},
    {"AcknowledgedGoesAtOnce", true, false, v1::REJECT, 130, 100, 130, -1},
    {"AcknowledgedGoesAtOnceToTheEnd", true, false, v1::REJECT, 200, 100, 200, -1},
    {"AcknowledgedIsKept", true, true, v1::REJECT, 130, 100, -1, -1},
    {"AcknowledgedIsKeptUntilExpired", true, true, v1::REJECT, 130, 120, 120, -1},
    {"UnacknowledgedNeverExpires", true, true, v1::REJECT, 130, 180, 130, -1},
    {"UnacknowledgedNeverExpiresAtAll", true, false, v1::REJECT, 0, 180, -1, -1},
    {"UnacknowledgedExpiresByPolicy", true, true, v1::DROP_OLDEST, 130, 180, 180, 130},
    {"NothingAcknowledgedExpiresByPolicy", true, true, v1::DROP_OLDEST, 0, 180, 180, 100},
    {"AcknowledgedIsNoGap", true, true, v1::DROP_OLDEST, 190, 180, 180, -1},
    {"AcknowledgedBeforeTheStart", true, false, v1::REJECT, 50, 100, -1, -1},
    {"AcknowledgedBeyondTheEnd", true, false, v1::REJECT, 500, 100, 200, -1},
};

class PlanTrimTable : public ::testing::TestWithParam<TrimCase> {};
INSTANTIATE_TEST_SUITE_P(Retention, PlanTrimTable, ::testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_P(PlanTrimTable, Decides) {
  const TrimCase& c = GetParam();
  v1::StreamSettings settings;
  settings.set_keep_after_ack(c.keep_after_ack);
  settings.set_on_full(c.on_full);
  const RetentionView view{.start = Offset(100),
                           .end = Offset(200),
                           .bytes_before_start = 0,
                           .log_bytes = 0,
                           .replicated = c.replicated,
                           .acknowledged = Offset(c.acknowledged)};
  auto plan = PlanTrim(settings, view, Offset(c.expired_to));
  ASSERT_EQ(plan.has_value(), c.to >= 0);
  if (!plan) return;
  EXPECT_EQ(plan->to, Offset(c.to));
  EXPECT_EQ(plan->unacknowledged_from.value_or(Offset(-1)), Offset(c.unacknowledged_from));
  EXPECT_EQ(plan->reason, GapReason::kExpired);
}

TEST(Cutoffs, OnlyCompactionKeepsTheNewestForEver) {
  v1::StreamSettings settings;
  settings.set_retention_ms(1000);
  settings.set_retention_bytes(10);
  RetentionView log;
  log.end = Offset(10);
  log.log_bytes = 1000;
  settings.set_cleanup(v1::CLEANUP_COMPACT);
  EXPECT_FALSE(AgeCutoff(settings, 5000));
  EXPECT_FALSE(BytesCutoff(settings, log));
  settings.set_cleanup(v1::CLEANUP_COMPACT_DELETE);
  EXPECT_TRUE(AgeCutoff(settings, 5000));
  EXPECT_TRUE(BytesCutoff(settings, log));
}

TEST(Cutoffs, Age) {
  v1::StreamSettings settings;
  EXPECT_EQ(AgeCutoff(settings, 1000), std::nullopt);
  settings.set_retention_ms(300);
  EXPECT_EQ(AgeCutoff(settings, 1000), 700);
  settings.set_retention_ms(INT64_MAX);
  EXPECT_LT(*AgeCutoff(settings, 0), 0);
}

TEST(Cutoffs, Bytes) {
  v1::StreamSettings settings;
  RetentionView view;
  view.bytes_before_start = 1000;
  view.log_bytes = 1500;
  EXPECT_EQ(BytesCutoff(settings, view), std::nullopt);
  settings.set_retention_bytes(500);
  EXPECT_EQ(BytesCutoff(settings, view), std::nullopt) << "as large as it may be";
  settings.set_retention_bytes(400);
  EXPECT_EQ(BytesCutoff(settings, view), 1100u);
}

}  // namespace
}  // namespace selvage
