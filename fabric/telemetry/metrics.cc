#include "fabric/telemetry/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <exception>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include "absl/synchronization/mutex.h"
#include "fabric/base/check.h"
#include "fabric/base/error.h"
#include "fabric/telemetry/allocator.h"
#include "fabric/telemetry/build_info.h"
#include "fabric/telemetry/process_metrics.h"

namespace selvage {
namespace {

constexpr size_t kErrorKindsMax = 100;

prometheus::Labels ToPrometheus(const MetricLabels& labels) {
  return {labels.begin(), labels.end()};
}

/// The library reports malformed names by exception; those are mistakes of ours.
template <class Make>
auto& Checked(Make make) {
  decltype(&make()) made = nullptr;
  try {
    made = &make();
  } catch (const std::exception&) {
  }
  SELVAGE_CHECK(made != nullptr);
  return *made;
}

template <class Builder, class... Args>
auto& AddSeries(Builder builder, prometheus::Registry& registry, std::string_view name, std::string_view help,
                const MetricLabels& labels, Args&&... args) {
  return Checked([&]() -> auto& {
    return builder.Name(std::string(name))
        .Help(std::string(help))
        .Register(registry)
        .Add(ToPrometheus(labels), args...);
  });
}

prometheus::MetricFamily ToPrometheus(const CollectedMetric& collected) {
  const bool counter = collected.type == CollectedMetric::Type::kCounter;
  prometheus::MetricFamily family;
  family.name = collected.name;
  family.help = collected.help;
  family.type = counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
  for (const CollectedMetric::Sample& sample : collected.samples) {
    prometheus::ClientMetric metric;
    for (const auto& [label, value] : sample.labels) metric.label.push_back({label, value});
    (counter ? metric.counter.value : metric.gauge.value) = sample.value;
    family.metric.push_back(std::move(metric));
  }
  return family;
}

/// One family for each name, whoever gave its series: the text format allows no second block of the same
/// name.
class FamilySet {
 public:
  void Add(prometheus::MetricFamily family) {
    auto [at, added] = families_.try_emplace(family.name, family);
    if (added) return;
    SELVAGE_CHECK(at->second.type == family.type);
    std::move(family.metric.begin(), family.metric.end(), std::back_inserter(at->second.metric));
  }

  std::vector<prometheus::MetricFamily> Sorted() && {
    std::vector<prometheus::MetricFamily> sorted;
    for (auto& [name, family] : families_) {
      if (family.metric.empty()) continue;
      for (prometheus::ClientMetric& metric : family.metric)
        std::sort(metric.label.begin(), metric.label.end());
      std::sort(family.metric.begin(), family.metric.end(),
                [](const auto& a, const auto& b) { return a.label < b.label; });
      sorted.push_back(std::move(family));
    }
    return sorted;
  }

 private:
  std::map<std::string, prometheus::MetricFamily> families_;
};

}  // namespace

void Counter::Add(double amount) {
  counter_->Increment(amount);
}
double Counter::Value() const {
  return counter_->Value();
}
void Gauge::Set(double value) {
  gauge_->Set(value);
}
void Gauge::Add(double amount) {
  gauge_->Increment(amount);
}
double Gauge::Value() const {
  return gauge_->Value();
}
void Histogram::Observe(double value) {
  histogram_->Observe(value);
}

std::vector<double> LatencyBuckets() {
  return {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
          0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};
}

struct Metrics::State {
  prometheus::Registry registry;

  absl::Mutex mutex;  ///< held while collectors run
  std::map<uint64_t, Collector> collectors ABSL_GUARDED_BY(mutex);
  uint64_t next_id ABSL_GUARDED_BY(mutex) = 0;

  absl::Mutex error_mutex;
  std::set<std::string> error_kinds ABSL_GUARDED_BY(error_mutex);
};

Metrics::Metrics(std::string_view program) : state_(std::make_unique<State>()) {
  AddGauge("selvage_build_info", "1; the labels say what runs.",
           {{"program", std::string(program)},
            {"version", std::string(Version())},
            {"allocator", AllocatorInForce()}})
      .Set(1);
}

Metrics::~Metrics() = default;

Counter Metrics::AddCounter(std::string_view name, std::string_view help, const MetricLabels& labels) {
  return Counter(AddSeries(prometheus::BuildCounter(), state_->registry, name, help, labels));
}

Gauge Metrics::AddGauge(std::string_view name, std::string_view help, const MetricLabels& labels) {
  return Gauge(AddSeries(prometheus::BuildGauge(), state_->registry, name, help, labels));
}

Histogram Metrics::AddHistogram(std::string_view name, std::string_view help, const MetricLabels& labels,
                                const std::vector<double>& buckets) {
  SELVAGE_CHECK(std::is_sorted(buckets.begin(), buckets.end()));
  return Histogram(AddSeries(prometheus::BuildHistogram(), state_->registry, name, help, labels, buckets));
}

std::unique_ptr<Metrics::Registration> Metrics::AddCollector(Collector collector) {
  absl::MutexLock lock(&state_->mutex);
  const uint64_t id = state_->next_id++;
  state_->collectors.emplace(id, std::move(collector));
  return std::make_unique<Registration>(*state_, id);
}

Metrics::Registration::~Registration() {
  absl::MutexLock lock(&state_.mutex);
  state_.collectors.erase(id_);
}

void Metrics::CountError(const absl::Status& status) {
  if (status.ok()) return;
  std::string kind = ErrorKind(status);
  {
    absl::MutexLock lock(&state_->error_mutex);
    auto& kinds = state_->error_kinds;
    const bool fits = kinds.contains(kind) || kinds.size() < kErrorKindsMax;
    if (!IsErrorKind(kind) || !fits) {
      kind = "other";
    } else {
      kinds.insert(kind);
    }
  }
  AddCounter("selvage_errors_total", "Errors by kind.", {{"kind", kind}}).Add();
}

std::string Metrics::Text() const {
  FamilySet families;
  for (prometheus::MetricFamily& family : state_->registry.Collect()) families.Add(std::move(family));
  for (const CollectedMetric& metric : internal::CollectProcess()) families.Add(ToPrometheus(metric));
  {
    absl::MutexLock lock(&state_->mutex);
    for (const auto& [id, collector] : state_->collectors) {
      for (const CollectedMetric& metric : collector()) families.Add(ToPrometheus(metric));
    }
  }
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, std::move(families).Sorted());
  return std::move(out).str();
}

}  // namespace selvage
