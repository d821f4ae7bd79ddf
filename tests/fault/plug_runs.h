#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/fault/power_cut_file_system.h"
#include "tests/support/seeded_random.h"

namespace selvage::test {

/// What happened how often.
using Tally = std::map<std::string, int>;

/// Runs lives of consecutive seeds until `points` of them or of their crashes are counted by the life, which
/// returns how many it had, or what is wrong with the product. A failure names its seed. SELVAGE_PLUG_POINTS
/// says otherwise how many; with SELVAGE_PLUG_SEED only that one runs.
void RunLives(uint64_t first_seed, int points,
              const std::function<absl::StatusOr<int>(uint64_t seed, Tally& tally)>& life);
/// A seed that nobody ran before.
uint64_t FreshSeed();
/// A power cut at some operation from here on: at one of a kind that is rare more often than it comes.
Fault DrawCut(SeededRandom& random);
/// What was done to which kind of file when a fault struck.
std::string NameOf(const std::optional<PowerCutFileSystem::Strike>& strike);

}  // namespace selvage::test
