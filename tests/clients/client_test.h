#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/clients/broker.h"
#include "tests/clients/client.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/test_dir.h"

namespace selvage::test {

/// A scenario for one client. The tests of a program share a broker, so each has topics and groups of its
/// own.
class ClientTest : public testing::TestWithParam<std::string> {
 public:
  static void SetUpTestSuite();
  static void TearDownTestSuite() { broker_.reset(); }
  /// Skips the test when the client cannot be run here, or fails it when that is demanded.
  void SetUp() override;

 protected:
  const Client& client() const { return client_; }
  Broker& broker() const { return *broker_; }
  /// `name` with that of the client.
  std::string Named(const std::string& name) const { return client_.name + "-" + name; }
  std::string File(const std::string& name) const { return dir_.File(name); }

  /// With the address of the broker.
  ClientOptions With(ClientOptions options) const;
  absl::StatusOr<std::vector<Event>> Run(const Client& client, const std::string& command,
                                         const ClientOptions& options) const {
    return RunClient(client, command, With(options));
  }
  absl::StatusOr<std::unique_ptr<RunningClient>> Start(const std::string& command,
                                                       const ClientOptions& options);
  absl::Status CreateTopic(const std::string& topic, int partitions) const;
  /// Writes records to a partition; the options name the rest.
  absl::StatusOr<std::vector<Event>> Write(const Client& client, const std::string& topic, int partition,
                                           const std::string& codec,
                                           const std::vector<ClientRecord>& records) const;
  /// Reads `count` records of a partition from `offset`.
  absl::StatusOr<std::vector<ReadRecord>> Read(const Client& client, const std::string& topic, int partition,
                                               int64_t offset, size_t count) const;

 private:
  static std::unique_ptr<Broker> broker_;
  TestDir dir_;
  Client client_;
  int outputs_ = 0;
};

/// The names of those clients for which `wanted` is true, as parameters of tests.
std::vector<std::string> ClientNames(bool (*wanted)(const Client&));
std::string ClientName(const testing::TestParamInfo<std::string>& info);

}  // namespace selvage::test
