#include "tests/unit/replication/scenario.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ostream>
#include <string>
#include <vector>

#include "fabric/base/error.h"
#include "tests/support/paths.h"

namespace selvage::replication::test {
namespace {

std::string ScenarioDir() {
  return selvage::test::SourceDir() + "/tests/unit/replication/scenarios";
}

std::vector<std::string> ScenarioNames() {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(ScenarioDir())) {
    if (file.path().extension() == ".txt") names.push_back(file.path().stem());
  }
  std::ranges::sort(names);
  return names;
}

class ScenarioTest : public testing::TestWithParam<std::string> {};

/// With SELVAGE_UPDATE_SCENARIOS the file is written anew, for a reader to judge the difference.
TEST_P(ScenarioTest, GoesAsWritten) {
  const std::string path = ScenarioDir() + "/" + GetParam() + ".txt";
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_TRUE(text.starts_with("# ")) << path << " does not begin with what it shows";
  const auto ran = RunScenario(path, text);
  ASSERT_TRUE(ran.ok()) << ran.status().message();
  if (std::getenv("SELVAGE_UPDATE_SCENARIOS") != nullptr) {
    std::ofstream(path) << *ran;
  } else {
    EXPECT_EQ(*ran, text) << path << " differs: write it anew with SELVAGE_UPDATE_SCENARIOS=1";
  }
}

INSTANTIATE_TEST_SUITE_P(Replication, ScenarioTest, testing::ValuesIn(ScenarioNames()),
                         [](const auto& scenario) { return scenario.param; });

std::string ErrorOf(std::string_view text) {
  const auto ran = RunScenario("some.txt", text);
  return ran.ok() ? "" : std::string(ran.status().message());
}

TEST(ScenarioErrors, TheyNameTheLine) {
  EXPECT_EQ(ErrorOf("# says nothing\n\nconnect\n----\n\nfly\n----\n"), "some.txt:6: unknown command fly");
  EXPECT_EQ(ErrorOf("source edge s colour=7"), "some.txt:1: source: unknown option colour");
  EXPECT_EQ(ErrorOf("connect\nsource moon s"), "some.txt:2: moon is no end: edge or core");
  EXPECT_EQ(ErrorOf("append edge s 1x1"), "some.txt:1: edge has no log s");
  EXPECT_EQ(ErrorOf("source edge s\nappend edge s 1y1"), "some.txt:2: 1y1 is no entry");
  EXPECT_EQ(ErrorOf("connect now"), "some.txt:1: connect: now is one word too many");
  EXPECT_EQ(ErrorOf("run soon"), "some.txt:1: soon is no time, such as 1.5s");
  EXPECT_EQ(ErrorOf("cut"), "some.txt:1: there is no link");
}

TEST(ScenarioErrors, WhatComesOutDiffersFromWhatWasExpected) {
  EXPECT_EQ(*RunScenario("some.txt", "source edge s\nstate\n----\nedge s: full\n\n# end\n"),
            "source edge s\nstate\n----\nedge s: empty, nothing acknowledged\n\n# end\n");
}

}  // namespace
}  // namespace selvage::replication::test
