#include "ctl/units.h"

#include <gtest/gtest.h>

namespace selvage::ctl {
namespace {

TEST(UnitsTest, BytesChangeUnitBeforeTheyWouldRoundUpToIt) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1024), "1.0 KiB");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(1024 * 1024 - 1), "1.0 MiB");
  EXPECT_EQ(HumanBytes(3.2 * (1ull << 40)), "3.2 TiB");
  EXPECT_EQ(HumanRate(8000), "7.8 KiB/s");
}

TEST(UnitsTest, BitRatesAreThoseOfLinks) {
  EXPECT_EQ(HumanBitRate(8000), "64 kbit/s");
  EXPECT_EQ(HumanBitRate(187500), "1.5 Mbit/s");
  EXPECT_EQ(HumanBitRate(125000), "1 Mbit/s");
}

TEST(UnitsTest, SecondsShowTheTwoLargestUnits) {
  EXPECT_EQ(HumanSeconds(0), "0.00s");
  EXPECT_EQ(HumanSeconds(0.001), "1ms");
  EXPECT_EQ(HumanSeconds(0.0123), "12.3ms");
  EXPECT_EQ(HumanSeconds(0.254), "0.25s");
  EXPECT_EQ(HumanSeconds(9.996), "10s");
  EXPECT_EQ(HumanSeconds(60), "1m");
  EXPECT_EQ(HumanSeconds(200), "3m 20s");
  EXPECT_EQ(HumanSeconds(5 * 3600 + 600), "5h 10m");
  EXPECT_EQ(HumanSeconds(7 * 86400), "7d");
  EXPECT_EQ(HumanSeconds(2 * 86400 + 3 * 3600), "2d 3h");
  EXPECT_EQ(HumanSeconds(-1), "-");
  EXPECT_EQ(HumanSeconds(1.0 / 0.0), "-");
}

TEST(UnitsTest, TimesAreReadInBothSpellings) {
  EXPECT_EQ(*ParseTimestampMs("1772366400000"), 1772366400000);
  EXPECT_EQ(*ParseTimestampMs("2026-03-01T12:00:00Z"), 1772366400000);
  EXPECT_EQ(*ParseTimestampMs("2026-03-01T13:00:00+01:00"), 1772366400000);
  EXPECT_EQ(HumanTimeMs(1772366400000), "2026-03-01 12:00:00Z");
  EXPECT_EQ(HumanTimeMs(0), "-");
  for (const char* bad : {"", "yesterday", "2026-03-01", "-5", "12x"})
    EXPECT_FALSE(ParseTimestampMs(bad).ok()) << bad;
}

}  // namespace
}  // namespace selvage::ctl
