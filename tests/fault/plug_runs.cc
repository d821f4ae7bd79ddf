#include "tests/fault/plug_runs.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <vector>

#include "fabric/base/random.h"
#include "fabric/telemetry/log.h"

namespace selvage::test {
namespace {

std::optional<uint64_t> FromEnvironment(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

}  // namespace

void RunLives(uint64_t first_seed, int points,
              const std::function<absl::StatusOr<int>(uint64_t seed, Tally& tally)>& life) {
  ConfigureLog({.level = LogLevel::kError});
  const auto replay = FromEnvironment("SELVAGE_PLUG_SEED");
  if (const auto wanted = FromEnvironment("SELVAGE_PLUG_POINTS")) points = static_cast<int>(*wanted);
  if (replay) points = 1;
  const auto began = std::chrono::steady_clock::now();
  Tally tally;
  int counted = 0;
  uint64_t seed = replay.value_or(first_seed);
  for (; counted < points && !::testing::Test::HasFailure(); ++seed) {
    const absl::StatusOr<int> had = life(seed, tally);
    EXPECT_TRUE(had.ok()) << had.status().message() << "\nreplay it with SELVAGE_PLUG_SEED=" << seed;
    counted += had.value_or(1);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  fmt::print("{} in {:.1f} s, seeds {} to {}\n", counted, seconds, replay.value_or(first_seed), seed - 1);
  for (const auto& [what, count] : tally) fmt::print("{:7} {}\n", count, what);
}

uint64_t FreshSeed() {
  return SystemRandom().Next() >> 16;
}

std::string NameOf(const std::optional<PowerCutFileSystem::Strike>& strike) {
  if (!strike) return "at rest";
  const bool directory = strike->op == FileOp::kSyncDirectory || strike->op == FileOp::kMakeDirectory;
  if (directory) return std::string(FileOpName(strike->op));
  return fmt::format("{} {}", FileOpName(strike->op), FileRole(strike->path));
}

Fault DrawCut(SeededRandom& random) {
  Fault cut{.kind = Fault::Kind::kPowerCut, .takes_effect = random.Chance(0.3)};
  if (random.Chance(0.4)) {
    // Rare among all the appends and syncs, and worth as many tries.
    std::vector<FileOp> rare = {FileOp::kCreate, FileOp::kRename, FileOp::kRemove, FileOp::kSyncDirectory};
    cut.only = random.Pick(rare);
    cut.after = random.Below(12);
  } else {
    cut.after = random.Below(random.OneIn(2) ? 40 : 400);
  }
  return cut;
}

}  // namespace selvage::test
