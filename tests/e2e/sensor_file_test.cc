#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include "absl/time/civil_time.h"
#include "fabric/base/error.h"
#include "tests/e2e/calls.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/eventually.h"
#include "tests/support/paths.h"

namespace selvage::test {
namespace {

constexpr int kLines = 22'695;
constexpr int kLinesPerSecond = 4000;

/// The file that SELVAGE_SENSOR_CSV names or that lies beside the source tree; else one of the same shape is
/// made at `made`.
std::string FindSensorFile(const std::string& made) {
  const char* named = std::getenv("SELVAGE_SENSOR_CSV");
  if (named != nullptr) return named;
  const std::string beside = SourceDir() + "/../shared/data/machine_temperature_system_failure.csv";
  if (std::filesystem::exists(beside)) return beside;
  std::cout << "No sensor file is there: one of the same shape is made up.\n";
  std::ofstream file(made);
  file << "timestamp,value\n";
  const absl::CivilMinute start(2013, 12, 2, 21, 15);
  for (int i = 0; i < kLines; ++i) {
    file << absl::FormatCivilTime(absl::CivilSecond(start + 5 * i)).replace(10, 1, " ") << ','
         << fmt::format("{}\n", 75 + 20 * std::sin(i / 300.0) + std::fmod(i * 0.618, 1.0));
  }
  return made;
}

TEST(SensorFileTest, LineByLineOverACutLinkComesOutIdentical) {
  Cluster cluster({.edges = 1});
  ASSERT_THAT(cluster.Start(), IsOk());
  ASSERT_THAT(CreateStream(cluster.core(), Definition("temperature", v1::UP)), IsOk());
  ASSERT_THAT(AwaitLinked(cluster.core(), "edge-0"), IsOk());
  ASSERT_THAT(ProduceSoon(cluster.edge(), At("temperature"), BatchOf({"warm up"})), IsOk());

  const std::string path = FindSensorFile(cluster.dir().File("sensor.csv"));
  absl::StatusOr<RunResult> produced = absl::UnknownError("not run");
  std::thread producer([&] {
    produced = cluster.Ctl(cluster.edge(),
                           {"stream", "produce", "temperature", "--file", path, "--rate",
                            std::to_string(kLinesPerSecond), "--linger", "10ms"},
                           {}, absl::Minutes(2));
  });
  for (int cut = 1; cut <= 3; ++cut) {
    EXPECT_THAT(AwaitEnd(cluster.edge(), At("temperature"), Offset(cut * kLines / 4)), IsOk());
    cluster.link().Refuse(true);
    cluster.link().Cut();
    EXPECT_THAT(AwaitEnd(cluster.edge(), At("temperature"), Offset(cut * kLines / 4 + 2000)), IsOk());
    cluster.link().Refuse(false);
    const uint64_t connections = static_cast<uint64_t>(cut) + 1;
    EXPECT_TRUE(
        Eventually(absl::Seconds(60), [&] { return cluster.link().counters().connections >= connections; }));
  }
  producer.join();
  ASSERT_THAT(produced, IsOk());
  ASSERT_TRUE(produced->exit.ok()) << produced->err;

  ASSERT_THAT(AwaitReplicated(cluster.edge(), "edge-0", cluster.core(), "temperature"), IsOk());
  auto tail = cluster.Ctl(
      cluster.core(), {"stream", "tail", "temperature", "--edge", "edge-0", "--from", "1", "--no-follow"});
  ASSERT_THAT(tail, IsOk());
  ASSERT_TRUE(tail->exit.ok()) << tail->err;
  const std::string file = ReadFile(path);
  fmt::print("{} bytes of {} at the core\n", tail->out.size(), path);
  EXPECT_EQ(tail->out.size(), file.size());
  EXPECT_TRUE(tail->out == file) << "the file at the core differs";
}

}  // namespace
}  // namespace selvage::test
