#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

/// Metrics in Prometheus text format. Names are `selvage_<what>_<unit>`, counters end in `_total`, units are
/// seconds and bytes. Everything here is safe from any thread.
namespace selvage {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

/// Handles to one time series each; copied freely, valid while the Metrics live.
class Counter {
 public:
  explicit Counter(prometheus::Counter& counter) : counter_(&counter) {}
  void Add(double amount = 1);  ///< `amount` must not be negative
  double Value() const;

 private:
  prometheus::Counter* counter_;
};
class Gauge {
 public:
  explicit Gauge(prometheus::Gauge& gauge) : gauge_(&gauge) {}
  void Set(double value);
  void Add(double amount);
  double Value() const;

 private:
  prometheus::Gauge* gauge_;
};
class Histogram {
 public:
  explicit Histogram(prometheus::Histogram& histogram) : histogram_(&histogram) {}
  void Observe(double value);

 private:
  prometheus::Histogram* histogram_;
};

/// Upper bounds for latencies in seconds, from 100 µs to 60 s.
std::vector<double> LatencyBuckets();

/// What a collector gives at scrape time: all series of one name.
struct CollectedMetric {
  enum class Type { kCounter, kGauge };
  struct Sample {
    MetricLabels labels;
    double value = 0;
  };
  std::string name;
  std::string help;
  Type type = Type::kGauge;
  std::vector<Sample> samples;
};
using Collector = std::function<std::vector<CollectedMetric>()>;

class Metrics {
 public:
  /// Holds the process metrics (process_*) and selvage_build_info{program,version,allocator} from the start.
  explicit Metrics(std::string_view program);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  /// The series with this name and these labels, made if absent. A malformed name or label, or a name already
  /// used for another type, is a broken invariant.
  Counter AddCounter(std::string_view name, std::string_view help, const MetricLabels& labels = {});
  Gauge AddGauge(std::string_view name, std::string_view help, const MetricLabels& labels = {});
  /// `buckets` are ascending upper bounds.
  Histogram AddHistogram(std::string_view name, std::string_view help, const MetricLabels& labels = {},
                         const std::vector<double>& buckets = LatencyBuckets());

  /// Removes its collector when destroyed, after any scrape that runs it; so not from within the collector,
  /// nor under a lock that the collector takes. Must not outlive the Metrics.
  class Registration;
  /// Calls `collector` at every scrape, for series that come and go. It must not block for long.
  [[nodiscard]] std::unique_ptr<Registration> AddCollector(Collector collector);

  /// Counts an error of ErrorKind(status) in selvage_errors_total{kind}; nothing for OK. Kinds that are not
  /// plain words, and those beyond the first 100, count as "other": a peer cannot make series without end.
  void CountError(const absl::Status& status);

  /// Everything in Prometheus text format 0.0.4, sorted by name and labels.
  std::string Text() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class Metrics::Registration {
 public:
  Registration(State& state, uint64_t id) : state_(state), id_(id) {}
  ~Registration();
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

 private:
  State& state_;
  const uint64_t id_;
};

}  // namespace selvage
