#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "fabric/base/clock.h"
#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/load.h"
#include "tests/e2e/status_matchers.h"

/// Hours of load with faults of every kind at random moments. SELVAGE_E2E_SOAK_MINUTES says how long; without
/// it the test runs for one minute. SELVAGE_E2E_SEED replays the order of the faults.
namespace selvage::test {
namespace {

constexpr int kSoakEdges = 3;
constexpr int kSoakPartitions = 2;

absl::Duration SoakTime() {
  const char* text = std::getenv("SELVAGE_E2E_SOAK_MINUTES");
  double minutes = 1;
  if (text != nullptr) (void)absl::SimpleAtod(text, &minutes);
  return absl::Minutes(minutes);
}

/// How often a fault struck, and how long after its end every edge was linked again.
struct Tally {
  int count = 0;
  std::vector<double> recovery_seconds;
};

class SoakTest : public testing::Test {
 protected:
  SoakTest() {
    const char* text = std::getenv("SELVAGE_E2E_SEED");
    if (text == nullptr || !absl::SimpleAtoi(text, &seed_)) seed_ = std::random_device()();
    random_.seed(seed_);
    fmt::print("seed {}\n", seed_);
  }

  void SetUp() override {
    ASSERT_THAT(cluster_.Start(), IsOk());
    ASSERT_THAT(CreateStream(cluster_.core(), Definition("readings", v1::UP, kSoakPartitions)), IsOk());
    v1::StreamDefinition alarms = Definition("alarms", v1::UP, 1);
    alarms.mutable_settings()->set_priority(9);
    alarms.mutable_settings()->set_keep_after_ack(true);
    ASSERT_THAT(CreateStream(cluster_.core(), alarms), IsOk());
    for (int i = 0; i < kSoakEdges; ++i) {
      const std::string name = Cluster::EdgeName(i);
      ASSERT_THAT(AwaitLinked(cluster_.core(), name), IsOk());
      for (int p = 0; p < kSoakPartitions; ++p) targets_.push_back({&cluster_.edge(i), name, "readings", p});
      targets_.push_back({&cluster_.edge(i), name, "alarms", 0});
    }
  }

  int Below(int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random_); }
  void SleepUpTo(int milliseconds) { absl::SleepFor(absl::Milliseconds(Below(milliseconds))); }
  Daemon& AnyEdge() { return cluster_.edge(Below(kSoakEdges)); }
  LinkProxy& AnyLink() { return cluster_.link(Below(kSoakEdges)); }
  Direction AnyDirection() {
    return std::array{Direction::kUp, Direction::kDown, Direction::kBoth}[static_cast<size_t>(Below(3))];
  }

