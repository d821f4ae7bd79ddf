#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "tests/unit/admin/admin_harness.h"

namespace selvage::test {

inline v1::CreateTableRequest CreateOf(const std::string& name,
                                       v1::TableDirection direction = v1::TABLE_BOTH) {
  v1::CreateTableRequest request;
  request.mutable_definition()->set_name(name);
  request.mutable_definition()->set_direction(direction);
  return request;
}

inline v1::RowOperation PutOf(const std::string& key, const std::string& json) {
  v1::RowOperation operation;
  operation.set_key(key);
  operation.mutable_put()->set_row(json);
  return operation;
}
inline v1::RowOperation UpdateOf(const std::string& key, const std::string& set,
                                 const std::string& increment = "") {
  v1::RowOperation operation;
  operation.set_key(key);
  operation.mutable_update()->set_set(set);
  operation.mutable_update()->set_increment(increment);
  return operation;
}
inline v1::RowOperation PatchOf(const std::string& key, const std::string& patch) {
  v1::RowOperation operation;
  operation.set_key(key);
  operation.mutable_merge_patch()->set_patch(patch);
  return operation;
}
inline v1::RowOperation DeleteOf(const std::string& key) {
  v1::RowOperation operation;
  operation.set_key(key);
  operation.mutable_delete_();
  return operation;
}
inline v1::RowOperation If(v1::RowOperation operation, v1::RowCondition::Kind kind,
                           const std::vector<std::string>& versions = {}) {
  operation.mutable_condition()->set_kind(kind);
  for (const std::string& version : versions) operation.mutable_condition()->add_versions(version);
  return operation;
}

/// A WatchTable that is under way.
class PendingWatch {
 public:
  PendingWatch(TablesStub& stub, const v1::WatchTableRequest& request) : request_(request) {
    stub.async()->WatchTable(&context_, &request_, &response_, [this](grpc::Status status) {
      status_ = std::move(status);
      done_.Notify();
    });
  }
  ~PendingWatch() {
    context_.TryCancel();
    done_.WaitForNotification();
  }
  void Cancel() { context_.TryCancel(); }
  bool done() const { return done_.HasBeenNotified(); }
  const grpc::Status& Wait() {
    done_.WaitForNotification();
    return status_;
  }
  const v1::WatchTableResponse& response() const { return response_; }

 private:
  grpc::ClientContext context_;
  v1::WatchTableRequest request_;
  v1::WatchTableResponse response_;
  grpc::Status status_;
  absl::Notification done_;
};

class TablesServiceTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(KindOf(node_.Ask(&TablesStub::CreateTable, CreateOf("pumps"))), ""); }

  absl::StatusOr<v1::WriteRowsResponse> Write(const std::vector<v1::RowOperation>& operations,
                                              const std::string& table = "pumps") {
    v1::WriteRowsRequest request;
    request.set_table(table);
    for (const v1::RowOperation& operation : operations) *request.add_operations() = operation;
    return node_.Ask(&TablesStub::WriteRows, request);
  }
  absl::StatusOr<v1::GetRowResponse> Get(const std::string& key) {
    v1::GetRowRequest request;
    request.set_table("pumps");
    request.set_key(key);
    return node_.Ask(&TablesStub::GetRow, request);
  }
  /// "none" when it is not there, or the error's kind.
  std::string JsonOf(const std::string& key) {
    const auto got = Get(key);
    if (!got.ok()) return KindOf(got);
    return got->has_row() ? got->row().json() : "none";
  }
  static v1::ScanRowsRequest Scan() {
    v1::ScanRowsRequest request;
    request.set_table("pumps");
    return request;
  }
  std::vector<std::string> Keys(const v1::ScanRowsRequest& request) {
    const auto page = node_.Ask(&TablesStub::ScanRows, request);
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<std::string> keys;
    if (!page.ok()) return {};
    for (const auto& row : page->rows()) keys.push_back(row.key());
    return keys;
  }
  static v1::QueryRowsRequest QueryOf(const std::string& filter) {
    v1::QueryRowsRequest request;
    request.set_table("pumps");
    request.set_filter(filter);
    return request;
  }
  /// "key=json" of a page.
  std::vector<std::string> Rows(const v1::QueryRowsRequest& request) {
    const auto page = node_.Ask(&TablesStub::QueryRows, request);
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<std::string> rows;
    if (!page.ok()) return {};
    for (const auto& row : page->rows()) rows.push_back(row.key() + "=" + row.json());
    return rows;
  }
  static v1::WatchTableRequest Watch(const std::string& from, uint32_t max_wait_ms = 0) {
    v1::WatchTableRequest request;
    request.set_table("pumps");
    request.set_from(from);
    request.set_max_wait_ms(max_wait_ms);
    return request;
  }
  std::string End() {
    v1::DescribeTableRequest request;
    request.set_table("pumps");
    return node_.Ask(&TablesStub::DescribeTable, request)->end();
  }

  EdgeNode node_;
};

}  // namespace selvage::test
