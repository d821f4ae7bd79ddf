#pragma once

#include <memory>

#include "tests/contract/log/log_node.h"
#include "tests/contract/storage/store_factory.h"

namespace selvage {

/// The suite of the Log and LogStore port: a node on every kind of store.
class LogContract : public ::testing::TestWithParam<StoreKind> {
 protected:
  LogNode& node() { return *node_; }
  KvStore& store() { return fixture_->store(); }

  /// Ends the process and starts it again.
  void Reopen(const std::map<LogNumber, Offset>& acknowledged_ends = {}) {
    node_.reset();
    fixture_->Reopen();
    node_ = std::make_unique<LogNode>(store(), clock_, acknowledged_ends);
  }
  EmbeddedLog& SourceAgain() {
    const std::shared_ptr<EmbeddedLog> log =
        node().logs().FindEmbedded(LogOrigin{"", Slot(0), "sensors", PartitionId(0)});
    SELVAGE_CHECK(log != nullptr);
    return *log;
  }
  /// Batches of so many records each.
  void Fill(Log& log, std::initializer_list<int> batches) {
    for (int records : batches) ASSERT_TRUE(node().Append(log, ProducedBatch(records)).ok());
  }

  FakeClock clock_;
  std::unique_ptr<StoreFixture> fixture_ = GetParam().make();
  std::unique_ptr<LogNode> node_ = std::make_unique<LogNode>(fixture_->store(), clock_);
};

inline std::string NameOfKind(const ::testing::TestParamInfo<StoreKind>& info) {
  return info.param.name;
}

}  // namespace selvage
