#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/load.h"
#include "tests/e2e/status_matchers.h"

namespace selvage::test {
namespace {

constexpr int kFaultsEdges = 2;
constexpr int kFaultsPartitions = 2;
const std::vector<std::string> kStreams = {"alarms", "readings"};

/// How many rounds of each kind of fault: SELVAGE_E2E_ROUNDS, else what continuous integration has time for.
struct Rounds {
  int edge_kills = 6;
  int core_kills = 6;
  int link_faults = 15;

  static Rounds FromEnvironment() {
    Rounds rounds;
    const char* text = std::getenv("SELVAGE_E2E_ROUNDS");
    int wanted = 0;
    if (text != nullptr && absl::SimpleAtoi(text, &wanted)) rounds = {wanted, wanted, wanted};
    return rounds;
  }
};

/// Faults at random moments while producers write. Prints its seed; SELVAGE_E2E_SEED sets it.
class FaultsTest : public testing::Test {
 protected:
  FaultsTest() {
    const char* text = std::getenv("SELVAGE_E2E_SEED");
    if (text == nullptr || !absl::SimpleAtoi(text, &seed_)) seed_ = std::random_device()();
    random_.seed(seed_);
    fmt::print("seed {}\n", seed_);
  }

  void SetUp() override {
    ASSERT_THAT(cluster_.Start(), IsOk());
    for (const std::string& stream : kStreams) {
      v1::StreamDefinition definition = Definition(stream, v1::UP, kFaultsPartitions);
      definition.mutable_settings()->set_priority(stream == "alarms" ? 9 : 5);
      ASSERT_THAT(CreateStream(cluster_.core(), definition), IsOk());
    }
    for (int i = 0; i < kFaultsEdges; ++i) {
      ASSERT_THAT(AwaitLinked(cluster_.core(), Cluster::EdgeName(i)), IsOk());
      for (const std::string& stream : kStreams) {
        for (int p = 0; p < kFaultsPartitions; ++p) {
          targets_.push_back({&cluster_.edge(i), Cluster::EdgeName(i), stream, p});
        }
      }
    }
  }

  int Below(int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random_); }
  void SleepUpTo(int milliseconds) { absl::SleepFor(absl::Milliseconds(Below(milliseconds))); }

  void KillAndRestart(Daemon& daemon) {
    SleepUpTo(500);
    daemon.Kill();
    if (Below(3) == 0) {  // while it opens its store, or links, again
      SleepUpTo(100);
      ASSERT_THAT(daemon.Spawn(), IsOk());
      SleepUpTo(300);
      daemon.Kill();
    }
    SleepUpTo(300);
    ASSERT_THAT(daemon.Start(), IsOk());
  }

  void SpoilLink(LinkProxy& link) {
    SleepUpTo(500);
    switch (Below(5)) {
      case 0:
        link.Refuse(true);
        link.Cut();
        SleepUpTo(800);
        link.Refuse(false);
        break;
      case 1: {
        const Direction direction =
            std::array{Direction::kUp, Direction::kDown, Direction::kBoth}[static_cast<size_t>(Below(3))];
        link.Stall(direction);
        SleepUpTo(2500);  // sometimes longer than the link's timeout
        link.Resume(direction);
        break;
      }
      case 2:
        link.HalfOpen();  // both ends must find out by themselves
        break;
      default:
        link.Cut();
    }
  }

  /// Everybody is up and nothing is wrong with the links: what the edges hold must arrive.
  void HealAndDrain() {
    for (int i = 0; i < kFaultsEdges; ++i)
      ASSERT_THAT(AwaitLinked(cluster_.core(), Cluster::EdgeName(i)), IsOk());
    for (const Load::Target& target : targets_) {
      ASSERT_THAT(AwaitReplicated(*target.edge, target.edge_name, cluster_.core(), target.stream,
                                  target.partition, absl::Seconds(120)),
                  IsOk());
    }
  }

  Cluster cluster_{{.edges = kFaultsEdges}};
  std::vector<Load::Target> targets_;
  unsigned seed_ = 0;
  std::mt19937 random_;
};

TEST_F(FaultsTest, EveryAcknowledgedRecordArrivesOnceAtItsOffset) {
  const Rounds rounds = Rounds::FromEnvironment();
  enum class Fault { kKillEdge, kKillCore, kSpoilLink };
  std::vector<Fault> faults;
  faults.insert(faults.end(), static_cast<size_t>(rounds.edge_kills), Fault::kKillEdge);
  faults.insert(faults.end(), static_cast<size_t>(rounds.core_kills), Fault::kKillCore);
  faults.insert(faults.end(), static_cast<size_t>(rounds.link_faults), Fault::kSpoilLink);
  std::shuffle(faults.begin(), faults.end(), random_);

  Load load(targets_, {.seed = seed_});
  for (Fault fault : faults) {
    switch (fault) {
      case Fault::kKillEdge:
        ASSERT_NO_FATAL_FAILURE(KillAndRestart(cluster_.edge(Below(kFaultsEdges))));
        break;
      case Fault::kKillCore:
        ASSERT_NO_FATAL_FAILURE(KillAndRestart(cluster_.core()));
        break;
      case Fault::kSpoilLink:
        SpoilLink(cluster_.link(Below(kFaultsEdges)));
        break;
    }
  }
  load.Stop();
  ASSERT_NO_FATAL_FAILURE(HealAndDrain());

  auto report = load.Check(cluster_.core());
  ASSERT_THAT(report, IsOk());
  fmt::print(
      "rounds: {} kills of an edge, {} of the core, {} link faults; records: {} acknowledged, {} found, {} "
      "lost, {} "
      "duplicated, {} reordered, {} different; batches of unknown outcome: {}\n",
      rounds.edge_kills, rounds.core_kills, rounds.link_faults, report->check.acked, report->check.found,
      report->check.lost.size(), report->check.duplicated.size() + report->repeated,
      report->check.reordered.size(), report->check.different.size(), load.unknown());
  EXPECT_TRUE(report->ok()) << report->Describe();
  EXPECT_GT(report->check.acked, 0u);
  for (int i = 0; i < kFaultsEdges; ++i) {
    auto verify =
        cluster_.Ctl(cluster_.core(), {"verify", "--edge-address", cluster_.edge(i).admin_address()});
    ASSERT_THAT(verify, IsOk());
    EXPECT_TRUE(verify->exit.ok()) << verify->out << verify->err;
  }
}

}  // namespace
}  // namespace selvage::test
