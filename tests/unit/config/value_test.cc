#include "fabric/config/value.h"

#include <gtest/gtest.h>

#include <limits>

#include "fabric/base/error.h"
#include "fabric/config/suggest.h"

namespace selvage {
namespace {

template <class T>
std::string ErrorOf(const absl::StatusOr<T>& value) {
  EXPECT_FALSE(value.ok());
  EXPECT_EQ(ErrorKind(value.status()), "bad_value");
  return std::string(value.status().message().data(), value.status().message().size());
}

TEST(Value, Sizes) {
  EXPECT_EQ(ParseSize("0").value(), 0u);
  EXPECT_EQ(ParseSize("1048588").value(), 1048588u);
  EXPECT_EQ(ParseSize("7B").value(), 7u);
  EXPECT_EQ(ParseSize("1KiB").value(), 1024u);
  EXPECT_EQ(ParseSize("64 MiB").value(), 64 * kMiB);
  EXPECT_EQ(ParseSize("10GiB").value(), 10 * kGiB);
  EXPECT_EQ(ParseSize("2TiB").value(), 2 * kTiB);
  EXPECT_EQ(ParseSize("2kB").value(), 2000u);
  EXPECT_EQ(ParseSize("3MB").value(), 3000000u);
  EXPECT_EQ(ParseSize("4GB").value(), 4000000000u);
  EXPECT_EQ(ParseSize("9223372036854775807").value(), 9223372036854775807u);
  for (const char* bad :
       {"", " ", "MiB", "-1", "+1", "1.5GiB", "1KB", "1mib", "1 M", "10GiB!", "0x10", "9223372036854775808",
        "99999999999GiB", "18446744073709551617", "1MiB ", " 1MiB"}) {
    EXPECT_FALSE(ParseSize(bad).ok()) << bad;
  }
  EXPECT_EQ(ErrorOf(ParseSize("10XB")),
            "\"10XB\" is not a size: write a whole number with B, KiB, MiB, GiB, TiB, kB, MB, GB or TB, for "
            "example 64MiB");
}

TEST(Value, Durations) {
  EXPECT_EQ(ParseDuration("0").value(), absl::ZeroDuration());
  EXPECT_EQ(ParseDuration("250ms").value(), absl::Milliseconds(250));
  EXPECT_EQ(ParseDuration("30s").value(), absl::Seconds(30));
  EXPECT_EQ(ParseDuration("5m").value(), absl::Minutes(5));
  EXPECT_EQ(ParseDuration("12h").value(), absl::Hours(12));
  EXPECT_EQ(ParseDuration("7d").value(), absl::Hours(168));
  for (const char* bad : {"", "30", "s", "-1s", "1.5s", "1h30m", "1w", "1 second", "99999999999999d"}) {
    EXPECT_FALSE(ParseDuration(bad).ok()) << bad;
  }
  EXPECT_EQ(ErrorOf(ParseDuration("30")),
            "\"30\" is not a duration: write a whole number with ms, s, m, h or d, for example 30s");
}

TEST(Value, Rates) {
  EXPECT_EQ(ParseRate("0").value(), 0u);
  EXPECT_EQ(ParseRate("64kbit/s").value(), 8000u);
  EXPECT_EQ(ParseRate("10Mbit/s").value(), 1250000u);
  EXPECT_EQ(ParseRate("2MiB/s").value(), 2 * kMiB);
  EXPECT_EQ(ParseRate("500kB/s").value(), 500000u);
  EXPECT_EQ(ParseRate("12bit/s").value(), 1u);
  for (const char* bad : {"", "64", "64kbit", "64kbps", "64Kbit/s", "-1B/s", "9999999999GiB/s"}) {
    EXPECT_FALSE(ParseRate(bad).ok()) << bad;
  }
}

TEST(Value, SpellingsReadBackAsTheSame) {
  EXPECT_EQ(SpellSize(64 * kMiB), "64MiB");
  EXPECT_EQ(SpellSize(1048588), "1048588");
  EXPECT_EQ(SpellDuration(absl::Hours(168)), "7d");
  EXPECT_EQ(SpellDuration(absl::Milliseconds(1500)), "1500ms");
  EXPECT_EQ(SpellRate(8000), "8kB/s");
  EXPECT_EQ(SpellRate(2 * kMiB), "2MiB/s");
  for (uint64_t value :
       {uint64_t{0}, uint64_t{1}, uint64_t{999}, uint64_t{1000}, 3 * kKiB, 5 * kMiB + 1, 7 * kGiB}) {
    EXPECT_EQ(ParseSize(SpellSize(value)).value(), value);
    EXPECT_EQ(ParseRate(SpellRate(value)).value(), value);
    const absl::Duration duration = absl::Milliseconds(static_cast<int64_t>(value));
    EXPECT_EQ(ParseDuration(SpellDuration(duration)).value(), duration);
  }
}

TEST(Value, Addresses) {
  EXPECT_EQ(ParseAddress("core.example.com:7443").value(), (Address{"core.example.com", 7443}));
  EXPECT_EQ(ParseAddress("10.0.0.1:1").value(), (Address{"10.0.0.1", 1}));
  EXPECT_EQ(ParseAddress("[2001:db8::1]:7443").value(), (Address{"2001:db8::1", 7443}));
  EXPECT_EQ(ParseAddress("[2001:db8::1]:7443").value().ToString(), "[2001:db8::1]:7443");
  EXPECT_EQ(ParseAddress("core:7443").value().ToString(), "core:7443");
  for (const char* bad :
       {"", "core", ":7443", "core:", "core:0", "core:65536", "core:-1", "core:7443x", "a b:1",
        "2001:db8::1:7443", "[core]:1", "[::1:7443", "http://core:1", "user@core:1"}) {
    EXPECT_FALSE(ParseAddress(bad).ok()) << bad;
  }
}

TEST(Value, ListenAddresses) {
  EXPECT_EQ(ParseListenAddress("127.0.0.1:0").value(), (Address{"127.0.0.1", 0}));
  EXPECT_EQ(ParseListenAddress("[::]:9464").value(), (Address{"::", 9464}));
  EXPECT_EQ(ParseListenAddress("localhost:9464").value(), (Address{"localhost", 9464}));
  EXPECT_FALSE(ParseListenAddress("core.example.com:7443").ok());
  EXPECT_FALSE(ParseListenAddress("9464").ok());
  EXPECT_TRUE(IsLoopback({"127.3.2.1", 1}));
  EXPECT_TRUE(IsLoopback({"::1", 1}));
  EXPECT_TRUE(IsLoopback({"localhost", 1}));
  EXPECT_FALSE(IsLoopback({"0.0.0.0", 1}));
  EXPECT_FALSE(IsLoopback({"::", 1}));
}

TEST(Value, ErrorsShowForeignTextShortAndHarmless) {
  EXPECT_EQ(QuoteValue("a\"b\n\x1b[2J"), R"("a\"b\n\x1b[2J")");
  EXPECT_EQ(QuoteValue(std::string(100, 'x')), "\"" + std::string(60, 'x') + "...\"");
}

TEST(Suggest, FindsTheNearMissAndOnlyThat) {
  const std::vector<std::string> words = {"budget", "reserve", "block_cache", "tail_cache"};
  EXPECT_EQ(internal::ClosestWord("bugdet", words), "budget");
  EXPECT_EQ(internal::ClosestWord("tailcache", words), "tail_cache");
  EXPECT_EQ(internal::ClosestWord("reserved", words), "reserve");
  EXPECT_EQ(internal::ClosestWord("colour", words), std::nullopt);
  EXPECT_EQ(internal::ClosestWord("", words), std::nullopt);
  EXPECT_EQ(internal::ClosestWord(std::string(100000, 'b'), words), std::nullopt);
}

}  // namespace
}  // namespace selvage