  absl::Status Kill(Daemon& daemon) {
    daemon.Kill();
    if (Below(4) == 0) {  // while it opens its store, or links, again
      SleepUpTo(100);
      if (absl::Status spawned = daemon.Spawn(); !spawned.ok()) return spawned;
      SleepUpTo(300);
      daemon.Kill();
    }
    SleepUpTo(2000);
    return daemon.Start();
  }
  absl::Status KillAll() {
    for (int i = 0; i < kSoakEdges; ++i) cluster_.edge(i).Kill();
    cluster_.core().Kill();
    absl::Status started = cluster_.core().Start();
    for (int i = 0; i < kSoakEdges; ++i) started.Update(cluster_.edge(i).Start());
    return started;
  }
  absl::Status Cut() {
    LinkProxy& link = AnyLink();
    link.Refuse(true);
    link.Cut();
    SleepUpTo(3000);
    link.Refuse(false);
    return absl::OkStatus();
  }
  absl::Status Stall() {
    LinkProxy& link = AnyLink();
    const Direction direction = AnyDirection();
    link.Stall(direction);
    SleepUpTo(4000);  // sometimes longer than the link's timeout
    link.Resume(direction);
    return absl::OkStatus();
  }
  absl::Status HalfOpen() {
    AnyLink().HalfOpen();  // both ends must find out by themselves
    return absl::OkStatus();
  }
  absl::Status Throttle() {
    LinkProxy& link = AnyLink();
    link.Delay(Direction::kBoth, absl::Milliseconds(Below(400)));
    link.Throttle(Direction::kUp, 64'000 + Below(2'000'000));
    SleepUpTo(10'000);
    link.Throttle(Direction::kUp, 0);
    link.Delay(Direction::kBoth, absl::ZeroDuration());
    return absl::OkStatus();
  }

  struct Fault {
    std::string name;
    std::function<absl::Status()> strike;
  };
  std::vector<Fault> Faults() {
    return {{"kill -9 of an edge", [this] { return Kill(AnyEdge()); }},
            {"kill -9 of the core", [this] { return Kill(cluster_.core()); }},
            {"kill -9 of all at once", [this] { return KillAll(); }},
            {"link cut", [this] { return Cut(); }},
            {"link stalled, one way or both", [this] { return Stall(); }},
            {"link half-open", [this] { return HalfOpen(); }},
            {"link slow and delayed", [this] { return Throttle(); }}};
  }

  /// Until every edge is linked again.
  void Recover(Tally& tally) {
    const absl::Duration began = SystemClock().Monotonic();
    for (int i = 0; i < kSoakEdges; ++i)
      ASSERT_THAT(AwaitLinked(cluster_.core(), Cluster::EdgeName(i)), IsOk());
    tally.recovery_seconds.push_back(absl::ToDoubleSeconds(SystemClock().Monotonic() - began));
  }

  Cluster cluster_{{.edges = kSoakEdges}};
  std::vector<Load::Target> targets_;
  unsigned seed_ = 0;
  std::mt19937 random_;
};

void Print(const std::map<std::string, Tally>& tallies) {
  for (const auto& [name, tally] : tallies) {
    std::vector<double> seconds = tally.recovery_seconds;
    std::sort(seconds.begin(), seconds.end());
    if (seconds.empty()) continue;
    fmt::print("  {:>4}  {:<32} linked again after {:.1f} s at the median, {:.1f} s at most\n", tally.count,
               name, seconds[seconds.size() / 2], seconds.back());
  }
}

TEST_F(SoakTest, NothingIsLostWhateverHappens) {
  const std::vector<Fault> faults = Faults();
  std::map<std::string, Tally> tallies;
  Load load(targets_, {.batch_bytes_max = 48u << 10, .pause_max = absl::Milliseconds(300), .seed = seed_});
  const absl::Duration began = SystemClock().Monotonic();
  int struck = 0;
  while (SystemClock().Monotonic() - began < SoakTime()) {
    const Fault& fault = faults[static_cast<size_t>(Below(static_cast<int>(faults.size())))];
    SleepUpTo(5000);
    ASSERT_THAT(fault.strike(), IsOk()) << fault.name;
    Tally& tally = tallies[fault.name];
    ++tally.count;
    ++struck;
    ASSERT_NO_FATAL_FAILURE(Recover(tally)) << fault.name;
  }
  load.Stop();
  for (const Load::Target& target : targets_) {
    ASSERT_THAT(AwaitReplicated(*target.edge, target.edge_name, cluster_.core(), target.stream,
                                target.partition, absl::Seconds(300)),
                IsOk());
  }
  auto report = load.Check(cluster_.core());
  ASSERT_THAT(report, IsOk());
  fmt::print("{} faults in {:.1f} minutes:\n", struck,
             absl::ToDoubleMinutes(SystemClock().Monotonic() - began));
  Print(tallies);
  fmt::print("records: {} acknowledged, {} found, {} lost, {} duplicated, {} reordered, {} different\n",
             report->check.acked, report->check.found, report->check.lost.size(),
             report->check.duplicated.size() + report->repeated, report->check.reordered.size(),
             report->check.different.size());
  EXPECT_TRUE(report->ok()) << report->Describe();
  EXPECT_GT(report->check.acked, 0u);
}

}  // namespace
}  // namespace selvage::test
