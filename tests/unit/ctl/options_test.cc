#include "ctl/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctl/stream_options.h"

namespace selvage::ctl {
namespace {

using testing::ElementsAre;
using testing::Pair;

TEST(OptionsTest, LabelsAreSetAndRemoved) {
  absl::StatusOr<LabelChanges> changes = ParseLabelChanges({"site=nord", "line=a=b", "old-", "note="});
  ASSERT_TRUE(changes.ok());
  EXPECT_THAT(changes->set, ElementsAre(Pair("line", "a=b"), Pair("note", ""), Pair("site", "nord")));
  EXPECT_THAT(changes->remove, ElementsAre("old"));
  for (const char* bad : {"site", "=x", "-", ""}) EXPECT_FALSE(ParseLabelChanges({bad}).ok()) << bad;
}

TEST(OptionsTest, NoneIsNoLimit) {
  EXPECT_EQ(*ParseDurationOrNone("none"), absl::ZeroDuration());
  EXPECT_EQ(*ParseDurationOrNone("7d"), absl::Hours(168));
  EXPECT_EQ(*ParseSizeOrNone("none"), 0u);
  EXPECT_EQ(*ParseSizeOrNone("10GiB"), 10ull << 30);
  EXPECT_EQ(*ParseRateOrNone("none"), 0u);
  EXPECT_EQ(*ParseRateOrNone("64kbit/s"), 8000u);
  EXPECT_FALSE(ParsePositiveDuration("0").ok());
  EXPECT_FALSE(ParsePositiveSize("0").ok());
}

TEST(OptionsTest, OnlyGivenStreamSettingsAreNamed) {
  CLI::App app;
  StreamSettingsOptions options;
  options.AddTo(app);
  app.parse("--retention 2h --no-keep-after-ack --on-full drop-oldest");
  EXPECT_THAT(options.given(), ElementsAre("retention_ms", "on_full", "keep_after_ack"));
  EXPECT_EQ(options.settings().retention_ms(), 7200000);
  EXPECT_FALSE(options.settings().keep_after_ack());
  EXPECT_EQ(options.settings().on_full(), v1::DROP_OLDEST);
}

TEST(OptionsTest, StreamSettingsHaveDefaults) {
  CLI::App app;
  StreamSettingsOptions options;
  options.AddTo(app);
  app.parse("");
  EXPECT_TRUE(options.given().empty());
  v1::StreamSettings settings = options.settings();
  EXPECT_EQ(settings.retention_ms(), 7 * 86400000);
  EXPECT_EQ(settings.retention_bytes(), 0);
  EXPECT_EQ(settings.on_full(), v1::REJECT);
  EXPECT_EQ(settings.priority(), 5u);
  EXPECT_EQ(settings.weight(), 1u);
  EXPECT_EQ(settings.link_compression(), v1::ZSTD);
  EXPECT_TRUE(settings.keep_after_ack());
  EXPECT_EQ(settings.start_at(), v1::EARLIEST);
}

}  // namespace
}  // namespace selvage::ctl
