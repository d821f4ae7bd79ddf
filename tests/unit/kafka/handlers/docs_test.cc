#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "fabric/kafka/handlers/api_table.h"
#include "fabric/kafka/handlers/topic_configs.h"
#include "fabric/stream/stream_catalog.h"
#include "tests/support/paths.h"

/// docs/kafka.md holds two tables that are made of those of the code: compared here, and written when
/// SELVAGE_UPDATE_DOCS is set.
namespace selvage::kafka::test {
namespace {

std::string Apis() {
  std::string table = "| API | key | versions |\n| --- | --- | --- |\n";
  for (const ServedApi* served : ServedApis()) {
    table += fmt::format("| {} | {} | {}{} |\n", ApiOf(served->key).name, static_cast<int>(served->key),
                         served->min, served->min == served->max ? "" : fmt::format(" to {}", served->max));
  }
  return table;
}

std::string_view WordOf(TopicConfig::Use use) {
  switch (use) {
    case TopicConfig::Use::kSettable:
      return "any time";
    case TopicConfig::Use::kAtCreate:
      return "at creation";
    case TopicConfig::Use::kFixed:
      return "fixed";
    case TopicConfig::Use::kIgnored:
      return "no effect";
  }
  return "";
}

std::string Configs() {
  v1::StreamDefinition definition;
  definition.set_direction(v1::LOCAL);
  *definition.mutable_settings() = DefaultStreamSettings();
  std::string table = "| setting | set | default | meaning |\n| --- | --- | --- | --- |\n";
  for (const TopicConfig& config : TopicConfigs()) {
    const bool depends = config.use == TopicConfig::Use::kAtCreate;
    table += fmt::format("| `{}` | {} | {} | {} |\n", config.name, WordOf(config.use),
                         depends ? "by node" : "`" + config.get(definition, Settings()) + "`", config.help);
  }
  return table;
}

/// The document with what stands between the two comments replaced.
std::string With(const std::string& text, const std::string& name, const std::string& table) {
  const std::string begin = fmt::format("<!-- {} -->\n", name), end = fmt::format("<!-- end of {} -->", name);
  const size_t from = text.find(begin), to = text.find(end);
  if (from == std::string::npos || to == std::string::npos) return "no place for " + name;
  return text.substr(0, from + begin.size()) + table + text.substr(to);
}

TEST(KafkaDocs, TablesAreThoseOfTheCode) {
  const std::string path = selvage::test::SourceDir() + "/docs/kafka.md";
  std::stringstream held;
  held << std::ifstream(path).rdbuf();
  const std::string wanted = With(With(held.str(), "apis", Apis()), "settings", Configs());
  if (std::getenv("SELVAGE_UPDATE_DOCS") != nullptr) {
    std::ofstream(path) << wanted;
    return;
  }
  EXPECT_EQ(held.str(), wanted) << "run this test with SELVAGE_UPDATE_DOCS=1";
}

}  // namespace
}  // namespace selvage::kafka::test
