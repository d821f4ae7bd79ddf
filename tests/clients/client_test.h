#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/clients/broker.h"
#include "tests/clients/client.h"
#include "tests/e2e/status_matchers.h"
#include "tests/support/test_dir.h"

namespace selvage::test {

/// The offset of each acknowledged record of a partition, by id; nothing where the client does not tell.
using Acked = std::map<int64_t, std::optional<int64_t>>;
std::map<int, Acked> AckedByPartition(const std::vector<Event>& events);

/// Skips the test where something cannot be had (`missing` says why; empty: it is there), or fails it where
/// that is demanded (SELVAGE_CLIENTS_REQUIRED=1).
void SkipIfMissing(const std::string& missing);

/// A scenario for one client with any broker.
class ClientScenario : public testing::TestWithParam<std::string> {
 public:
  /// Skips the test when the client cannot be run here, or fails it when that is demanded.
  void SetUp() override;

 protected:
  /// host:port of the broker.
  virtual std::string address() const = 0;

  const Client& client() const { return client_; }
  /// `name` with that of the client.
  std::string Named(const std::string& name) const { return client_.name + "-" + name; }
  std::string File(const std::string& name) const { return dir_.File(name); }

  /// With the address of the broker, unless there is one.
  ClientOptions With(ClientOptions options) const;
  absl::StatusOr<std::vector<Event>> Run(const Client& client, const std::string& command,
                                         const ClientOptions& options) const {
    return RunClient(client, command, With(options));
  }
  absl::StatusOr<std::unique_ptr<RunningClient>> Start(const std::string& command,
                                                       const ClientOptions& options);
  /// The client's `flood`; `first` are the bytes of the first record of each partition, 0 for no more than
  /// the others.
  absl::StatusOr<std::unique_ptr<RunningClient>> StartFlood(const std::string& topic, size_t first = 0);
  /// Waits until a flood has got `records` further.
  absl::Status AwaitProgress(RunningClient& flood, size_t records);
  /// Every acknowledged record of a flood is there once, in order and where it was said to be, and nothing
  /// else.
  void ExpectExactly(const std::string& topic, const std::vector<Event>& flood, size_t first = 0);

  absl::Status CreateTopic(const std::string& topic, int partitions) const;
  /// Writes records to a partition; at another node when `address` names it.
  absl::StatusOr<std::vector<Event>> Write(const Client& client, const std::string& topic, int partition,
                                           const std::string& codec, const std::vector<ClientRecord>& records,
                                           const std::string& address = "") const;
  /// The client's `admin`: what it said of each step, one on each line.
  absl::StatusOr<std::string> Administer() const;
  /// What all of them say.
  static const std::string kAdministered;
  /// Reads `count` records of a partition from `offset`; at another node when `address` names it.
  absl::StatusOr<std::vector<ReadRecord>> Read(const Client& client, const std::string& topic, int partition,
                                               int64_t offset, size_t count,
                                               const std::string& address = "") const;

 private:
  void ExpectExactly(const std::string& topic, int partition, const Acked& acked, size_t first);

  TestDir dir_;
  Client client_;
  int outputs_ = 0;
};

/// A scenario for one client with a real edge. The tests of a suite share it, so each has topics and groups
/// of its own.
class ClientTest : public ClientScenario {
 public:
  static void SetUpTestSuite() { StartBroker(Broker::Node::kEdge); }
  static void TearDownTestSuite() { broker_.reset(); }
  void SetUp() override;

 protected:
  std::string address() const override { return broker().address(); }
  static Broker& broker() { return *broker_; }
  static void StartBroker(Broker::Node node);

 private:
  static std::unique_ptr<Broker> broker_;
};

/// The same with a real core and an edge that is linked.
class CoreClientTest : public ClientTest {
 public:
  static void SetUpTestSuite() { StartBroker(Broker::Node::kCore); }
};

/// The names of those clients for which `wanted` is true, as parameters of tests.
std::vector<std::string> ClientNames(bool (*wanted)(const Client&));
std::string ClientName(const testing::TestParamInfo<std::string>& info);

}  // namespace selvage::test
