#include "fabric/stream/log_changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace selvage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(LogChanges, EachReaderSeesEachChangedLogOnce) {
  LogChanges changes;
  uint64_t one = 0, other = 0;
  changes.Add(LogNumber(1));
  changes.Add(LogNumber(2));
  changes.Note(LogNumber(1));
  EXPECT_THAT(changes.Since(one), ElementsAre(LogNumber(1), LogNumber(2)));
  EXPECT_THAT(changes.Since(one), IsEmpty());
  changes.Note(LogNumber(1));
  EXPECT_THAT(changes.Since(one), ElementsAre(LogNumber(1)));
  EXPECT_THAT(changes.Since(other), ElementsAre(LogNumber(2), LogNumber(1)));
  EXPECT_THAT(changes.Since(other), IsEmpty());
  one = 0;
  EXPECT_THAT(changes.Since(one), ElementsAre(LogNumber(2), LogNumber(1))) << "from the beginning";
}

TEST(LogChanges, ALogThatIsGoneIsNotToldOf) {
  LogChanges changes;
  uint64_t seen = 0;
  changes.Add(LogNumber(1));
  changes.Add(LogNumber(2));
  changes.Forget(LogNumber(1));
  changes.Forget(LogNumber(3));
  changes.Note(LogNumber(1));  // by whoever still holds the log
  EXPECT_THAT(changes.Since(seen), ElementsAre(LogNumber(2)));
}

}  // namespace
}  // namespace selvage
