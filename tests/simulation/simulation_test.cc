#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <random>

#include "absl/base/config.h"
#include "absl/time/clock.h"
#include "fabric/telemetry/log.h"
#include "tests/simulation/world.h"

namespace selvage::sim {
namespace {

#ifdef ABSL_HAVE_ADDRESS_SANITIZER
constexpr uint64_t kFixedSeeds = 40;  // each takes seven times as long
#else
constexpr uint64_t kFixedSeeds = 200;
#endif

/// Runs one world; a failure says how to see it again.
void ExpectEveryRule(uint64_t seed, bool tables = true) {
  ConfigureLog({.level = LogLevel::kError});
  const Outcome outcome = World(seed, /*trace=*/false, tables).Run();
  EXPECT_EQ(outcome.violation, "") << "replay it, with a trace: selvage-sim --seed " << seed
                                   << (tables ? "" : " --without-tables");
}

TEST(SimulationTest, EveryRuleHoldsForFixedSeeds) {
  for (uint64_t seed = 10'001; seed <= 10'000 + kFixedSeeds && !HasFailure(); ++seed) ExpectEveryRule(seed);
}

/// Each broke a rule once, before worlds had tables; docs/reliability.md tells of most.
TEST(SimulationTest, WhatWasFoundStaysFixed) {
  for (uint64_t seed : std::initializer_list<uint64_t>{236,
                                                       520,
                                                       680,
                                                       767,
                                                       850,
                                                       2034,
                                                       10181,
                                                       10185,
                                                       20797,
                                                       30218,
                                                       200107,
                                                       200241,
                                                       203321,
                                                       305151,
                                                       305455,
                                                       400579,
                                                       1001018,
                                                       3001246,
                                                       3001745,
                                                       3001825,
                                                       4005428,
                                                       5000276,
                                                       5005302,
                                                       7003170,
                                                       170000030,
                                                       170001031,
                                                       170001129,
                                                       930000691,
                                                       930000832,
                                                       940000437,
                                                       950000734,
                                                       503882898735559,
                                                       2979307541496506,
                                                       330000085,
                                                       4387730733662808,
                                                       410000049,
                                                       510000078,
                                                       520001711}) {
    ExpectEveryRule(seed, /*tables=*/false);
    if (HasFailure()) return;
  }
}

/// Each broke a rule of tables or views once.
TEST(SimulationTest, WhatWasFoundInTablesStaysFixed) {
  for (uint64_t seed : std::initializer_list<uint64_t>{971000230, 976500933, 980000164, 990000553, 991000361,
                                                       993000114, 994000473, 995000539, 996000524}) {
    ExpectEveryRule(seed);
    if (HasFailure()) return;
  }
}

TEST(SimulationTest, ASeedReplaysToTheSameEvent) {
  ConfigureLog({.level = LogLevel::kError});
  for (uint64_t seed : {3, 7, 12}) {
    const Outcome first = World(seed, /*trace=*/false).Run();
    const Outcome second = World(seed, /*trace=*/false).Run();
    EXPECT_EQ(first.events, second.events);
    EXPECT_EQ(first.digest, second.digest);
  }
}

/// Seeds that nobody has run before, for some seconds, or for as many minutes as SELVAGE_SIM_MINUTES says.
TEST(SimulationTest, EveryRuleHoldsForFreshSeeds) {
  const char* minutes = std::getenv("SELVAGE_SIM_MINUTES");
  const absl::Time until = absl::Now() + absl::Minutes(minutes == nullptr ? 0.2 : std::atof(minutes));
  std::random_device entropy;
  int runs = 0;
  for (; absl::Now() < until && !HasFailure(); ++runs) {
    ExpectEveryRule((uint64_t{entropy()} << 20) + static_cast<uint64_t>(runs));
  }
  fmt::print("{} fresh seeds\n", runs);
}

}  // namespace
}  // namespace selvage::sim
