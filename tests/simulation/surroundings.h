#pragma once

#include "tests/simulation/ledger.h"
#include "tests/simulation/limits.h"
#include "tests/simulation/table_ledger.h"
#include "tests/simulation/timeline.h"
#include "tests/simulation/view_records.h"
#include "tests/support/seeded_random.h"

namespace selvage::sim {

/// What all parts of one world share.
struct Surroundings {
  Timeline& time;
  test::SeededRandom& random;
  const Limits& limits;
  Ledger& ledger;
  TableLedger& tables;
  ViewRecords& views;
};

}  // namespace selvage::sim
