#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>

#include "tests/contract/table/table_sites.h"

namespace selvage::table {

/// A core and two edges with one table that all of them write.
class TableFlows : public ::testing::Test {
 protected:
  Session Link(Site& edge, std::string prefix = "") {
    return Session(edge, core_, ++epoch_, std::move(prefix));
  }
  void Sync(Site& edge, std::string prefix = "") { Link(edge, std::move(prefix)).Drain(); }

  test::SeededRandom random_{5};
  Site core_{1, false, random_};
  Site a_{2, true, random_};
  Site b_{3, true, random_};
  uint64_t epoch_ = 0;
};

}  // namespace selvage::table
