#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "fabric/base/canary.h"
#include "fabric/base/check.h"
#include "fabric/telemetry/log.h"
#include "tests/simulation/world.h"

/// canary_hunt: plants each known bug in turn and says after how many seeds the simulator found it. Fails
/// when one stays unseen, or when the same seeds find something without a bug.
namespace selvage::sim {
namespace {

struct Bug {
  Canary canary;
  std::string_view name;
  /// A seed that finds it, tried first: the hunt is for whether the simulator finds bugs, and finding each by
  /// trial takes minutes. `--search` does not. 1 where nothing is known.
  uint64_t seed = 1;
};
constexpr Bug kCanaries[] = {
    {Canary::kAcknowledgeBeforeSync, "acknowledge before sync"},
    {Canary::kServeBeforeSync, "serve before sync"},
    {Canary::kSkipEpochCheck, "skip the epoch check"},
    {Canary::kResumeOffByOne, "resume off by one"},
    {Canary::kSkipHashCheck, "skip the hash check"},
    {Canary::kDropGap, "drop a gap entry"},
    {Canary::kStoreJump, "store a jump"},
    {Canary::kForgetEmptiedEnd, "forget the end of an emptied log"},
    {Canary::kReuseSlot, "reuse a slot"},
    {Canary::kIgnoreCredit, "ignore credit"},
    {Canary::kTrimUnacknowledged, "trim what is not acknowledged"},
    {Canary::kAcceptSupersededBoot, "accept a superseded boot id", 8},
    {Canary::kSkipOpenCheck, "skip the check of acknowledged ends", 13},
    {Canary::kForgetFlowAlarms, "forget the alarms of earlier links"},
    {Canary::kForgetProducers, "forget producers at a start"},
    {Canary::kBeginAnywhere, "let a producer begin with any sequence"},
    {Canary::kServeForeignStore, "open the store of another node", 8},
    {Canary::kReserveForNobody, "keep a name for an edge that does not exist", 24},
    {Canary::kDeleteBeforeSync, "delete records before the sync"},
    {Canary::kTakeFencedCommit, "take a commit of a generation that is over"},
    {Canary::kDropDetached, "drop what a detached stream holds", 24},
    {Canary::kCarryDetached, "send what is detached", 12},
    {Canary::kKeepClaim, "keep the claim of a flow that ended", 8},
    {Canary::kForkWithoutDetached, "fork without what is detached", 113},
    {Canary::kForkWithoutWaiting, "fork without waiting for what is under way", 147},
    {Canary::kForgetFormerStores, "forget the former stores of an edge", 397},
    {Canary::kCopySupersededLog, "receive a superseded log again", 1233},
    {Canary::kKeepOldGeneration, "keep the generation of a former core"},
    {Canary::kMergeNewestArrival, "merge what arrives last"},
    {Canary::kForgetTombstone, "forget a tombstone"},
    {Canary::kAddContributions, "add a contribution again"},
    {Canary::kEchoChange, "echo a change"},
    {Canary::kResumePastRestored, "resume past a restored feed's end", 505},
    {Canary::kFilterDespiteFullTo, "filter by via for who has nothing"},
    {Canary::kSweepUnsent, "sweep an unsent row", 7},
    {Canary::kCountByStore, "key counters by store alone"},
    {Canary::kIgnoreOverlay, "merge without seeing the group before", 30},
    {Canary::kApplyQuarantined, "apply a stamp from the future", 7},
    {Canary::kDropExpiry, "drop the expiry from a change"},
    {Canary::kMoveForeignCursor, "move a cursor of another peer"},
    {Canary::kCursorBeforeRows, "store a cursor before its rows", 20},
    {Canary::kKeepSubscription, "keep the cursor of another subscription", 18},
    {Canary::kKeepLife, "take a store that was set back for the same", 29},
    {Canary::kDeleteStandingRecord, "forget what did not change of a row", 7},
    {Canary::kSkipTableFence, "let a superseded session write rows", 16},
    {Canary::kLoseIntervalBoundary, "lose the row between two intervals"},
    {Canary::kCaptureBeside, "capture changes beside the rows", 30},
    {Canary::kForgetCaptureTime, "forget which expiries were told"},
    {Canary::kAdvancePastUnread, "advance past what was not read"},
    {Canary::kIndexNotWithRow, "leave a row where it was in an index"},
    {Canary::kViewPositionBeside, "store a view's position beside its rows", 331},
    {Canary::kViewCountsRepeat, "count a repeat in a view", 9},
    {Canary::kCloseWindowEarly, "close a view's window early", 22},
};

constexpr int kFound = 0;
constexpr int kUnseen = 3;

/// Runs in a process of its own, since a planted bug may also break an invariant that ends the process.
int Hunt(const Bug& bug, uint64_t first, uint64_t seeds) {
  planted_canary = bug.canary;
  const auto finds = [&](uint64_t seed) {
    const Outcome outcome = World(seed, /*trace=*/false).Run();
    if (outcome.violation.empty()) return false;
    fmt::print("{:<45} found by seed {:>4}: {}\n", bug.name, seed, outcome.violation.substr(0, 150));
    return true;
  };
  if (bug.seed > 1 && finds(bug.seed)) return kFound;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    if (finds(seed)) return kFound;
  }
  fmt::print("{:<45} not found by {} seeds\n", bug.name, seeds);
  return kUnseen;
}

/// Hunts for several bugs at once, each in a process of its own.
class Pack {
 public:
  Pack(size_t jobs, uint64_t first) : jobs_(jobs), first_(first) {}

