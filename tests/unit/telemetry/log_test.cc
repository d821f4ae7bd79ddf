#include "fabric/telemetry/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cstdio>
#include <limits>
#include <thread>

#include "fabric/base/error.h"
#include "fabric/telemetry/log_limit.h"

namespace selvage {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

/// What a test writes to the real standard error.
class LogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ConfigureLog({});
    file_ = std::tmpfile();
    ASSERT_NE(file_, nullptr);
    saved_ = dup(STDERR_FILENO);
    dup2(fileno(file_), STDERR_FILENO);
  }
  void TearDown() override {
    Restore();
    std::fclose(file_);
    ConfigureLog({});
  }
  void Restore() {
    if (saved_ < 0) return;
    dup2(saved_, STDERR_FILENO);
    close(saved_);
    saved_ = -1;
  }
  std::vector<std::string> Lines() {
    Restore();
    std::vector<std::string> lines(1);
    std::rewind(file_);
    for (int c; (c = std::fgetc(file_)) != EOF;) {
      if (c == '\n') {
        lines.emplace_back();
      } else {
        lines.back() += static_cast<char>(c);
      }
    }
    lines.pop_back();
    return lines;
  }

  std::FILE* file_ = nullptr;
  int saved_ = -1;
};

constexpr char kTimeRegex[] = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z";

TEST_F(LogTest, TextLineHasTimeLevelMessageAndFields) {
  LogInfo("link up",
          {{"edge", "rig-7"}, {"tries", 3}, {"first", true}, {"seconds", 0.25}, {"offset", Offset(42)}});
  EXPECT_THAT(Lines(), ::testing::ElementsAre(MatchesRegex(
                           std::string(kTimeRegex) +
                           " info link up edge=rig-7 tries=3 first=true seconds=0.25 offset=42")));
}

TEST_F(LogTest, TextCannotForgeALineOrAFieldOrSteerATerminal) {
  LogWarning("bad\nname \x1b[2J", {{"name", "a b=\"c\"\n"}, {"empty", ""}, {"raw", "\xff\xc2\x9b"}});
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0],
              HasSubstr(R"( warning bad\nname \x1b[2J name="a b=\"c\"\n" empty="" raw="\xff\xc2\x9b")"));
}

TEST_F(LogTest, JsonLineIsAnObjectWithTheSameContent) {
  ConfigureLog({.format = LogFormat::kJson});
  const std::string value = std::string("quote \" slash \\ line\n nul ") + '\0' + " bad \xff tail \xe2\x82";
  LogError("an \"error\"", {{"value", value},
                            {"count", -5},
                            {"big", std::numeric_limits<uint64_t>::max()},
                            {"not_a_number", std::numeric_limits<double>::quiet_NaN()},
                            {"good", false},
                            {"euro", "€"}});
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  const auto object = boost::json::parse(lines[0]).as_object();
  EXPECT_THAT(std::string(object.at("time").as_string()), MatchesRegex(kTimeRegex));
  EXPECT_EQ(object.at("level").as_string(), "error");
  EXPECT_EQ(object.at("message").as_string(), "an \"error\"");
  EXPECT_EQ(std::string(object.at("value").as_string()),
            std::string("quote \" slash \\ line\n nul ") + '\0' + " bad \uFFFD tail \uFFFD\uFFFD");
  EXPECT_EQ(object.at("count").as_int64(), -5);
  EXPECT_EQ(object.at("big").as_uint64(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(object.at("not_a_number").as_string(), "nan");
  EXPECT_EQ(object.at("good").as_bool(), false);
  EXPECT_EQ(object.at("euro").as_string(), "€");
}

TEST_F(LogTest, ErrorsCarryHintAndRetry) {
  LogError("append refused", {{"error", MakeError(absl::StatusCode::kResourceExhausted, "disk_full", "full",
                                                  "add space", Retry::kYes)}});
  EXPECT_THAT(Lines(), ::testing::ElementsAre(HasSubstr(R"(error="full; add space; a retry helps")")));
}

TEST_F(LogTest, LevelDecidesWhatIsWritten) {
  LogDebug("hidden");
  ConfigureLog({.level = LogLevel::kError});
  LogWarning("hidden");
  LogError("shown");
  EXPECT_THAT(Lines(), ::testing::ElementsAre(HasSubstr("shown")));
}

TEST_F(LogTest, LinesOfManyThreadsStayWhole) {
  constexpr int kThreads = 8, kLines = 500;
  ConfigureLog({.format = LogFormat::kJson});
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < kLines; ++i) LogInfo("event", {{"thread", t}, {"text", std::string(100, 'x')}});
    });
  }
  for (auto& thread : threads) thread.join();
  const auto lines = Lines();
  std::vector<int> seen(kThreads);
  for (const auto& line : lines) {
    const auto value = boost::json::parse(line);
    ++seen[static_cast<size_t>(value.at("thread").as_int64())];
  }
  EXPECT_THAT(seen, ::testing::Each(kLines));
}

TEST_F(LogTest, ALimitedLineSaysHowManyWereLeftUnsaidWhereAnyWere) {
  LogLimit limit;
  for (int i = 0; i < 7; ++i) {
    if (const auto line = limit.Admit(absl::Hours(1))) line->Write(LogLevel::kWarning, "no", {{"event", i}});
  }
  limit.Admit(absl::Hours(2)).value().Write(LogLevel::kWarning, "no", {{"event", 7}});
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 6u);
  for (int i = 0; i < 5; ++i) EXPECT_THAT(lines[i], ::testing::EndsWith("no event=" + std::to_string(i)));
  EXPECT_THAT(lines[5], ::testing::EndsWith("no event=7 unsaid=2"));
}

TEST(LogWords, ParseOnlyTheDocumentedWords) {
  EXPECT_EQ(ParseLogLevel("warning"), LogLevel::kWarning);
  EXPECT_EQ(ParseLogLevel("WARN"), std::nullopt);
  EXPECT_EQ(ParseLogFormat("json"), LogFormat::kJson);
  EXPECT_EQ(ParseLogFormat(""), std::nullopt);
}

}  // namespace
}  // namespace selvage
