#include "ctl/line_input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "fabric/base/error.h"
#include "tests/unit/ctl/run_ctl.h"

namespace selvage::ctl {
namespace {

using testing::ElementsAre;

std::vector<std::string> Available(LineInput& input) {
  std::vector<std::string> lines;
  while (std::optional<std::string_view> line = input.Next()) lines.emplace_back(*line);
  return lines;
}

TEST(LineInputTest, LinesThatArriveInPiecesAreWhole) {
  InputPipe pipe;
  LineInput input(pipe.read_end(), 1000);
  pipe.Write("one\ntw");
  ASSERT_TRUE(input.ReadSome().ok());
  EXPECT_THAT(Available(input), ElementsAre("one"));
  pipe.Write("o\n\nthree\r\nfo");
  ASSERT_TRUE(input.ReadSome().ok());
  EXPECT_THAT(Available(input), ElementsAre("two", "", "three\r"));
  pipe.Write("ur");
  pipe.CloseWrite();
  ASSERT_TRUE(input.ReadSome().ok());
  EXPECT_THAT(Available(input), ElementsAre());
  EXPECT_FALSE(input.at_end());
  ASSERT_TRUE(input.ReadSome().ok());
  EXPECT_TRUE(input.at_end());
  EXPECT_THAT(Available(input), ElementsAre("four"));
}

TEST(LineInputTest, ALineEndAtTheEndStartsNoFurtherLine) {
  InputPipe pipe;
  LineInput input(pipe.read_end(), 1000);
  pipe.Write("last\n");
  pipe.CloseWrite();
  ASSERT_TRUE(input.ReadSome().ok());
  ASSERT_TRUE(input.ReadSome().ok());
  EXPECT_THAT(Available(input), ElementsAre("last"));
  EXPECT_TRUE(input.at_end());
}

TEST(LineInputTest, ATooLongLineIsAnErrorAndNotUnboundedMemory) {
  InputPipe pipe;
  LineInput input(pipe.read_end(), 10);
  pipe.Write("0123456789a");
  ASSERT_TRUE(input.ReadSome().ok());
  EXPECT_FALSE(input.Next());
  EXPECT_EQ(ErrorKind(input.ReadSome()), "line_too_long");
}

TEST(LineInputTest, AnUnreadableInputIsAnError) {
  LineInput input(-1, 10);
  EXPECT_EQ(ErrorKind(input.ReadSome()), "input_unreadable");
}

}  // namespace
}  // namespace selvage::ctl
