#include "fabric/kafka/group_admin/group_metrics.h"

#include "fabric/kafka/group_admin/group_lag.h"

namespace selvage::kafka {

GroupMetrics::GroupMetrics(Metrics& metrics, const GroupService& groups, Topics& topics)
    : groups_(groups), topics_(topics), registration_(metrics.AddCollector([this] { return Collect(); })) {}

std::vector<CollectedMetric> GroupMetrics::Collect() {
  CollectedMetric lag{.name = "selvage_kafka_group_lag_records",
                      .help = "Records that a consumer group has not consumed yet, as offsets.",
                      .type = CollectedMetric::Type::kGauge,
                      .samples = {}};
  CollectedMetric omitted{
      .name = "selvage_kafka_group_rows_omitted",
      .help = "Committed offsets of consumer groups without series, since there are too many.",
      .type = CollectedMetric::Type::kGauge,
      .samples = {}};
  size_t left_out = 0;
  for (const group::GroupListing& group : groups_.List({}, {})) {
    for (const auto& [at, committed] : groups_.FetchAll(group.group)) {
      const PartitionEnds ends = EndsOf(topics_, at);
      if (!ends.known()) continue;
      if (lag.samples.size() == kGroupMetricRowsMax) {
        ++left_out;
        continue;
      }
      lag.samples.push_back({{{"group", TextOf(group.group)},
                              {"topic", TextOf(at.topic)},
                              {"partition", std::to_string(at.partition)}},
                             static_cast<double>(LagOf(ends, committed.offset))});
    }
  }
  omitted.samples.push_back({{}, static_cast<double>(left_out)});
  return {std::move(lag), std::move(omitted)};
}

}  // namespace selvage::kafka
