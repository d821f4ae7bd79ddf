#include "fabric/telemetry/metrics.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <ctime>
#include <optional>
#include <sstream>
#include <thread>

#include "fabric/base/error.h"
#include "fabric/telemetry/build_info.h"

namespace selvage {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// The value on the line of exactly this series.
std::optional<double> ValueOf(const std::string& text, const std::string& series) {
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(series + " ")) return std::stod(line.substr(series.size() + 1));
  }
  return std::nullopt;
}

absl::Status ErrorOfKind(std::string_view kind) {
  return MakeError(absl::StatusCode::kInternal, kind, "something happened");
}

TEST(Metrics, SameNameAndLabelsAreTheSameSeries) {
  Metrics metrics("test");
  Counter a = metrics.AddCounter("selvage_appends_total", "Appends.", {{"stream", "s"}});
  Counter b = metrics.AddCounter("selvage_appends_total", "Appends.", {{"stream", "s"}});
  a.Add();
  b.Add(2);
  metrics.AddGauge("selvage_queue_bytes", "Waiting.").Set(7);
  const std::string text = metrics.Text();
  EXPECT_EQ(ValueOf(text, "selvage_appends_total{stream=\"s\"}"), 3);
  EXPECT_EQ(ValueOf(text, "selvage_queue_bytes"), 7);
  EXPECT_THAT(text,
              HasSubstr("# HELP selvage_appends_total Appends.\n# TYPE selvage_appends_total counter\n"));
}

TEST(Metrics, HistogramCountsIntoItsBuckets) {
  Metrics metrics("test");
  Histogram histogram = metrics.AddHistogram("selvage_sync_seconds", "Syncs.", {}, {0.1, 1});
  histogram.Observe(0.05);
  histogram.Observe(0.5);
  histogram.Observe(5);
  const std::string text = metrics.Text();
  EXPECT_EQ(ValueOf(text, "selvage_sync_seconds_bucket{le=\"0.1\"}"), 1);
  EXPECT_EQ(ValueOf(text, "selvage_sync_seconds_bucket{le=\"1\"}"), 2);
  EXPECT_EQ(ValueOf(text, "selvage_sync_seconds_bucket{le=\"+Inf\"}"), 3);
  EXPECT_EQ(ValueOf(text, "selvage_sync_seconds_sum"), 5.55);
}

TEST(Metrics, CollectorsComeAndGo) {
  Metrics metrics("test");
  double lag = 5;
  auto registration = metrics.AddCollector([&] {
    return std::vector<CollectedMetric>{
        {"selvage_flow_lag_bytes", "Lag.", CollectedMetric::Type::kGauge, {{{{"flow", "f"}}, lag}}}};
  });
  EXPECT_EQ(ValueOf(metrics.Text(), "selvage_flow_lag_bytes{flow=\"f\"}"), 5);
  lag = 6;
  EXPECT_EQ(ValueOf(metrics.Text(), "selvage_flow_lag_bytes{flow=\"f\"}"), 6);
  registration.reset();
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("selvage_flow_lag_bytes")));
}

TEST(Metrics, OneBlockForEachNameWhoeverGaveTheSeries) {
  Metrics metrics("test");
  metrics.AddGauge("selvage_flow_lag_bytes", "Lag.", {{"flow", "c"}}).Set(3);
  const auto collect = [](std::string flow, double lag) {
    return [=] {
      return std::vector<CollectedMetric>{
          {"selvage_flow_lag_bytes", "Lag.", CollectedMetric::Type::kGauge, {{{{"flow", flow}}, lag}}}};
    };
  };
  auto b = metrics.AddCollector(collect("b", 2));
  auto a = metrics.AddCollector(collect("a", 1));
  EXPECT_THAT(metrics.Text(), HasSubstr("# HELP selvage_flow_lag_bytes Lag.\n"
                                        "# TYPE selvage_flow_lag_bytes gauge\n"
                                        "selvage_flow_lag_bytes{flow=\"a\"} 1\n"
                                        "selvage_flow_lag_bytes{flow=\"b\"} 2\n"
                                        "selvage_flow_lag_bytes{flow=\"c\"} 3\n"));
}

