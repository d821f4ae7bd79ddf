#include "tests/simulation/limits.h"

namespace selvage::sim {
namespace {

/// Larger than any spec or status of so small a world.
constexpr size_t kDocuments = 256 << 10;

replication::Session::Options DrawSession(test::SeededRandom& random, bool is_edge, size_t batch_max) {
  replication::Session::Options options;
  options.is_edge = is_edge;
  options.heartbeat = absl::Milliseconds(random.Between(3'000, 30'000));
  options.receive_window = random.Spread(1, 4 << 20);
  options.entry_max = batch_max + kDocuments + random.Below(1000);
  options.max_rate = random.OneIn(4) ? random.Spread(5'000, 10 << 20) : 0;
  options.read_ahead = random.Spread(1, 256 << 10);
  return options;
}

DiskBudget::Limits DrawDisk(test::SeededRandom& random, size_t batch_max) {
  if (random.OneIn(2)) return {};
  const uint64_t reserve = 4 * batch_max + random.Spread(10'000, 1 << 20);
  return {.budget = 2 * reserve + random.Spread(10'000, 4 << 20), .reserve = reserve};
}

}  // namespace

Limits Limits::Draw(test::SeededRandom& random) {
  Limits limits;
  limits.edges = static_cast<int>(random.Spread(1, 20));
  limits.up_streams = static_cast<int>(random.Between(1, 3));
  limits.partitions_max = static_cast<int>(random.Between(1, 3));
  limits.batch_max = random.Spread(300, 60'000);
  limits.tail_cache_bytes = random.Spread(1, 1 << 20);
  limits.commit_group_max = random.Spread(1, 1 << 20);
  limits.commit_queue_max = random.Spread(limits.batch_max, 4 << 20);
  limits.edge_disk = DrawDisk(random, limits.batch_max);
  if (random.OneIn(3)) limits.core_disk = DrawDisk(random, limits.batch_max * limits.edges);
  limits.edge_session = DrawSession(random, true, limits.batch_max);
  limits.core_session = DrawSession(random, false, limits.batch_max);
  // Each end must hear of the other within its own timeout.
  const absl::Duration slower = std::max(limits.edge_session.heartbeat, limits.core_session.heartbeat);
  limits.edge_session.timeout = slower * static_cast<double>(random.Between(2, 4)) + absl::Seconds(3);
  limits.core_session.timeout = slower * static_cast<double>(random.Between(2, 4)) + absl::Seconds(3);
  limits.data_budget = random.Spread(1'000, 256 << 10);
  limits.tick = absl::Milliseconds(random.Between(1'000, 10'000));
  limits.upkeep = absl::Milliseconds(random.Between(1'000, 20'000));
  limits.sync_max = absl::Microseconds(random.Spread(100, 500'000));
  return limits;
}

}  // namespace selvage::sim
