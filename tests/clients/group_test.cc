#include <fmt/format.h>

#include <map>
#include <set>

#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "tests/clients/client_test.h"

namespace selvage::test {
namespace {

constexpr char kShortSessionMs[] = "6000";  // the shortest that Kafka allows
constexpr char kLongSessionMs[] = "45000";

using Partitions = std::set<int64_t>;

/// What a member holds now; nothing before it was told.
std::optional<Partitions> Holds(const std::vector<Event>& events) {
  const std::vector<Event> told = Only("assigned", events);
  if (told.empty()) return std::nullopt;
  Partitions partitions;
  for (const auto& partition : told.back().at("partitions").as_array()) {
    partitions.insert(partition.to_number<int64_t>());
  }
  return partitions;
}

class GroupTest : public ClientTest {
 protected:
  using Member = std::unique_ptr<RunningClient>;

  absl::StatusOr<Member> Join(const std::string& topic, const std::string& session_ms,
                              const std::string& instance = "") {
    ClientOptions options = {{"topic", topic}, {"group", topic}, {"session-timeout", session_ms}};
    if (!instance.empty()) options["instance"] = instance;
    return Start("member", options);
  }

  /// Waits until these members share all partitions, each at least one and none twice.
  absl::Status AwaitShared(const std::vector<RunningClient*>& members, size_t partitions) {
    return members.front()->Await(fmt::format("sharing by {}", members.size()), [&](const auto&) {
      Partitions all;
      size_t sum = 0;
      for (RunningClient* member : members) {
        auto held = Holds(member->events());
        if (!held || held->empty()) return false;
        sum += held->size();
        all.insert(held->begin(), held->end());
      }
      return sum == partitions && all.size() == partitions;
    });
  }

  /// Writes so many records to each partition, with values that no other has, from `first` on.
  absl::Status Fill(const std::string& topic, int partitions, int count, int first = 0) {
    const int64_t now_ms = absl::ToUnixMillis(SystemClock().Wall());
    for (int partition = 0; partition < partitions; ++partition) {
      std::vector<ClientRecord> records;
      for (int i = first; i < first + count; ++i) {
        records.push_back({now_ms, std::nullopt, fmt::format("{}-{}", partition, i)});
      }
      SELVAGE_RETURN_IF_ERROR(Write(ReferenceClient(), topic, partition, "lz4", records).status());
    }
    return absl::OkStatus();
  }

  /// How often each value was read.
  static std::map<std::string, int> Counted(const std::vector<std::vector<Event>>& outputs) {
    std::map<std::string, int> counted;
    for (const auto& events : outputs) {
      for (const ReadRecord& read : ParseRecords(events)) ++counted[read.record.value.value_or("")];
    }
    return counted;
  }
};

TEST_P(GroupTest, SharesPartitionsWhenAMemberIsKilledAndAnotherJoins) {
  constexpr int kPartitions = 6;
  const std::string topic = Named("shared");
  ASSERT_THAT(CreateTopic(topic, kPartitions), IsOk());
  std::vector<Member> members;
  auto join = [&] {
    auto member = Join(topic, kShortSessionMs);
    ASSERT_THAT(member, IsOk());
    members.push_back(*std::move(member));
  };
  for (int i = 0; i < 3; ++i) join();
  ASSERT_THAT(AwaitShared({members[0].get(), members[1].get(), members[2].get()}, kPartitions), IsOk());
  ASSERT_THAT(Fill(topic, kPartitions, 20), IsOk());

  members[0]->Kill();
  ASSERT_THAT(AwaitShared({members[1].get(), members[2].get()}, kPartitions), IsOk());
  ASSERT_THAT(Fill(topic, kPartitions, 20, 20), IsOk());

  join();
  ASSERT_THAT(AwaitShared({members[1].get(), members[2].get(), members[3].get()}, kPartitions), IsOk());
  ASSERT_THAT(Fill(topic, kPartitions, 20, 40), IsOk());

  auto outputs = [&] {
    std::vector<std::vector<Event>> all;
    for (const Member& member : members) all.push_back(member->events());
    return all;
  };
  ASSERT_THAT(members[1]->Await("reading everything",
                                [&](const auto&) { return Counted(outputs()).size() == kPartitions * 60u; }),
              IsOk());
  for (size_t i = 1; i < members.size(); ++i) EXPECT_THAT(members[i]->Stop(), IsOk());
}

INSTANTIATE_TEST_SUITE_P(Client, GroupTest,
                         testing::ValuesIn(ClientNames([](const Client&) { return true; })), ClientName);

class StaticMemberTest : public GroupTest {};

TEST_P(StaticMemberTest, ReturnsToItsPartitionsWithoutARebalance) {
  const std::string topic = Named("static");
  ASSERT_THAT(CreateTopic(topic, 4), IsOk());
  auto stays = Join(topic, kLongSessionMs, "stays");
  ASSERT_THAT(stays, IsOk());
  auto leaves = Join(topic, kLongSessionMs, "leaves");
  ASSERT_THAT(leaves, IsOk());
  ASSERT_THAT(AwaitShared({stays->get(), leaves->get()}, 4), IsOk());
  const auto held = Holds((*leaves)->events());
  const size_t told = Only("assigned", (*stays)->events()).size();

  (*leaves)->Kill();
  auto returns = Join(topic, kLongSessionMs, "leaves");
  ASSERT_THAT(returns, IsOk());
  // Eager clients say first that they hold nothing.
  ASSERT_THAT((*returns)->Await("assignment",
                                [](const auto& events) {
                                  const auto holds = Holds(events);
                                  return holds && !holds->empty();
                                }),
              IsOk());
  EXPECT_EQ(Holds((*returns)->events()), held);
  // Both read on, and the one that stayed was never told anything else.
  ASSERT_THAT(Fill(topic, 4, 10), IsOk());
  ASSERT_THAT((*returns)->Await("reading everything",
                                [&](const auto& events) {
                                  return Counted({events, (*stays)->events()}).size() == 40;
                                }),
              IsOk());
  EXPECT_EQ(Only("assigned", (*stays)->events()).size(), told);
  EXPECT_THAT((*returns)->Stop(), IsOk());
  EXPECT_THAT((*stays)->Stop(), IsOk());
}

INSTANTIATE_TEST_SUITE_P(Client, StaticMemberTest, testing::ValuesIn(ClientNames([](const Client& client) {
                           return client.static_members;
                         })),
                         ClientName);

}  // namespace
}  // namespace selvage::test
