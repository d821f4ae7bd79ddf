#include <gtest/gtest.h>

#include <string>

#include "fabric/base/error.h"
#include "tests/fault/edge_life.h"
#include "tests/fault/plug_runs.h"
#include "tests/support/test_dir.h"

namespace selvage::test {
namespace {

/// One edge and up to three power cuts, at work or while it starts. Returns how many.
absl::StatusOr<int> Live(uint64_t seed, const std::string& directory, Tally& tally) {
  SeededRandom random(seed);
  EdgeLife life(seed, directory, {.replaces = random.Chance(0.4), .mixed_order = random.Chance(0.2)});
  const int cuts = static_cast<int>(random.Between(1, 3));
  for (int cut = 0; cut < cuts; ++cut) {
    if (random.Chance(0.2)) life.Close();
    life.disk().Arm(DrawCut(random));
    absl::Status status;
    if (!life.running()) {
      status = life.Open();
      if (status.ok()) status = life.CheckRecovered();
      if (!life.usable()) status = absl::OkStatus();
    }
    for (int steps = 0; status.ok() && life.usable() && steps < 300; ++steps) status = life.Step();
    SELVAGE_RETURN_IF_ERROR(status);
    ++tally[NameOf(life.disk().struck())];
    life.CutPower();
    SELVAGE_RETURN_IF_ERROR(life.Open());
    SELVAGE_RETURN_IF_ERROR(life.CheckRecovered());
  }
  SELVAGE_RETURN_IF_ERROR(life.CheckAll());
  return cuts;
}

class PowerCut : public ::testing::Test {
 protected:
  absl::StatusOr<int> Run(uint64_t seed, Tally& tally) { return Live(seed, dir_.path(), tally); }

  TestDir dir_;
};

TEST_F(PowerCut, NothingAcknowledgedIsLost) {
  RunLives(/*first_seed=*/1, /*points=*/400, [&](uint64_t seed, Tally& tally) { return Run(seed, tally); });
}

TEST_F(PowerCut, NothingAcknowledgedIsLostForFreshSeeds) {
  RunLives(FreshSeed(), /*points=*/300, [&](uint64_t seed, Tally& tally) { return Run(seed, tally); });
}

/// How often the check finds something after writing for a while and pulling the plug.
int Caught(const std::string& directory, EdgeLife::Options options, bool ignore_directory_syncs, int lives) {
  int caught = 0;
  for (int seed = 1; seed <= lives; ++seed) {
    EdgeLife life(static_cast<uint64_t>(seed), directory, options);
    life.disk().set_ignore_syncs(false, ignore_directory_syncs);
    absl::Status status = life.Open();
    if (status.ok()) status = life.CheckRecovered();
    for (int steps = 0; status.ok() && steps < 20; ++steps) status = life.Step();
    EXPECT_TRUE(status.ok()) << "seed " << seed << ": " << status;
    EXPECT_GT(life.acknowledged_writes(), 0u);
    life.CutPower();
    status = life.Open();
    if (status.ok()) status = life.CheckRecovered();
    caught += !status.ok();
  }
  return caught;
}

TEST_F(PowerCut, AStoreThatDoesNotSyncIsCaught) {
  EXPECT_EQ(Caught(dir_.path(), {.sync = true}, false, 20), 0);
  EXPECT_GE(Caught(dir_.path(), {.sync = false}, false, 20), 12)
      << "by chance the disk may have written all of it by itself, but not often";
}

TEST_F(PowerCut, ADiskThatForgetsDirectoriesIsCaught) {
  EXPECT_GE(Caught(dir_.path(), {}, true, 20), 12);
}

}  // namespace
}  // namespace selvage::test
