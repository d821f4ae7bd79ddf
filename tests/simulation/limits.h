#pragma once

#include "absl/time/time.h"
#include "fabric/node/node_state.h"
#include "fabric/replication/session.h"
#include "tests/support/seeded_random.h"

namespace selvage::sim {

/// Sizes, limits and periods of one world, drawn at random: a bug that a default hides shows under some of
/// them.
struct Limits {
  int edges = 1;
  int up_streams = 1;
  int partitions_max = 1;
  size_t batch_max = 20'000;  ///< bytes of one batch
  size_t tail_cache_bytes = 0;
  size_t commit_group_max = 0;
  size_t commit_queue_max = 0;
  DiskBudget::Limits edge_disk;
  DiskBudget::Limits core_disk;
  replication::Session::Options edge_session;
  replication::Session::Options core_session;
  size_t data_budget = 256 << 10;  ///< bytes of entries taken from a session at once
  absl::Duration tick = absl::Seconds(1);
  absl::Duration upkeep = absl::Seconds(1);
  absl::Duration sync_max = absl::Milliseconds(20);  ///< how long a group commit takes at most

  static Limits Draw(test::SeededRandom& random);
};

}  // namespace selvage::sim
