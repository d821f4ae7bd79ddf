#include "tests/clients/client_test.h"

#include <cstdlib>
#include <fstream>

#include "fabric/base/error.h"

namespace selvage::test {

std::unique_ptr<Broker> ClientTest::broker_;

void ClientTest::SetUpTestSuite() {
  auto broker = Broker::Start();
  ASSERT_THAT(broker, IsOk());
  broker_ = *std::move(broker);
}

void ClientTest::SetUp() {
  for (const Client& each : Clients()) {
    if (each.name == GetParam()) client_ = each;
  }
  if (!client_.missing.empty()) {
    const char* required = std::getenv("SELVAGE_CLIENTS_REQUIRED");
    if (required != nullptr && std::string(required) == "1")
      FAIL() << client_.name << ": " << client_.missing;
    GTEST_SKIP() << client_.name << ": " << client_.missing;
  }
  ASSERT_NE(broker_, nullptr);
}

ClientOptions ClientTest::With(ClientOptions options) const {
  options["bootstrap"] = broker().address();
  return options;
}

absl::StatusOr<std::unique_ptr<RunningClient>> ClientTest::Start(const std::string& command,
                                                                 const ClientOptions& options) {
  return RunningClient::Start(client_, command, With(options), File("output-" + std::to_string(outputs_++)));
}

absl::Status ClientTest::CreateTopic(const std::string& topic, int partitions) const {
  return Run(ReferenceClient(), "create", {{"topic", topic}, {"partitions", std::to_string(partitions)}})
      .status();
}

absl::StatusOr<std::vector<Event>> ClientTest::Write(const Client& client, const std::string& topic,
                                                     int partition, const std::string& codec,
                                                     const std::vector<ClientRecord>& records) const {
  std::ofstream(File("records")) << RecordsFile(records);
  return Run(client, "produce",
             {{"topic", topic},
              {"partition", std::to_string(partition)},
              {"codec", codec},
              {"input", File("records")}});
}

absl::StatusOr<std::vector<ReadRecord>> ClientTest::Read(const Client& client, const std::string& topic,
                                                         int partition, int64_t offset, size_t count) const {
  SELVAGE_ASSIGN_OR_RETURN(auto events, Run(client, "consume",
                                            {{"topic", topic},
                                             {"partition", std::to_string(partition)},
                                             {"offset", std::to_string(offset)},
                                             {"count", std::to_string(count)}}));
  return ParseRecords(events);
}

std::vector<std::string> ClientNames(bool (*wanted)(const Client&)) {
  std::vector<std::string> names;
  for (const Client& client : Clients()) {
    if (wanted(client)) names.push_back(client.name);
  }
  return names;
}

std::string ClientName(const testing::TestParamInfo<std::string>& info) {
  return info.param;
}

}  // namespace selvage::test
