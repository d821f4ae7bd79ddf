#include "fabric/stream/log_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace selvage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(LogSchedule, GivesWhatIsDueAndOnlyOnce) {
  LogSchedule schedule;
  schedule.Set(LogNumber(1), 30);
  schedule.Set(LogNumber(2), 10);
  schedule.Set(LogNumber(3), LogSchedule::kNever);
  EXPECT_THAT(schedule.TakeDue(9), IsEmpty());
  EXPECT_THAT(schedule.TakeDue(30), ElementsAre(LogNumber(2), LogNumber(1)));
  EXPECT_THAT(schedule.TakeDue(INT64_MAX), IsEmpty());
}

TEST(LogSchedule, TheLastTimeSetCounts) {
  LogSchedule schedule;
  schedule.Set(LogNumber(1), 10);
  schedule.Set(LogNumber(1), 20);
  EXPECT_THAT(schedule.TakeDue(10), IsEmpty());
  schedule.Set(LogNumber(1), 5);
  EXPECT_THAT(schedule.TakeDue(10), ElementsAre(LogNumber(1)));
  schedule.Set(LogNumber(1), 5);
  schedule.Set(LogNumber(1), LogSchedule::kNever);
  EXPECT_THAT(schedule.TakeDue(10), IsEmpty());
}

}  // namespace
}  // namespace selvage
