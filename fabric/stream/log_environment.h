#pragma once

#include "fabric/base/clock.h"
#include "fabric/storage/committer.h"
#include "fabric/storage/kv_store.h"
#include "fabric/stream/age_clock.h"
#include "fabric/stream/disk_budget.h"
#include "fabric/stream/fence_table.h"
#include "fabric/stream/tail_cache.h"

namespace selvage {

/// What the logs of one node share. Everything must outlive the store of the logs, and thereby them.
struct LogEnvironment {
  KvStore& store;
  Committer& committer;
  Clock& clock;
  AgeClock& ages;
  TailCache& cache;
  DiskBudget& budget;
  FenceTable& fences;
};

}  // namespace selvage
