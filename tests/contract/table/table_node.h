#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fabric/base/error.h"
#include "fabric/table/table_store.h"
#include "tests/contract/log/log_node.h"
#include "tests/contract/storage/store_factory.h"
#include "tests/support/row_samples.h"
#include "tests/support/seeded_random.h"

namespace selvage::table {

inline v1::TableDefinition Definition(std::string name = "t", v1::TableDirection direction = v1::TABLE_BOTH) {
  v1::TableDefinition definition;
  definition.set_name(std::move(name));
  definition.set_direction(direction);
  return definition;
}

inline RowOperation PutOf(std::string key, std::string_view json, std::optional<int64_t> expires_at_ms = {}) {
  return {std::move(key), RowOperation::Put{ParseFields(json).value(), expires_at_ms}};
}
inline RowOperation SetOf(std::string key, const std::string& field, std::string_view json) {
  return {std::move(key), Update{.set = {{field, samples::Json(json)}}}};
}
inline RowOperation IncrementOf(std::string key, const std::string& field, int64_t by) {
  return {std::move(key), Update{.increment = {{field, JsonNumber(by)}}}};
}
inline RowOperation DeleteOf(std::string key) {
  return {std::move(key), RowOperation::Delete()};
}

inline std::string NameOfStore(const ::testing::TestParamInfo<StoreKind>& kind) {
  return kind.param.name;
}

/// The tables of a node over a store that may live longer; the committer is driven by hand.
class TableNode {
 public:
  TableNode(KvStore& store, Clock& clock, Random& random, bool is_edge = true, StoreId id = samples::Store(7))
      : store_(store),
        budget_(DiskBudget::Limits{.budget = uint64_t{1} << 40, .reserve = 1 << 20}),
        committer_(store, {}),
        tables_({store, committer_, clock, random, budget_, fences_},
                {.is_edge = is_edge, .store_id = [id] { return id; }}) {
    EXPECT_EQ(tables_.Open(), absl::OkStatus());
  }
  ~TableNode() { committer_.FailWaiting(); }

  TableStore& tables() { return tables_; }
  TableStore* operator->() { return &tables_; }
  Committer& committer() { return committer_; }
  FenceTable& fences() { return fences_; }
  DiskBudget& budget() { return budget_; }
  KvStore& store() { return store_; }

  /// What Write says, by kind of error; "" when it was done.
  std::string Do(std::vector<RowOperation> operations, const std::string& table = "t") {
    std::string kind = ErrorKind(tables_.WriteAndWait(table, std::move(operations)).status());
    EXPECT_EQ(tables_.CheckInvariants(), absl::OkStatus());
    return kind;
  }
  /// "" when the row is not there.
  std::string Json(std::string_view key, const std::string& table = "t") {
    const auto row = tables_.Get(table, key);
    if (!row.ok()) return ErrorKind(row.status());
    return row->has_value() ? (**row).json : "";
  }
  std::vector<std::string> Keys(const ScanRequest& request) {
    std::vector<std::string> keys;
    const auto page = tables_.Scan("t", request);
    EXPECT_EQ(page.status(), absl::OkStatus());
    for (const RowView& row : page->rows) keys.push_back(row.key);
    if (page->next) keys.push_back("... " + *page->next);
    return keys;
  }
  /// "key=json" of what changed; and where to go on.
  std::vector<std::string> Changes(FeedPosition& from, std::string_view prefix = "", size_t rows_max = 1000) {
    std::vector<std::string> changes;
    const auto page = tables_.ReadChanges("t", from, prefix, rows_max, kAll);
    if (!page.ok()) return {ErrorKind(page.status())};
    for (const auto& change : page->changes)
      changes.push_back(change.key + "=" + (change.row ? change.row->json : ""));
    from = page->next;
    return changes;
  }

 private:
  KvStore& store_;
  DiskBudget budget_;
  FenceTable fences_;
  Committer committer_;
  TableStore tables_;
};

}  // namespace selvage::table