  void Start(const Bug& bug, uint64_t seeds) {
    if (running_.size() >= jobs_) Await();
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      const int found = Hunt(bug, first_, seeds);
      std::fflush(stdout);
      _exit(found);
    }
    SELVAGE_CHECK(child > 0);
    running_[child] = bug;
  }
  /// Waits for all that still run.
  void Finish() {
    while (!running_.empty()) Await();
  }
  /// What a hunt ended with, once it has ended.
  bool found(Canary canary) const { return found_.contains(canary); }

 private:
  void Await() {
    int status = 0;
    const pid_t child = waitpid(-1, &status, 0);
    const auto hunt = running_.extract(child);
    SELVAGE_CHECK(!hunt.empty());
    const Bug& bug = hunt.mapped();
    if (WIFSIGNALED(status)) fmt::print("{:<45} found: it breaks an invariant of the code\n", bug.name);
    if (WIFSIGNALED(status) || WEXITSTATUS(status) == kFound) found_.insert(bug.canary);
  }

  const size_t jobs_;
  const uint64_t first_;  // seed
  std::map<pid_t, Bug> running_;
  std::set<Canary> found_;
};

int Main(int argc, char** argv) {
  CLI::App app("Plants known bugs and says after how many seeds the simulator finds each.");
  uint64_t first = 1, seeds = 2000, quiet_seeds = 20;
  size_t jobs = std::max(std::thread::hardware_concurrency(), 1u);
  app.add_option("--first", first, "the seed to begin with")->capture_default_str();
  app.add_option("--seeds", seeds, "at most so many for each")->capture_default_str();
  app.add_option("--quiet-seeds", quiet_seeds, "run without a bug, to find nothing")->capture_default_str();
  bool search = false;
  app.add_flag("--search", search, "try seeds in their order, also where one is known that finds the bug");
  std::string only;
  app.add_option("--only", only, "those alone whose names have this in them");
  app.add_option("--jobs", jobs, "hunts at once")->capture_default_str()->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  ConfigureLog({.level = LogLevel::kError});
  Pack pack(jobs, first);
  std::vector<Bug> hunted;
  std::ranges::copy_if(kCanaries, std::back_inserter(hunted),
                       [&](const Bug& bug) { return bug.name.find(only) != std::string_view::npos; });
  for (Bug& bug : hunted) {
    if (search) bug.seed = 1;
    pack.Start(bug, seeds);
  }
  pack.Start({Canary::kNone, "no bug"}, quiet_seeds);
  pack.Finish();
  const auto unseen = std::ranges::count_if(hunted, [&](const Bug& bug) { return !pack.found(bug.canary); });
  const bool quiet = !pack.found(Canary::kNone);
  if (unseen > 0) fmt::print("{} planted bugs were not found\n", unseen);
  if (!quiet) fmt::print("something was found without a planted bug\n");
  return unseen == 0 && quiet ? 0 : 1;
}

}  // namespace
}  // namespace selvage::sim

int main(int argc, char** argv) {
  return selvage::sim::Main(argc, argv);
}
