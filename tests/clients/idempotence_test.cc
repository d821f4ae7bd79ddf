#include <fmt/format.h>

#include <map>

#include "fabric/base/clock.h"
#include "fabric/base/error.h"
#include "tests/clients/client_test.h"
#include "tests/support/eventually.h"

namespace selvage::test {
namespace {

constexpr size_t kBetweenFaults = 150;
constexpr char kEnd[] = "end";

/// The offset of each acknowledged record of a partition, by id; nothing where the client does not tell.
using Acked = std::map<int64_t, std::optional<int64_t>>;

std::map<int, Acked> AckedByPartition(const std::vector<Event>& events) {
  std::map<int, Acked> acked;
  for (const Event& event : Only("acked", events)) {
    std::optional<int64_t> offset;
    if (!event.at("offset").is_null()) offset = NumberOf(event, "offset");
    acked[static_cast<int>(NumberOf(event, "partition"))][NumberOf(event, "id")] = offset;
  }
  return acked;
}

class IdempotenceTest : public ClientTest {
 protected:
  /// Waits until the client has got some records further.
  absl::Status AwaitProgress(RunningClient& flood) {
    const char* kind = client().tells_offsets ? "acked" : "sent";
    const size_t target = Only(kind, flood.events()).size() + kBetweenFaults;
    return flood.Await("progress", [&](const auto& events) { return Only(kind, events).size() >= target; });
  }

  /// Lets requests reach the broker and no answer come back, then cuts the connections. When nothing more is
  /// sent, it is for want of the answers to what was sent before, and these are lost.
  void LoseAnswers() {
    LinkProxy& link = broker().link();
    link.Stall(Direction::kDown);
    const uint64_t before = link.counters().bytes_up;
    Eventually(absl::Seconds(2), [&] { return link.counters().bytes_up > before; });
    link.Cut();
    link.Resume(Direction::kDown);
  }

  absl::Status Disturb(RunningClient& flood) {
    for (int round = 0; round < 3; ++round) {
      SELVAGE_RETURN_IF_ERROR(AwaitProgress(flood));
      broker().link().Cut();
      SELVAGE_RETURN_IF_ERROR(AwaitProgress(flood));
      LoseAnswers();
    }
    for (int round = 0; round < 2; ++round) {
      SELVAGE_RETURN_IF_ERROR(AwaitProgress(flood));
      broker().Kill();
      SELVAGE_RETURN_IF_ERROR(broker().Resume());
    }
    return AwaitProgress(flood);
  }

  /// Every acknowledged record is there once, in order and where it was said to be, and nothing else.
  void ExpectExactly(const std::string& topic, int partition, const Acked& acked) {
    SCOPED_TRACE(fmt::format("partition {}", partition));
    const int64_t now_ms = absl::ToUnixMillis(SystemClock().Wall());
    // What comes behind all others shows that there are no more.
    ASSERT_THAT(Write(ReferenceClient(), topic, partition, "none", {{now_ms, std::nullopt, kEnd}}), IsOk());
    auto read = Read(client(), topic, partition, 0, acked.size() + 1);
    ASSERT_THAT(read, IsOk());
    ASSERT_EQ(read->size(), acked.size() + 1);
    int64_t at = 0;
    for (const auto& [id, offset] : acked) {
      const ReadRecord& got = (*read)[static_cast<size_t>(at)];
      ASSERT_EQ(got.record.value, std::to_string(id)) << "offset " << at;
      ASSERT_EQ(got.offset, at);
      if (offset) {
        ASSERT_EQ(*offset, at) << "record " << id;
      }
      ++at;
    }
    EXPECT_EQ(read->back().record.value, kEnd);
  }
};

TEST_P(IdempotenceTest, WritesOnceAndInOrderThroughCutsAndKills) {
  const std::string topic = Named("flood");
  const int partitions = client().flood_partitions;
  ASSERT_THAT(CreateTopic(topic, partitions), IsOk());
  auto flood = Start("flood", {{"topic", topic}, {"partitions", std::to_string(partitions)}});
  ASSERT_THAT(flood, IsOk());
  ASSERT_THAT(Disturb(**flood), IsOk());
  ASSERT_THAT((*flood)->Stop(), IsOk());

  const auto acked = AckedByPartition((*flood)->events());
  ASSERT_EQ(acked.size(), static_cast<size_t>(partitions));
  for (const auto& [partition, records] : acked) ExpectExactly(topic, partition, records);
}

INSTANTIATE_TEST_SUITE_P(Client, IdempotenceTest,
                         testing::ValuesIn(ClientNames([](const Client&) { return true; })), ClientName);

}  // namespace
}  // namespace selvage::test
