#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <random>
#include <regex>
#include <thread>

#include "absl/time/clock.h"
#include "fabric/base/clock.h"
#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"

namespace selvage::test {
namespace {

constexpr int64_t kResidentMax = 96 << 20;
constexpr size_t kBatchBytes = 256 << 10;

/// These tests write gigabytes: they run only when asked for.
bool Wanted() {
  return std::getenv("SELVAGE_E2E_FOOTPRINT") != nullptr;
}

class FootprintTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!Wanted()) GTEST_SKIP() << "SELVAGE_E2E_FOOTPRINT is not set";
  }

  std::string NextBatch() {
    std::string value(kBatchBytes, '\0');
    for (size_t i = 0; i < value.size(); i += 8) {
      const uint64_t word = random_();
      std::copy_n(reinterpret_cast<const char*>(&word), 8, value.data() + i);
    }
    return BatchOf({value});
  }

  void WriteMany(Daemon& edge, uint64_t bytes) {
    for (uint64_t written = 0; written < bytes; written += kBatchBytes) {
      ASSERT_THAT(Produce(edge, At("readings"), NextBatch()), IsOk());
    }
  }

  std::mt19937_64 random_{1};
};

TEST_F(FootprintTest, AnEdgeStaysSmallWhileASlowCoreMakesABacklogGrow) {
  Cluster cluster({.edges = 1});
  ASSERT_THAT(cluster.Start(), IsOk());
  ASSERT_THAT(CreateStream(cluster.core(), Definition("readings", v1::UP)), IsOk());
  ASSERT_THAT(ProduceSoon(cluster.edge(), At("readings"), BatchOf({"first"})), IsOk());
  cluster.link().Throttle(Direction::kUp, 8'000'000);
  std::atomic<bool> done = false;
  int64_t largest = 0;
  int64_t largest_anonymous = 0;
  std::thread watcher([&] {
    while (!done) {
      if (auto memory = cluster.edge().process().Memory(); memory.ok()) {
        largest = std::max(largest, memory->resident_bytes);
        largest_anonymous = std::max(largest_anonymous, memory->anonymous_bytes);
      }
      absl::SleepFor(absl::Milliseconds(100));
    }
  });
  WriteMany(cluster.edge(), 1ull << 30);
  done = true;
  watcher.join();
  auto status = NodeStatus(cluster.edge());
  ASSERT_THAT(status, IsOk());
  fmt::print("backlog {} MiB; resident at most {:.1f} MiB, of which anonymous at most {:.1f} MiB\n",
             status->flows_size() > 0 ? status->flows(0).lag_bytes() >> 20 : 0,
             static_cast<double>(largest) / (1 << 20), static_cast<double>(largest_anonymous) / (1 << 20));
  EXPECT_LT(largest, kResidentMax);
}

/// What the edge said at its last start.
int OpenMs(const Daemon& edge) {
  const std::string log = ReadFile(edge.log_path());
  const std::regex pattern("open_ms=([0-9]+)");
  int found = -1;
  for (std::sregex_iterator it(log.begin(), log.end(), pattern), end; it != end; ++it)
    found = std::stoi((*it)[1]);
  return found;
}

TEST_F(FootprintTest, StartingDoesNotDependOnWhatIsStored) {
  Cluster cluster({.edges = 1});
  ASSERT_THAT(cluster.Prepare(), IsOk());
  ASSERT_THAT(cluster.edge().Start(), IsOk());
  ASSERT_THAT(CreateStream(cluster.edge(), Definition("readings", v1::UP)), IsOk());
  std::vector<int> clean;
  std::vector<int> after_kill;
  for (uint64_t bytes : {10ull << 20, (2ull << 30) - (10ull << 20)}) {
    WriteMany(cluster.edge(), bytes);
    cluster.edge().Kill();
    ASSERT_THAT(cluster.edge().Start(), IsOk());
    after_kill.push_back(OpenMs(cluster.edge()));
    ASSERT_THAT(cluster.edge().Stop(), IsOk());
    ASSERT_THAT(cluster.edge().Start(), IsOk());
    clean.push_back(OpenMs(cluster.edge()));
  }
  fmt::print("opening takes {} ms with 10 MiB stored and {} ms with 2 GiB; after a kill {} ms and {} ms\n",
             clean[0], clean[1], after_kill[0], after_kill[1]);
  EXPECT_LT(clean[1], std::max(2 * clean[0], clean[0] + 200));
  EXPECT_LT(after_kill[1], std::max(2 * after_kill[0], after_kill[0] + 300));
}

}  // namespace
}  // namespace selvage::test