TEST(Metrics, LabelValuesAreEscaped) {
  Metrics metrics("test");
  metrics.AddGauge("selvage_x", "X.", {{"name", "a\"b\\c\nd"}}).Set(1);
  EXPECT_THAT(metrics.Text(), HasSubstr(R"(selvage_x{name="a\"b\\c\nd"} 1)"));
}

TEST(Metrics, RemovingACollectorWaitsForARunningScrape) {
  Metrics metrics("test");
  std::atomic<bool> alive = true, touched_dead = false, done = false;
  std::thread scraper([&] {
    while (!done) (void)metrics.Text();
  });
  for (int i = 0; i < 200; ++i) {
    alive = true;
    auto registration = metrics.AddCollector([&] {
      if (!alive) touched_dead = true;
      return std::vector<CollectedMetric>{};
    });
    registration.reset();
    alive = false;
  }
  done = true;
  scraper.join();
  EXPECT_FALSE(touched_dead);
}

TEST(Metrics, ErrorsAreCountedByKind) {
  Metrics metrics("test");
  metrics.CountError(ErrorOfKind("offset_out_of_range"));
  metrics.CountError(ErrorOfKind("offset_out_of_range"));
  metrics.CountError(absl::NotFoundError("nothing here"));
  metrics.CountError(ErrorOfKind("from a peer\n\"x\""));
  metrics.CountError(absl::OkStatus());
  const std::string text = metrics.Text();
  EXPECT_EQ(ValueOf(text, "selvage_errors_total{kind=\"offset_out_of_range\"}"), 2);
  EXPECT_EQ(ValueOf(text, "selvage_errors_total{kind=\"not_found\"}"), 1);
  EXPECT_EQ(ValueOf(text, "selvage_errors_total{kind=\"other\"}"), 1);
}

TEST(Metrics, ErrorKindsAreBounded) {
  Metrics metrics("test");
  for (int i = 0; i < 150; ++i) metrics.CountError(ErrorOfKind(fmt::format("kind_{}", i)));
  const std::string text = metrics.Text();
  EXPECT_EQ(ValueOf(text, "selvage_errors_total{kind=\"kind_99\"}"), 1);
  EXPECT_EQ(ValueOf(text, "selvage_errors_total{kind=\"kind_100\"}"), std::nullopt);
  EXPECT_EQ(ValueOf(text, "selvage_errors_total{kind=\"other\"}"), 50);
}

/// Seconds since 1970 when this program was loaded; its tests may begin much later.
const auto kLoadedAt = static_cast<double>(std::time(nullptr));

TEST(Metrics, ProcessMetricsAreThisProcess) {
  Metrics metrics("test");
  const std::string before = metrics.Text();
  EXPECT_GT(ValueOf(before, "process_resident_memory_bytes").value_or(0), 1 << 20);
  EXPECT_LT(ValueOf(before, "process_resident_memory_bytes").value_or(0), 1e11);
  EXPECT_GT(ValueOf(before, "process_cpu_seconds_total").value_or(-1), 0);
  EXPECT_NEAR(ValueOf(before, "process_start_time_seconds").value_or(0), kLoadedAt, 60);
  EXPECT_EQ(ValueOf(before,
                    fmt::format("selvage_build_info{{allocator=\"system\",program=\"test\",version=\"{}\"}}",
                                Version())),
            1);

  const int fd = open("/dev/null", O_RDONLY);
  ASSERT_GE(fd, 0);
  const std::string after = metrics.Text();
  close(fd);
  EXPECT_EQ(ValueOf(after, "process_open_fds").value_or(0) - ValueOf(before, "process_open_fds").value_or(0),
            1);
}

TEST(MetricsDeathTest, MalformedNamesAndTypeClashesAreOurMistake) {
  Metrics metrics("test");
  (void)metrics.AddCounter("selvage_appends_total", "Appends.");
  EXPECT_DEATH((void)metrics.AddGauge("selvage_appends_total", "Appends."), "");
  EXPECT_DEATH((void)metrics.AddGauge("no spaces", "X."), "");
}

TEST(BuildInfo, VersionLineNamesTheProgram) {
  EXPECT_EQ(VersionLine("selvage-edge"), fmt::format("selvage-edge {}", Version()));
  EXPECT_FALSE(Version().empty());
}

}  // namespace
}  // namespace selvage
