#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <string>

#include "absl/time/clock.h"
#include "fabric/telemetry/log.h"
#include "tests/simulation/world.h"

/// selvage-sim: runs simulated worlds, each from one seed, and replays one with its trace.
namespace selvage::sim {
namespace {

struct Totals {
  int runs = 0;
  int violations = 0;
  uint64_t events = 0;
  uint64_t acknowledged = 0;
  absl::Duration simulated;
  std::map<std::string, int> faults;
};

void PrintTotals(const Totals& totals, absl::Duration took) {
  fmt::print("{} runs, {} violations, {} events, {} batches acknowledged\n", totals.runs, totals.violations,
             totals.events, totals.acknowledged);
  fmt::print("{:.0f} simulated hours in {:.1f} minutes: {:.0f} hours per minute\n",
             absl::ToDoubleHours(totals.simulated), absl::ToDoubleMinutes(took),
             absl::ToDoubleHours(totals.simulated) / absl::ToDoubleMinutes(took));
  for (const auto& [name, count] : totals.faults) fmt::print("  {:>8}  {}\n", count, name);
}

int Run(uint64_t first, uint64_t runs, absl::Duration at_most, bool keep_going, bool tables) {
  Totals totals;
  const absl::Time began = absl::Now();
  for (uint64_t seed = first; seed < first + runs && absl::Now() - began < at_most; ++seed) {
    const Outcome outcome = World(seed, /*trace=*/false, tables).Run();
    ++totals.runs;
    totals.events += outcome.events;
    totals.acknowledged += outcome.acknowledged;
    totals.simulated += outcome.simulated;
    for (const auto& [name, count] : outcome.faults) totals.faults[name] += count;
    if (outcome.violation.empty()) continue;
    ++totals.violations;
    fmt::print("seed {}: {}\n", seed, outcome.violation);
    std::fflush(stdout);
    if (!keep_going) break;
  }
  PrintTotals(totals, absl::Now() - began);
  return totals.violations == 0 ? 0 : 1;
}

int Replay(uint64_t seed, bool tables) {
  ConfigureLog({.level = LogLevel::kInfo});
  const Outcome outcome = World(seed, /*trace=*/true, tables).Run();
  fmt::print("seed {}: {} events, digest {:x}, {}\n", seed, outcome.events, outcome.digest,
             outcome.violation.empty() ? "every rule held" : outcome.violation);
  return outcome.violation.empty() ? 0 : 1;
}

int Main(int argc, char** argv) {
  CLI::App app("Runs simulated worlds of a core and its edges under faults, each from one seed.");
  uint64_t seed = 0, first = 1, runs = 1000;
  double minutes = 1e6;
  bool keep_going = false, without_tables = false;
  auto* replay = app.add_option("--seed", seed, "replay this one, with its trace");
  app.add_option("--first", first, "first seed")->capture_default_str();
  app.add_option("--runs", runs, "how many seeds")->capture_default_str();
  app.add_option("--minutes", minutes, "stop after so many");
  app.add_flag("--keep-going", keep_going, "go on after a violation");
  app.add_flag("--without-tables", without_tables, "streams alone");
  CLI11_PARSE(app, argc, argv);
  if (*replay) return Replay(seed, !without_tables);
  ConfigureLog({.level = LogLevel::kError});
  return Run(first, runs, absl::Minutes(minutes), keep_going, !without_tables);
}

}  // namespace
}  // namespace selvage::sim

int main(int argc, char** argv) {
  return selvage::sim::Main(argc, argv);
}
