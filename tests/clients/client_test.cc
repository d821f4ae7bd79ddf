#include "tests/clients/client_test.h"

#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <fstream>

#include "fabric/base/clock.h"
#include "fabric/base/error.h"

namespace selvage::test {
namespace {

constexpr char kEnd[] = "end";

}  // namespace

std::unique_ptr<Broker> ClientTest::broker_;

void ClientTest::StartBroker(Broker::Node node) {
  auto broker = Broker::Start(node);
  ASSERT_THAT(broker, IsOk());
  broker_ = *std::move(broker);
}

void ClientTest::SetUp() {
  ASSERT_NE(broker_, nullptr);
  ClientScenario::SetUp();
}

std::map<int, Acked> AckedByPartition(const std::vector<Event>& events) {
  std::map<int, Acked> acked;
  for (const Event& event : Only("acked", events)) {
    std::optional<int64_t> offset;
    if (!event.at("offset").is_null()) offset = NumberOf(event, "offset");
    acked[static_cast<int>(NumberOf(event, "partition"))][NumberOf(event, "id")] = offset;
  }
  return acked;
}

void SkipIfMissing(const std::string& missing) {
  if (missing.empty()) return;
  const char* required = std::getenv("SELVAGE_CLIENTS_REQUIRED");
  if (required != nullptr && std::string(required) == "1") FAIL() << missing;
  GTEST_SKIP() << missing;
}

void ClientScenario::SetUp() {
  for (const Client& each : Clients()) {
    if (each.name == GetParam()) client_ = each;
  }
  SkipIfMissing(client_.missing.empty() ? "" : client_.name + ": " + client_.missing);
}

ClientOptions ClientScenario::With(ClientOptions options) const {
  std::string& bootstrap = options["bootstrap"];
  if (bootstrap.empty()) bootstrap = address();
  return options;
}

absl::StatusOr<std::unique_ptr<RunningClient>> ClientScenario::Start(const std::string& command,
                                                                     const ClientOptions& options) {
  return RunningClient::Start(client_, command, With(options), File("output-" + std::to_string(outputs_++)));
}

absl::StatusOr<std::unique_ptr<RunningClient>> ClientScenario::StartFlood(const std::string& topic,
                                                                          size_t first) {
  return Start("flood", {{"topic", topic},
                         {"partitions", std::to_string(client().flood_partitions)},
                         {"first", std::to_string(first)}});
}

absl::Status ClientScenario::AwaitProgress(RunningClient& flood, size_t records) {
  const char* kind = client().tells_offsets ? "acked" : "sent";
  const size_t target = Only(kind, flood.events()).size() + records;
  return flood.Await("progress", [&](const auto& events) { return Only(kind, events).size() >= target; });
}

void ClientScenario::ExpectExactly(const std::string& topic, const std::vector<Event>& flood, size_t first) {
  const auto acked = AckedByPartition(flood);
  ASSERT_EQ(acked.size(), static_cast<size_t>(client().flood_partitions));
  for (const auto& [partition, records] : acked) ExpectExactly(topic, partition, records, first);
}

void ClientScenario::ExpectExactly(const std::string& topic, int partition, const Acked& acked,
                                   size_t first) {
  SCOPED_TRACE(fmt::format("partition {}", partition));
  const int64_t now_ms = absl::ToUnixMillis(SystemClock().Wall());
  // What comes behind all others shows that there are no more.
  ASSERT_THAT(Write(ReferenceClient(), topic, partition, "none", {{now_ms, std::nullopt, kEnd}}), IsOk());
  auto read = Read(ReferenceClient(), topic, partition, 0, acked.size() + 1);
  ASSERT_THAT(read, IsOk());
  ASSERT_EQ(read->size(), acked.size() + 1);
  int64_t at = 0;
  for (const auto& [id, offset] : acked) {
    const ReadRecord& got = (*read)[static_cast<size_t>(at)];
    ASSERT_TRUE(got.record.value.has_value());
    ASSERT_EQ(std::stoll(*got.record.value), id) << "offset " << at;
    if (at == 0) {
      EXPECT_GE(got.record.value->size(), first);
    }
    ASSERT_EQ(got.offset, at);
    if (offset) {
      ASSERT_EQ(*offset, at) << "record " << id;
    }
    ++at;
  }
  EXPECT_EQ(read->back().record.value, kEnd);
}

absl::Status ClientScenario::CreateTopic(const std::string& topic, int partitions) const {
  return Run(ReferenceClient(), "create", {{"topic", topic}, {"partitions", std::to_string(partitions)}})
      .status();
}

absl::StatusOr<std::vector<Event>> ClientScenario::Write(const Client& client, const std::string& topic,
                                                         int partition, const std::string& codec,
                                                         const std::vector<ClientRecord>& records,
                                                         const std::string& address) const {
  std::ofstream(File("records")) << RecordsFile(records);
  return Run(client, "produce",
             {{"bootstrap", address},
              {"topic", topic},
              {"partition", std::to_string(partition)},
              {"codec", codec},
              {"input", File("records")}});
}

absl::StatusOr<std::vector<ReadRecord>> ClientScenario::Read(const Client& client, const std::string& topic,
                                                             int partition, int64_t offset, size_t count,
                                                             const std::string& address) const {
  SELVAGE_ASSIGN_OR_RETURN(auto events, Run(client, "consume",
                                            {{"bootstrap", address},
                                             {"topic", topic},
                                             {"partition", std::to_string(partition)},
                                             {"offset", std::to_string(offset)},
                                             {"count", std::to_string(count)}}));
  return ParseRecords(events);
}

const std::string ClientScenario::kAdministered =
    "create: true\n"
    "create_again: true\n"
    "listed: true\n"
    "partitions: 3\n"
    "retention: \"3600000\"\n"
    "new_retention: \"7200000\"\n"
    "grown: 5\n"
    "low: 4\n"
    "committed: 7\n"
    "group_listed: true\n"
    "group_state: \"Empty\"\n"
    "group_left: false\n"
    "topic_left: false\n";

absl::StatusOr<std::string> ClientScenario::Administer() const {
  SELVAGE_ASSIGN_OR_RETURN(
      auto events, Run(client(), "admin", {{"topic", Named("administered")}, {"group", Named("group")}}));
  std::string said;
  for (const Event& event : Only("step", events)) {
    said += fmt::format("{}: {}\n", std::string(event.at("step").as_string()),
                        boost::json::serialize(event.at("result")));
  }
  return said;
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
