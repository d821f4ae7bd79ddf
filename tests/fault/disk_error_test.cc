#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "fabric/base/error.h"
#include "tests/fault/edge_life.h"
#include "tests/fault/plug_runs.h"
#include "tests/support/test_dir.h"

namespace selvage::test {
namespace {

/// Whether the store cannot go on after this went wrong: something that was to be durable is not.
bool MustStop(const PowerCutFileSystem::Strike& strike) {
  const std::string_view role = FileRole(strike.path);
  const bool stored = role == "wal" || role == "manifest" || role == "table" || role == "blob";
  return stored &&
         (strike.op == FileOp::kCreate || strike.op == FileOp::kAppend || strike.op == FileOp::kSync);
}

Fault DrawError(Fault::Kind kind, SeededRandom& random) {
  Fault error{
      .kind = kind, .after = random.Below(random.OneIn(2) ? 60 : 600), .takes_effect = random.Chance(0.2)};
  if (kind == Fault::Kind::kIoError && random.Chance(0.3)) error.only = FileOp::kRead;
  if (kind == Fault::Kind::kIoError && random.Chance(0.3)) {
    std::vector<FileOp> rare = {FileOp::kCreate, FileOp::kRename, FileOp::kRemove, FileOp::kSyncDirectory};
    error.only = random.Pick(rare);
    error.after = random.Below(12);
  }
  return error;
}

/// An edge whose disk fails once, at work or while it starts; then it starts again, on a good disk and by
/// chance after a power cut.
absl::StatusOr<int> LiveWithError(uint64_t seed, Fault::Kind kind, const std::string& directory,
                                  Tally& tally) {
  SeededRandom random(seed);
  EdgeLife life(seed, directory, {.replaces = random.Chance(0.3), .mixed_order = random.Chance(0.2)});
  life.disk().Arm(DrawError(kind, random));
  absl::Status status = life.Open();
  if (status.ok()) status = life.CheckRecovered();
  for (int steps = 0; status.ok() && life.usable() && steps < 300; ++steps) status = life.Step();
  if (!status.ok() && life.usable()) return status;
  const auto struck = life.disk().struck();
  ++tally[NameOf(struck)];
  if (life.running()) life.LetEngineRest();
  // One that was struck while it stopped, or started, may run on what it has found.
  if (life.running() && life.started_well() && struck && MustStop(*struck) && !life.failed()) {
    return absl::DataLossError(fmt::format("the node goes on after {}", NameOf(struck)));
  }
  if (random.OneIn(2)) {
    life.CutPower();
  } else {
    life.Close();
    life.disk().Disarm();
  }
  SELVAGE_RETURN_IF_ERROR(life.Open());
  SELVAGE_RETURN_IF_ERROR(life.CheckRecovered());
  for (int steps = 0; steps < 5; ++steps) SELVAGE_RETURN_IF_ERROR(life.Step());
  return 1;
}

/// An edge with a flipped bit on its disk while it is off.
absl::StatusOr<int> LiveWithFlippedBit(uint64_t seed, const std::string& directory, Tally& tally) {
  SeededRandom random(seed);
  EdgeLife life(seed, directory);
  SELVAGE_RETURN_IF_ERROR(life.Open());
  SELVAGE_RETURN_IF_ERROR(life.CheckRecovered());
  for (uint64_t steps = random.Between(10, 120); steps > 0; --steps) SELVAGE_RETURN_IF_ERROR(life.Step());
  life.Settle();
  life.Close();
  std::vector<std::string> roles = {"", "wal", "wal", "table", "blob", "blob", "manifest", "current"};
  const std::string role = random.Pick(roles);
  const auto flipped = life.disk().FlipBit(role);
  if (!flipped) return 1;
  const std::string of = fmt::format("a bit of {}: ", role.empty() ? "any file" : role);
  if (const absl::Status refused = life.OpenDamaged(); !refused.ok()) {
    ++tally[of + "refused, " + ErrorKind(refused)];
    return 1;
  }
  const auto counts = life.CheckDamaged();
  if (!counts.ok()) return Annotate(counts.status(), *flipped);
  ++tally[of + (counts->lost_logs > 0            ? "a log is lost, with an alarm"
                : counts->held_logs > 0          ? "a log is held"
                : counts->unreadable_entries > 0 ? "an entry cannot be read"
                                                 : "no harm")];
  return 1;
}

class DiskError : public ::testing::Test {
 protected:
  TestDir dir_;
};

TEST_F(DiskError, AnIoErrorStopsTheNodeAndLosesNothing) {
  RunLives(1, 200, [&](uint64_t seed, Tally& tally) {
    return LiveWithError(seed, Fault::Kind::kIoError, dir_.path(), tally);
  });
}

TEST_F(DiskError, AFullDiskStopsTheNodeAndLosesNothing) {
  RunLives(1, 100, [&](uint64_t seed, Tally& tally) {
    return LiveWithError(seed, Fault::Kind::kNoSpace, dir_.path(), tally);
  });
}

TEST_F(DiskError, AFlippedBitIsNeverReadAsData) {
  RunLives(1, 200, [&](uint64_t seed, Tally& tally) { return LiveWithFlippedBit(seed, dir_.path(), tally); });
}

}  // namespace
}  // namespace selvage::test
